"""What was measured of a touchpoint, and the limit that it missed, as figures for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

SECOND: Final = timedelta(seconds=1)
_UNITS: Final[Mapping[str, timedelta]] = MappingProxyType(
    {"day": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": SECOND}
)
_TOLERANCE: Final = 20  # a figure is rounded by a twentieth of its value at most
_MOST_UNITS: Final = 1000
_LEAST: Final = timedelta(milliseconds=1)
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class MissedLimit:
    """A limit that a touchpoint missed: times, or numbers of touchpoints.

    `subject` tells limits of one reason apart: what the window is for, or what the time counts to.
    """

    measured: timedelta | int
    limit: timedelta | int
    subject: str = ""

    def texts(self) -> tuple[str, str]:
        """Return both figures as people read them."""
        if isinstance(self.measured, timedelta) and isinstance(self.limit, timedelta):
            return in_one_unit(self.measured, self.limit)
        return str(self.measured), str(self.limit)

    def columns(self) -> dict[str, object]:
        """Return both figures as a decision stores them; times in seconds."""
        if isinstance(self.measured, timedelta) and isinstance(self.limit, timedelta):
            measured, limit = self.measured / SECOND, self.limit / SECOND
            return {"measured": measured, "limit": limit, "unit": "seconds"}
        return {"measured": self.measured, "limit": self.limit, "unit": "touchpoints"}


def in_one_unit(measured: timedelta, limit: timedelta) -> tuple[str, str]:
    """Return two times in the largest unit that shows both, and that they differ.

    90 minutes beside an hour are 90 min and 60 min, 8 days and 3 hours beside a week 8 and 7 days.
    What is too little for the unit of a long limit is added to it: 7 days and 1 s.
    """
    for name, unit in _UNITS.items():
        is_whole = limit % unit == _NOTHING and limit // unit <= _MOST_UNITS
        if is_whole and abs(measured - limit) >= unit and _shows_closely(measured, unit):
            return _with_unit(round(measured / unit), name), _with_unit(limit // unit, name)
    if _NOTHING < limit < measured:
        return (
            f"{_in_largest_unit(limit)} and {_in_largest_unit(measured - limit)}",
            _in_largest_unit(limit),
        )
    return _in_largest_unit(measured), _in_largest_unit(limit)


def _shows_closely(length: timedelta, unit: timedelta) -> bool:
    return abs(length - round(length / unit) * unit) * _TOLERANCE <= length


def _in_largest_unit(length: timedelta) -> str:
    for name, unit in _UNITS.items():
        if length >= unit and _shows_closely(length, unit) and unit > SECOND:
            return _with_unit(round(length / unit), name)
    if _NOTHING < length < _LEAST:
        return "less than 0.001 s"
    return f"{length / SECOND:.3f}".rstrip("0").rstrip(".") + " s"


def _with_unit(count: int, unit: str) -> str:
    return f"{count} days" if unit == "day" and count != 1 else f"{count} {unit}"
