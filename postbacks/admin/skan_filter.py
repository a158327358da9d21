"""What can be asked of Apple's copies."""

from typing import Any

from django import forms

from apps_registry.models import App, Partner
from apps_registry.models.conversions import Turn
from postbacks.admin.log_fields import IdField
from postbacks.admin.logs.filters import NamedRow, TimedFilter
from postbacks.insights.skan_log import CopiesWanted
from postbacks.models import SignatureState, SkanProtocol

_NO_OR_ONLY = {"only": True, "no": False}


class SkanFilter(TimedFilter):
    """The filters of the copies."""

    basic = ("app", "partner", "time")
    q = IdField(
        label="ID of a copy or transaction",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole id"}),
    )
    app = NamedRow(queryset=None, label="App", empty_label="All apps")
    partner = NamedRow(queryset=None, label="Partner", empty_label="All partners")
    network = forms.CharField(
        label="Network at Apple",
        max_length=255,
        widget=forms.TextInput({"placeholder": "4fzdc2evr5.skadnetwork"}),
    )
    campaign = forms.CharField(
        label="Source identifier", max_length=64, widget=forms.TextInput({"placeholder": "5239"})
    )
    event = forms.CharField(
        label="Decoded event", max_length=64, widget=forms.TextInput({"placeholder": "purchase"})
    )
    signature = forms.ChoiceField(label="Signature", choices=[("", "Any"), *SignatureState.choices])
    duplicates = forms.ChoiceField(
        label="Duplicates",
        choices=[("", "With them"), ("no", "Without them"), ("only", "Only them")],
    )
    postback = forms.ChoiceField(
        label="Postback",
        choices=[("", "Any"), *((str(number), name) for number, name in Turn.choices)],
    )
    won = forms.ChoiceField(
        label="Won", choices=[("", "Won or not"), ("only", "Won"), ("no", "Not won")]
    )
    protocol = forms.ChoiceField(label="Framework", choices=[("", "Both"), *SkanProtocol.choices])
    field_order = (
        "app", "partner", "time", "q", "network", "campaign", "event", "signature", "duplicates",
        "postback", "won", "protocol", "since",
    )  # fmt: skip

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("partner", Partner.objects.all())

    @property
    def wanted(self) -> CopiesWanted:
        """Return what is asked for, once the form is valid."""
        given = self.cleaned_data
        return CopiesWanted(
            span=self.span,
            id=given["q"],
            app_id=given["app"].pk if given["app"] else None,
            partner_id=given["partner"].pk if given["partner"] else None,
            network_id=given["network"],
            campaign=given["campaign"],
            protocol=given["protocol"],
            signature_state=given["signature"],
            sequence=int(given["postback"]) if given["postback"] else None,
            did_win=_NO_OR_ONLY.get(given["won"]),
            duplicate=_NO_OR_ONLY.get(given["duplicates"]),
            event_name=given["event"],
        )
