"""Collects what alerts watch from the figures, rules and circuit breakers of an organization.

What several alerts ask for is read once. No log is read, and nothing here is about a person.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from apps_registry.models import App
from apps_registry.tenancy import Lifecycle
from postbacks.alerts.judging import (
    DAYS_COMPARED,
    BreakerEvidence,
    Evidence,
    Judgment,
    RateEvidence,
    SilenceEvidence,
    SuspensionEvidence,
    VolumeEvidence,
)
from postbacks.delivery import lasting_failure
from postbacks.delivery.outcome import Outcome
from postbacks.insights.figure_parts import Subject
from postbacks.insights.figures import Figures, period, read_figures
from postbacks.models import Alert, AlertKind, CallbackRule, FigureKind, RuleStatus
from postbacks.rulebook.breakers import OpenBreaker, breakers_of_rules

_HOUR, _DAY, _WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one subject. `label` is its name; the refs are our ids, 0 for none.

    `failure` is the commonest answer that was no success, as a code.
    """

    subject: str
    label: str
    evidence: Evidence
    app_ref: int = 0
    partner_ref: int = 0
    rule_ref: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class AlertEvidence:
    """What an alert sees now.

    `watched` are all its subjects, None where they can't be listed. A watched subject that was not
    observed is judged as `unobserved`.
    """

    observations: list[Observation]
    watched: Collection[str] | None = None
    unobserved: Judgment = Judgment.UNKNOWN


