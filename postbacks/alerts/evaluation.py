"""Judges the alerts of organizations in turn, and keeps an incident for each subject of an alert.

Each organization has a share of a run; what it has no time for waits for its next turn. An incident
and what is told of it are written together, under the lock of the organization's turn: so two
workers, or one that dies, tell each change once.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from apps_registry.models import Organization
from apps_registry.tenancy import current_organization, tenant
from postbacks.alerts import notices
from postbacks.alerts.evidence import AlertEvidence, EvidenceReader, Observation
from postbacks.alerts.judging import (
    UNKNOWN,
    WELL,
    Judgment,
    OpenIncident,
    Step,
    Verdict,
    judge,
    next_step,
)
from postbacks.alerts.kinds import SCOPES, kind_of, limits_of, topic_of
from postbacks.alerts.saving import member_addresses
from postbacks.alerts.wording import incident_detail
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import Alert, AlertIncident, AlertTopic, AlertTurn, ClearReason
from postbacks.models.alerts import MOST_OPEN

logger = logging.getLogger(__name__)

JUDGED_EVERY: Final = timedelta(seconds=30)
SHARE_SECONDS: Final = 1.0  # of an organization in a run
LONGEST_READ_MS: Final = 2_000

_NEXT_TURN = load_sql("postbacks.alerts", "next_turn")
_IS_ANY_DUE = """
SELECT EXISTS (SELECT FROM alert_turn WHERE judged_at <= now() - make_interval(secs => %s))
"""


def is_any_due() -> bool:
    """Tell whether an organization's alerts are to be judged."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANY_DUE, [JUDGED_EVERY.total_seconds()])
        return bool(cursor.fetchone()[0])


def work(seconds: float, *, now: datetime | None = None, share: float = SHARE_SECONDS) -> int:
    """Judge organizations' alerts for about so long; return of how many organizations."""
    until = time.monotonic() + seconds
    judged = 0
    while _take_turn(now or datetime.now(UTC), share):
        judged += 1
        if time.monotonic() > until:
            break
    return judged


def _take_turn(now: datetime, share: float) -> bool:
    """Judge the organization that has waited longest; False if none is due."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_NEXT_TURN, {"now": now, "before": now - JUDGED_EVERY})
            row = cursor.fetchone()
        if row is None:
            return False
        organization_id, after_id = row
        with tenant(organization_id):
            after_id = judge_alerts(after_id=after_id, now=now, share=share)
            AlertTurn.objects.update(after_id=after_id)
    return True


def judge_alerts(*, after_id: int, now: datetime, share: float) -> int:
    """Judge the current organization's alerts after one; return the last that there was time for.

    0 means that all were judged, so that the next turn begins with the first.
    """
    until = time.monotonic() + share
    organization = _organization()
    if organization is None:
        return 0
    reader = EvidenceReader(now, ZoneInfo(organization.time_zone))
    run = _JudgingRun(reader, frozenset(member_addresses()))
    alerts = Alert.objects.filter(enabled=True, pk__gt=after_id).order_by("pk")
    for alert_id in list(alerts.values_list("pk", flat=True)):
        _judge_apart(alert_id, run)
        if time.monotonic() > until:
            return alert_id
    return 0


@dataclass(frozen=True, slots=True)
class _JudgingRun:
    """What the alerts of an organization share while they are judged."""

    reader: EvidenceReader
    addresses: frozenset[str]

    @property
    def now(self) -> datetime:
        return self.reader.now

    @property
    def zone(self) -> ZoneInfo:
        return self.reader.zone


def _organization() -> Organization | None:
    rows = Organization.objects.filter(pk=current_organization() or 0, removed_at=None)
    return rows.first()


def _judge_apart(alert_id: int, run: _JudgingRun) -> None:
    """Judge one alert so that a mistake in it keeps no other from being judged."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {LONGEST_READ_MS}")
            # Locked, so that nobody changes what it watches before what it finds is committed.
            rows = Alert.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
            alert = rows.select_related(*SCOPES).filter(pk=alert_id, enabled=True).first()
            if alert is not None:
                forget_leavers(alert, run.addresses)
                _judge(alert, run)
    except Exception:
        if not connection.is_usable():
            raise
        logger.exception("Judging the alert %d failed", alert_id)


