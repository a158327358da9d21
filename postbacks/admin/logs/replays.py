"""Replays: asked for from the delivery log with an estimate, listed, followed and cancelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps_registry.admin_base.own_pages import row_paths
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.theme import Tone
from apps_registry.csv_format import ColumnType
from apps_registry.models import App, Partner
from apps_registry.roles import RIGHT_TO
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin, row_address
from postbacks.admin.logs.filter_fields import RowChoiceField, pk_or_none
from postbacks.admin.logs.filters import LogFilter, PostbackFilter
from postbacks.admin.logs.http_exchange import Pair
from postbacks.admin.logs.postback_detail import StatusBadge
from postbacks.insights import wording
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import replay_log
from postbacks.models import (
    CallbackRule,
    PostbackStatus,
    Replay,
    ReplayPart,
    ReplayStatus,
)
from postbacks.models.replays import MOST_PER_SECOND, USUAL_PER_SECOND
from postbacks.rulebook import replays
from postbacks.rulebook.breakers import OpenBreaker, breakers_of_rules
from postbacks.rulebook.replays import (
    REPLAYABLE,
    ReplayEstimate,
    ReplayFilter,
    ReplayOverError,
    ReplayProgress,
    ReplayRefusedError,
    ReplayRequest,
)
from postbacks.values.timestamps import parse_timestamp
from postbacks.values.uuid7 import uuid_or_none

_TONES = {
    ReplayStatus.RUNNING: Tone.BUSY,
    ReplayStatus.FINISHED: Tone.GOOD,
    ReplayStatus.CANCELLED: Tone.STILL,
}
_LINKS = {
    PostbackStatus.FAILED: "Replay what failed …",
    PostbackStatus.SKIPPED: "Have what was skipped decided again …",
    PostbackStatus.DELIVERED: "Send again what was delivered …",
}
_NAMES: dict[str, tuple[str, type[Model] | None]] = {
    "status": ("Status", None),
    "reason": ("Reason", None),
    "rule": ("Rule", CallbackRule),
    "partner": ("Partner", Partner),
    "app": ("App", App),
    "event_name": ("Event", None),
    "event_id": ("ID of a postback or event", None),
    "code": ("HTTP code", None),
    "since": ("From", None),
    "until": ("Until", None),
}


class ReplayForm(forms.Form):
    """How fast, and by which version; for what was delivered the second word."""

    per_second = forms.IntegerField(
        label="Postbacks a second, at most",
        min_value=1,
        max_value=MOST_PER_SECOND,
        initial=USUAL_PER_SECOND,
        widget=forms.NumberInput({"class": "pb-input"}),
        help_text="Lower it if the partner is slow, for example 5. A rule's own limits hold too.",
    )
    as_decided = forms.BooleanField(
        label="Send as decided",
        required=False,
        help_text="By the versions of the rules that decided the postbacks, not by the current "
        "ones: for a partner who needs exactly what was meant then, at the old address.",
    )
    confirm = forms.IntegerField(
        label="How many go out again",
        required=False,
        min_value=0,
        widget=forms.NumberInput({"class": "pb-input", "autocomplete": "off"}),
        help_text="They were delivered before, so type their number, for example 12.",
    )


class ReplayListFilter(LogFilter):
    basic = ("status", "rule")
    status = forms.ChoiceField(label="Status", choices=[("", "Any"), *ReplayStatus.choices])
    rule = RowChoiceField(queryset=None, label="Rule", empty_label="All rules")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("rule", CallbackRule.objects.all())


@dataclass(frozen=True, slots=True)
class ReplayView:
    """A replay as its page and the list show it."""

    replay: Replay
    progress: ReplayProgress
    parts: Sequence[ReplayPart]

    @classmethod
    def of(cls, replay: Replay) -> "ReplayView":
        parts = list(replay.parts.all())
        return cls(replay, ReplayProgress.of(replay, parts), parts)

    @property
    def is_running(self) -> bool:
        return self.replay.status == ReplayStatus.RUNNING

    @property
    def is_moving(self) -> bool:
        """Tell whether the page's figures may still change within seconds."""
        return self.is_running or self.progress.queued > 0

    @property
    def badge(self) -> StatusBadge:
        status = self.replay.status
        return StatusBadge(status.label, _TONES[status])

    @property
    def counts(self) -> list[Pair]:
        progress = self.progress
        labels = {
            "Waiting for their turn": progress.queued,
            "Delivered": progress.sent,
            "Given up": progress.failed,
            "Not delivered yet, tried again": progress.retrying,
            "Held, since their rule is suspended": progress.held,
            "Left as they were, since it was cancelled": progress.taken_back,
        }
        pairs = [Pair(label, wording.number(count)) for label, count in labels.items() if count]
        reasons = sorted(progress.skip_reasons.items(), key=lambda pair: (-pair[1], pair[0]))
        return pairs + [
            Pair(f"Skipped: {replays.skip_label(reason)}", wording.number(count))
            for reason, count in reasons
        ]

    @property
    def waits_for(self) -> list[OpenBreaker]:
        """Return the hosts that fail, for which those that have not had their turn wait."""
        rule_ids = [part.rule_id for part in self.parts if part.queued]
        rules = list(CallbackRule.objects.filter(pk__in=rule_ids)) if rule_ids else []
        breakers = chain.from_iterable(breakers_of_rules(rules).values())
        return list(dict.fromkeys(breakers))  # rules share hosts

    @property
    def asked(self) -> list[Pair]:
        """Return what was asked for, in words."""
        if self.replay.postback_ids:
            return [Pair("Postbacks", f"{len(self.replay.postback_ids):,}, named one by one")]
        stored = self.replay.filter if isinstance(self.replay.filter, dict) else {}
        return [
            Pair(label, _shown(name, stored[name], model))
            for name, (label, model) in _NAMES.items()
            if name in stored
        ] or [Pair("Postbacks", "All that failed or was skipped")]

    @property
    def about(self) -> list[Pair]:
        """Return what was asked for, how and by whom."""
        pairs = [
            *self.asked,
            Pair("Pace", f"At most {self.replay.per_second:,} a second"),
            Pair("Started by", self.replay.asked_by),
            Pair("ID", str(self.replay.public_id)),
        ]
        if self.replay.as_decided:
            pairs.append(Pair("Version", "As decided, not as the rules are now"))
        if self.replay.include_delivered:
            pairs.append(Pair("Delivered ones", "Sent again"))
        return pairs

    @property
    def asked_text(self) -> str:
        return ", ".join(f"{pair.name}: {pair.value}" for pair in self.asked)


