"""Queues the notices of an incident, in the transaction that changes the incident.

So each change is notified once, whatever dies when: it is committed with its notices or not at all.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
from django.conf import settings
from django.urls import reverse

from apps_registry.models import App, Organization, Partner
from postbacks.alerts.judging import end_of_quiet
from postbacks.alerts.wording import alert_sentence
from postbacks.models import (
    Alert,
    AlertIncident,
    AlertNotice,
    AlertTopic,
    CallbackRule,
    NoticeChannel,
    NoticeStatus,
)

_WAITING = (NoticeStatus.PENDING, NoticeStatus.HELD)


def queue_raised(
    alert: Alert, incident: AlertIncident, topic: AlertTopic, *, now: datetime, zone: ZoneInfo
) -> None:
    """Queue notices that an incident was raised, or raised further."""
    _drop(AlertNotice.objects.filter(incident=incident, status=NoticeStatus.HELD), now)
    _queue(alert, incident, topic, channels_of(alert), now=now, zone=zone)


def queue_cleared(
    alert: Alert, incident: AlertIncident, topic: AlertTopic, *, now: datetime, zone: ZoneInfo
) -> None:
    """Queue notices that an incident is over, on the channels that heard of its beginning."""
    notified = []
    for channel in channels_of(alert):
        notices = AlertNotice.objects.filter(incident=incident, channel=channel)
        if notices.exclude(status__in=[NoticeStatus.HELD, NoticeStatus.DROPPED]).exists():
            notified.append(channel)
        _drop(notices.filter(status=NoticeStatus.HELD), now)
    _queue(alert, incident, topic, notified, now=now, zone=zone)


def queue_test(alert: Alert, *, now: datetime) -> list[AlertNotice]:
    """Queue a test notice on each channel; quiet hours don't hold it."""
    return _queue(alert, None, AlertTopic.TEST, channels_of(alert), now=now, zone=None)


def drop_waiting(alert: Alert, *, now: datetime) -> None:
    """Drop the notices that wait, of what an alert has found until now."""
    _drop(AlertNotice.objects.filter(alert=alert, status__in=_WAITING), now)


def channels_of(alert: Alert) -> list[NoticeChannel]:
    """Return the channels on which an alert notifies."""
    by_channel = {NoticeChannel.EMAIL: alert.emails, NoticeChannel.CALLBACK: alert.webhook_url}
    return [channel for channel, receiver in by_channel.items() if receiver]


def incident_path(alert: Alert) -> str:
    """Return the page on which an alert's incidents are seen."""
    return reverse("admin:postbacks_alert_change", args=[alert.pk])


def _queue(
    alert: Alert,
    incident: AlertIncident | None,
    topic: AlertTopic,
    channels: Sequence[NoticeChannel],
    *,
    now: datetime,
    zone: ZoneInfo | None,
) -> list[AlertNotice]:
    """Queue a notice on each channel, all with the same content."""
    if not channels:
        return []
    held_until = (
        end_of_quiet(now.astimezone(zone), alert.quiet_from, alert.quiet_until) if zone else None
    )
    body = msgspec.json.encode(_content(alert, incident, topic, now)).decode()
    return [
        AlertNotice.objects.create(
            public_id=uuid4(),
            alert=alert,
            incident=incident,
            topic=topic,
            channel=channel,
            status=NoticeStatus.HELD if held_until else NoticeStatus.PENDING,
            created_at=now,
            due_at=held_until.astimezone(UTC) if held_until else now,
            body=body,
        )
        for channel in channels
    ]


def _drop(notices: Any, now: datetime) -> None:
    notices.update(status=NoticeStatus.DROPPED, ended_at=now)


def _content(
    alert: Alert, incident: AlertIncident | None, topic: AlertTopic, now: datetime
) -> dict[str, object]:
    """Return a notice as Standard Webhooks advises: type, time and data."""
    organization = Organization.objects.get(pk=alert.organization_id)
    return {
        "type": topic.value,
        "timestamp": _time(now),
        "data": {
            "organization": {"id": str(organization.public_id), "name": organization.name},
            "alert": {
                "id": str(alert.public_id),
                "name": alert.name,
                "kind": alert.kind,
                "condition": str(alert_sentence(alert)),
            },
            "incident": _incident(incident) if incident else None,
            "url": f"{settings.PUBLIC_URL}{incident_path(alert)}",
        },
    }


def _incident(incident: AlertIncident) -> dict[str, object]:
    return {
        "id": str(incident.public_id),
        "subject": incident.label,
        "app": _reference(App, incident.app_ref),
        "partner": _reference(Partner, incident.partner_ref),
        "rule": _reference(CallbackRule, incident.rule_ref),
        "raised_at": _time(incident.raised_at),
        "cleared_at": _time(incident.cleared_at) if incident.cleared_at else None,
        "clear_reason": incident.clear_reason or None,
        "level": incident.level or None,
        "value": None if incident.value is None else round(incident.value, 2),
        "detail": incident.detail,
    }


def _reference(model: Any, key: int) -> dict[str, str] | None:
    row = model.objects.filter(pk=key).only("public_id", "name", "organization_id").first()
    return {"id": str(row.public_id), "name": row.name} if row else None


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
