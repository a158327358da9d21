"""The latest events, for lists from which people choose one."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import QuerySet

from postbacks.models import Event

MOST_EVENTS = 20
_MOST_READ = 500
_MOST_NAMES = 12
_MOST_COMPARED = 2000
_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """One event in a list of choices."""

    id: int
    name: str
    app: str
    received_at: datetime


def recent_events(*, app_id: int | None = None) -> tuple[RecentEvent, ...]:
    """Return the latest events of one app or of all, newest first."""
    latest = Event.objects.order_by("-received_at", "-id").values_list(
        "id", "event_name", "app__name", "received_at", "app_id"
    )
    # The log is ordered by time alone: for an app without events it would be read to its end.
    rows = latest[: MOST_EVENTS if app_id is None else _MOST_READ]
    events = (
        RecentEvent(event_id, name, app, received_at)
        for event_id, name, app, received_at, of_app in rows
        if app_id in {None, of_app}
    )
    return tuple(islice(events, MOST_EVENTS))


def recent_event_names() -> tuple[str, ...]:
    """Return the names of the organization's latest events, the newest first."""
    return tuple(dict.fromkeys(_latest_names()[:_MOST_READ]))[:_MOST_NAMES]


def names_of_latest_events() -> tuple[tuple[str, ...], bool]:
    """Return the names of many of the latest events, and whether there are no other events."""
    names = list(_latest_names()[: _MOST_COMPARED + 1])
    return tuple(dict.fromkeys(names)), len(names) <= _MOST_COMPARED


def _latest_names() -> "QuerySet[Event, str]":
    return Event.objects.order_by("-received_at", "-id").values_list("event_name", flat=True)


def event_by_id(text: str) -> Event | None:
    """Return an event of the organization by our own id; None for any other text."""
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) > _LARGEST_ID:
        return None
    return Event.objects.select_related("app").filter(pk=int(text[:20])).first()


def recent_event(event: Event) -> RecentEvent:
    return RecentEvent(event.pk, event.event_name, event.app.name, event.received_at)