class ReplayStartPage:
    """Serve the page that says what a replay of the log's filters would send, and starts it."""

    def __init__(self, page: LogAdmin) -> None:
        self.page = page

    @property
    def urls(self) -> list[URLPattern]:
        view = self.page.admin_site.admin_view(self.view)
        return [path("replay/", view, name="postbacks_postback_replay")]

    def view(self, request: HttpRequest) -> HttpResponse:
        if not allowed(request, RIGHT_TO["replay"]):
            raise PermissionDenied
        filters = PostbackFilter(request.GET)
        if not filters.is_valid() or not filters.can_be_replayed:
            return HttpResponseRedirect(f"{self._log}{filters.address()}")
        if request.method == "POST":
            return self._start(request, filters)
        return self._question(request, filters, ReplayForm())

    @property
    def _log(self) -> str:
        return reverse("admin:postbacks_postback_changelist")

    def _start(self, request: HttpRequest, filters: PostbackFilter) -> HttpResponse:
        form = ReplayForm(request.POST)
        if not form.is_valid():
            return self._question(request, filters, form)
        values = form.cleaned_data
        wish = _wish(filters, per_second=values["per_second"], as_decided=values["as_decided"])
        try:
            replay = replays.start(wish, now=datetime.now(UTC), confirm=values["confirm"])
        except ReplayRefusedError as refusal:
            form.add_error("confirm" if refusal.field == "confirm" else None, str(refusal))
            return self._question(request, filters, form)
        messages.success(request, "The replay has started; this page shows how far it is.")
        return HttpResponseRedirect(row_address(replay))

    def _question(
        self, request: HttpRequest, filters: PostbackFilter, form: ReplayForm
    ) -> HttpResponse:
        expected, refusal = None, ""
        try:
            expected = replays.estimate(_wish(filters), now=datetime.now(UTC))
        except ReplayRefusedError as error:
            refusal = str(error)
        if expected is None or not expected.delivered:
            del form.fields["confirm"]
        context = {
            **self.page.admin_site.each_context(request),
            "opts": self.page.opts,
            "title": "Replay postbacks",
            "media": self.page.media,
            "back": f"{self._log}{filters.address()}",
            "form": form,
            "filters": filters,
            "expected": expected,
            "refusal": refusal,
            "duration": wording.seconds(expected.seconds) if expected else "",
            "address": _resolved_address(filters, expected),
        }
        return TemplateResponse(request, "admin/postbacks/postback/replay.html", context)


