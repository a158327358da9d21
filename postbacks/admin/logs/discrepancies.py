"""Discrepancies in the admin: a partner's list is pasted or uploaded, compared, read by line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from apps_registry import csv_format
from apps_registry.admin_base.csv_export import encoded_chunks, file_response
from apps_registry.admin_base.own_pages import list_paths, row_paths
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.theme import Tone
from apps_registry.csv_format import FileFormat
from apps_registry.models import Partner
from apps_registry.roles import RIGHT_TO
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin, row_address
from postbacks.admin.logs.filter_fields import MomentField, RowChoiceField, pk_or_none
from postbacks.admin.logs.filters import LogFilter
from postbacks.admin.logs.http_exchange import Pair
from postbacks.admin.logs.postback_detail import StatusBadge
from postbacks.insights import wording
from postbacks.insights.keyset import Cursor, KeysetList, KeysetPage
from postbacks.insights.logs import discrepancy_log
from postbacks.models import (
    Discrepancy,
    DiscrepancyLine,
    DiscrepancyOutcome,
    JobStatus,
    WorkerHeartbeat,
)
from postbacks.rulebook import discrepancies
from postbacks.rulebook.converted_money import MoneyConverter, organization_currency
from postbacks.rulebook.discrepancies import ComparisonRequest, DiscrepancyRefusedError
from postbacks.values.partner_lists import (
    MOST_BYTES,
    MOST_LINES,
    UnreadableListError,
    decode,
)

MOST_SHOWN = 200

_TONES = {
    JobStatus.RUNNING: Tone.BUSY,
    JobStatus.FINISHED: Tone.GOOD,
    JobStatus.CANCELLED: Tone.STILL,
    JobStatus.FAILED: Tone.BAD,
    JobStatus.ERASED: Tone.STILL,
}
_OUTCOME_TONES = {
    DiscrepancyOutcome.SENT: Tone.GOOD,
    DiscrepancyOutcome.FAILED: Tone.BAD,
    DiscrepancyOutcome.WAITING: Tone.BUSY,
    DiscrepancyOutcome.NOT_OWED: Tone.STILL,
    DiscrepancyOutcome.UNKNOWN: Tone.STILL,
    DiscrepancyOutcome.MISSING: Tone.BAD,
}
_MEANINGS = {
    DiscrepancyOutcome.SENT: "We sent it, and the partner took it.",
    DiscrepancyOutcome.FAILED: "We tried, and gave up. The line says how it failed.",
    DiscrepancyOutcome.WAITING: "It is on its way, or held.",
    DiscrepancyOutcome.NOT_OWED: "We know it, and never owed it. The line says why.",
    DiscrepancyOutcome.UNKNOWN: "No click, transaction, event or postback of ours has this ID.",
    DiscrepancyOutcome.MISSING: "The partner took it from us, and does not list it.",
}
_ENDED = {
    JobStatus.ERASED: "A device was erased meanwhile, and the lines might have named it. "
    "Compare the list again.",
    JobStatus.CANCELLED: "It was cancelled; the lines that were compared are below.",
}


class DiscrepancyForm(forms.Form):
    """A partner's list, pasted or as a file, and what of ours it is compared with."""

    partner = RowChoiceField(
        queryset=None,
        label="Partner",
        empty_label="Choose the partner whose list it is",
        help_text="What was sent to this partner is compared.",
    )
    text = forms.CharField(
        label="Paste the list",
        required=False,
        strip=False,
        widget=forms.Textarea({"class": "pb-input", "rows": 8, "placeholder": "click_id"}),
        help_text="Click IDs or transaction IDs, one a line; or rows of a table with dates and "
        "amounts. A header is understood in any language, and not needed.",
    )
    file = forms.FileField(
        label="Or choose a file",
        required=False,
        help_text=f"CSV or text as Excel saves it, up to {MOST_BYTES // 10**6} MB and "
        f"{MOST_LINES:,} lines.",
    )
    event_name = forms.CharField(
        label="Only this event",
        required=False,
        max_length=64,
        widget=forms.TextInput({"class": "pb-input", "placeholder": "install"}),
        help_text="If the list has one kind of conversion, name our event for it.",
    )
    since = MomentField(
        label="Compare from",
        required=False,
        help_text="What we sent from then on should be in the list. Empty: as its dates say.",
    )
    until = MomentField(label="Until", required=False, help_text="Likewise, to then.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        partners = Partner.objects.exclude(status=Lifecycle.ARCHIVED).order_by("name", "pk")
        self.fields["partner"].queryset = partners  # type: ignore[attr-defined]  # a choice of rows
        for name in ("partner", "since", "until"):
            self.fields[name].widget.attrs["class"] = "pb-input"

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        file, text = cleaned.get("file"), cleaned.get("text", "")
        if file and text.strip():
            self.add_error("file", "Paste the list or choose a file, not both.")
        elif file and file.size > MOST_BYTES:
            self.add_error("file", f"The file is larger than {MOST_BYTES // 10**6} MB.")
        elif not file and not text.strip():
            self.add_error("text", "Paste the list, or choose a file.")
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and since >= until:
            self.add_error("until", "This is not after “Compare from”.")
        return cleaned

    def start(self) -> Discrepancy | None:
        """Have the list compared; None if it can't be, and the form says why."""
        values = self.cleaned_data
        field = "file" if values["file"] else "text"
        try:
            text = decode(values["file"].read()) if values["file"] else values["text"]
            return discrepancies.start(
                ComparisonRequest(
                    partner=values["partner"],
                    text=text,
                    event_name=values["event_name"],
                    since=values["since"],
                    until=values["until"],
                )
            )
        except UnreadableListError as refusal:
            self.add_error(field, str(refusal))
        except DiscrepancyRefusedError as refusal:
            self.add_error(None, str(refusal))
        return None


class DiscrepancyListFilter(LogFilter):
    """The filters of the list of comparisons."""

    basic = ("partner", "status")
    partner = RowChoiceField(queryset=None, label="Partner", empty_label="All partners")
    status = forms.ChoiceField(label="Status", choices=[("", "Any"), *JobStatus.choices])

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("partner", Partner.objects.all())


@dataclass(frozen=True, slots=True)
class MoneyView:
    """Amounts by currency and, where one is not the organization's, what they are in that."""

    amounts: Sequence[tuple[str, str]]
    converted: str = ""
    has_no_rate: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One outcome of a comparison: how many lines, our money, and the address of the lines."""

    outcome: DiscrepancyOutcome
    count: int
    money: MoneyView
    address: str
    is_chosen: bool

    @property
    def badge(self) -> StatusBadge:
        return StatusBadge(self.outcome.label, _OUTCOME_TONES[self.outcome])

    @property
    def meaning(self) -> str:
        return _MEANINGS[self.outcome]


@dataclass(frozen=True, slots=True)
class LineRow:
    """A line as the page shows it."""

    line: DiscrepancyLine

    @property
    def badge(self) -> StatusBadge:
        outcome = DiscrepancyOutcome(self.line.outcome)
        return StatusBadge(outcome.label, _OUTCOME_TONES[outcome])

    @property
    def theirs(self) -> str:
        return _amount(self.line.amount, self.line.currency)

    @property
    def ours(self) -> str:
        return _amount(self.line.our_amount, self.line.our_currency)

    @property
    def why(self) -> str:
        line = self.line
        code = f"HTTP {line.status_code}" if line.status_code else ""
        return line.detail or " · ".join(filter(None, (line.reason, code)))

    @property
    def log_address(self) -> str:
        """Return the address of the delivery log, or of the events, with this event alone."""
        if self.line.sdk_event_id is None:
            return ""
        name = "postback" if self.line.postback_public_id else "event"
        return reverse(f"admin:postbacks_{name}_changelist") + f"?q={self.line.sdk_event_id}"


@dataclass(frozen=True)
class DiscrepancyView:
    """A comparison as its page and the list show it."""

    discrepancy: Discrepancy
    chosen: str = ""

    @property
    def badge(self) -> StatusBadge:
        status = JobStatus(self.discrepancy.status)
        return StatusBadge(status.label, _TONES[status])

    @property
    def has_no_worker(self) -> bool:
        return self.discrepancy.is_running and not WorkerHeartbeat.is_any_alive()

    @property
    def remark(self) -> str:
        return self.discrepancy.failure or _ENDED.get(JobStatus(self.discrepancy.status), "")

    @property
    def remarks(self) -> Iterator[str]:
        job = self.discrepancy
        yield from job.remarks
        if job.differing_amounts:
            yield f"{job.differing_amounts:,} lines have another amount than our event."
        if job.without_id:
            yield (
                f"{job.without_id:,} sent postbacks carry no such ID, so the list can't name them."
            )

    @property
    def total(self) -> str:
        return wording.number(self.discrepancy.total)

    @property
    def done(self) -> str:
        return wording.number(self.discrepancy.done)

    @property
    def outcomes(self) -> list[OutcomeRow]:
        job = self.discrepancy
        address = reverse("admin:postbacks_discrepancy_change", args=[job.pk])
        return [
            OutcomeRow(
                outcome,
                job.counts.get(outcome, 0),
                self._money(job.our_money.get(outcome, {})),
                f"{address}?outcome={outcome}",
                self.chosen == outcome,
            )
            for outcome in DiscrepancyOutcome
        ]

    @property
    def their_money(self) -> MoneyView:
        return self._money(self.discrepancy.their_money)

    def _money(self, amounts: Mapping[str, str]) -> MoneyView:
        converter = self._converter
        if not converter.needs_conversion(amounts):
            return MoneyView(sorted(amounts.items()))
        total = converter.total(amounts)
        converted = "" if total is None else f"{total:f} {converter.currency}"
        return MoneyView(sorted(amounts.items()), converted, has_no_rate=total is None)

    @cached_property
    def _converter(self) -> MoneyConverter:
        return MoneyConverter.of(self.discrepancy, organization_currency())

    @property
    def about(self) -> list[Pair]:
        job = self.discrepancy
        span = " to ".join(
            wording.format_moment(at, to_seconds=False) for at in (job.since, job.until) if at
        )
        pairs = {
            "Partner": str(job.partner),
            "Read as": "; ".join(job.readings),
            "Only this event": job.event_name,
            "Compared with what was sent": span,
            "Started by": job.asked_by,
            "ID": str(job.public_id),
        }
        return [Pair(name, value) for name, value in pairs.items() if value]


@admin.register(Discrepancy)
class DiscrepancyAdmin(LogAdmin):
    """The comparisons, newest first, the form that starts one, and the page of one."""

    list_title = "Discrepancies"
    empty_list_text = "Compare a partner's list with what was sent to it."
    filter_form = DiscrepancyListFilter
    page_template = "admin/postbacks/discrepancy/page.html"
    columns = log_columns.DISCREPANCIES
    can_be_exported = False

    def get_urls(self) -> list[URLPattern]:
        return [
            *list_paths(self, start=self.start_view),
            *row_paths(
                self,
                progress=self.progress_view,
                lines=self.lines_view,
                cancel=self.cancel_view,
                remove=self.remove_view,
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).select_related("partner").defer("text")

    def read_page(self, filters: DiscrepancyListFilter, cursor: Cursor) -> KeysetPage[Discrepancy]:
        values = filters.cleaned_data
        return discrepancy_log(values["status"], pk_or_none(values["partner"]), cursor)

    def row_views(self, rows: Sequence[Discrepancy]) -> Sequence[DiscrepancyView]:
        return [DiscrepancyView(discrepancy) for discrepancy in rows]

    def list_context(self, request: HttpRequest) -> dict[str, object]:
        return {"may_compare": allowed(request, RIGHT_TO["compare_list"])}

    def row_context(self, request: HttpRequest, row: Discrepancy) -> dict[str, object]:
        chosen = request.GET.get("outcome", "")
        chosen = chosen if chosen in DiscrepancyOutcome.values else ""
        shown = _lines_of(row, chosen)
        if not chosen:  # the partner's own lines; the table above leads to what they lack
            shown = shown.exclude(outcome=DiscrepancyOutcome.MISSING)
        lines = list(shown[: MOST_SHOWN + 1])
        return {
            "view": DiscrepancyView(row, chosen),
            "lines": [LineRow(line) for line in lines[:MOST_SHOWN]],
            "has_more": len(lines) > MOST_SHOWN,
            "most_shown": MOST_SHOWN,
            "chosen": chosen,
            "chosen_label": DiscrepancyOutcome(chosen).label if chosen else "",
            "may_compare": allowed(request, RIGHT_TO["compare_list"]),
        }

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Take a list, and have it compared."""
        if not allowed(request, RIGHT_TO["compare_list"]):
            raise PermissionDenied
        is_post = request.method == "POST"
        form = DiscrepancyForm(
            *((request.POST, request.FILES) if is_post else ()),
            initial={"partner": request.GET.get("partner")},
            auto_id="compare-%s",
        )
        if form.is_valid() and (discrepancy := form.start()) is not None:
            return HttpResponseRedirect(row_address(discrepancy))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Compare a partner's list",
            "media": self.media,
            "back": self.list_address(request),
            "form": form,
        }
        return TemplateResponse(request, "admin/postbacks/discrepancy/start.html", context)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the moving part of a comparison's page."""
        discrepancy = self._discrepancy(request, object_id)
        context = {"view": DiscrepancyView(discrepancy), "is_piece": True}
        return TemplateResponse(request, "admin/postbacks/discrepancy/progress.html", context)

    def lines_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send the lines as a file of CSV."""
        discrepancy = self._usable(request, object_id)
        chosen = request.GET.get("outcome", "")
        columns = log_columns.DISCREPANCY_LINES
        organization_id = discrepancy.organization_id
        lines: KeysetList[DiscrepancyLine] = KeysetList(_lines_of(discrepancy, chosen), None)

        def portions() -> Iterator[Sequence[Sequence[object]]]:
            position = None
            while True:
                with tenant(organization_id):
                    rows = lines.rows_after(position, csv_format.CHUNK_SIZE)
                    portion = [[cell(row) for cell in columns.values()] for row in rows]
                yield portion
                if len(rows) < csv_format.CHUNK_SIZE:
                    return
                position = lines.position_of(rows[-1])

        name = f"discrepancies-{discrepancy.created_at:%Y-%m-%d}.csv"
        content = encoded_chunks(list(columns), portions(), FileFormat.CSV)
        return file_response(content, name, FileFormat.CSV)

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel a comparison."""
        discrepancy = self._usable(request, object_id)
        if request.method == "POST" and discrepancies.cancel(discrepancy):
            messages.success(request, "Cancelled. The lines that were compared stay.")
        return HttpResponseRedirect(row_address(discrepancy))

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Delete a comparison with its lines."""
        discrepancy = self._usable(request, object_id)
        if request.method != "POST":
            return HttpResponseRedirect(row_address(discrepancy))
        discrepancies.delete(discrepancy)
        messages.success(request, "The comparison and its lines are deleted.")
        return HttpResponseRedirect(reverse("admin:postbacks_discrepancy_changelist"))

    def _usable(self, request: HttpRequest, object_id: str) -> Discrepancy:
        if not allowed(request, RIGHT_TO["compare_list"]):
            raise PermissionDenied
        return self._discrepancy(request, object_id)

    def _discrepancy(self, request: HttpRequest, object_id: str) -> Discrepancy:
        if not self.has_view_permission(request):
            raise PermissionDenied
        discrepancy = self.get_object(request, object_id)
        if not isinstance(discrepancy, Discrepancy):
            raise Http404("There is no such comparison.")
        return discrepancy


def _lines_of(discrepancy: Discrepancy, outcome: str) -> "QuerySet[DiscrepancyLine]":
    lines = DiscrepancyLine.objects.filter(discrepancy=discrepancy).order_by("-id")
    return lines.filter(outcome=outcome) if outcome in DiscrepancyOutcome.values else lines


def _amount(amount: Decimal | None, currency: str) -> str:
    return "" if amount is None else f"{amount.normalize():f} {currency}".strip()
