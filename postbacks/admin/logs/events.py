"""The log of events, the page of one of them, and the events whose decision failed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.contrib import admin
from django.db.models import TextField
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils import timezone

from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filters import EventFilter, LogFilter
from postbacks.admin.logs.http_exchange import Pair
from postbacks.admin.logs.postback_detail import PostbackRow
from postbacks.insights import wording
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.live import LiveKind
from postbacks.insights.logs import event_log, failure_log
from postbacks.models import DecisionFailure, Event, Install, Postback
from postbacks.privacy.device_marks import marks_of_events
from postbacks.rulebook.breakers import mark_waiting
from postbacks.rulebook.explain import Explanation, explain
from postbacks.values.identifiers import LEFT_OUT_IDS, device_spellings
from postbacks.values.placeholders import why_no_id

_FIELD_LABELS = {
    **wording.DEVICE_IDS,
    "ip_address": "IP address",
    "os_name": "OS name",
    "os_version": "OS version",
    "api_level": "API level",
    "sdk_version": "SDK version",
    "mcc": "MCC",
    "mnc": "MNC",
    "att_status": "ATT status",
    "gdpr_applies": "GDPR applies",
    "tcf_string": "TCF string",
    "eea": "EEA",
    "us_privacy": "US privacy",
    "gclid": "GCLID",
    "gbraid": "GBRAID",
    "wbraid": "WBRAID",
    "adservices_token": "AdServices token",
    "google_play_instant": "Google Play Instant",
    "event_time_corrected_by": "Time corrected by (seconds)",
    "install_begin_time_server": "Install begin time (server)",
    "referrer_click_time_server": "Referrer click time (server)",
}


@dataclass(frozen=True, slots=True)
class EventDetail:
    """An event with its fields, its JSON as stored, its postbacks and its install.

    `explained` are the rules of its app with their reasons, `silent_count` of which sent nothing.
    """

    revenue: str
    platform: str
    device: str
    fields: tuple[Pair, ...]
    params: tuple[Pair, ...]
    stored: str
    postbacks: tuple[PostbackRow, ...]
    install: Install | None
    explained: tuple[Explanation, ...]
    silent_count: int
    test_device: str


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as one row of a list."""

    event: Event
    revenue: str
    platform: str
    test_device: str = ""

    @classmethod
    def of(cls, event: Event, test_device: str = "") -> "EventRow":
        return cls(event, wording.revenue(event), wording.platform(event), test_device)


def event_title(event: Event) -> str:
    arrived = timezone.localtime(event.received_at).strftime("%H:%M:%S")
    return f"{event.event_name} · {event.app} · {arrived}"


def event_detail(event: Event) -> EventDetail:
    """Read all that belongs to an event; its postbacks lie in the partition of its arrival."""
    fields, params = _raw_json(event)
    postbacks = Postback.objects.filter(event_received_at=event.received_at, event_id=event.pk)
    rows = list(postbacks.prefetch_related("rule__partner", "app").order_by("id"))
    mark_waiting(rows)
    installs = Install.objects.filter(
        app_id=event.app_id,
        device__in=device_spellings(event.device, event.fields),
        event_received_at__lte=event.received_at,
    ).order_by("-number")  # the latest one before the event, for a device that came back
    explanations = [
        explained
        for explained in explain(event)
        if explained.postback or explained.rule.app_id in {None, event.app_id}
    ]
    changed_since = {e.postback.pk: e.changed_since for e in explanations if e.postback}
    return EventDetail(
        revenue=wording.revenue(event),
        platform=wording.platform(event),
        device=wording.device(event.device),
        fields=tuple(_pairs(fields, by_label=True)),
        params=tuple(_pairs(params, by_label=False)),
        stored=_stored(event, fields, params),
        postbacks=tuple(
            replace(PostbackRow.of(postback), changed_since=changed_since.get(postback.pk, ""))
            for postback in rows
        ),
        install=installs.first() if event.device else None,
        explained=tuple(explanations),
        silent_count=sum(explained.postback is None for explained in explanations),
        test_device=marks_of_events([event]).get(event.pk, ""),
    )


def _raw_json(event: Event) -> tuple[Mapping[str, msgspec.Raw], Mapping[str, msgspec.Raw]]:
    """Return fields and params with each value as its text: as floats, numbers lose digits."""
    texts = Event.objects.filter(pk=event.pk, received_at=event.received_at).values_list(
        Cast("fields", TextField()), Cast("params", TextField())
    )[0]
    fields, params = (msgspec.json.decode(text, type=dict[str, msgspec.Raw]) for text in texts)
    return fields, params


def _pairs(values: Mapping[str, msgspec.Raw], *, by_label: bool) -> Iterator[Pair]:
    for name, raw in values.items():
        if by_label and name == LEFT_OUT_IDS:
            for field, text in msgspec.json.decode(raw, type=dict[str, str]).items():
                yield Pair(f"{_field_label(field)} (left out)", why_no_id(text))
            continue
        yield Pair(_field_label(name) if by_label else name, _value(raw))


def _field_label(name: str) -> str:
    words = name.removesuffix("_id").replace("_", " ").capitalize()
    return _FIELD_LABELS.get(name, f"{words} ID" if name.endswith("_id") else words)


def _value(raw: msgspec.Raw) -> str:
    value: Any = msgspec.json.decode(raw)
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return value if isinstance(value, str) else bytes(raw).decode()


def _stored(
    event: Event, fields: Mapping[str, msgspec.Raw], params: Mapping[str, msgspec.Raw]
) -> str:
    columns: dict[str, object] = {
        "event_id": str(event.event_id),
        "event_name": event.event_name,
        "event_time": _iso(event.event_time),
        "bundle_id": event.bundle_id,
        "platform": event.platform,
        "customer_user_id": event.customer_user_id,
        "revenue": None if event.revenue is None else msgspec.Raw(f"{event.revenue:f}".encode()),
        "currency": event.currency,
    }
    present = {name: value for name, value in columns.items() if value not in ("", None)}
    text = msgspec.json.encode({**present, **fields, **({"params": params} if params else {})})
    return msgspec.json.format(text, indent=2).decode()


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@admin.register(Event)
class EventAdmin(LogAdmin):
    """The events that apps and servers reported."""

    list_title = "Events"
    empty_list_text = "Events appear here as soon as an app or a server reports one."
    filter_form = EventFilter
    live_kind = LiveKind.EVENT
    page_template = "admin/postbacks/event/page.html"
    columns = log_columns.EVENTS

    def read_page(self, filters: EventFilter, cursor: Cursor) -> KeysetPage[Event]:
        return event_log(filters.search, cursor)

    def row_views(self, rows: Sequence[Event]) -> Sequence[EventRow]:
        marks = marks_of_events(rows)
        return [EventRow.of(event, marks.get(event.pk, "")) for event in rows]

    def row_context(self, request: HttpRequest, row: Event) -> dict[str, object]:
        return {
            "title": event_title(row),
            "detail": event_detail(row),
            "here": request.get_full_path(),
        }


@admin.register(DecisionFailure)
class DecisionFailureAdmin(LogAdmin):
    """Events whose decision failed; each is retried automatically."""

    list_title = "Undecided events"
    empty_list_text = "All is well: every event was decided on."
    filter_form = LogFilter
    page_template = "admin/postbacks/decisionfailure/page.html"
    columns = log_columns.FAILURES

    def read_page(self, filters: LogFilter, cursor: Cursor) -> KeysetPage[DecisionFailure]:
        return failure_log(cursor)
