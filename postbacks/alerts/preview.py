"""Says how often an alert would have been raised over the last days, by the judges of now.

Figures of the last days are kept by quarters of hours, so shorter times are rounded up to one.
Suspensions are read from the audit log; of circuit breakers no history is kept.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db.models import Q

from apps_registry.models import AuditEntry
from postbacks.alerts.evidence import EvidenceReader, rate_of, same_hour
from postbacks.alerts.judging import (
    DAYS_COMPARED,
    Limits,
    SilenceEvidence,
    Verdict,
    VolumeEvidence,
    count_raised,
    judge,
)
from postbacks.alerts.kinds import limits_of
from postbacks.insights.figure_parts import Subject
from postbacks.insights.figures import FigureFilter, Figures, period, read_figures
from postbacks.models import Alert, AlertKind, CallbackRule, FigureKind, RuleStatus

DAYS = 7
MOST_SUBJECTS = 20
_QUARTER, _HOUR = timedelta(minutes=15), timedelta(hours=1)
_Timeline = Sequence[tuple[datetime, Figures]]  # by the beginning of each step


@dataclass(frozen=True, slots=True)
class AlertPreview:
    """How often an alert would have been raised; None where nothing says so, with the reason."""

    raised: int | None
    newest: datetime | None = None
    remark: str = ""
    days: int = DAYS

    @property
    def sentence(self) -> str:
        if self.raised is None:
            return self.remark
        if not self.raised:
            return f"Over the last {DAYS} days this would never have been raised."
        times = {1: "once", 2: "twice"}.get(self.raised, f"{self.raised:,} times")
        return f"Over the last {DAYS} days this would have been raised {times}."


def preview_alert(alert: Alert, *, now: datetime, zone: ZoneInfo) -> AlertPreview:
    """Return how often an alert, saved or not, would have been raised."""
    kind = AlertKind(alert.kind)
    if kind is AlertKind.BREAKER_OPEN:
        return AlertPreview(None, remark="Circuit breakers keep no history to try this alert on.")
    if kind is AlertKind.RULE_SUSPENDED:
        return _suspensions(alert, now)
    reader = EvidenceReader(now, zone)
    subjects = reader.rules_of(alert) if kind is AlertKind.SUCCESS_RATE else reader.apps_of(alert)
    if len(subjects) > MOST_SUBJECTS:
        return AlertPreview(
            None,
            remark=f"This is tried on at most {MOST_SUBJECTS} rules or apps at a time: choose "
            "one to see how often it would have been raised.",
        )
    past = _Past(alert, now, zone, [row.pk for row in subjects])
    # A quarter of an hour that is well is longer than any kind's `well_for`.
    raised = [
        moment
        for verdicts in past.verdicts(kind, limits_of(alert))
        for moment in count_raised(verdicts, well_for=timedelta(0))
    ]
    return AlertPreview(len(raised), max(raised, default=None))


@dataclass(frozen=True, slots=True)
class _Past:
    """The figures of the last days, for some rules or apps."""

    alert: Alert
    now: datetime
    zone: ZoneInfo
    subjects: Sequence[int]

    def verdicts(
        self, kind: AlertKind, limits: Limits
    ) -> Iterator[Iterator[tuple[datetime, Verdict]]]:
        """Yield the verdicts of each subject, in their order."""
        match kind:
            case AlertKind.SUCCESS_RATE:
                yield from self._rates(limits)
            case AlertKind.NO_EVENTS:
                yield from self._silences(limits)
            case AlertKind.VOLUME_JUMP:
                yield from self._volumes(limits)

    def _rates(self, limits: Limits) -> Iterator[Iterator[tuple[datetime, Verdict]]]:
        timelines = self._timelines(Subject.RULE, FigureKind.ATTEMPT, _QUARTER, DAYS)
        if self.alert.partner_id is not None:
            timelines = [_merged(timelines)]
        window = _steps(limits.minutes)
        for timeline in timelines:
            yield (
                (moment + _QUARTER, judge(limits, rate_of([f for _, f in part])[0]))
                for moment, part in _windows(timeline, window)
            )

    def _silences(self, limits: Limits) -> Iterator[Iterator[tuple[datetime, Verdict]]]:
        window = _steps(limits.minutes)
        for timeline in self._timelines(Subject.APP, FigureKind.EVENT, _QUARTER, 2 * DAYS):
            yield self._silence(limits, timeline, window)

    def _silence(
        self, limits: Limits, timeline: _Timeline, window: int
    ) -> Iterator[tuple[datetime, Verdict]]:
        total = 0
        week = DAYS * 24 * 4
        counts = [figures.events for _, figures in timeline]
        for index, (moment, _) in enumerate(timeline):
            late = sum(counts[max(0, index - window + 1) : index + 1])
            total += counts[index] - (counts[index - week] if index >= week else 0)
            if moment >= self.now - timedelta(days=DAYS):
                evidence = SilenceEvidence(late, total - late)
                yield moment + _QUARTER, judge(limits, evidence)

    def _volumes(self, limits: Limits) -> Iterator[Iterator[tuple[datetime, Verdict]]]:
        days = DAYS + DAYS_COMPARED
        for timeline in self._timelines(Subject.APP, FigureKind.EVENT, _HOUR, days):
            counts = {moment: figures.events for moment, figures in timeline}
            yield (
                (moment + _HOUR, judge(limits, self._volume(counts, moment)))
                for moment, _ in timeline
                if self.now - timedelta(days=DAYS) <= moment <= self.now - _HOUR
            )

    def _volume(self, counts: Mapping[datetime, int], moment: datetime) -> VolumeEvidence:
        before = (same_hour(moment, days, self.zone) for days in range(1, DAYS_COMPARED + 1))
        return VolumeEvidence(counts[moment], tuple(counts.get(hour, 0) for hour in before))

    def _timelines(
        self, by: Subject, kind: FigureKind, step: timedelta, days: int
    ) -> list[_Timeline]:
        """Return the figures of each subject at each step, zeros where nothing was counted."""
        since = self.now - timedelta(days=days)
        begin = since.replace(minute=0, second=0, microsecond=0)
        of = period(begin, self.now, zone=self.zone, now=self.now, step=step)
        only = FigureFilter(rule=self.alert.rule_id, app=self.alert.app_id)
        read = read_figures(of, by=by, only=only, kinds=(kind,))
        by_subject: defaultdict[int, dict[int, Figures]] = defaultdict(dict)
        for (number, subject), figures in read.items():
            by_subject[int(subject)][number] = figures
        starts, none = of.starts, Figures()
        return [
            [(start, by_subject[key].get(n, none)) for n, start in enumerate(starts, 1)]
            for key in self.subjects
        ]


def _steps(minutes: int) -> int:
    return max(1, -(-minutes // 15))


def _windows(timeline: _Timeline, length: int) -> Iterator[tuple[datetime, _Timeline]]:
    for index in range(len(timeline)):
        yield timeline[index][0], timeline[max(0, index - length + 1) : index + 1]


def _merged(timelines: Sequence[_Timeline]) -> _Timeline:
    """Return the sums of requests of several timelines that have the same steps."""
    merged = []
    for steps in zip(*timelines, strict=True):
        together = Figures()
        for _, figures in steps:
            together.outcomes.update(figures.outcomes)
        merged.append((steps[0][0], together))
    return merged


def _suspensions(alert: Alert, now: datetime) -> AlertPreview:
    """Count what the audit log says of rules that were suspended."""
    scope = Q(**{f"{name}_id": key for name in ("app", "partner") if (key := _id(alert, name))})
    rules = CallbackRule.objects.filter(scope)
    if alert.rule_id is not None:
        rules = rules.filter(pk=alert.rule_id)
    public_ids = [str(key) for key in rules.values_list("public_id", flat=True)]
    entries = AuditEntry.objects.filter(
        at__gte=now - timedelta(days=DAYS),
        object_type=CallbackRule._meta.db_table,
        object_id__in=public_ids,
        changes__status__1=RuleStatus.SUSPENDED.value,
    )
    times = sorted(entries.values_list("at", flat=True))
    return AlertPreview(len(times), max(times, default=None))


def _id(alert: Alert, name: str) -> int | None:
    key: int | None = getattr(alert, f"{name}_id")
    return key