@admin.register(Replay)
class ReplayAdmin(LogAdmin):
    """The replays, newest first, and the page on which one is followed."""

    list_title = "Replays"
    empty_list_text = "Start one from the delivery log: choose filters there, then “Replay”."
    filter_form = ReplayListFilter
    page_template = "admin/postbacks/replay/page.html"
    columns = log_columns.REPLAYS
    column_types = dict.fromkeys(("Postbacks", "Delivered", "Given up"), ColumnType.INTEGER)

    def get_urls(self) -> list[URLPattern]:
        return [
            *row_paths(self, progress=self.progress_view, cancel=self.cancel_view),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related(_with_parts())

    def read_page(self, filters: ReplayListFilter, cursor: Cursor) -> KeysetPage[Replay]:
        values = filters.cleaned_data
        return replay_log(values["status"], pk_or_none(values["rule"]), cursor)

    def row_views(self, rows: Sequence[Replay]) -> Sequence[ReplayView]:
        return [ReplayView.of(replay) for replay in rows]

    def row_context(self, request: HttpRequest, row: Replay) -> dict[str, object]:
        return {"view": ReplayView.of(row), "may_cancel": allowed(request, RIGHT_TO["replay"])}

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the moving part of a replay's page."""
        context = {"view": ReplayView.of(self._replay(request, object_id))}
        return TemplateResponse(request, "admin/postbacks/replay/progress.html", context)

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel a replay."""
        replay = self._replay(request, object_id)
        if not allowed(request, RIGHT_TO["replay"]):
            raise PermissionDenied
        if request.method == "POST":
            try:
                replays.cancel(replay, now=datetime.now(UTC))
            except ReplayOverError as refusal:
                messages.warning(request, str(refusal))
            else:
                messages.success(
                    request, "Cancelled. What nobody had begun is taken back and stays as it was."
                )
        return HttpResponseRedirect(row_address(replay))

    def _replay(self, request: HttpRequest, object_id: str) -> Replay:
        if not self.has_view_permission(request):
            raise PermissionDenied
        replay = self.get_object(request, object_id)
        if not isinstance(replay, Replay):
            raise Http404("There is no such replay.")
        return replay


def replay_link(filters: PostbackFilter) -> tuple[str, str]:
    """Return address and text of the link from the log's filters to their replay."""
    chosen = filters.cleaned_data.get("status") or PostbackStatus.FAILED
    status = PostbackStatus(chosen) if chosen in REPLAYABLE else PostbackStatus.FAILED
    address = reverse("admin:postbacks_postback_replay")
    return address + filters.address(status=status), _LINKS[status]


def _wish(
    filters: PostbackFilter, *, per_second: int = USUAL_PER_SECOND, as_decided: bool = False
) -> ReplayRequest:
    values, span = filters.cleaned_data, filters.span
    chosen = ReplayFilter(
        status=values["status"] or None,
        reason=values["reason"] or None,
        rule=_public_id(values["rule"]),
        partner=_public_id(values["partner"]),
        app=_public_id(values["app"]),
        event_name=values["event"] or None,
        event_id=values["q"],
        code=filters.active_values.get("code", "").lower() or None,
        since=span.since,
        until=span.until,
    )
    return ReplayRequest(
        filter=chosen,
        as_decided=as_decided,
        include_delivered=values["status"] == PostbackStatus.DELIVERED,
        per_second=per_second,
    )


def _resolved_address(filters: PostbackFilter, expected: ReplayEstimate | None) -> str:
    """Return the address of the same filters whose time no longer moves: its count stays."""
    if expected is None:
        return filters.address()
    chosen = expected.request.filter
    moments = {"since": chosen.since, "until": chosen.until}
    texts = {name: at.isoformat() for name, at in moments.items() if at is not None}
    return filters.address(without="time", **texts)


def _public_id(row: Any) -> Any:
    return row.public_id if row is not None else None


def _with_parts() -> Prefetch:
    return Prefetch("parts", queryset=ReplayPart.objects.select_related("rule").order_by("pk"))


def _shown(name: str, value: object, model: Any) -> str:
    """Return a filter's value as people know it: a row by its name, a time in their zone."""
    text = str(value)
    if name == "status" and text in PostbackStatus.values:
        return str(PostbackStatus(text).label)
    if name in ("since", "until") and (moment := parse_timestamp(text, naive="utc")):
        return wording.format_moment(timezone.localtime(moment), to_seconds=True)
    public_id = uuid_or_none(text) if model is not None else None
    row = model.objects.filter(public_id=public_id).first() if public_id else None
    return str(row) if row is not None else text
