"""The log of clicks and impressions: what arrived, of which device, and its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import Tone
from apps_registry.models import App, Campaign, Partner, TrackingLink
from postbacks.admin.installs.touchpoints import joined_names
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filter_fields import RowChoiceField, pk_or_none
from postbacks.admin.logs.filters import TimedFilter
from postbacks.admin.logs.http_exchange import Pair
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import TouchpointSearch, touchpoint_log
from postbacks.insights.touchpoint_outcomes import (
    TouchpointOutcome,
    TouchpointStatus,
    outcomes_of,
)
from postbacks.intake.links.vocabulary import our_name
from postbacks.models import Touchpoint, TouchpointKind, TouchpointSource
from postbacks.privacy.device_marks import load_marks, mark_of
from postbacks.rulebook.partner_answer import answer_partner
from postbacks.values.touchpoints import LEFT_OUT, LONGEST_CLICK_ID

_TONES = {
    TouchpointStatus.CREDITED: Tone.GOOD,
    TouchpointStatus.REJECTED: Tone.BAD,
    TouchpointStatus.LOST: Tone.STILL,
    TouchpointStatus.UNMATCHED: Tone.STILL,
}
_REJECTED = {"": None, "only": True, "no": False}


class LinkChoiceField(RowChoiceField):
    """A choice among tracking links: those of several campaigns often have one name."""

    def label_from_instance(self, obj: Model) -> str:
        return f"{obj.campaign} · {super().label_from_instance(obj)}"  # type: ignore[attr-defined]


class TouchpointFilter(TimedFilter):
    """The filters of clicks and impressions."""

    basic = ("q", "kind", "time")
    q = forms.CharField(
        label="Click ID, or ID of a device",
        max_length=LONGEST_CLICK_ID,
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole ID"}),
    )
    kind = forms.ChoiceField(label="Kind", choices=[("", "Any"), *TouchpointKind.choices])
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    partner = RowChoiceField(queryset=None, label="Partner", empty_label="All partners")
    campaign = RowChoiceField(queryset=None, label="Campaign", empty_label="All campaigns")
    link = LinkChoiceField(queryset=None, label="Tracking link", empty_label="All links")
    source = forms.ChoiceField(
        label="Reported by", choices=[("", "Any way"), *TouchpointSource.choices]
    )
    rejected = forms.ChoiceField(
        label="Rejected on arrival",
        choices=[("", "With them"), ("only", "Only them"), ("no", "Without them")],
    )
    field_order = (
        *("q", "kind", "time", "app", "partner", "campaign", "link", "source", "rejected", "since"),
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("partner", Partner.objects.all())
        self.offer("campaign", Campaign.objects.all())
        links = TrackingLink.objects.select_related("campaign").order_by(
            "campaign__name", "name", "pk"
        )
        named = links.only("organization_id", "name", "status", "campaign__name")
        self.fields["link"].queryset = named  # type: ignore[attr-defined]

    @property
    def nothing_found(self) -> str:
        if not self.active_values.get("q"):
            return super().nothing_found
        has_others = len(self.active_values) > 1
        which = " that these filters leave" if has_others else ""
        clear = ", or clear the other filters" if has_others else ""
        return (
            f"No click or impression{which} has this ID. Paste the whole ID, a click ID letter for "
            f"letter as the network sent it{clear}. If it is right, it did not reach us, or it is "
            "older than what is kept."
        )

    @property
    def search(self) -> TouchpointSearch:
        values = self.cleaned_data
        return TouchpointSearch(
            span=self.span,
            id=values["q"],
            kind=values["kind"],
            source=values["source"],
            app_id=pk_or_none(values["app"]),
            partner_id=pk_or_none(values["partner"]),
            campaign_id=pk_or_none(values["campaign"]),
            link_id=pk_or_none(values["link"]),
            rejected=_REJECTED[values["rejected"]],
        )


@dataclass(frozen=True, slots=True)
class TouchpointRow:
    """A touchpoint as one row of the list."""

    touchpoint: Touchpoint
    outcome: TouchpointOutcome
    tone: Tone
    whose: SafeString
    test_device: str

    @classmethod
    def of(
        cls, touchpoint: Touchpoint, outcome: TouchpointOutcome, marks: Mapping[UUID, str]
    ) -> "TouchpointRow":
        return cls(
            touchpoint=touchpoint,
            outcome=outcome,
            tone=_TONES[outcome.status],
            whose=joined_names(touchpoint.partner, touchpoint.campaign),
            test_device=mark_of(_ids_of(touchpoint), marks),
        )


@admin.register(Touchpoint)
class TouchpointAdmin(LogAdmin):
    """Clicks and impressions, newest first, each with its outcome."""

    list_title = "Clicks & impressions"
    empty_list_text = (
        "A click or an impression appears here when somebody opens a tracking link, or when the "
        "network's server reports it."
    )
    filter_form = TouchpointFilter
    page_template = "admin/postbacks/touchpoint/page.html"
    columns = log_columns.TOUCHPOINTS

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows = super().get_queryset(request)
        return rows.prefetch_related("app", "partner", "campaign", "link")

    def read_page(self, filters: TouchpointFilter, cursor: Cursor) -> KeysetPage[Any]:
        page: KeysetPage[Any] = touchpoint_log(filters.search, cursor)
        outcomes, marks = outcomes_of(page.rows), load_marks()
        rows = [TouchpointRow.of(row, outcomes[row.public_id], marks) for row in page.rows]
        return replace(page, rows=rows)

    def key_of(self, row: TouchpointRow) -> int:
        return int(row.touchpoint.pk)

    def row_context(self, request: HttpRequest, row: Touchpoint) -> dict[str, object]:
        outcome = outcomes_of([row])[row.public_id]
        params = dict(row.params)
        left_out = params.pop(LEFT_OUT, {})
        return {
            "title": f"{row.get_kind_display()} · {row.partner}",
            "row": TouchpointRow.of(row, outcome, load_marks()),
            "answer": answer_partner(row, outcome),
            "params": _pairs(params),
            "left_out": _pairs(left_out) if isinstance(left_out, dict) else [],
        }


def _ids_of(touchpoint: Touchpoint) -> dict[str, object]:
    """Return the ids that came with a touchpoint, whatever the network calls them."""
    return {our_name(name) or name: value for name, value in touchpoint.params.items()}


def _pairs(params: Mapping[str, object]) -> list[Pair]:
    return [Pair(name, str(value)) for name, value in sorted(params.items())]
