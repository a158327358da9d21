"""One search for all ids: whatever a person pastes leads to what carries it, by indexes alone."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from django.db import OperationalError, connection, models, transaction
from django.db.models import Q, QuerySet
from psycopg.errors import QueryCanceled

from apps_registry.models import TrackingLink
from postbacks.insights.device_identifiers import newest_of_devices
from postbacks.insights.searched_id import SearchedId, days_of
from postbacks.models import (
    Event,
    EventKey,
    Install,
    InstallKey,
    Postback,
    RefusedEvent,
    SkanPostback,
    Touchpoint,
)
from postbacks.values import identifiers
from postbacks.values.touchpoints import LONGEST_CLICK_ID

LONGEST: Final = LONGEST_CLICK_ID
MOST_OF_KIND: Final = 20
_MILLISECONDS: Final = 1_500  # for each kind
_KEYS_ARE_KEPT: Final = timedelta(days=59)  # of events
_LINK: Final = re.compile(r"https?://[^/\s]+/[ci]/([\w-]{1,64})/?(?:[?#].*)?")
_MATCHED: Final = {identifiers.ADVERTISING: "advertising_id", identifiers.TOUCH: "touchpoint_id"}


class MatchKind(StrEnum):
    """What a match is; `label` names several of them."""

    EVENT = "event"
    INSTALL = "install"
    TOUCHPOINT = "touchpoint"
    POSTBACK = "postback"
    SKAN_POSTBACK = "skan_postback"
    TRACKING_LINK = "tracking_link"
    REFUSED_EVENT = "refused_event"

    @property
    def label(self) -> str:
        return _LABELS[self]


KINDS: Final = [(kind.value, kind.value) for kind in MatchKind]
_LABELS: Final = {
    MatchKind.EVENT: "Events",
    MatchKind.INSTALL: "Installs",
    MatchKind.TOUCHPOINT: "Clicks and impressions",
    MatchKind.POSTBACK: "Postbacks",
    MatchKind.SKAN_POSTBACK: "SKAdNetwork copies",
    MatchKind.TRACKING_LINK: "Tracking links",
    MatchKind.REFUSED_EVENT: "Refused events",
}


@dataclass(frozen=True, slots=True)
class SearchMatch:
    """A row that carries the id: `matched` says as what, `at` when it came."""

    kind: MatchKind
    id: UUID
    matched: str
    at: datetime
    title: str
    row: models.Model


@dataclass(frozen=True, slots=True)
class Matches:
    """What was found, at most `MOST_OF_KIND` of a kind, newest first.

    `unfinished` are kinds that took too long.
    """

    text: str
    matches: Sequence[SearchMatch] = ()
    unfinished: Sequence[MatchKind] = field(default_factory=list)

    @property
    def only(self) -> SearchMatch | None:
        """Return the match if there is exactly one."""
        return self.matches[0] if len(self.matches) == 1 and not self.unfinished else None

    @property
    def groups(self) -> list[tuple[MatchKind, list[SearchMatch]]]:
        by_kind = {kind: [m for m in self.matches if m.kind is kind] for kind in MatchKind}
        return [(kind, matches) for kind, matches in by_kind.items() if matches]


def search(text: str) -> Matches:
    """Find what carries an id of any kind, in any spelling, raw or hashed, or a link's address.

    Each kind has an index of its own, and is stopped after a while.
    """
    text = text.strip()[:LONGEST]
    if not text or "\x00" in text:
        return Matches(text)
    matches: list[SearchMatch] = []
    unfinished: list[MatchKind] = []
    searched = SearchedId(text)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(_MILLISECONDS)])
        for kind, find in _FINDERS.items():
            try:
                with transaction.atomic():
                    matches += list(find(searched))
            except OperationalError as error:
                if not isinstance(error.__cause__, QueryCanceled):
                    raise
                unfinished.append(kind)
    return Matches(text, matches, unfinished)


def events_with(searched: SearchedId) -> "list[tuple[Event, str]]":
    """Return the newest events that carry an id, and as what."""
    text = searched.text
    events: dict[int, tuple[Event, str]] = {}
    for rows, matched in (
        (_events_by_id(searched), "event_id"),
        (Event.objects.filter(customer_user_id=text), "customer_user_id"),
        (Event.objects.filter(transaction_id=text), "transaction_id"),
    ):
        for event in _newest(rows.prefetch_related("app"), "received_at"):
            events.setdefault(event.pk, (event, matched))
    devices = {
        spelling: _matched_kind(device)
        for device in searched.names
        for spelling in identifiers.device_spellings(device)
    }
    devices |= {
        device.device: _MATCHED.get(device.matched, device.matched) for device in searched.devices
    }
    of_devices = Event.objects.filter(app_id__in=searched.apps, device__in=devices)
    for event in newest_of_devices(of_devices.prefetch_related("app"), MOST_OF_KIND):
        events.setdefault(event.pk, (event, devices.get(event.device, "device")))
    newest = sorted(events.values(), key=lambda pair: pair[0].received_at, reverse=True)
    return newest[:MOST_OF_KIND]


def _events_by_id(searched: SearchedId) -> "QuerySet[Event]":
    """Return events with an `event_id`; keys of the last weeks say in which day each is."""
    event_id = searched.public_id
    if event_id is None:
        return Event.objects.none()
    keys = EventKey.objects.filter(app_id__in=searched.apps, event_id=event_id)
    days = list(keys.values_list("pk", "received_at")[:MOST_OF_KIND])
    if days:
        moments = [received_at for _, received_at in days]
        return Event.objects.filter(
            pk__in=[pk for pk, _ in days], received_at__range=(min(moments), max(moments))
        )
    return Event.objects.filter(
        event_id=event_id, received_at__lt=datetime.now(UTC) - _KEYS_ARE_KEPT
    )


def _find_events(searched: SearchedId) -> Iterator[SearchMatch]:
    for event, matched in events_with(searched):
        yield SearchMatch(
            MatchKind.EVENT,
            event.event_id,
            matched,
            event.received_at,
            f"{event.event_name} · {event.app}",
            event,
        )


def _find_installs(searched: SearchedId) -> Iterator[SearchMatch]:
    rows = Install.objects.filter(searched.installs).prefetch_related("app", "partner")
    installs = list(_newest(rows, "event_received_at"))
    carried = _names_carried(installs, searched)
    matched = {device.install_id: device.matched for device in searched.devices}
    for install in installs:
        whose = str(install.partner) if install.partner else "organic"
        yield SearchMatch(
            MatchKind.INSTALL,
            install.public_id,
            _matched_of_install(
                install,
                searched,
                carried.get(install.pk) or matched.get(install.pk) or install.device,
            ),
            install.event_received_at,
            f"{install.get_kind_display()} · {install.app} · {whose}",
            install,
        )


def _names_carried(installs: Sequence[Install], searched: SearchedId) -> dict[int, str]:
    """Return by which identifier each install carries what the text stands for."""
    by_key = {
        identifiers.key_of(app_id, name): name
        for app_id in {install.app_id for install in installs}
        for name in searched.names
    }
    pks = [install.pk for install in installs]
    keys = InstallKey.objects.filter(install__in=pks, key__in=by_key)
    return {install_id: by_key[key] for install_id, key in keys.values_list("install_id", "key")}


def _matched_of_install(install: Install, searched: SearchedId, carried: str) -> str:
    if install.public_id == searched.public_id:
        return "id"
    if install.install_id in identifiers.install_id_spellings(searched.text):
        return "install_id"
    return _matched_kind(carried)


def _find_touchpoints(searched: SearchedId) -> Iterator[SearchMatch]:
    text, names = searched.text, set(searched.names)
    rows = Touchpoint.objects.filter(searched.touchpoints).prefetch_related("app", "partner")
    for touchpoint in _newest(rows, "received_at"):
        carried = next((name for name in map(str, touchpoint.names) if name in names), "")
        matched = _matched_kind(carried) if carried else identifiers.digest_name(text) or "hash"
        if touchpoint.public_id == searched.public_id:
            matched = "id"
        elif touchpoint.click_id == text:
            matched = "click_id"
        yield SearchMatch(
            MatchKind.TOUCHPOINT,
            touchpoint.public_id,
            matched,
            touchpoint.received_at,
            f"{touchpoint.get_kind_display()} · {touchpoint.partner} · {touchpoint.app}",
            touchpoint,
        )


def _find_postbacks(searched: SearchedId) -> Iterator[SearchMatch]:
    public_id = searched.public_id
    days = days_of([public_id]) if public_id else None
    if public_id is None or days is None:
        return
    rows = Postback.objects.defer("other_fingerprints").filter(
        public_id=public_id, event_received_at__range=days
    )
    for postback in _newest(rows.prefetch_related("rule"), "event_received_at"):
        yield SearchMatch(
            MatchKind.POSTBACK,
            postback.public_id,
            "id",
            postback.event_received_at,
            f"{postback.rule} · {postback.get_status_display()}",
            postback,
        )


def _find_copies(searched: SearchedId) -> Iterator[SearchMatch]:
    text, public_id = searched.text, searched.public_id
    has_transaction = Q(transaction_id__in={text, text.lower(), text.upper()})
    rows = SkanPostback.objects.filter(has_transaction)
    if public_id is not None:
        rows = SkanPostback.objects.filter(has_transaction | Q(public_id=public_id))
    for copy in _newest(rows.prefetch_related("app"), "received_at"):
        yield SearchMatch(
            MatchKind.SKAN_POSTBACK,
            copy.public_id,
            "id" if copy.public_id == public_id else "transaction_id",
            copy.received_at,
            f"{copy.get_protocol_display()} {copy.version} · {copy.app}",
            copy,
        )


def _find_links(searched: SearchedId) -> Iterator[SearchMatch]:
    pasted = _LINK.fullmatch(searched.text)
    token = pasted[1] if pasted else searched.text
    condition = Q(token=token) if len(token) <= 64 else Q(pk__in=[])
    if public_id := searched.public_id:
        condition |= Q(public_id=public_id)
    for link in TrackingLink.objects.filter(condition).select_related("campaign")[:MOST_OF_KIND]:
        yield SearchMatch(
            MatchKind.TRACKING_LINK,
            link.public_id,
            "token" if link.token == token else "id",
            link.created_at,
            f"{link.campaign} · {link}",
            link,
        )


def _find_refused(searched: SearchedId) -> Iterator[SearchMatch]:
    rows = RefusedEvent.objects.filter(searched.refused_events)
    for refused in _newest(rows, "received_at"):
        yield SearchMatch(
            MatchKind.REFUSED_EVENT,
            refused.public_id,
            "id",
            refused.received_at,
            f"{refused.event_name or refused.get_door_display()} · {refused.get_reason_display()}",
            refused,
        )


_FINDERS: Final[dict[MatchKind, Callable[[SearchedId], Iterator[SearchMatch]]]] = {
    MatchKind.EVENT: _find_events,
    MatchKind.INSTALL: _find_installs,
    MatchKind.TOUCHPOINT: _find_touchpoints,
    MatchKind.POSTBACK: _find_postbacks,
    MatchKind.SKAN_POSTBACK: _find_copies,
    MatchKind.TRACKING_LINK: _find_links,
    MatchKind.REFUSED_EVENT: _find_refused,
}


def _newest(rows: "QuerySet[Any]", time_key: str) -> "QuerySet[Any]":
    return rows.order_by(f"-{time_key}", "-pk")[:MOST_OF_KIND]


def _matched_kind(name: str) -> str:
    kind = identifiers.kind_of(name)
    return _MATCHED.get(kind, kind)
