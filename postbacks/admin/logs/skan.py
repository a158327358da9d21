"""The report of SKAdNetwork and AdAttributionKit, and each copy behind it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils import timezone

from apps_registry.admin_base.theme import Tone
from apps_registry.models import App, Partner
from apps_registry.models.conversions import PostbackSequence
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.filter_fields import IdField, RowChoiceField, pk_or_none
from postbacks.admin.logs.filters import TimedFilter
from postbacks.admin.logs.http_exchange import Pair
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.skan_copies import (
    RevenueRanges,
    SkanCopySearch,
    read_skan_report,
    skan_copy_log,
    skan_setup,
)
from postbacks.intake.skadnetwork.system_event import event_id_of
from postbacks.models import SignatureState, SkanPostback, SkanProtocol

_NO_OR_ONLY = {"only": True, "no": False}
_TONES = {
    SignatureState.VALID: Tone.GOOD,
    SignatureState.INVALID: Tone.BAD,
    SignatureState.UNVERIFIABLE: Tone.BUSY,
    SignatureState.DEVELOPMENT: Tone.STILL,
}
_YES_OR_NO = {True: "Yes", False: "No", None: ""}


class SkanFilter(TimedFilter):
    """The filters of the copies."""

    basic = ("app", "partner", "time")
    q = IdField(
        label="ID of a copy or transaction",
        widget=forms.TextInput({"type": "search", "placeholder": "Paste a whole ID"}),
    )
    app = RowChoiceField(queryset=None, label="App", empty_label="All apps")
    partner = RowChoiceField(queryset=None, label="Partner", empty_label="All partners")
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
        choices=[("", "Any"), *((str(number), name) for number, name in PostbackSequence.choices)],
    )
    won = forms.ChoiceField(
        label="Won", choices=[("", "Won or not"), ("only", "Won"), ("no", "Not won")]
    )
    protocol = forms.ChoiceField(label="Framework", choices=[("", "Both"), *SkanProtocol.choices])
    field_order = (
        *basic,
        "q",
        "network",
        "campaign",
        "event",
        "signature",
        "duplicates",
        "postback",
        "won",
        "protocol",
        "since",
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("app", App.objects.all())
        self.offer("partner", Partner.objects.all())

    @property
    def search(self) -> SkanCopySearch:
        values = self.cleaned_data
        return SkanCopySearch(
            span=self.span,
            id=values["q"],
            app_id=pk_or_none(values["app"]),
            partner_id=pk_or_none(values["partner"]),
            network_id=values["network"],
            campaign=values["campaign"],
            protocol=values["protocol"],
            signature_state=values["signature"],
            sequence=int(values["postback"]) if values["postback"] else None,
            did_win=_NO_OR_ONLY.get(values["won"]),
            duplicate=_NO_OR_ONLY.get(values["duplicates"]),
            event_name=values["event"],
        )


@dataclass(frozen=True, slots=True)
class CopyRow:
    """A copy as one row of a list."""

    copy: SkanPostback
    tone: str
    network: str
    campaign: str
    value: str
    meaning: str

    @classmethod
    def of(cls, copy: SkanPostback) -> "CopyRow":
        return cls(
            copy=copy,
            tone=str(_TONES[SignatureState(copy.signature_state)]),
            network=str(copy.partner or copy.network_id),
            campaign=copy.source_identifier or copy.campaign_id,
            value=value_label(copy),
            meaning=" · ".join(filter(None, (copy.event_name, revenue_label(copy)))),
        )


def value_label(copy: SkanPostback) -> str:
    if copy.conversion_value is not None:
        return str(copy.conversion_value)
    return copy.coarse_value.capitalize()


def revenue_label(copy: SkanPostback) -> str:
    amounts = RevenueRanges()
    most = copy.least_revenue if copy.most_revenue is None else copy.most_revenue
    amounts.add(copy.currency, copy.least_revenue, most)
    return str(amounts)


@admin.register(SkanPostback)
class SkanPostbackAdmin(LogAdmin):
    """The report of Apple's copies, and the copies, newest first."""

    list_title = "SKAdNetwork"
    empty_list_text = (
        "Copies of Apple's postbacks appear here once your app names this installation."
    )
    filter_form = SkanFilter
    page_template = "admin/postbacks/skanpostback/page.html"
    columns = log_columns.COPIES

    class Media:
        css = {"all": ["postbacks/overview.css", "postbacks/campaigns.css", "postbacks/skan.css"]}

    def read_page(self, filters: SkanFilter, cursor: Cursor) -> KeysetPage[SkanPostback]:
        return skan_copy_log(filters.search, cursor)

    def row_views(self, rows: Sequence[SkanPostback]) -> Sequence[CopyRow]:
        return [CopyRow.of(copy) for copy in rows]

    def list_context(self, request: HttpRequest) -> dict[str, object]:
        return {"setup": skan_setup(settings.PUBLIC_URL)}

    def _add_rows(self, request: HttpRequest, response: TemplateResponse) -> None:
        super()._add_rows(request, response)
        context = response.context_data or {}
        filters = context["cl"].filters
        if filters.is_valid():
            context["report"] = read_skan_report(
                filters.search, now=timezone.now(), zone=timezone.get_current_timezone()
            )

    def row_context(self, request: HttpRequest, row: SkanPostback) -> dict[str, object]:
        return {
            "title": f"Copy of {row}",
            "row": CopyRow.of(row),
            "pairs": [pair for pair in _pairs(row) if pair.value],
            "first": _original_of(row),
            "event_id": event_id_of(row) if row.counts else None,
        }


def _original_of(row: SkanPostback) -> SkanPostback | None:
    if row.duplicate_of is None:
        return None
    return SkanPostback.objects.filter(public_id=row.duplicate_of).first()


def _pairs(row: SkanPostback) -> list[Pair]:
    return [
        Pair("App", str(row.app)),
        Pair("Partner", str(row.partner or "")),
        Pair("Network at Apple", row.network_id),
        Pair("Framework", f"{row.get_protocol_display()} {row.version}".strip()),
        Pair("Transaction", row.transaction_id),
        Pair("Postback", PostbackSequence(row.sequence).label),
        Pair("Source identifier", row.source_identifier),
        Pair("Campaign ID", row.campaign_id),
        Pair("Source app", row.source_app_id),
        Pair("Source domain", row.source_domain),
        Pair("Won", _YES_OR_NO[row.did_win]),
        Pair("Redownload", _YES_OR_NO[row.redownload]),
        Pair("Conversion", row.conversion_type),
        Pair("Kind of ad", row.ad_type),
        Pair("Country", row.country),
        Pair("Conversion value", value_label(row)),
        Pair("It meant", row.event_name),
        Pair("It earned", revenue_label(row)),
        Pair("About the signature", row.remark),
        Pair("ID", str(row.public_id)),
    ]
