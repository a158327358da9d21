"""A comparison's money in the organization's currency, by the rates of the day when it began."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Self

from apps_registry.models import Organization
from apps_registry.tenancy import current_organization
from postbacks.callbacks.currency.conversion import DayRates
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.models import Discrepancy


def organization_currency() -> str:
    """Return the currency of the current organization."""
    return Organization.objects.values_list("currency", flat=True).get(
        pk=current_organization() or 0
    )


@dataclass(frozen=True, slots=True)
class MoneyConverter:
    """Adds up amounts of several currencies in one."""

    currency: str
    rates: DayRates

    @classmethod
    def of(cls, discrepancy: Discrepancy, currency: str) -> Self:
        """Return what converts the money of a comparison; a later rate changes nothing."""
        began_at = discrepancy.created_at
        return cls(currency, load_rates([began_at]).of(began_at, known_at=began_at))

    def total(self, money: Mapping[str, str]) -> Decimal | None:
        """Return the sum of amounts by currency; None if one is no amount or has no rate."""
        total = Decimal(0)
        for currency, text in money.items():
            try:
                amount = Decimal(text)
            except InvalidOperation:
                return None
            converted = self.rates.convert(amount, currency, self.currency)
            if converted is None:
                return None
            total += converted
        return total

    def needs_conversion(self, money: Mapping[str, str]) -> bool:
        """Tell whether an amount is in another currency."""
        return bool(money.keys() - {self.currency})
