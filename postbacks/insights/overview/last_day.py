"""A day's postbacks by hour and by rule, read in one pass over the log."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.models import PostbackStatus

MOST_RULES = 5
_STEPS_PER_E = 20  # logarithmic steps per factor e: a delivery time is right to 2.5 %
_SHORTEST_SECONDS = 0.001  # below a millisecond we measure nothing
_JUST_BEFORE = timedelta(microseconds=1)

_COUNT_POSTBACKS = load_sql("postbacks.insights.overview", "count_postbacks", PostbackStatus)
_BY_HOUR, _BY_RULE = 0b011, 0b101  # `grouping`: which of the three columns a part leaves out


@dataclass(frozen=True, slots=True)
class ClockHour:
    """An hour as a wall clock shows it, or the covered part of one. In UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class DayTally:
    """Counts of postbacks by state."""

    delivered: int = 0
    failed: int = 0
    pending: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.delivered + self.failed + self.pending + self.skipped

    @property
    def success_percent(self) -> float | None:
        """Return the share of ended postbacks that were delivered; None when none has ended."""
        ended = self.delivered + self.failed
        return 100 * self.delivered / ended if ended else None


@dataclass(frozen=True, slots=True)
class HourTally:
    """One hour of the day."""

    hour: ClockHour
    tally: DayTally


@dataclass(frozen=True, slots=True)
class RuleTrouble:
    """A rule whose postbacks fail.

    `retrying` are pending after a failed attempt. `answer` is the code of the most frequent
    failure, as in a postback's `reason`: "http_503", "timeout", or "no_answer".
    """

    rule_id: int
    failed: int
    retrying: int
    delivered: int
    answer: str

    @property
    def success_percent(self) -> float:
        """Return the share of attempted postbacks that were delivered."""
        return 100 * self.delivered / (self.failed + self.retrying + self.delivered)


@dataclass(frozen=True, slots=True)
class DeliveryTime:
    """The seconds from an event's acceptance to its delivery, retries and delays included.

    Half of the postbacks were delivered within `median`, 95 % within `most`.
    """

    median: float
    most: float


@dataclass(frozen=True, slots=True)
class LastDay:
    """The postbacks of a day's events. Test sends are left out."""

    hours: list[HourTally]
    total: DayTally
    troubles: list[RuleTrouble]
    delivery_time: DeliveryTime | None


@dataclass(frozen=True, slots=True)
class _PostbackCount:
    part: int
    hour: int | None
    rule_id: int | None
    status: str | None
    answer: str | None
    time_step: int | None
    count: int


def clock_hours(since: datetime, until: datetime, zone: ZoneInfo) -> list[ClockHour]:
    """Return the hours between two moments, oldest first; the outer two may be parts.

    They begin where a clock in the zone shows a full hour, so in Kolkata at half past in UTC. An
    hour that a clock change repeats is there twice; one that it leaves out is not there.
    """
    end = until.astimezone(UTC)
    hours: list[ClockHour] = []
    while end > since:
        start = max(_full_hour(end - _JUST_BEFORE, zone), since.astimezone(UTC))
        hours.append(ClockHour(start, end))
        end = start
    return hours[::-1]


def read_last_day(hours: Sequence[ClockHour]) -> LastDay:
    """Read the postbacks of the events of these hours, for the current organization."""
    counts = _read(hours)
    by_hour = [_tally(counts, hour) for hour in range(1, len(hours) + 1)]
    return LastDay(
        hours=[HourTally(hour, tally) for hour, tally in zip(hours, by_hour, strict=True)],
        total=_tally(counts, None),
        troubles=_troubles([count for count in counts if count.part == _BY_RULE]),
        delivery_time=_delivery_time(
            {count.time_step: count.count for count in counts if count.time_step is not None}
        ),
    )


def _full_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    # `replace` keeps `fold`, which says whether a repeated hour is the first or the second one.
    local = moment.astimezone(zone)
    return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def _read(hours: Sequence[ClockHour]) -> list[_PostbackCount]:
    return fetch_rows(
        _PostbackCount,
        _COUNT_POSTBACKS,
        since=hours[0].start,
        until=hours[-1].end,
        starts=[hour.start for hour in hours],
        steps_per_e=_STEPS_PER_E,
        shortest=_SHORTEST_SECONDS,
    )


def _tally(counts: Sequence[_PostbackCount], hour: int | None) -> DayTally:
    states: Counter[str] = Counter()
    for count in counts:
        if count.part == _BY_HOUR and count.status and hour in (None, count.hour):
            states[count.status] += count.count
    return DayTally(**{state: states[state] for state in PostbackStatus.values})


def _troubles(counts: Sequence[_PostbackCount]) -> list[RuleTrouble]:
    rules = {count.rule_id for count in counts if count.rule_id is not None and count.answer}
    troubles = [
        _trouble(rule_id, [count for count in counts if count.rule_id == rule_id])
        for rule_id in rules
    ]
    troubles.sort(key=lambda trouble: (-trouble.failed - trouble.retrying, trouble.rule_id))
    return troubles[:MOST_RULES]


def _trouble(rule_id: int, counts: Sequence[_PostbackCount]) -> RuleTrouble:
    states: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    for count in counts:
        if count.status == PostbackStatus.DELIVERED or count.answer:
            states[str(count.status)] += count.count
        if count.answer:
            answers[count.answer] += count.count
    return RuleTrouble(
        rule_id=rule_id,
        failed=states[PostbackStatus.FAILED],
        retrying=states[PostbackStatus.PENDING],
        delivered=states[PostbackStatus.DELIVERED],
        answer=answers.most_common(1)[0][0],
    )


def _delivery_time(deliveries: Mapping[int, int]) -> DeliveryTime | None:
    if not deliveries:
        return None
    return DeliveryTime(median=_within(deliveries, 0.5), most=_within(deliveries, 0.95))


def _within(deliveries: Mapping[int, int], share: float) -> float:
    threshold, passed = share * sum(deliveries.values()), 0
    for step in sorted(deliveries):
        passed += deliveries[step]
        if passed >= threshold:
            break
    return math.exp((step + 0.5) / _STEPS_PER_E)
