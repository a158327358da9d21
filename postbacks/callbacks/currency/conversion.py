"""⑤ Converts money by the rates of a day: pure functions over plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from postbacks.callbacks.macros.value import EXACT, trimmed
from postbacks.values.currencies import minor_digits

OLDEST: Final = timedelta(days=7)
USD: Final = "USD"

# Rates are stored with 18 decimals. Digits beyond these hold their inexactness, which would round
# an exact half down.
_GUARD_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class ExchangeQuote:
    """The worth of one unit of a currency in US dollars on a day, and when it became known."""

    day: date
    currency: str
    usd: Decimal
    known_from: datetime


@dataclass(frozen=True, slots=True)
class DayRates:
    """The rates that count for one event: each currency's newest, in US dollars."""

    usd: Mapping[str, Decimal] = field(default_factory=dict)

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        """Return the amount in the target currency; None without a rate, never 1:1.

        It is rounded half up to the target's minor unit. An amount that is finer than its own
        currency's minor unit, as ad revenue is, stays finer by as many digits.
        """
        if source == target:
            return amount
        from_usd, to_usd = self._in_dollars(source), self._in_dollars(target)
        if from_usd is None or to_usd is None:
            return None
        exact = EXACT.divide(EXACT.multiply(amount, from_usd), to_usd)
        places = minor_digits(target) + max(0, _decimals(amount) - minor_digits(source))
        return _rounded(_rounded(exact, places + _GUARD_DIGITS), places)

    def _in_dollars(self, currency: str) -> Decimal | None:
        return Decimal(1) if currency == USD else self.usd.get(currency)


def rates_on(rates: Iterable[ExchangeQuote], day: date, *, known_at: datetime) -> DayRates:
    """Return the rates for an event of a day whose postback was decided at `known_at`.

    They may be up to 7 days older than the event: banks publish none at weekends and on holidays.
    A rate that became known after the decision never counts, so that all attempts are alike.
    """
    newest: dict[str, ExchangeQuote] = {}
    for rate in rates:
        if not day - OLDEST <= rate.day <= day or rate.known_from > known_at:
            continue
        if rate.currency not in newest or newest[rate.currency].day < rate.day:
            newest[rate.currency] = rate
    return DayRates({currency: rate.usd for currency, rate in newest.items()})


def _decimals(amount: Decimal) -> int:
    exponent = trimmed(amount).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _rounded(number: Decimal, places: int) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, EXACT)
