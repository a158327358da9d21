"""When a site's times from click to install look invented. Plain Python.

People who want an app install it soon after the click: well over half of honest traffic does within
the hour. Invented clicks fall on installs by chance, which spreads their times evenly.
"""

from datetime import timedelta
from typing import Final

LEAST_INSTALLS: Final = 50  # below that a share says little
LEAST_PERCENT: Final = 30  # of installs within an hour
SOON: Final = timedelta(hours=1)

# The ends of the chart's bars; the last bar holds longer times.
BOUNDS: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=10),
    SOON,
    timedelta(hours=6),
    timedelta(days=1),
    timedelta(days=3),
)
LABELS: Final = ("10 s", "1 min", "10 min", "1 h", "6 h", "1 day", "3 days", "longer")


def share_within_hour(times: tuple[int, ...]) -> float:
    """Return the percentage of installs within an hour; `times` counts them by bar."""
    total = sum(times)
    return 100 * sum(times[: BOUNDS.index(SOON) + 1]) / total if total else 0.0


def is_outlier(times: tuple[int, ...]) -> bool:
    """Tell whether a site's counts by bar look as if its clicks were invented."""
    return sum(times) >= LEAST_INSTALLS and share_within_hour(times) < LEAST_PERCENT
