"""When the times from click to install of a site look invented. Plain Python.

Whoever wants an app installs it soon after the click: of honest traffic well over half within the
hour. Where clicks are invented, they fall on installs by chance, and the times are spread evenly.
"""

from datetime import timedelta
from typing import Final

LEAST_INSTALLS: Final = 50  # below that a share says little
LEAST_PERCENT: Final = 30  # of installs within an hour
SOON: Final = timedelta(hours=1)

# Where the bars of the picture end; the last one holds what is longer.
BOUNDS: Final = (
    timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=10), SOON, timedelta(hours=6),
    timedelta(days=1), timedelta(days=3),
)  # fmt: skip
LABELS: Final = ("10 s", "1 min", "10 min", "1 h", "6 h", "1 day", "3 days", "longer")


def share_within_hour(times: tuple[int, ...]) -> float:
    """Return the percentage of installs within an hour, of counts by bar."""
    whole = sum(times)
    return 100 * sum(times[: BOUNDS.index(SOON) + 1]) / whole if whole else 0.0


def is_outlier(times: tuple[int, ...]) -> bool:
    """Tell whether a site's counts by bar look as if its clicks were invented."""
    return sum(times) >= LEAST_INSTALLS and share_within_hour(times) < LEAST_PERCENT
