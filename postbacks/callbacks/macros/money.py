"""The filters of money, which must know the currency of the amount before them.

That is the event's, unless the macro has one of its own or `convert` stands before the filter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from postbacks.callbacks.macros import arguments
from postbacks.callbacks.macros.arguments import ArgumentError
from postbacks.callbacks.macros.catalogue import in_us_dollars
from postbacks.callbacks.macros.filters import CONVERT, FILTERS, Step
from postbacks.callbacks.macros.parser import FilterCall
from postbacks.callbacks.macros.value import EXACT, RenderScope, number_of, text_of
from postbacks.values.currencies import CURRENCIES, minor_digits

_US_DOLLARS: Final = "USD"
_EVENT_CURRENCY: Final = "currency"
_OWN_CURRENCY: Final = {
    "cost_amount": "cost_currency",
    "skan_least_revenue": "skan_currency",
    "skan_most_revenue": "skan_currency",
}
_HUNDREDTHS: Final = 2


@dataclass(frozen=True, slots=True)
class _Currency:
    """The currency of an amount: known beforehand, or that of a macro."""

    code: str = ""
    macro: str = _EVENT_CURRENCY

    def of(self, scope: RenderScope) -> str:
        """Return the code in capital letters; "" without one."""
        return self.code or text_of(scope.values.get(self.macro) or "").upper()


def money_step(use: FilterCall, names: Sequence[str], earlier: Sequence[FilterCall]) -> Step:
    """Build a filter of money on the macros of these names. Raises ArgumentError."""
    currency = _currency_of(use, names, earlier)
    if use.name == CONVERT:
        return _convert_step(arguments.currency(use.argument), currency)
    FILTERS[use.name].build(use.argument)  # refuses an argument
    return _SCALES[use.name](currency)


def _currency_of(use: FilterCall, names: Sequence[str], earlier: Sequence[FilterCall]) -> _Currency:
    converted = [before.argument for before in earlier if before.name == CONVERT]
    if converted:
        return _Currency(code=arguments.currency(converted[-1]))
    in_dollars = {in_us_dollars(name) for name in names}
    if use.name == CONVERT and len(in_dollars) > 1:
        raise ArgumentError("These macros are not in the same currency.")
    first = names[0] if names else ""
    if in_us_dollars(first):
        return _Currency(code=_US_DOLLARS)
    return _Currency(macro=_OWN_CURRENCY.get(first, _EVENT_CURRENCY))


def _convert_step(target: str, source: _Currency) -> Step:
    def convert(value: object, scope: RenderScope) -> Decimal | None:
        amount = number_of(value)
        currency = source.of(scope)
        if amount is None or currency == target:
            return amount
        if not currency or scope.rates is None:
            return None
        return scope.rates.convert(amount, currency, target)

    return convert


def _cents_step(source: _Currency) -> Step:
    def cents(value: object, scope: RenderScope) -> Decimal | None:
        currency = source.of(scope)
        return _scaled(value, minor_digits(currency) if currency in CURRENCIES else _HUNDREDTHS)

    return cents


def _minor_step(source: _Currency) -> Step:
    def minor(value: object, scope: RenderScope) -> Decimal | None:
        currency = source.of(scope)
        return _scaled(value, minor_digits(currency)) if currency in CURRENCIES else None

    return minor


def _micros_step(source: _Currency) -> Step:
    return FILTERS["micros"].build(None)


def _scaled(value: object, digits: int) -> Decimal | None:
    number = number_of(value)
    if number is None:
        return None
    whole = number.scaleb(digits, EXACT).to_integral_value(ROUND_HALF_UP, EXACT)
    return EXACT.plus(whole)  # -0 is 0


_SCALES: Final[dict[str, Callable[[_Currency], Step]]] = {
    "cents": _cents_step,
    "minor": _minor_step,
    "micros": _micros_step,
}
