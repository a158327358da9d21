"""⑨ How the rows of a list have done in the last 24 hours, and when each last delivered and failed.

Read from what is kept for it as figures are folded, never from a log.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows
from postbacks.insights.figure_parts import Subject
from postbacks.models import FigureKind, FlowState

HOURS: Final = 24  # the current one and those before
_HOUR = timedelta(hours=1)
_READ_HEALTH = load_sql("postbacks.insights", "read_list_health", FigureKind, FlowState)
_READ_LAST_OUTCOMES = load_sql("postbacks.insights", "read_last_outcomes", FigureKind, Outcome)


@dataclass(slots=True)
class HourTally:
    """How the postbacks of an hour's events have ended."""

    begins_at: datetime
    delivered: int = 0
    failed: int = 0


@dataclass(slots=True)
class Health:
    """One row's last 24 hours, hour by hour, and its newest outcomes, to the minute."""

    hours: list[HourTally] = field(default_factory=list)
    delivered_at: datetime | None = None
    failed_at: datetime | None = None

    @property
    def delivered(self) -> int:
        return sum(hour.delivered for hour in self.hours)

    @property
    def failed(self) -> int:
        return sum(hour.failed for hour in self.hours)


@dataclass(frozen=True, slots=True)
class _Sum:
    subject: int
    hour: datetime | None
    delivered: int
    failed: int


@dataclass(frozen=True, slots=True)
class LastOutcomes:
    """When a row last delivered and last failed, to the minute."""

    subject: int
    delivered_at: datetime | None
    failed_at: datetime | None


def first_hour(now: datetime) -> datetime:
    """Return the beginning of the oldest hour that a list shows."""
    return now.replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * _HOUR


def read_health(by: Subject, keys: Sequence[int], *, now: datetime) -> dict[int, Health]:
    """Return the health of these rows of the current organization, in two statements."""
    since = first_hour(now)
    health = {
        key: Health([HourTally(since + place * _HOUR) for place in range(HOURS)]) for key in keys
    }
    for row in _sums(by, since, keys):
        place = (row.hour - since) // _HOUR if row.hour else 0
        if place < HOURS:
            tally = health[row.subject].hours[place]
            tally.delivered, tally.failed = row.delivered, row.failed
    for outcomes in read_last_outcomes(by, keys):
        health[outcomes.subject].delivered_at = outcomes.delivered_at
        health[outcomes.subject].failed_at = outcomes.failed_at
    return health


def read_totals(by: Subject, *, now: datetime) -> dict[int, tuple[int, int]]:
    """Return how many postbacks each row delivered and failed in the last 24 hours, by its id."""
    sums = _sums(by, first_hour(now), None)
    return {row.subject: (row.delivered, row.failed) for row in sums}


def read_last_outcomes(by: Subject, keys: Collection[int] | None = None) -> list[LastOutcomes]:
    """Return the newest outcomes of rows; without keys of all that have one."""
    return fetch_rows(
        LastOutcomes,
        _READ_LAST_OUTCOMES,
        group_by=by.value,
        keys=None if keys is None else list(keys),
    )


def _sums(by: Subject, since: datetime, keys: Sequence[int] | None) -> list[_Sum]:
    keys = None if keys is None else list(keys)
    return fetch_rows(_Sum, _READ_HEALTH, since=since, group_by=by.value, keys=keys)
