"""The arithmetic of the benchmark: medians, ratios, percentiles, goals."""
# ruff: noqa: RUF001

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
class Row:
    """This is one measurement: what each side got, and what that is compared with."""

    name: str
    unit: str
    figures: Figures
    compared_with: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()
    notes: tuple[str, ...] = ()


def ratio(figures: Figures, *, of: str, to: str) -> float:
    """Return how many times one side's median is the other's; infinite if that is nothing."""
    divisor = figures[to].median
    return figures[of].median / divisor if divisor else math.inf


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
