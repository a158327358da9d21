"""Revenue in one currency, by the rates of its days; what has no rate stays as it came."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from postbacks.callbacks.currency.conversion import USD
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.values.currencies import minor_digits

_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}  # those that stand for one currency


@dataclass(slots=True)
class Revenue:
    """An amount in the organization's currency, and those in currencies without a rate of the day.

    These stay as they came, beside it.
    """

    amount: Decimal = Decimal(0)
    others: dict[str, Decimal] = field(default_factory=dict)
    currency: str = USD

    def __str__(self) -> str:
        """Return it as people read it: $1,234.50 + 12.00 XTS."""
        rest = [_money(amount, name) for name, amount in self.others.items()]
        own = _money(self.amount, self.currency)
        return " + ".join([own, *rest] if self.amount or not rest else rest)

    @property
    def note(self) -> str:
        """Say what was left as it came, and why; empty if nothing was."""
        named = ", ".join(self.others)
        return f"no rate to {self.currency} for {named}" if named else ""


def _money(amount: Decimal, currency: str) -> str:
    sign = "\N{MINUS SIGN}" if amount < 0 else ""
    text = f"{abs(amount):,.{minor_digits(currency)}f}"
    symbol = _SYMBOLS.get(currency, "")
    return f"{sign}{symbol}{text}" if symbol else f"{sign}{text}\N{NO-BREAK SPACE}{currency}"


@dataclass(frozen=True, slots=True)
class AmountOfDay:
    """Revenue of one UTC day in one currency; `key` says whose."""

    key: Any
    day: date
    currency: str
    amount: Decimal | None


def revenue_by_key(
    sums: Iterable[AmountOfDay], *, now: datetime, currency: str = USD
) -> dict[Any, Revenue]:
    """Return the revenue of each key in a currency, by the rates that are known now."""
    paid = [(row, row.amount) for row in sums if row.amount is not None]
    moments = {row.day: datetime.combine(row.day, time(), UTC) for row, _ in paid}
    rates = load_rates(moments.values())
    revenues: dict[Any, Revenue] = {}
    for row, amount in paid:
        revenue = revenues.setdefault(row.key, Revenue(currency=currency))
        rates_of_day = rates.of(moments[row.day], known_at=now)
        converted = rates_of_day.convert(amount, row.currency, currency) if row.currency else None
        if converted is None:
            name = row.currency or "without currency"
            revenue.others[name] = revenue.others.get(name, Decimal(0)) + amount
        else:
            revenue.amount += converted
    return revenues
