"""⑤ Stores exchange rates and loads those that count for events."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from postbacks.callbacks.currency.conversion import OLDEST, DayRates, ExchangeQuote, rates_on
from postbacks.callbacks.currency.ecb import DayOfRates
from postbacks.infrastructure.database import prepared

# A new rate counts only after every process has had to look for it: two processes must never
# disagree about one postback.
REFRESH_SECONDS = 20
KNOWN_AFTER_SECONDS = 60
_MOST_CACHED = 400

_INSERT = """
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
_LOAD = """
SELECT day, currency, usd, known_from FROM exchange_rate WHERE day BETWEEN %(first)s AND %(last)s
"""
_NEWEST = "SELECT max(id) FROM exchange_rate"


@dataclass(slots=True)
class _Check:
    at: float = float("-inf")
    newest: int | None = None


_cached: dict[date, tuple[ExchangeQuote, ...]] = {}
_last_check = _Check()


@dataclass(slots=True)
class RatesOfDays:
    """The rates around some days, as one batch reads them."""

    by_day: Mapping[date, Sequence[ExchangeQuote]] = field(default_factory=dict)
    _cache: dict[tuple[date, datetime], DayRates] = field(default_factory=dict)

    def of(self, event_time: datetime, *, known_at: datetime) -> DayRates:
        """Return the rates for an event whose postback was decided at `known_at`."""
        key = event_time.astimezone(UTC).date(), known_at
        if key not in self._cache:
            self._cache[key] = rates_on(self.by_day.get(key[0], ()), key[0], known_at=known_at)
        return self._cache[key]


def store_rates(days: Iterable[DayOfRates], *, known_after: float = KNOWN_AFTER_SECONDS) -> int:
    """Store the rates that are new and return how many; a stored rate never changes."""
    rows = [(day.day, currency, usd) for day in days for currency, usd in day.usd.items()]
    if not rows:
        return 0
    dates, currencies, rates = (list(column) for column in zip(*rows, strict=True))
    parameters = {
        "days": dates,
        "currencies": currencies,
        "rates": rates,
        "known_after": known_after,
    }
    ((inserted,),) = prepared.run(_INSERT, parameters)
    refresh_rates()
    return int(inserted)


def refresh_rates() -> None:
    """Have this process check for new rates the next time that it needs some."""
    _last_check.at = float("-inf")


def load_rates(moments: Iterable[datetime]) -> RatesOfDays:
    """Return the rates for events of these moments.

    They are cached in the process, which checks for new ones every few seconds.
    """
    days = {moment.astimezone(UTC).date() for moment in moments}
    if not days:
        return RatesOfDays()
    _clear_if_outdated()
    for day in days - _cached.keys():
        _cached[day] = _load(day)
    return RatesOfDays({day: _cached[day] for day in days})


def repeated(days: Iterable[DayOfRates], *, until: date, number: int) -> list[DayOfRates]:
    """Return the newest day's rates for each of `number` days until a day; for demonstrations."""
    newest = max(days, key=lambda rates: rates.day)
    return [DayOfRates(until - timedelta(days=back), newest.usd) for back in range(number)]


def _clear_if_outdated() -> None:
    if len(_cached) >= _MOST_CACHED:
        _cached.clear()
    if time.monotonic() - _last_check.at < REFRESH_SECONDS:
        return
    ((newest,),) = prepared.run(_NEWEST, {})
    if newest != _last_check.newest:
        _cached.clear()
    _last_check.at, _last_check.newest = time.monotonic(), newest


def _load(day: date) -> tuple[ExchangeQuote, ...]:
    parameters = {"first": day - OLDEST, "last": day}
    return tuple(prepared.fetch(ExchangeQuote, _LOAD, parameters))
