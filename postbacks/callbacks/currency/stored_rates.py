"""Keeps exchange rates and finds those that count for events."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from postbacks.callbacks.currency.conversion import OLDEST, DayRates, ExchangeQuote, rates_on
from postbacks.callbacks.currency.ecb import DayOfRates
from postbacks.infrastructure.database import prepared

# A rate counts a little after it was loaded, when every process has had to look anew: two of them
# must never disagree about one postback.
LOOK_ANEW_SECONDS = 20
KNOWN_AFTER_SECONDS = 60

_KEEP = """
WITH fresh AS (
    INSERT INTO exchange_rate (day, currency, usd, known_from)
    SELECT day, currency, usd, now() + make_interval(secs => %(known_after)s)
    FROM unnest(%(days)s::date[], %(currencies)s::text[], %(rates)s::numeric[])
        AS row (day, currency, usd)
    ON CONFLICT ON CONSTRAINT one_rate_per_day_and_currency DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM fresh
"""
_FIND = """
SELECT day, currency, usd, known_from FROM exchange_rate WHERE day BETWEEN %(first)s AND %(last)s
"""
_NEWEST = "SELECT max(id) FROM exchange_rate"


@dataclass(slots=True)
class RatesOfDays:
    """The rates around some days, as one batch reads them."""

    by_day: Mapping[date, Sequence[ExchangeQuote]] = field(default_factory=dict)
    _found: dict[tuple[date, datetime], DayRates] = field(default_factory=dict)

    def of(self, event_time: datetime, *, known_at: datetime) -> DayRates:
        """Return what counts for an event whose postback was decided at a moment."""
        key = event_time.astimezone(UTC).date(), known_at
        if key not in self._found:
            self._found[key] = rates_on(self.by_day.get(key[0], ()), key[0], known_at=known_at)
        return self._found[key]


def keep_rates(days: Iterable[DayOfRates], *, known_after: float = KNOWN_AFTER_SECONDS) -> int:
    """Keep rates that were not known yet and return how many; one that is kept never changes."""
    rows = [(day.day, currency, usd) for day in days for currency, usd in day.usd.items()]
    if not rows:
        return 0
    dates, currencies, rates = (list(column) for column in zip(*rows, strict=True))
    parameters = {
        "days": dates, "currencies": currencies, "rates": rates, "known_after": known_after
    }  # fmt: skip
    ((kept,),) = prepared.run(_KEEP, parameters)
    look_anew()
    return int(kept)


def look_anew() -> None:
    """Let this process ask for new rates the next time that it needs some."""
    _look.at = float("-inf")


def load_rates(moments: Iterable[datetime]) -> RatesOfDays:
    """Return the rates for events of these moments.

    They are remembered in the process; whether there are new ones is asked every few seconds.
    """
    days = {moment.astimezone(UTC).date() for moment in moments}
    if not days:
        return RatesOfDays()
    _forget_if_outdated()
    for day in days - _remembered.keys():
        _remembered[day] = _find(day)
    return RatesOfDays({day: _remembered[day] for day in days})


_remembered: dict[date, tuple[ExchangeQuote, ...]] = {}
_MOST_REMEMBERED = 400


@dataclass(slots=True)
class _Look:
    at: float = float("-inf")
    newest: int | None = None


_look = _Look()


def _forget_if_outdated() -> None:
    if len(_remembered) >= _MOST_REMEMBERED:
        _remembered.clear()
    if time.monotonic() - _look.at < LOOK_ANEW_SECONDS:
        return
    ((newest,),) = prepared.run(_NEWEST, {})
    if newest != _look.newest:
        _remembered.clear()
    _look.at, _look.newest = time.monotonic(), newest


def _find(day: date) -> tuple[ExchangeQuote, ...]:
    rows = prepared.run(_FIND, {"first": day - OLDEST, "last": day})
    return tuple(ExchangeQuote(*row) for row in rows)


def repeated(days: Iterable[DayOfRates], *, until: date, number: int) -> list[DayOfRates]:
    """Return the newest of the days as if it had been each of some days; for demonstrations."""
    newest = max(days, key=lambda it: it.day)
    return [DayOfRates(until - timedelta(days=back), newest.usd) for back in range(number)]
