"""What an ad impression earned, by the names that the mediations use.

AppLovin MAX says `revenue` and `ad_revenue_currency`, and Tenjin's SDKs add
`publisher_revenue_decimal` and `…_micro`; the endpoint for other mediations takes
`revenue_decimal` or `revenue_cpm`. All of them are looked for everywhere, best first; what was
sent stays in `params` as it came.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from postbacks.intake.tenjin.numbers import exact, number

# How many of each unit are one unit of the currency.
_AMOUNTS = (
    ("publisher_revenue_decimal", 1),
    ("revenue_decimal", 1),
    ("revenue", 1),
    ("ad_revenue", 1),
    ("publisher_revenue", 1),
    ("publisher_revenue_micro", 1_000_000),
    ("revenue_micros", 1_000_000),
    ("value_micros", 1_000_000),
    ("revenue_cpm", 1_000),  # of a thousand impressions
    ("ecpm", 1_000),
    ("cpm", 1_000),
)
_CURRENCIES = ("ad_revenue_currency", "currency", "currency_code", "publisher_revenue_currency")
_DIGITS = Decimal("1e-12")  # as many as an event's revenue keeps


def earnings(parameters: Mapping[str, object]) -> dict[str, object]:
    """Return `revenue` and `currency` of an impression; nothing where no amount is named.

    An amount without a currency is in US dollars, as all these mediations report.
    """
    named = dict(_named(parameters))
    amounts = [
        amount
        for name, units in _AMOUNTS
        if (amount := _amount(named.get(name), units)) is not None
    ]
    if not amounts:
        return {}
    revenue = next((amount for amount in amounts if amount), amounts[0])  # some send zeros beside
    currency = next((named[name] for name in _CURRENCIES if named.get(name)), "USD")
    return {"revenue": revenue, "currency": str(currency)}


def _named(parameters: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    """Yield what stands inside an object first, so that what stands outside counts."""
    for value in parameters.values():
        if isinstance(value, dict):
            yield from value.items()
    yield from parameters.items()


def _amount(value: object, units: int) -> Decimal | None:
    found = number(value)
    return None if found is None else exact(lambda: (found / units).quantize(_DIGITS).normalize())
