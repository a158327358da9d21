"""Alerts, figures and workers for tests; time is moved by arguments."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from apps_registry.tenancy import tenant
from postbacks.alerts import evaluation, sending
from postbacks.alerts.kinds import KINDS
from postbacks.alerts.notices import queue_raised
from postbacks.alerts.saving import check_alert, save_alert
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.infrastructure.database import roles
from postbacks.models import (
    Alert,
    AlertIncident,
    AlertKind,
    AlertNotice,
    AlertTopic,
    CallbackRule,
    FigureChange,
    FigureKind,
)
from tests import database
from tests.make import Tenant


def make_alert(kind: str = AlertKind.SUCCESS_RATE, **fields: object) -> Alert:
    """Make an alert of the current organization, with the defaults of its kind."""
    alert = Alert(kind=kind, **{**KINDS[AlertKind(kind)].defaults, **fields})
    alert.full_clean(exclude=["organization"])
    check_alert(alert)
    save_alert(alert)
    return alert


def make_tenant_alert(of: Tenant, kind: str = AlertKind.SUCCESS_RATE, **fields: object) -> Alert:
    with tenant(of.organization.pk):
        return make_alert(kind, **fields)


def count_attempts(
    of: Tenant, rule_id: int, at: datetime, *, delivered: int = 0, failed: int = 0
) -> None:
    """Count attempts of a rule, as the log of attempts does."""
    with tenant(of.organization.pk):
        for state, code, count in (("delivered", "200", delivered), ("retry", "500", failed)):
            if count:
                FigureChange.objects.create(
                    at=at.replace(second=0, microsecond=0),
                    kind=FigureKind.ATTEMPT,
                    rule_ref=rule_id,
                    state=state,
                    code=code,
                    count=count,
                )


def count_events(of: Tenant, at: datetime, count: int) -> None:
    """Count events of the tenant's app, as deciding does."""
    with tenant(of.organization.pk):
        FigureChange.objects.create(
            at=at.replace(second=0, microsecond=0),
            kind=FigureKind.EVENT,
            app_ref=of.app.pk,
            event_name="open",
            count=count,
        )


def judge_at(now: datetime, *, share: float = 60.0) -> int:
    """Judge every organization's alerts at a moment."""
    with database.as_role(roles.WORKER):
        return evaluation.work(60, now=now, share=share)


def send_at(now: datetime) -> int:
    """Send the notices that are due at a moment, over the guarded way out."""
    loopback = Destinations(parse_networks("127.0.0.0/8"))
    with database.as_role(roles.WORKER), RequestsTransport(loopback) as transport:
        return sending.work(transport, 60, now=now)


def incidents_of(of: Tenant) -> list[AlertIncident]:
    with tenant(of.organization.pk):
        return list(AlertIncident.objects.order_by("id"))


def notices_of(of: Tenant) -> list[AlertNotice]:
    with tenant(of.organization.pk):
        return list(AlertNotice.objects.order_by("id"))


def topics_of(of: Tenant) -> Iterator[str]:
    return (notice.topic for notice in notices_of(of))


def make_standing_alert(rule: CallbackRule) -> Alert:
    """Make an alert of the current organization that stands for a rule, and has told so."""
    alert = make_alert(rule=rule, webhook_url="https://hooks.example.com/postbacks")
    now = datetime.now(UTC)
    incident = AlertIncident(
        alert=alert,
        subject=f"rule:{rule.pk}",
        label=rule.name,
        app_ref=rule.app_id or 0,
        partner_ref=rule.partner_id or 0,
        rule_ref=rule.pk,
        value=25.0,
        detail="25 % of 40 requests succeeded",
        raised_at=now,
        seen_at=now,
    )
    incident.save()
    queue_raised(alert, incident, AlertTopic.RAISED, now=now, zone=ZoneInfo("UTC"))
    return alert
