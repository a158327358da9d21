"""What became of a day's postbacks, by hour and by rule, read in one pass over the log."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from apps_registry.tenancy import current_organization
from postbacks.insights.clock_hours import ClockHour
from postbacks.models import PostbackStatus

MOST_RULES = 5
_STEPS = 20  # per factor e: a delivery time is right to 2.5 %
_SHORTEST = 0.001  # seconds; below a millisecond we measure nothing

# Through `OFFSET 0` the planner can't look. It would take each moment for a group of its own, and
# sort the whole day for what is a few hundred groups.
_READ = f"""
SELECT grouping(hour, rule_id, quickness) AS part, hour, rule_id, status, answer, quickness,
       count(*)
FROM (
    SELECT rule_id, status, width_bucket(event_received_at, %(starts)s::timestamptz[]) AS hour,
           CASE WHEN status = '{PostbackStatus.FAILED}' THEN reason
                WHEN status = '{PostbackStatus.PENDING}' AND attempts_made > 0
                THEN coalesce('http_' || last_status_code, 'no_answer')
                ELSE '' END AS answer,
           -- `greatest` passes over NULL: what was not delivered would have taken no time.
           CASE WHEN delivered_at IS NOT NULL THEN floor({_STEPS} * ln(greatest({_SHORTEST},
               date_part('epoch', delivered_at - event_received_at))))::integer END AS quickness
    FROM postback
    WHERE organization_id = %(organization)s
      AND event_received_at > %(since)s AND event_received_at <= %(until)s
      AND NOT test
    OFFSET 0
) AS postback
GROUP BY GROUPING SETS ((hour, status), (rule_id, status, answer), (quickness))
"""  # noqa: S608  # only our own words are put in

_HOURS, _RULES = 0b011, 0b101  # which of the three columns a part leaves out


@dataclass(frozen=True, slots=True)
class DayTally:
    """This is how many postbacks are in which state."""

    delivered: int = 0
    failed: int = 0
    pending: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        """Return how many there are."""
        return self.delivered + self.failed + self.pending + self.skipped

    @property
    def success_percent(self) -> float | None:
        """Return the share of ended postbacks that were delivered; None when none has ended."""
        ended = self.delivered + self.failed
        return 100 * self.delivered / ended if ended else None


@dataclass(frozen=True, slots=True)
class HourTally:
    """This is one hour of the day."""

    hour: ClockHour
    tally: DayTally


@dataclass(frozen=True, slots=True)
class RuleTrouble:
    """This is a rule whose postbacks fail.

    `retrying` are pending after a try that failed. `answer` is the code of the most frequent
    trouble, as in a postback's `reason`: "http_503", "timeout", or "no_answer".
    """

    rule_id: int
    failed: int
    retrying: int
    delivered: int
    answer: str

    @property
    def success_percent(self) -> float:
        """Return the share of tried postbacks that were delivered."""
        return 100 * self.delivered / (self.failed + self.retrying + self.delivered)


@dataclass(frozen=True, slots=True)
class DeliveryTime:
    """This is how long it took from an event's acceptance to its delivery, in seconds, retries and
    delays included: the time within which half and 95 % of the postbacks were delivered.
    """

    median: float
    most: float


@dataclass(frozen=True, slots=True)
class LastDay:
    """This is what became of the postbacks of a day's events. Test sends are left out."""

    hours: list[HourTally]
    total: DayTally
    troubles: list[RuleTrouble]
    delivery_time: DeliveryTime | None


@dataclass(frozen=True, slots=True)
class _HourCount:
    part: int
    hour: int | None
    rule_id: int | None
    status: str | None
    answer: str | None
    quickness: int | None
    count: int


def read_last_day(hours: Sequence[ClockHour]) -> LastDay:
    """Read the postbacks of the events of these hours, for the current organization."""
    counts = _read(hours)
    by_hour = [_tally(counts, hour) for hour in range(1, len(hours) + 1)]
    return LastDay(
        hours=[HourTally(hour, tally) for hour, tally in zip(hours, by_hour, strict=True)],
        total=_tally(counts, None),
        troubles=_troubles([count for count in counts if count.part == _RULES]),
        delivery_time=_delivery_time(
            {count.quickness: count.count for count in counts if count.quickness is not None}
        ),
    )


def _read(hours: Sequence[ClockHour]) -> list[_HourCount]:
    with connection.cursor() as cursor:
        cursor.execute(
            _READ,
            {
                "organization": current_organization(),
                "since": hours[0].start,
                "until": hours[-1].end,
                "starts": [hour.start for hour in hours],
            },
        )
        return [_HourCount(*row) for row in cursor.fetchall()]


def _tally(counts: Sequence[_HourCount], hour: int | None) -> DayTally:
    states: Counter[str] = Counter()
    for count in counts:
        if count.part == _HOURS and count.status and hour in (None, count.hour):
            states[count.status] += count.count
    return DayTally(**{state: states[state] for state in PostbackStatus.values})


def _troubles(counts: Sequence[_HourCount]) -> list[RuleTrouble]:
    rules = {count.rule_id for count in counts if count.rule_id is not None and count.answer}
    troubles = [
        _trouble(rule_id, [count for count in counts if count.rule_id == rule_id])
        for rule_id in rules
    ]
    troubles.sort(key=lambda trouble: (-trouble.failed - trouble.retrying, trouble.rule_id))
    return troubles[:MOST_RULES]


def _trouble(rule_id: int, counts: Sequence[_HourCount]) -> RuleTrouble:
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
    wanted, seen = share * sum(deliveries.values()), 0
    for step in sorted(deliveries):
        seen += deliveries[step]
        if seen >= wanted:
            break
    return math.exp((step + 0.5) / _STEPS)
