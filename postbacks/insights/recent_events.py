"""The latest events, for lists from which people choose one."""

from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

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


@dataclass(frozen=True, slots=True)
class LatestEvents:
    """The names of the latest events, and of those with revenue in an unknown currency.

    `is_all`: there are no other events.
    """

    names: tuple[str, ...]
    without_currency: tuple[str, ...]
    is_all: bool


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


def latest_events() -> LatestEvents:
    """Return what many of the latest events are named."""
    lacks_currency = Q(revenue__isnull=False, currency="") & ~Q(revenue=0)
    rows = list(
        Event.objects.order_by("-received_at", "-id")
        .annotate(lacks_currency=ExpressionWrapper(lacks_currency, BooleanField()))
        .values_list("event_name", "lacks_currency")[: _MOST_COMPARED + 1]
    )
    return LatestEvents(
        names=tuple(dict.fromkeys(name for name, _ in rows)),
        without_currency=tuple(dict.fromkeys(name for name, lacks in rows if lacks)),
        is_all=len(rows) <= _MOST_COMPARED,
    )


def _latest_names() -> "QuerySet[Event, str]":
    return Event.objects.order_by("-received_at", "-id").values_list("event_name", flat=True)


def event_by_id(text: str) -> Event | None:
    """Return an event of the organization by our own id; None for any other text."""
    if not (text.isascii() and text.isdecimal()) or int(text[:20]) > _LARGEST_ID:
        return None
    return Event.objects.select_related("app").filter(pk=int(text[:20])).first()


def recent_event(event: Event) -> RecentEvent:
    return RecentEvent(event.pk, event.event_name, event.app.name, event.received_at)
