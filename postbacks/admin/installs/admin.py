"""The log of installs with their credit, and the page of each."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps_registry.models import App, Campaign, Partner
from postbacks.admin.installs.timeline import install_detail
from postbacks.admin.installs.touchpoints import InstallRow
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filters import RowChoiceField, TimedFilter, pk_or_none
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import InstallSearch, install_log
from postbacks.models import Install, InstallKind, InstallState, TouchpointKind


class InstallFilter(TimedFilter):
    """The filters of the installs."""

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
        return [InstallRow.of(install) for install in rows]

    def row_context(self, request: HttpRequest, row: Install) -> dict[str, object]:
        return {
            "title": f"{row.get_kind_display()} of {row.app}",
            "detail": install_detail(row),
            "row": InstallRow.of(row),
        }
