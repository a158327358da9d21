"""Judges what an alert has seen, and says what follows for an incident. Plain Python.

The same functions judge the figures of now and, for a preview, those of the last days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import Enum, auto
from statistics import median
from typing import Final

FEWEST_ATTEMPTS: Final = 10  # with fewer a rate says nothing
FEWEST_EVENTS: Final = 50  # in the hour, or usually; a jump between smaller counts says nothing
FEWEST_DAYS: Final = 3  # of the last seven, with events in the same hour
DAYS_COMPARED: Final = 7
LEVELS: Final = (50, 70, 90, 100)  # percent of a rule's way to its suspension
FORGOTTEN_AFTER: Final = timedelta(days=1)  # without data
SEEN_EVERY: Final = timedelta(minutes=5)  # how often an open incident's value is stored


class Judgment(Enum):
    """What the evidence says."""

    RAISED = auto()
    WELL = auto()
    UNKNOWN = auto()  # too little to say anything


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on an alert is raised; each kind uses some of these."""

    threshold: int = 0
    minutes: int = 0
    counts_rises: bool = True
    counts_drops: bool = True


@dataclass(frozen=True, slots=True)
class RateEvidence:
    """The requests of a window, and how many of them were successes."""

    attempts: int
    delivered: int


@dataclass(frozen=True, slots=True)
class SilenceEvidence:
    """How many events a window had, and how many came in the week until then."""

    events: int
    before: int


@dataclass(frozen=True, slots=True)
class VolumeEvidence:
    """The events of an hour, and of the same hour of days before."""

    events: int
    same_hours: tuple[int, ...]

    @property
    def usual(self) -> float:
        return median(self.same_hours) if self.same_hours else 0.0


@dataclass(frozen=True, slots=True)
class SuspensionEvidence:
    """How far a rule is on the way to its suspension, in percent; 100 when it is suspended."""

    percent: int


@dataclass(frozen=True, slots=True)
class BreakerEvidence:
    """For how long a circuit breaker has been open."""

    open_for: timedelta


Evidence = RateEvidence | SilenceEvidence | VolumeEvidence | SuspensionEvidence | BreakerEvidence


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgment of some evidence. `value` is what was compared, `level` one of LEVELS or 0."""

    judgment: Judgment
    value: float | None = None
    level: int = 0


UNKNOWN: Final = Verdict(Judgment.UNKNOWN)
WELL: Final = Verdict(Judgment.WELL)


def judge(limits: Limits, evidence: Evidence) -> Verdict:
    """Judge evidence of any kind."""
    match evidence:
        case RateEvidence():
            return _judge_rate(limits, evidence)
        case SilenceEvidence():
            return _judge_silence(evidence)
        case VolumeEvidence():
            return _judge_volume(limits, evidence)
        case SuspensionEvidence(percent):
            level = max((level for level in LEVELS if level <= percent), default=0)
            return _verdict(level >= limits.threshold, float(percent), level)
        case BreakerEvidence(open_for):
            minutes = open_for / timedelta(minutes=1)
            return _verdict(minutes >= limits.minutes, minutes)


def _judge_rate(limits: Limits, evidence: RateEvidence) -> Verdict:
    if evidence.attempts < FEWEST_ATTEMPTS:
        return UNKNOWN
    percent = 100 * evidence.delivered / evidence.attempts
    return _verdict(percent < limits.threshold, percent)


def _judge_silence(evidence: SilenceEvidence) -> Verdict:
    if evidence.events:
        return _verdict(False, float(evidence.events))
    # An app that has been silent for a week is not in use; it neither raises nor clears anything.
    return _verdict(True, 0.0) if evidence.before else UNKNOWN


def _judge_volume(limits: Limits, evidence: VolumeEvidence) -> Verdict:
    days = sum(count > 0 for count in evidence.same_hours)
    usual = evidence.usual
    if days < FEWEST_DAYS or not usual or max(usual, evidence.events) < FEWEST_EVENTS:
        return UNKNOWN
    percent = 100 * (evidence.events - usual) / usual
    is_rise = limits.counts_rises and percent >= limits.threshold
    is_drop = limits.counts_drops and -percent >= limits.threshold
    return _verdict(is_rise or is_drop, percent)


def _verdict(is_raised: bool, value: float, level: int = 0) -> Verdict:
    return Verdict(Judgment.RAISED if is_raised else Judgment.WELL, value, level)


class Step(Enum):
    """What follows for an incident."""

    NONE = auto()
    RAISE = auto()
    RAISE_LEVEL = auto()
    SEE = auto()  # it is still open: store what was seen
    BEGIN_WELL = auto()  # it may be over
    CLEAR = auto()
    FORGET = auto()  # nothing was seen for too long


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident that is not over. `well_since` is when it was first found well again."""

    level: int
    seen_at: datetime
    well_since: datetime | None = None


def next_step(
    incident: OpenIncident | None, verdict: Verdict, now: datetime, *, well_for: timedelta
) -> Step:
    """Return what follows from a verdict; `well_for` is how long all must be well to clear it."""
    if incident is None:
        return Step.RAISE if verdict.judgment is Judgment.RAISED else Step.NONE
    match verdict.judgment:
        case Judgment.RAISED:
            return _while_raised(incident, verdict, now)
        case Judgment.WELL:
            return _while_well(incident, now, well_for)
        case Judgment.UNKNOWN:
            return Step.FORGET if now - incident.seen_at >= FORGOTTEN_AFTER else Step.NONE


def _while_raised(incident: OpenIncident, verdict: Verdict, now: datetime) -> Step:
    if verdict.level > incident.level:
        return Step.RAISE_LEVEL
    is_due = now - incident.seen_at >= SEEN_EVERY
    return Step.SEE if is_due or incident.well_since is not None else Step.NONE


def _while_well(incident: OpenIncident, now: datetime, well_for: timedelta) -> Step:
    if not well_for:
        return Step.CLEAR
    if incident.well_since is None:
        return Step.BEGIN_WELL
    return Step.CLEAR if now - incident.well_since >= well_for else Step.NONE


def end_of_quiet(local: datetime, begin: time | None, end: time | None) -> datetime | None:
    """Return when the quiet hours end in which a moment lies; None if it lies in none.

    `local` is in the organization's zone. Hours may reach over midnight.
    """
    if begin is None or end is None or begin == end:
        return None
    clock = local.time()
    is_over_midnight = begin > end
    is_quiet = clock >= begin or clock < end if is_over_midnight else begin <= clock < end
    if not is_quiet:
        return None
    day = local.date() + timedelta(days=is_over_midnight and clock >= begin)
    return datetime.combine(day, end, local.tzinfo)


def count_raised(
    verdicts: Iterable[tuple[datetime, Verdict]], *, well_for: timedelta
) -> tuple[datetime, ...]:
    """Return when an alert would have been raised by these verdicts of one subject, in order."""
    incident: OpenIncident | None = None
    raised: list[datetime] = []
    for now, verdict in verdicts:
        step = next_step(incident, verdict, now, well_for=well_for)
        if step is Step.RAISE:
            raised.append(now)
        if step in {Step.RAISE, Step.RAISE_LEVEL, Step.SEE}:
            incident = OpenIncident(verdict.level, seen_at=now)
        elif step is Step.BEGIN_WELL and incident is not None:
            incident = OpenIncident(incident.level, incident.seen_at, well_since=now)
        elif step in {Step.CLEAR, Step.FORGET}:
            incident = None
    return tuple(raised)
