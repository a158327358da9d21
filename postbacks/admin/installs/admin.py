"""The log of installs with their credit, and the page of each with its timeline.

The timeline has the install's touchpoints, the decisions about it, and its events.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from apps_registry.admin_base.theme import Tone
from apps_registry.models import App, Campaign, Partner
from postbacks.admin.installs.touchpoints import (
    InstallRow,
    TouchpointView,
    joined_names,
    time_between,
    touchpoint_views,
)
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filter_fields import RowChoiceField, pk_or_none
from postbacks.admin.logs.filters import TimedFilter
from postbacks.admin.logs.postback_detail import StatusBadge, status_badge
from postbacks.attribution import causes, reasons
from postbacks.attribution.candidates import LONGEST_WINDOW
from postbacks.insights import wording
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import InstallSearch, install_log
from postbacks.models import (
    Attribution,
    Event,
    Install,
    InstallKind,
    InstallState,
    Postback,
    TouchpointKind,
    UnsettledInstall,
)
from postbacks.privacy.device_marks import marks_of_installs
from postbacks.rulebook.breakers import mark_waiting
from postbacks.values.attribution import ORGANIC
from postbacks.values.identifiers import device_spellings

MOST_EVENTS = 50
MOST_TOUCHPOINTS = 100

_MOMENT = timedelta(milliseconds=1)
_CAUSES = {
    InstallKind.INSTALL: "The first decision, made when the app was opened first.",
    InstallKind.REINSTALL: "The device came back without an ad.",
    InstallKind.REATTRIBUTION: "The device came back, and a touchpoint led it there.",
    causes.UPGRADE: "A touchpoint that was not known before counts more.",
    causes.FRAUD: "The touchpoint that had won turned out to be fraud.",
    causes.DOUBT: "The winner was a probabilistic match, and another device now has its address.",
    causes.ORIGINAL: "The first install of this device is credited to somebody else now.",
}

# Decisions that take over what the device's first install is credited to.
_OF_THE_FIRST = frozenset({InstallKind.REINSTALL, causes.ORIGINAL})
_KEPT = "Keeps the credit of its first install:"


class InstallFilter(TimedFilter):
    basic = ("q", "type", "time")
    q = forms.CharField(
        label="ID of a device or an install",
        max_length=320,
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole ID"}),
    )
    type = forms.ChoiceField(
        label="Earned by",
        choices=[
            ("", "Anything"),
            *TouchpointKind.choices,
            ("organic", "Nobody (organic)"),
        ],
    )
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    partner = RowChoiceField(queryset=None, label="Partner", empty_label="All partners")
    campaign = RowChoiceField(queryset=None, label="Campaign", empty_label="All campaigns")
    kind = forms.ChoiceField(label="Kind", choices=[("", "Any"), *InstallKind.choices])
    state = forms.ChoiceField(label="State", choices=[("", "Any"), *InstallState.choices])
    field_order = ("q", "type", "time", "app", "partner", "campaign", "kind", "state", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("partner", Partner.objects.all())
        self.offer("campaign", Campaign.objects.all())

    @property
    def search(self) -> InstallSearch:
        values = self.cleaned_data
        return InstallSearch(
            span=self.span,
            id=values["q"],
            app_id=pk_or_none(values["app"]),
            partner_id=pk_or_none(values["partner"]),
            campaign_id=pk_or_none(values["campaign"]),
            type=values["type"],
            kind=values["kind"],
            state=values["state"],
        )


@admin.register(Install)
class InstallAdmin(LogAdmin):
    """Installs, newest first, and the timeline of each."""

    list_title = "Installs"
    empty_list_text = "An install appears here with the first open of your app on a device."
    filter_form = InstallFilter
    page_template = "admin/postbacks/install/page.html"
    columns = log_columns.INSTALLS

    class Media:
        css = {"all": ["postbacks/installs.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows = super().get_queryset(request)
        return rows.prefetch_related("app", "partner", "campaign", "link")

    def read_page(self, filters: InstallFilter, cursor: Cursor) -> KeysetPage[Install]:
        return install_log(filters.search, cursor)

    def row_views(self, rows: Sequence[Install]) -> Sequence[InstallRow]:
        marks = marks_of_installs(rows)
        return [InstallRow.of(install, marks.get(install.pk, "")) for install in rows]

    def row_context(self, request: HttpRequest, row: Install) -> dict[str, object]:
        return {
            "title": f"{row.get_kind_display()} of {row.app}",
            "detail": install_detail(row),
            "row": InstallRow.of(row, marks_of_installs([row]).get(row.pk, "")),
        }


@dataclass(frozen=True, slots=True)
class PostbackState:
    """A postback below its event, with its state."""

    postback: Postback
    badge: StatusBadge


PostbacksByEvent = Mapping[int | None, Sequence[PostbackState]]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One entry of the timeline; at the same moment a smaller `rank` comes first."""

    at: datetime
    rank: int
    label: str
    title: str
    tone: Tone = Tone.STILL
    url: str = ""
    notes: tuple[str, ...] = ()
    touchpoint: TouchpointView | None = None
    postbacks: tuple[PostbackState, ...] = ()


