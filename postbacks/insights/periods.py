"""The periods of whole days that figures are counted over, up to now."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

PERIODS = {"1d": (1, "Today"), "7d": (7, "Last 7 days"), "30d": (30, "Last 30 days")}
DEFAULT_PERIOD = "7d"


@dataclass(frozen=True, slots=True)
class Period:
    """Days as a clock in `zone` shows them, up to and including today; it ends now."""

    key: str
    days: tuple[date, ...]
    since: datetime
    until: datetime
    zone: ZoneInfo

    @property
    def label(self) -> str:
        return PERIODS[self.key][1]


def period_of(key: str, *, now: datetime, zone: ZoneInfo) -> Period:
    """Return a period by its key in addresses; the default one for any other text."""
    key = key if key in PERIODS else DEFAULT_PERIOD
    today = now.astimezone(zone).date()
    count = PERIODS[key][0]
    days = tuple(today - timedelta(days=back) for back in reversed(range(count)))
    return Period(key, days, datetime.combine(days[0], time(), zone), now, zone)