def forget_leavers(alert: Alert, addresses: frozenset[str]) -> None:
    """Forget the addresses of people who are no longer members."""
    kept = [address for address in alert.emails if address in addresses]
    if kept != alert.emails:
        alert.emails = kept
        alert.save(update_fields=["emails"])


def _judge(alert: Alert, run: _JudgingRun) -> None:
    kind, limits = kind_of(alert), limits_of(alert)
    evidence = run.reader.observe(alert)
    rows = AlertIncident.objects.select_for_update().filter(alert=alert, cleared_at=None)
    open_incidents = {row.subject: row for row in rows}
    for observation in evidence.observations:
        verdict = judge(limits, observation.evidence)
        incident = open_incidents.pop(observation.subject, None)
        step = next_step(_open_incident(incident), verdict, run.now, well_for=kind.well_for)
        if incident is not None:
            _move(alert, incident, step, run, observation=observation, verdict=verdict)
        elif step is Step.RAISE and _has_room(alert):
            _raise(alert, observation, verdict, run)
    for incident in open_incidents.values():
        _judge_unobserved(alert, incident, evidence, run)


def _has_room(alert: Alert) -> bool:
    return AlertIncident.objects.filter(alert=alert, cleared_at=None).count() < MOST_OPEN


def _judge_unobserved(
    alert: Alert, incident: AlertIncident, evidence: AlertEvidence, run: _JudgingRun
) -> None:
    if evidence.watched is not None and incident.subject not in evidence.watched:
        _clear(alert, incident, ClearReason.NOT_WATCHED, run)
        return
    verdict = WELL if evidence.unobserved is Judgment.WELL else UNKNOWN
    well_for = kind_of(alert).well_for
    step = next_step(_open_incident(incident), verdict, run.now, well_for=well_for)
    if step is Step.CLEAR:
        _clear(alert, incident, ClearReason.RECOVERED, run)
    elif step is Step.FORGET:
        _clear(alert, incident, ClearReason.TOO_LITTLE_DATA, run)


def _open_incident(incident: AlertIncident | None) -> OpenIncident | None:
    if incident is None:
        return None
    return OpenIncident(incident.level, incident.seen_at, incident.well_since)


def _raise(alert: Alert, observation: Observation, verdict: Verdict, run: _JudgingRun) -> None:
    incident = AlertIncident(
        alert=alert,
        subject=observation.subject,
        label=observation.label,
        app_ref=observation.app_ref,
        partner_ref=observation.partner_ref,
        rule_ref=observation.rule_ref,
        raised_at=run.now,
        seen_at=run.now,
    )
    _see(incident, observation, verdict, run.now)
    incident.save()
    _notify_raised(alert, incident, run)


def _notify_raised(alert: Alert, incident: AlertIncident, run: _JudgingRun) -> None:
    topic = topic_of(kind_of(alert), incident.level)
    notices.queue_raised(alert, incident, topic, now=run.now, zone=run.zone)


def _move(
    alert: Alert,
    incident: AlertIncident,
    step: Step,
    run: _JudgingRun,
    *,
    observation: Observation,
    verdict: Verdict,
) -> None:
    """Take an open incident one step further."""
    match step:
        case Step.RAISE_LEVEL | Step.SEE:
            _see(incident, observation, verdict, run.now)
            incident.save()
        case Step.BEGIN_WELL:
            incident.well_since = run.now
            incident.save(update_fields=["well_since"])
        case Step.CLEAR:
            incident.value = verdict.value
            incident.detail = incident_detail(observation, verdict)
            _clear(alert, incident, ClearReason.RECOVERED, run)
        case Step.FORGET:
            _clear(alert, incident, ClearReason.TOO_LITTLE_DATA, run)
    if step is Step.RAISE_LEVEL:
        _notify_raised(alert, incident, run)


def _see(
    incident: AlertIncident, observation: Observation, verdict: Verdict, now: datetime
) -> None:
    incident.level, incident.value = verdict.level, verdict.value
    incident.detail = incident_detail(observation, verdict)
    incident.seen_at, incident.well_since = now, None


def _clear(alert: Alert, incident: AlertIncident, reason: ClearReason, run: _JudgingRun) -> None:
    incident.cleared_at, incident.clear_reason = run.now, reason
    incident.save()
    recovered = reason is ClearReason.RECOVERED
    topic = kind_of(alert).cleared if recovered else AlertTopic.CLEARED
    notices.queue_cleared(alert, incident, topic, now=run.now, zone=run.zone)