def touchpoint_entry(touchpoint: TouchpointView, at: datetime) -> TimelineEntry:
    campaign = touchpoint.row.campaign if touchpoint.row else None
    url = reverse("admin:apps_registry_campaign_change", args=[campaign.pk]) if campaign else ""
    recognized = f"{'r' if touchpoint.before else 'R'}ecognized by {touchpoint.method}"
    facts = " · ".join(filter(None, (touchpoint.before, touchpoint.method and recognized)))
    return TimelineEntry(
        at=at,
        rank=0,
        label=touchpoint.kind.replace("_", " ").capitalize(),
        title=touchpoint.whose,
        tone=touchpoint.tone,
        url=url,
        notes=tuple(filter(None, (touchpoint.sentence, facts))),
        touchpoint=touchpoint,
    )


def install_entries(install: Install, postbacks: PostbacksByEvent) -> Iterator[TimelineEntry]:
    """Yield the download, where the store reports it, and the opening with its postbacks."""
    if install.install_begin_at:
        notes = ("The store reports this moment. A click after it can't have led to the install.",)
        yield TimelineEntry(install.install_begin_at, 1, "Store", "The download began", notes=notes)
    yield TimelineEntry(
        install.installed_at,
        2,
        str(install.get_kind_display()),
        "The app was opened for the first time"
        if install.kind == InstallKind.INSTALL
        else "The app was opened again after it had been away",
        Tone.INFO,
        reverse("admin:postbacks_event_change", args=[install.event_ref]),
        postbacks=tuple(postbacks.get(install.event_ref, ())),
    )


def decision_entries(decisions: Sequence[Attribution]) -> Iterator[TimelineEntry]:
    """Yield the decisions, each with the credit that it replaced."""
    before: str = ""
    for decision in decisions:
        whose = _whose(decision)
        is_change = decision.version > 1
        verb = _KEPT if decision.cause in _OF_THE_FIRST else "Credited to"
        title = format_html("{} {}", verb, whose) if whose else "Organic"
        cause = _CAUSES.get(decision.cause, decision.cause.replace("_", " ").capitalize())
        was = format_html("Before, it was {}.", before) if is_change and before else ""
        yield TimelineEntry(
            decision.decided_at,
            3,
            "Changed" if is_change else "Decided",
            title,
            Tone.BUSY if is_change else Tone.GOOD if whose else Tone.STILL,
            notes=tuple(filter(None, (cause, was))),
        )
        before = format_html("credited to {}", whose) if whose else "organic"


def _whose(decision: Attribution) -> str:
    names = (decision.partner, decision.campaign) if decision.type != ORGANIC else ()
    return joined_names(*names, between=", ")


def event_entries(events: Sequence[Event], postbacks: PostbacksByEvent) -> Iterator[TimelineEntry]:
    for event in events:
        yield TimelineEntry(
            event.received_at,
            4,
            "Event",
            event.event_name,
            Tone.INFO,
            reverse("admin:postbacks_event_change", args=[event.pk]),
            notes=tuple(filter(None, (wording.revenue(event),))),
            postbacks=tuple(postbacks.get(event.pk, ())),
        )


def postbacks_of(install: Install, events: Sequence[Event]) -> PostbacksByEvent:
    """Return the postbacks of an install and its events, by the event's internal id.

    They are read only from the days of those events.
    """
    moments = [install.event_received_at, *(event.received_at for event in events)]
    days = (min(moments), max(moments) + _MOMENT)
    keys = [install.event_ref, *(event.pk for event in events)]
    postbacks = Postback.objects.filter(
        event_received_at__range=days, event_id__in=keys, test=False
    )
    rows = list(postbacks.prefetch_related("rule__partner").order_by("id"))
    mark_waiting(rows)
    by_event: dict[int | None, list[PostbackState]] = {}
    for postback in rows:
        by_event.setdefault(postback.event_id, []).append(
            PostbackState(postback, status_badge(postback))
        )
    return by_event


