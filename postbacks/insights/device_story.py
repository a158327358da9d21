"""Everything of a device, or of an install, in order: clicks, installs, events and postbacks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import models
from django.db.models import Q

from postbacks.insights import wording
from postbacks.insights.device_identifiers import newest_of_devices
from postbacks.insights.search import MatchKind, events_with
from postbacks.insights.searched_id import SearchedId, touchpoints_of
from postbacks.insights.touchpoint_outcomes import judged_touchpoints, outcomes_of
from postbacks.models import (
    Attribution,
    Event,
    Install,
    InstallKey,
    Postback,
    RefusedEvent,
    SkipReason,
    Touchpoint,
    TouchpointKey,
)
from postbacks.models.days import whole_days
from postbacks.values import identifiers
from postbacks.values.uuid7 import uuid_or_none

MOST: Final = 200  # of each kind, the newest
_MOST_DEVICES: Final = 20  # an id that more share is nobody's


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """One thing that happened: `detail` says what came of it."""

    at: datetime
    kind: MatchKind
    id: UUID
    title: str
    detail: str
    row: models.Model


def story_of_device(text: str) -> list[StoryEntry]:
    """Return everything of the device that has an id, in any spelling, raw or hashed, in order.

    The newest `MOST` of each kind. The person's own ID leads to all of the person's devices.
    """
    searched = SearchedId(text.strip())
    installs = list(Install.objects.filter(searched.installs).order_by("-pk")[:_MOST_DEVICES])
    carrying = [event for event, _ in events_with(searched)]
    devices = {(install.app_id, install.device) for install in installs}
    devices |= {(event.app_id, event.device) for event in carrying if event.device}
    of_devices = _any(_of_device(*device) for device in sorted(devices)[:_MOST_DEVICES])
    others = Install.objects.filter(of_devices).exclude(pk__in=[install.pk for install in installs])
    installs += others.order_by("-pk")[:_MOST_DEVICES]
    events = {event.pk: event for event in carrying}
    newest = newest_of_devices(Event.objects.filter(of_devices), MOST)
    events |= {event.pk: event for event in newest}
    touchpoints = Touchpoint.objects.filter(searched.touchpoints).order_by("-received_at")[:MOST]
    by_id = {row.pk: row for row in (*touchpoints, *_touchpoints_of_installs(installs))}
    refused = RefusedEvent.objects.filter(searched.refused_events).order_by("-pk")[:MOST]
    return _in_order(installs, list(events.values()), list(by_id.values()), refused)


def story_of_install(install: Install) -> list[StoryEntry]:
    """Return what led to an install and what it led to, until the device's next one, in order."""
    following = Install.objects.filter(
        _of_device(install.app_id, install.device), number__gt=install.number
    )
    until = following.order_by("number").values_list("event_received_at", flat=True).first()
    events = Event.objects.filter(
        _of_device(install.app_id, install.device),
        received_at__gte=install.event_received_at,
        **({"received_at__lt": until} if until else {}),
    ).order_by("-received_at", "-pk")[:MOST]
    return _in_order([install], events, _touchpoints_of_installs([install]), ())


def _in_order(
    installs: Sequence[Install],
    events: Iterable[Event],
    touchpoints: Sequence[Touchpoint],
    refused: Iterable[RefusedEvent],
) -> list[StoryEntry]:
    stored = list(events)
    entries = [
        *_of_touchpoints(touchpoints),
        *_of_installs(installs),
        *_of_events(stored),
        *_of_postbacks(stored),
        *_of_refused(refused),
    ]
    order = list(MatchKind)
    return sorted(entries, key=lambda entry: (entry.at, order.index(entry.kind), entry.row.pk))


def _of_touchpoints(touchpoints: Sequence[Touchpoint]) -> Iterator[StoryEntry]:
    outcomes = outcomes_of(touchpoints) if touchpoints else {}
    models.prefetch_related_objects(touchpoints, "app", "partner")
    for row in touchpoints:
        outcome = outcomes[row.public_id]
        title = f"{row.get_kind_display()} · {row.partner} · {row.app}"
        detail = f"{outcome.status.label}: {outcome.sentence}"
        yield StoryEntry(row.occurred_at, MatchKind.TOUCHPOINT, row.public_id, title, detail, row)


