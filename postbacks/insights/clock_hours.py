"""The hours of a stretch of time as a wall clock shows them, through every clock change."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_JUST_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class ClockHour:
    """This is an hour on the wall, or the part of one that a stretch of time covers. In UTC."""

    start: datetime
    end: datetime


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


def _full_hour(moment: datetime, zone: ZoneInfo) -> datetime:
    # `replace` keeps `fold`, which says whether a repeated hour is the first or the second one.
    local = moment.astimezone(zone)
    return local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
