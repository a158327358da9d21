"""The log of refused events: what arrived at the SDK's doors and was not taken, and why."""

from typing import Any

import msgspec
from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps_registry.models import App
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filter_fields import RowChoiceField, pk_or_none
from postbacks.admin.logs.filters import TimedFilter
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import RefusalSearch, refusal_counts, refusal_log
from postbacks.models import RefusalDoor, RefusalReason, RefusedEvent
from postbacks.models.refused_events import DAYS_KEPT, LONGEST_POINTER, LONGEST_VERSION
from postbacks.values.touchpoints import LONGEST_CLICK_ID

_MOST_GROUPS = 8  # of the figures above the list


class RefusalFilter(TimedFilter):
    """The filters of refused events."""

    basic = ("q", "reason", "time")
    q = forms.CharField(
        label="Any ID that was in it",
        max_length=LONGEST_CLICK_ID,
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole ID"}),
    )
    reason = forms.ChoiceField(label="Reason", choices=[("", "Any"), *RefusalReason.choices])
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    door = forms.ChoiceField(label="Address", choices=[("", "Any"), *RefusalDoor.choices])
    pointer = forms.CharField(
        label="Field",
        max_length=LONGEST_POINTER,
        widget=forms.TextInput({"placeholder": "/revenue"}),
    )
    sdk_version = forms.CharField(
        label="SDK version",
        max_length=LONGEST_VERSION,
        widget=forms.TextInput({"placeholder": "2.1.0"}),
    )
    field_order = ("q", "reason", "time", "app", "door", "pointer", "sdk_version", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())

    @property
    def nothing_found(self) -> str:
        if not self.active_values.get("q"):
            return super().nothing_found
        return (
            f"Nothing that was refused in the last {DAYS_KEPT} days had this ID. Paste the whole "
            "ID. Where very much is refused, not each is kept: the figures above count all."
        )

    @property
    def search(self) -> RefusalSearch:
        values = self.cleaned_data
        return RefusalSearch(
            span=self.span,
            id=values["q"],
            app_id=pk_or_none(values["app"]),
            door=values["door"],
            reason=values["reason"],
            pointer=values["pointer"],
            sdk_version=values["sdk_version"],
        )


@admin.register(RefusedEvent)
class RefusedEventAdmin(LogAdmin):
    """What was refused in the last days, newest first."""

    list_title = "Refused events"
    empty_list_text = "Nothing was refused in the last seven days."
    filter_form = RefusalFilter
    page_template = "admin/postbacks/refusedevent/page.html"
    columns = log_columns.REFUSALS

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("app", "sdk_key")

    def read_page(self, filters: RefusalFilter, cursor: Cursor) -> KeysetPage[RefusedEvent]:
        return refusal_log(filters.search, cursor)

    def list_context(self, request: HttpRequest) -> dict[str, object]:
        counts = refusal_counts()
        return {
            "counts": counts[:_MOST_GROUPS],
            "others": sum(count.refused for count in counts[_MOST_GROUPS:]),
            "refused": sum(count.refused for count in counts),
            "not_kept": sum(count.refused - count.kept for count in counts),
        }

    def row_context(self, request: HttpRequest, row: RefusedEvent) -> dict[str, object]:
        return {
            "title": f"Refused: {row.get_reason_display()}",
            "errors": row.error_views,
            "arrived": _indented(row.content),
        }


def _indented(content: str) -> str:
    try:
        return msgspec.json.format(content, indent=2)
    except msgspec.DecodeError:  # it was cut, or was no JSON
        return content
