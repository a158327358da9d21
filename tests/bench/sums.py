"""The arithmetic of the benchmark: medians, ratios, percentiles, goals."""
# ruff: noqa: RUF001

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Spread:
    """This is one figure as all rounds gave it."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle of the rounds."""
        return statistics.median(self.rounds)

    @property
    def low(self) -> float:
        """Return the lowest round."""
        return min(self.rounds)

    @property
    def high(self) -> float:
        """Return the highest round."""
        return max(self.rounds)


Figures = Mapping[str, Spread]


class Goal(Protocol):
    """This is something that the medians of a run may reach."""

    @property
    def words(self) -> str:
        """Return what is to be reached."""

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether the medians reach it."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """This is reached when one side's median is at least so many times another's."""

    times: float
    of: str
    to: str

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        return f"{self.of} at least {self.times:g}× {self.to}"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether the medians reach it."""
        return ratio(figures, of=self.of, to=self.to) >= self.times


@dataclass(frozen=True, slots=True)
class AtMostTimes:
    """This is reached when one median is at most so many times another."""

    times: float
    of: str
    to: str

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        return f"{self.of} at most {self.times:g}× {self.to}"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether the medians reach it."""
        return ratio(figures, of=self.of, to=self.to) <= self.times


@dataclass(frozen=True, slots=True)
class AtMost:
    """This is reached when one side's median is not above a limit in the row's unit."""

    limit: float
    of: str
    unit: str

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        return f"{self.of} at most {self.limit:g} {self.unit}"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether the medians reach it."""
        return figures[self.of].median <= self.limit


@dataclass(frozen=True, slots=True)
class NotBelow:
    """This is reached when one side's median is not below a limit in the row's unit."""

    limit: float
    of: str
    unit: str

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        return f"{self.of} at least {self.limit:,g} {self.unit}"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether the medians reach it."""
        return figures[self.of].median >= self.limit


@dataclass(frozen=True, slots=True)
class Within:
    """This is reached when two medians are within so many times of each other."""

    times: float
    side: str
    other: str

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        return f"{self.side} and {self.other} within {self.times:g}× of each other"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether the medians reach it."""
        forth = ratio(figures, of=self.side, to=self.other)
        back = ratio(figures, of=self.other, to=self.side)
        return max(forth, back) <= self.times


@dataclass(frozen=True, slots=True)
class EveryWithin:
    """This is reached when each median is at most so many times that of another run."""

    times: float
    other: Figures
    words_of_other: str

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        return f"each at most {self.times:g}× {self.words_of_other}"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether all medians reach it."""
        return all(
            spread.median <= self.times * self.other[name].median
            for name, spread in figures.items()
            if name in self.other
        )


@dataclass(frozen=True, slots=True)
class EveryAtMost:
    """This is reached when no median of those whose names begin so is above a limit."""

    limit: float
    unit: str
    of: str = ""

    @property
    def words(self) -> str:
        """Return what is to be reached."""
        which = f"each “{self.of.strip()}”" if self.of else "each"
        return f"{which} at most {self.limit:g} {self.unit}"

    def is_reached(self, figures: Figures) -> bool:
        """Tell whether all medians reach it."""
        named = (spread for name, spread in figures.items() if name.startswith(self.of))
        return all(spread.median <= self.limit for spread in named)


@dataclass(frozen=True, slots=True)
class Row:
    """This is one measurement: what each side got, and what that is compared with."""

    name: str
    unit: str
    figures: Figures
    compared_with: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()
    beside: tuple[str, Figures] = (
        "",
        MappingProxyType({}),
    )  # another run of the same, and its name


def ratio(figures: Figures, *, of: str, to: str) -> float:
    """Return how many times one side's median is the other's; infinite if that is nothing."""
    divisor = figures[to].median
    return figures[of].median / divisor if divisor else math.inf


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