def _of_installs(installs: Sequence[Install]) -> Iterator[StoryEntry]:
    models.prefetch_related_objects(installs, "app", "partner", "campaign")
    for row in installs:
        names = [str(credited) for credited in (row.partner, row.campaign) if credited]
        detail = f"Credited to {', '.join(names)}" if names else "Organic"
        title = f"{row.get_kind_display()} · {row.app}"
        state = row.get_state_display().lower()
        yield StoryEntry(
            row.installed_at,
            MatchKind.INSTALL,
            row.public_id,
            title,
            f"{detail}; the credit is {state}.",
            row,
        )


def _of_events(events: Sequence[Event]) -> Iterator[StoryEntry]:
    models.prefetch_related_objects(events, "app")
    for row in events:
        title = f"{row.event_name} · {row.app}"
        detail = f"Reported by: {row.get_source_display()}."
        if row.revenue is not None:
            detail += f" {row.revenue.normalize():f} {row.currency}".rstrip() + "."
        yield StoryEntry(row.event_time, MatchKind.EVENT, row.event_id, title, detail, row)


def _of_postbacks(events: Sequence[Event]) -> Iterator[StoryEntry]:
    if not events:
        return
    rows = Postback.objects.defer("other_fingerprints").filter(
        sdk_event_id__in=[event.event_id for event in events],
        event_received_at__range=whole_days(event.received_at for event in events),
    )
    for row in rows.prefetch_related("rule").order_by("-event_received_at", "-pk")[: 2 * MOST]:
        detail = row.get_status_display()
        detail += f": {_reason(row)}." if row.reason else "."
        title = f"{row.event_name} · {row.rule}"
        yield StoryEntry(
            row.delivered_at or row.created_at,
            MatchKind.POSTBACK,
            row.public_id,
            title,
            detail,
            row,
        )


def _reason(postback: Postback) -> str:
    label = dict(SkipReason.choices).get(postback.reason) or wording.answer(
        postback.reason, postback.last_status_code
    )
    return wording.lower_first(str(label))


def _of_refused(refused: Iterable[RefusedEvent]) -> Iterator[StoryEntry]:
    for row in refused:
        details = " ".join(error.get("detail", "") for error in row.error_views)
        title = f"Refused: {row.event_name or row.get_door_display()}"
        detail = f"{row.get_reason_display()}. {details}".strip()
        yield StoryEntry(
            row.received_at, MatchKind.REFUSED_EVENT, row.public_id, title, detail, row
        )


def _touchpoints_of_installs(installs: Sequence[Install]) -> list[Touchpoint]:
    """Return the touchpoints that earned installs or lost them, and those with their ids."""
    if not installs:
        return []
    decisions = Attribution.objects.filter(install__in=[install.pk for install in installs])
    judged = {install.touchpoint for install in installs} - {None}
    for decision in decisions.order_by("-pk")[:MOST]:
        ids = (str(row.get("touchpoint")) for row, _ in judged_touchpoints(decision))
        judged |= {public_id for text in ids if (public_id := uuid_or_none(text))}
    by_app: dict[int, set[UUID]] = {}
    keys = InstallKey.objects.filter(install__in=[install.pk for install in installs])
    for app_id, key in keys.values_list("app_id", "key")[:MOST]:
        by_app.setdefault(app_id, set()).add(key)
    rows: dict[int, datetime] = {}
    for app_id, keys_of_app in by_app.items():
        by_key = TouchpointKey.objects.filter(app_id=app_id, key__in=keys_of_app).order_by(
            "-occurred_at"
        )
        rows |= dict(by_key.values_list("touchpoint_id", "received_at")[:MOST])
    known = [public_id for public_id in judged if public_id is not None]
    touchpoints = list(touchpoints_of(known)[:MOST])
    if rows:
        span = (min(rows.values()), max(rows.values()))
        touchpoints += Touchpoint.objects.filter(pk__in=rows, received_at__range=span)
    return list({row.pk: row for row in touchpoints}.values())[:MOST]


def _of_device(app_id: int, device: str) -> Q:
    return Q(app_id=app_id, device__in=identifiers.device_spellings(device))


def _any(conditions: Iterable[Q]) -> Q:
    """Return the condition that one of some holds; without any, none does."""
    either = Q(pk__in=[])
    for condition in conditions:
        either |= condition
    return either