@dataclass(frozen=True, slots=True)
class InstallDetail:
    """The context of an install's page besides the install."""

    headline: str
    why: str
    outlook: str
    entries: tuple[TimelineEntry, ...]
    undated: tuple[TouchpointView, ...]
    touchpoints_left_out: int
    has_more_events: bool
    others: tuple[Install, ...]
    decision: Attribution | None
    remarks: tuple[str, ...]


def install_detail(install: Install) -> InstallDetail:
    """Read all that belongs to an install."""
    decisions = list(
        Attribution.objects.filter(install=install)
        .order_by("version")
        .prefetch_related("partner", "campaign")
    )
    touchpoints = touchpoint_views(install, decisions)
    others = list(
        Install.objects.filter(app_id=install.app_id, device__in=device_spellings(install.device))
        .exclude(pk=install.pk)
        .order_by("number")
    )
    events = _events(install, others)
    postbacks = postbacks_of(install, events[:MOST_EVENTS])
    dated = sorted((view for view in touchpoints if view.at), key=_priority)
    entries = [
        *(touchpoint_entry(view, view.at) for view in dated[:MOST_TOUCHPOINTS] if view.at),
        *install_entries(install, postbacks),
        *decision_entries(decisions),
        *event_entries(events[:MOST_EVENTS], postbacks),
    ]
    return InstallDetail(
        headline=headline(install),
        why=_why(install, touchpoints),
        outlook=_outlook(install),
        entries=tuple(sorted(entries, key=lambda entry: (entry.at, entry.rank))),
        undated=tuple(view for view in touchpoints if not view.at),
        touchpoints_left_out=max(len(dated) - MOST_TOUCHPOINTS, 0),
        has_more_events=len(events) > MOST_EVENTS,
        others=tuple(others),
        decision=decisions[-1] if decisions else None,
        remarks=tuple(map(reasons.of_remark, decisions[-1].remarks if decisions else ())),
    )


def headline(install: Install) -> str:
    if install.attribution_type == ORGANIC or install.partner is None:
        return "Organic"
    return joined_names(install.partner, install.campaign)


def _why(install: Install, touchpoints: Sequence[TouchpointView]) -> str:
    if install.attribution_type == ORGANIC:
        if any(view.is_rejected for view in touchpoints):
            return "Nobody earned it: what would have earned it was rejected as fraud."
        if touchpoints:
            return "Nobody earned it: none of the touchpoints below could have led to it."
        days = LONGEST_WINDOW.days
        return (
            "Nobody earned it: no click and no impression of this device is known from the "
            f"{days} days before it."
        )
    if install.kind == InstallKind.REINSTALL:
        return (
            "It came back without an ad, so it keeps the credit of its first install, and so "
            "do its events."
        )
    kind = install.attribution_type
    touched = install.touched_at
    when = f" {time_between(touched, install.installed_at)}" if touched else ""
    return f"Its {kind} came{when} and won. {reasons.METHODS.get(install.method, '')}".strip()


def _outlook(install: Install) -> str:
    if install.state == InstallState.FINAL:
        return "Final: nothing that arrives later changes it."
    queued = UnsettledInstall.objects.filter(install=install).first()
    if queued is None:
        return "Provisional: a touchpoint that arrives late can still change it."
    until = wording.format_moment(timezone.localtime(queued.final_at))
    return f"Provisional until {until}: a touchpoint that arrives late can still change it."


def _priority(touchpoint: TouchpointView) -> tuple[bool, bool, float]:
    newest = -touchpoint.at.timestamp() if touchpoint.at else 0.0
    return (not touchpoint.is_winner, not touchpoint.is_rejected, newest)


def _events(install: Install, others: Sequence[Install]) -> list[Event]:
    """Return the first events since the install, one more than are shown, to tell of more."""
    if not install.device:
        return []
    since = install.event_received_at
    ends = [other.event_received_at for other in others if other.number > install.number]
    rows = Event.objects.filter(
        app_id=install.app_id,
        device__in=device_spellings(install.device),
        received_at__gte=since,
    ).exclude(pk=install.event_ref)
    if ends:
        rows = rows.filter(received_at__lt=min(ends))
    return list(rows.order_by("received_at", "id")[: MOST_EVENTS + 1])
