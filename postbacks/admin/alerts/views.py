"""Incidents and notices as pages show them: on an alert's page, the Overview and the hubs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest
from django.utils import timezone

from apps_registry.admin_base.permissions import membership_of
from apps_registry.admin_base.theme import Tone
from postbacks.insights import wording
from postbacks.models import (
    Alert,
    AlertIncident,
    AlertNotice,
    ClearReason,
    NoticeChannel,
    NoticeStatus,
)

_MOST_SHOWN = 50
_MOST_NOTICES = 20
_MOST_OPEN = 20  # on the Overview or a hub
_TONES = {
    NoticeStatus.PENDING: Tone.BUSY,
    NoticeStatus.HELD: Tone.INFO,
    NoticeStatus.SENT: Tone.GOOD,
    NoticeStatus.FAILED: Tone.BAD,
    NoticeStatus.DROPPED: Tone.STILL,
}
_ERRORS = {
    "mail_server": "The mail server did not take it",
    "no_signing_secret": "No signing secret is valid",
}


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident in words."""

    incident: AlertIncident

    @property
    def tone(self) -> str:
        return Tone.BAD if self.incident.is_open else Tone.STILL

    @property
    def state(self) -> str:
        if self.incident.is_open:
            return "Open"
        return str(ClearReason(self.incident.clear_reason).label)

    @property
    def lasted(self) -> str:
        end = self.incident.cleared_at or timezone.now()
        return wording.span(end - self.incident.raised_at)


@dataclass(frozen=True, slots=True)
class NoticeView:
    """A notice in words."""

    notice: AlertNotice

    @property
    def channel(self) -> str:
        return str(NoticeChannel(self.notice.channel).label)

    @property
    def tone(self) -> str:
        return _TONES[NoticeStatus(self.notice.status)]

    @property
    def state(self) -> str:
        return str(NoticeStatus(self.notice.status).label)

    @property
    def answer(self) -> str:
        """What came of the last try."""
        notice = self.notice
        if notice.status == NoticeStatus.SENT and notice.status_code:
            return f"HTTP {notice.status_code}"
        if not notice.error:
            return ""
        return _ERRORS.get(notice.error) or wording.answer(notice.error)

    @property
    def next_try(self) -> datetime | None:
        """When it is tried or sent, where it is not now."""
        notice = self.notice
        is_waiting = notice.status == NoticeStatus.HELD or (
            notice.status == NoticeStatus.PENDING and bool(notice.error)
        )
        return notice.due_at if is_waiting else None


def incident_views(alert: Alert) -> list[IncidentView]:
    """Return an alert's incidents, open ones first, then the newest."""
    still_open = AlertIncident.objects.filter(alert=alert, cleared_at=None).order_by("-pk")
    ended = AlertIncident.objects.filter(alert=alert).exclude(cleared_at=None).order_by("-pk")
    rows = [*still_open[:_MOST_SHOWN], *ended[:_MOST_SHOWN]][:_MOST_SHOWN]
    return [IncidentView(row) for row in rows]


def notice_views(alert: Alert) -> list[NoticeView]:
    """Return an alert's newest notices."""
    rows = AlertNotice.objects.filter(alert=alert).order_by("-pk")
    return [NoticeView(row) for row in rows[:_MOST_NOTICES]]


def alerts_of_overview(request: HttpRequest) -> dict[str, object]:
    """Return what the Overview shows of alerts."""
    return {"alerts": open_incidents() if membership_of(request) else []}


def open_incidents(**only: int) -> Sequence[IncidentView]:
    """Return the open incidents, newest first; `only` is `app_ref=…` or the like."""
    rows = AlertIncident.objects.filter(cleared_at=None, **only).select_related("alert")
    return [IncidentView(row) for row in rows.order_by("-pk")[:_MOST_OPEN]]
