"""A period's postbacks by the steps of its chart and by rule, as figures have counted them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from postbacks.insights.figures import FigurePeriod, Figures

MOST_RULES = 5


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A stretch of time as a wall clock shows it, or the covered part of one. In UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class StateTally:
    """Counts of postbacks by state."""

    delivered: int = 0
    failed: int = 0
    pending: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.delivered + self.failed + self.pending + self.skipped


@dataclass(frozen=True, slots=True)
class StepTally:
    """One step of the period."""

    step: ClockStep
    tally: StateTally


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


def clock_steps(of: FigurePeriod) -> list[ClockStep]:
    """Return the steps of a period, oldest first; the outer two may be parts.

    They begin where a clock in the zone shows it: hours in Kolkata at half past in UTC. An hour
    that a clock change repeats is there twice; one that it leaves out is not there.
    """
    return [ClockStep(start, end) for start, end in pairwise([*of.starts, of.until])]


def tally_steps(of: FigurePeriod, figures: Mapping[tuple[int, str], Figures]) -> list[StepTally]:
    """Return the postbacks of each step, none left out."""
    return [
        StepTally(step, _tally(figures.get((number, ""))))
        for number, step in enumerate(clock_steps(of), 1)
    ]


def most_troubled(by_rule: Mapping[tuple[int, str], Figures]) -> list[RuleTrouble]:
    """Return the rules with most failures, by figures whose subject is the rule."""
    troubles = [
        _trouble(int(rule), figures)
        for (_, rule), figures in by_rule.items()
        if figures.failed or figures.retrying
    ]
    troubles.sort(key=lambda trouble: (-trouble.failed - trouble.retrying, trouble.rule_id))
    return troubles[:MOST_RULES]


def commonest(codes: Sequence[tuple[str, int]]) -> str:
    """Return the code that stands for most, the first by name among equals; empty without one."""
    return min(codes, key=lambda code: (-code[1], code[0]))[0] if codes else ""


def _tally(figures: Figures | None) -> StateTally:
    if figures is None:
        return StateTally()
    return StateTally(
        delivered=figures.delivered,
        failed=figures.failed,
        pending=figures.pending + figures.retrying,
        skipped=figures.wanted - figures.owed,
    )


def _trouble(rule_id: int, figures: Figures) -> RuleTrouble:
    # Attempts of the period may be for earlier events, and have none for what it was given up for.
    answer = commonest(list((figures.troubles or figures.failures).items()))
    return RuleTrouble(
        rule_id=rule_id,
        failed=figures.failed,
        retrying=figures.retrying,
        delivered=figures.delivered,
        answer=f"http_{answer}" if answer.isdecimal() else answer,
    )