class EvidenceReader:
    """Reads evidence of the current organization, as of one moment."""

    def __init__(self, now: datetime, zone: ZoneInfo) -> None:
        self.now = now
        self.zone = zone
        self._sums: dict[tuple[datetime, datetime, Subject], dict[int, Figures]] = {}

    def observe(self, alert: Alert) -> AlertEvidence:
        """Return what an alert sees."""
        by_kind: Mapping[AlertKind, Callable[[Alert], AlertEvidence]] = {
            AlertKind.SUCCESS_RATE: self._rates,
            AlertKind.NO_EVENTS: self._silences,
            AlertKind.VOLUME_JUMP: self._volumes,
            AlertKind.RULE_SUSPENDED: self._suspensions,
            AlertKind.BREAKER_OPEN: self._breakers,
        }
        return by_kind[AlertKind(alert.kind)](alert)

    @cached_property
    def rules(self) -> dict[int, CallbackRule]:
        """The rules that are on or suspended, by row id."""
        on = CallbackRule.objects.filter(status__in=[RuleStatus.ACTIVE, RuleStatus.SUSPENDED])
        fields = ("name", "status", "version", "app_id", "partner_id", "partner__name")
        rows = on.select_related("partner").only(*fields, "organization_id")
        return {rule.pk: rule for rule in rows.order_by("pk")}

    @cached_property
    def apps(self) -> dict[int, App]:
        """The apps in use, by row id."""
        return {app.pk: app for app in App.objects.filter(status=Lifecycle.ACTIVE).order_by("pk")}

    def rules_of(self, alert: Alert) -> list[CallbackRule]:
        """Return the rules that an alert is about."""
        return [
            rule
            for rule in self.rules.values()
            if alert.rule_id in (None, rule.pk)
            and alert.partner_id in (None, rule.partner_id)
            and (alert.app_id is None or rule.app_id in (None, alert.app_id))
        ]

    def apps_of(self, alert: Alert) -> list[App]:
        """Return the apps that an alert is about."""
        return [app for app in self.apps.values() if alert.app_id in (None, app.pk)]

    def _rates(self, alert: Alert) -> AlertEvidence:
        figures = self._figures(self._window(alert), self.now, Subject.RULE)
        rules = self.rules_of(alert)
        if alert.partner_id is not None and rules:
            of_rules = [figures[rule.pk] for rule in rules if rule.pk in figures]
            evidence, failure = rate_of(of_rules)
            subject = f"partner:{alert.partner_id}"
            observation = Observation(
                subject,
                str(rules[0].partner),
                evidence,
                partner_ref=alert.partner_id,
                failure=failure,
            )
            return AlertEvidence([observation], {subject})
        observations = []
        for rule in rules:
            if rule.pk in figures:
                evidence, failure = rate_of([figures[rule.pk]])
                observations.append(_of_rule(rule, evidence, failure))
        return AlertEvidence(observations, {f"rule:{rule.pk}" for rule in rules})

    def _silences(self, alert: Alert) -> AlertEvidence:
        begin = self._window(alert)
        late = self._figures(begin, self.now, Subject.APP)
        before = self._figures(begin - _WEEK, begin, Subject.APP)
        apps = self.apps_of(alert)
        none = Figures()
        return AlertEvidence(
            [
                _of_app(
                    app,
                    SilenceEvidence(late.get(app.pk, none).events, before.get(app.pk, none).events),
                )
                for app in apps
            ],
            {f"app:{app.pk}" for app in apps},
        )

    def _volumes(self, alert: Alert) -> AlertEvidence:
        end = self.now.replace(minute=self.now.minute // 15 * 15, second=0, microsecond=0)
        hours = [
            self._figures(begin, begin + _HOUR, Subject.APP)
            for begin in (same_hour(end - _HOUR, days, self.zone) for days in _days())
        ]
        apps = self.apps_of(alert)
        none = Figures()
        observations = []
        for app in apps:
            events, *before = (hour.get(app.pk, none).events for hour in hours)
            observations.append(_of_app(app, VolumeEvidence(events, tuple(before))))
        return AlertEvidence(observations, {f"app:{app.pk}" for app in apps})

    def _suspensions(self, alert: Alert) -> AlertEvidence:
        return AlertEvidence(
            [
                _of_rule(rule, SuspensionEvidence(self._percents.get(rule.pk, 0)))
                for rule in self.rules_of(alert)
            ],
            {f"rule:{rule.pk}" for rule in self.rules_of(alert)},
        )

    def _breakers(self, alert: Alert) -> AlertEvidence:
        by_subject: dict[str, Observation] = {}
        for rule in self.rules_of(alert):
            for breaker in self._open_breakers.get(rule.pk, ()):
                observation = _of_breaker(rule, breaker, self.now)
                by_subject.setdefault(observation.subject, observation)
        return AlertEvidence(list(by_subject.values()), unobserved=Judgment.WELL)

    def _window(self, alert: Alert) -> datetime:
        return self.now - timedelta(minutes=alert.minutes or 0)

    @cached_property
    def _percents(self) -> dict[int, int]:
        """How far rules are on the way to their suspension, from half of it on."""
        failing = lasting_failure.failing_rules(now=self.now)
        suspended = [rule.pk for rule in self.rules.values() if rule.status == RuleStatus.SUSPENDED]
        return {row.pk: percent for row, percent in failing} | dict.fromkeys(suspended, 100)

    @cached_property
    def _open_breakers(self) -> dict[int, list[OpenBreaker]]:
        return breakers_of_rules(list(self.rules.values()))

    def _figures(self, since: datetime, until: datetime, by: Subject) -> dict[int, Figures]:
        key = (since, until, by)
        if key not in self._sums:
            kind = FigureKind.ATTEMPT if by is Subject.RULE else FigureKind.EVENT
            of = period(since, until, zone=self.zone, now=self.now)
            read = read_figures(of, by=by, kinds=(kind,))
            self._sums[key] = {int(subject): figures for (_, subject), figures in read.items()}
        return self._sums[key]


def rate_of(parts: Collection[Figures]) -> tuple[RateEvidence, str]:
    """Return the requests of some figures, and the commonest answer that was no success."""
    troubles: Counter[str] = Counter()
    for part in parts:
        troubles.update(part.troubles)
    evidence = RateEvidence(
        sum(part.attempts for part in parts),
        sum(part.outcomes[Outcome.DELIVERED] for part in parts),
    )
    (commonest,) = troubles.most_common(1) or [("", 0)]
    return evidence, commonest[0]


def same_hour(begin: datetime, days: int, zone: ZoneInfo) -> datetime:
    """Return the same time of some days before, as a clock on the wall shows it."""
    local = begin.astimezone(zone) - days * _DAY  # wall time: `local` is aware
    return local.astimezone(begin.tzinfo)


def _days() -> range:
    return range(DAYS_COMPARED + 1)


def _of_rule(rule: CallbackRule, evidence: Evidence, failure: str = "") -> Observation:
    return Observation(
        f"rule:{rule.pk}",
        rule.name,
        evidence,
        app_ref=rule.app_id or 0,
        partner_ref=rule.partner_id or 0,
        rule_ref=rule.pk,
        failure=failure,
    )


def _of_app(app: App, evidence: Evidence) -> Observation:
    return Observation(f"app:{app.pk}", app.name, evidence, app_ref=app.pk)


def _of_breaker(rule: CallbackRule, breaker: OpenBreaker, now: datetime) -> Observation:
    is_secret = breaker.port is None
    subject = f"partner:{rule.partner_id}" if is_secret else f"host:{breaker.host}:{breaker.port}"
    return Observation(
        subject,
        f"host of {rule.partner}" if is_secret else f"{breaker.host}:{breaker.port}",
        BreakerEvidence(now - (breaker.since or now)),
        partner_ref=rule.partner_id or 0,
        rule_ref=rule.pk,
        failure=breaker.reason,
    )
