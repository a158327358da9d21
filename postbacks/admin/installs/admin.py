"""Who has the app, since when, and thanks to whom."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from apps_registry.models import App, Campaign, Partner
from postbacks.admin.installs.timeline import install_story
from postbacks.admin.installs.touchpoints import InstallLine
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filters import NamedRow, TimedFilter, key_of
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import InstallSearch, install_log
from postbacks.models import Install, InstallKind, InstallState, TouchpointKind

# FOLDED from install_filter.py


class InstallFilter(TimedFilter):
    """The filters of the installs."""

    basic = ("q", "type", "time")
    q = forms.CharField(
        label="ID of a device or an install",
        max_length=320,
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole id"}),
    )
    type = forms.ChoiceField(
        label="Earned by",
        choices=[
            ("", "Anything"),
            *TouchpointKind.choices,
            ("organic", "Nobody (organic)"),
        ],
    )
    app = NamedRow(queryset=None, label="App", empty_label="All apps")
    partner = NamedRow(queryset=None, label="Partner", empty_label="All partners")
    campaign = NamedRow(queryset=None, label="Campaign", empty_label="All campaigns")
    kind = forms.ChoiceField(label="Kind", choices=[("", "Any"), *InstallKind.choices])
    state = forms.ChoiceField(label="State", choices=[("", "Any"), *InstallState.choices])
    field_order = ("q", "type", "time", "app", "partner", "campaign", "kind", "state", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("partner", Partner.objects.all())
        self.offer("campaign", Campaign.objects.all())

    @property
    def wanted(self) -> InstallSearch:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return InstallSearch(
            span=self.span,
            id=given["q"],
            app_id=key_of(given["app"]),
            partner_id=key_of(given["partner"]),
            campaign_id=key_of(given["campaign"]),
            type=given["type"],
            kind=given["kind"],
            state=given["state"],
        )


@admin.register(Install)
class InstallAdmin(LogAdmin):
    """Installs, newest first, and the story of each."""

    list_title = "Installs"
    nothing_yet = "An install appears here with the first open of your app on a device."
    filter_form = InstallFilter
    page_template = "admin/postbacks/install/page.html"
    columns = log_columns.INSTALLS

    class Media:
        css = {"all": ["postbacks/installs.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows = super().get_queryset(request)
        return rows.prefetch_related("app", "partner", "campaign", "link")

    def read_page(self, filters: InstallFilter, cursor: Cursor) -> KeysetPage[Install]:
        return install_log(filters.wanted, cursor)

    def lines(self, rows: Sequence[Install]) -> Sequence[InstallLine]:
        return [InstallLine.of(install) for install in rows]

    def details(self, request: HttpRequest, row: Install) -> dict[str, object]:
        return {
            "title": f"{row.get_kind_display()} of {row.app}",
            "story": install_story(row),
            "line": InstallLine.of(row),
        }
