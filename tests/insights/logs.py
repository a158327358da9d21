"""Rows of the logs at given moments, as the pipeline would have left them."""

import math
import uuid
from datetime import UTC, datetime, timedelta

from django.db import connection

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.insights.figures import STEPS_PER_E
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    Event,
    EventKey,
    EventSource,
    FigureChange,
    FigureKind,
    Postback,
    PostbackStatus,
)
from tests import make
from tests.database import as_role


def make_postback(
    of: make.Tenant,
    rule: CallbackRule,
    *,
    at: datetime,
    status: str = PostbackStatus.DELIVERED,
    seconds: float = 1,
    **fields: object,
) -> Postback:
    """Write an event and its postback; a delivered one took so many seconds."""
    delivered_at = at + timedelta(seconds=seconds) if status == PostbackStatus.DELIVERED else None
    make_day(at)
    with as_role(roles.WORKER), tenant(of.organization.pk):
        event = _make_event(of, at)
        values = {
            "created_at": at,
            "delivered_at": delivered_at,
            "event_name": "purchase",
            **fields,
        }
        made = Postback.objects.create(
            public_id=uuid.uuid4(),
            rule=rule,
            rule_version=1,
            app=of.app,
            event=event,
            sdk_event_id=event.event_id,
            event_received_at=at,
            status=status,
            **values,
        )
        _count(FigureKind.EVENT, at, app_ref=of.app.pk, event_name="purchase")
        if delivered_at and not made.test:
            code = math.floor(STEPS_PER_E * math.log(seconds))
            of_rule = {"app_ref": of.app.pk, "rule_ref": rule.pk}
            _count(FigureKind.DELIVERY, delivered_at, **of_rule, code=str(code))
        return made


def make_attempt(
    of: make.Tenant, postback: Postback, *, outcome: str = "failed", **fields: object
) -> DeliveryAttempt:
    """Write the last try of a postback."""
    values = {"number": postback.attempts_made, "started_at": postback.event_received_at, **fields}
    with as_role(roles.WORKER), tenant(of.organization.pk):
        made = DeliveryAttempt.objects.create(
            postback=postback,
            event_received_at=postback.event_received_at,
            kind=AttemptKind.AUTO,
            duration_ms=12,
            outcome=outcome,
            **values,
        )
    count_attempts(postback, code=str(made.status_code or made.error), outcome=outcome)
    return made


def count_attempts(postback: Postback, *, code: str, outcome: str = "retry") -> None:
    """Count an attempt in the figures."""
    with as_role(roles.WORKER), tenant(postback.organization_id):
        _count(
            FigureKind.ATTEMPT,
            postback.event_received_at,
            app_ref=postback.app_id or 0,
            rule_ref=postback.rule_id,
            state=outcome,
            code=code,
        )


def _count(kind: FigureKind, moment: datetime, **of: object) -> None:
    at = moment.replace(second=0, microsecond=0)
    FigureChange.objects.create(kind=kind, at=at, count=1, **of)


def make_day(moment: datetime) -> None:
    """Make the partitions of a day that lies outside of those which always exist."""
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(%s, 1)", [moment.astimezone(UTC).date()])


def _make_event(of: make.Tenant, at: datetime) -> Event:
    key = EventKey.objects.create(app=of.app, event_id=uuid.uuid4(), received_at=at)
    return Event.objects.create(
        id=key.pk,
        app=of.app,
        event_id=key.event_id,
        event_name="purchase",
        event_time=at,
        received_at=at,
        source=EventSource.SDK,
    )
