"""What can be asked of the installs."""

from typing import Any

from django import forms

from apps_registry.models import App, Campaign, Partner
from postbacks.admin.log_filters import key_of
from postbacks.admin.logs.filters import NamedRow, TimedFilter
from postbacks.insights.install_log import InstallsWanted
from postbacks.models import InstallKind, InstallState, TouchpointKind


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
    def wanted(self) -> InstallsWanted:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return InstallsWanted(
            span=self.span,
            id=given["q"],
            app_id=key_of(given["app"]),
            partner_id=key_of(given["partner"]),
            campaign_id=key_of(given["campaign"]),
            type=given["type"],
            kind=given["kind"],
            state=given["state"],
        )
