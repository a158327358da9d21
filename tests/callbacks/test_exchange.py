"""Converting money: rates of the event's day, right rounding, and never one to one."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from postbacks.callbacks.currency.conversion import DayRates, ExchangeQuote, rates_on

FRIDAY = date(2026, 3, 6)
LONG_KNOWN = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
# As if a euro were 1.10 dollars, 165 yen, 0.339 Kuwaiti dinars and 18,000 rupiahs.
RATES = DayRates(
    {
        "EUR": Decimal("1.10"),
        "JPY": Decimal("0.006666666666666667"),
        "KWD": Decimal("3.244837758112094395"),
        "IDR": Decimal("0.000061111111111111"),
    }
)


def eur(day: date, usd: str, *, known_from: datetime = LONG_KNOWN) -> ExchangeQuote:
    return ExchangeQuote(day, "EUR", Decimal(usd), known_from)


@pytest.mark.parametrize(
    ("amount", "source", "target", "expected"),
    [
        ("4.99", "EUR", "USD", "5.49"),  # 5.489
        ("4.95", "EUR", "USD", "5.45"),  # 5.445, half up
        ("10", "EUR", "JPY", "1650"),
        ("1", "EUR", "JPY", "165"),
        ("0.10", "EUR", "JPY", "17"),  # 16.5, half up though the kept rate is a little off
        ("500", "JPY", "USD", "3.33"),
        ("500", "JPY", "EUR", "3.03"),
        ("1.250", "KWD", "USD", "4.06"),  # 4.0560…
        ("1", "EUR", "KWD", "0.339"),
        ("4.99", "USD", "KWD", "1.538"),  # 1.5378…
        ("79000", "IDR", "USD", "4.83"),  # 4.8277…
        ("1000000000000", "EUR", "USD", "1100000000000.00"),
        ("0.0123", "USD", "EUR", "0.0112"),  # two digits finer than a cent stay two digits finer
        ("0.0123", "USD", "JPY", "1.85"),  # 1.845, two digits finer than a yen
        ("-4.99", "EUR", "USD", "-5.49"),  # a refund
        ("0", "EUR", "USD", "0.00"),
    ],
)
def test_an_amount_is_rounded_to_the_minor_unit_of_its_new_currency(
    amount: str, source: str, target: str, expected: str
) -> None:
    assert str(RATES.convert(Decimal(amount), source, target)) == expected


def test_an_amount_in_its_own_currency_stays_as_it_is() -> None:
    assert str(DayRates().convert(Decimal("4.985"), "UAH", "UAH")) == "4.985"


@pytest.mark.parametrize(("source", "target"), [("UAH", "USD"), ("USD", "UAH"), ("UAH", "EUR")])
def test_without_a_rate_there_is_no_amount(source: str, target: str) -> None:
    assert RATES.convert(Decimal("4.99"), source, target) is None


def test_a_weekend_takes_the_rate_of_the_friday_before_it() -> None:
    rates = rates_on(
        [eur(date(2026, 3, 5), "1.09"), eur(FRIDAY, "1.10"), eur(date(2026, 3, 9), "1.20")],
        date(2026, 3, 8),
        known_at=NOW,
    )

    assert rates.usd == {"EUR": Decimal("1.10")}


@pytest.mark.parametrize(("day", "counts"), [(date(2026, 3, 13), True), (date(2026, 3, 14), False)])
def test_a_rate_counts_for_seven_days(day: date, counts: bool) -> None:
    rates = rates_on([eur(FRIDAY, "1.10")], day, known_at=NOW)

    assert ("EUR" in rates.usd) is counts


def test_a_rate_of_a_later_day_never_counts() -> None:
    assert rates_on([eur(FRIDAY, "1.10")], date(2026, 3, 5), known_at=NOW).usd == {}


def test_a_rate_that_became_known_after_the_decision_does_not_count() -> None:
    early, late = datetime(2026, 3, 6, 15, tzinfo=UTC), datetime(2026, 3, 6, 17, tzinfo=UTC)
    rates = [eur(date(2026, 3, 5), "1.09"), eur(FRIDAY, "1.10", known_from=late)]

    assert rates_on(rates, FRIDAY, known_at=early).usd == {"EUR": Decimal("1.09")}
    assert rates_on(rates, FRIDAY, known_at=late).usd == {"EUR": Decimal("1.10")}
