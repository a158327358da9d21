"""Exports: started from a log with its filters, followed, fetched, cancelled and deleted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.exceptions import NotRegistered
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from apps_registry import csv_format
from apps_registry.admin_base.csv_export import FORMAT
from apps_registry.admin_base.own_pages import list_paths, row_paths
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.theme import Tone
from apps_registry.csv_format import FileFormat
from apps_registry.roles import RIGHT_TO
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin, row_address
from postbacks.admin.logs.filters import LogFilter, TimedFilter
from postbacks.admin.logs.http_exchange import Pair
from postbacks.admin.logs.postback_detail import StatusBadge
from postbacks.insights import export_schedules, exports, parquet_files, wording
from postbacks.insights.export_schedules import ExportRefusedError
from postbacks.insights.exports import ExportRequest
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import export_log
from postbacks.models import Export, ExportDoor, JobStatus, WorkerHeartbeat

LIST = "list"  # of an address: the model whose list is exported

_TONES = {
    JobStatus.RUNNING: Tone.BUSY,
    JobStatus.FINISHED: Tone.GOOD,
    JobStatus.CANCELLED: Tone.STILL,
    JobStatus.FAILED: Tone.BAD,
    JobStatus.ERASED: Tone.STILL,
}
_ERASED = (
    "A device was erased meanwhile, and the file might have held its data. Start the export again."
)


FORMATS = {
    FileFormat.CSV: "CSV, for Excel and other spreadsheets",
    FileFormat.JSON_LINES: "JSON Lines, for programs: one JSON object a line",
    FileFormat.PARQUET: "Parquet, for DuckDB, BigQuery and the like: columns with types",
}


class FormatField(forms.ChoiceField):
    """The formats that can be written here; says so where Parquet can't."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            label="Format",
            choices=self._choices,
            initial=FileFormat.CSV,
            widget=forms.Select({"class": "pb-input"}),
            **options,
        )

    @staticmethod
    def _choices() -> list[tuple[str, str]]:
        is_parquet_there = parquet_files.is_available()
        return [
            (name.value, text)
            for name, text in FORMATS.items()
            if is_parquet_there or name != FileFormat.PARQUET
        ]


class ExportForm(forms.Form):
    """What the file is written as."""

    format = FormatField()

    @property
    def remark(self) -> str:
        """Return why a format is not offered, empty if all are."""
        return "" if parquet_files.is_available() else parquet_files.IS_MISSING


class ExportListFilter(LogFilter):
    basic = ("status",)
    status = forms.ChoiceField(label="Status", choices=[("", "Any"), *JobStatus.choices])


@dataclass(frozen=True, slots=True)
class ExportView:
    """An export as its page and the list show it."""

    export: Export

    @property
    def badge(self) -> StatusBadge:
        status = JobStatus(self.export.status)
        return StatusBadge(status.label, _TONES[status])

    @property
    def is_ready(self) -> bool:
        return self.export.status == JobStatus.FINISHED

    @property
    def is_delivered(self) -> bool:
        return self.is_ready and self.export.schedule_id is not None

    @property
    def address(self) -> str:
        return row_address(self.export)

    @property
    def has_no_worker(self) -> bool:
        return self.export.is_running and not WorkerHeartbeat.is_any_alive()

    @property
    def rows(self) -> str:
        return wording.number(self.export.rows)

    @property
    def size(self) -> str:
        return str(filesizeformat(self.export.size))

    @property
    def remark(self) -> str:
        """Why there is no file, in a sentence."""
        return _ERASED if self.export.status == JobStatus.ERASED else self.export.failure

    @property
    def about(self) -> list[Pair]:
        export = self.export
        pairs = {
            "List": export.title.capitalize(),
            "Filters": exports.filters_in_words(export) or "None: all rows",
            "Columns": export.get_door_display(),
            "Format": export.get_format_display(),
            "Schedule": str(export.schedule or ""),
            "Name of the file": export.key,
            "Started by": export.asked_by,
            "ID": str(export.public_id),
        }
        return [Pair(name, value) for name, value in pairs.items() if value]


@admin.register(Export)
class ExportAdmin(LogAdmin):
    """The exports, newest first, and the page on which one is followed."""

    list_title = "Exports"
    empty_list_text = "Start one from a log: choose filters there, then “Other files”."
    filter_form = ExportListFilter
    page_template = "admin/postbacks/export/page.html"
    columns = log_columns.EXPORTS
    can_be_exported = False

    def get_urls(self) -> list[URLPattern]:
        return [
            *list_paths(self, start=self.start_view),
            *row_paths(
                self,
                progress=self.progress_view,
                download=self.download_view,
                again=self.again_view,
                cancel=self.cancel_view,
                remove=self.remove_view,
            ),
            *super().get_urls(),
        ]

    def read_page(self, filters: ExportListFilter, cursor: Cursor) -> KeysetPage[Export]:
        return export_log(filters.cleaned_data["status"], cursor)

    def row_views(self, rows: Sequence[Export]) -> Sequence[ExportView]:
        return [ExportView(export) for export in rows]

    def row_context(self, request: HttpRequest, row: Export) -> dict[str, object]:
        return {"view": ExportView(row), "may_use": allowed(request, RIGHT_TO["export_list"])}

    def start_view(self, request: HttpRequest) -> HttpResponse:
        """Offer the files that a log's filters can become, and have one made."""
        if not allowed(request, RIGHT_TO["export_list"]):
            raise PermissionDenied
        query = request.GET.copy()
        page = self._page_of(request, query.pop(LIST, [""])[-1])
        if page is None:
            return HttpResponseRedirect(reverse("admin:postbacks_export_changelist"))
        filters = page.filter_form(query)
        list_address = reverse(page.admin_site_name("changelist"))
        if not filters.is_valid():
            return HttpResponseRedirect(f"{list_address}{filters.address()}")
        form = ExportForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                export = exports.start(_request(page, filters, form.cleaned_data["format"]))
            except ExportRefusedError as refusal:
                form.add_error(None, str(refusal))
            else:
                messages.success(request, "A worker makes the file; this page shows how far it is.")
                return HttpResponseRedirect(row_address(export))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Export {page.opts.verbose_name_plural}",
            "media": self.media,
            "back": f"{list_address}{filters.address()}",
            "form": form,
            "filters": filters,
            "json_lines": reverse(page.admin_site_name("export"))
            + filters.address(**{FORMAT: FileFormat.JSON_LINES}),
            "csv": reverse(page.admin_site_name("export")) + filters.address(),
            "most_rows": wording.number(csv_format.MAX_ROWS),
        }
        return TemplateResponse(request, "admin/postbacks/export/start.html", context)

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the moving part of an export's page."""
        export = self._export(request, object_id)
        context = self.row_context(request, export)
        return TemplateResponse(request, "admin/postbacks/export/progress.html", context)

    def download_view(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Send the file of an export that is ready."""
        export = self._usable(request, object_id)
        file = exports.open_to_download(export)
        if file is None:
            messages.warning(request, "This export has no file now; the page says why.")
            return HttpResponseRedirect(row_address(export))
        return FileResponse(
            file,
            as_attachment=True,
            filename=export.download_name,
            content_type=FileFormat(export.format).content_type,
        )

    def again_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Export the hour or day of a schedule's file again, in place of the file."""
        export = self._usable(request, object_id)
        if request.method != "POST" or export.schedule is None:
            return HttpResponseRedirect(row_address(export))
        try:
            if export.period_start is not None and export.period_end is not None:
                export = export_schedules.run_again(
                    export.schedule, export.period_start, export.period_end
                )
        except ExportRefusedError as refusal:
            messages.warning(request, str(refusal))
        return HttpResponseRedirect(row_address(export))

    def cancel_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Cancel an export."""
        export = self._usable(request, object_id)
        if request.method == "POST" and exports.cancel(export):
            messages.success(request, "Cancelled. What there was of the file is deleted.")
        return HttpResponseRedirect(row_address(export))

    def remove_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Delete an export with its file."""
        export = self._usable(request, object_id)
        if request.method != "POST":
            return HttpResponseRedirect(row_address(export))
        exports.delete(export)
        messages.success(request, "The export and its file are deleted.")
        return HttpResponseRedirect(reverse("admin:postbacks_export_changelist"))

    def _page_of(self, request: HttpRequest, label: str) -> LogAdmin | None:
        """Return the page of a log that this person may read and export."""
        try:
            page = self.admin_site.get_model_admin(apps.get_model(label))
        except (LookupError, ValueError, NotRegistered):
            return None
        if not (isinstance(page, LogAdmin) and page.can_be_exported):
            return None
        return page if page.has_view_permission(request) else None

    def _usable(self, request: HttpRequest, object_id: str) -> Export:
        if not allowed(request, RIGHT_TO["export_list"]):
            raise PermissionDenied
        return self._export(request, object_id)

    def _export(self, request: HttpRequest, object_id: str) -> Export:
        if not self.has_view_permission(request):
            raise PermissionDenied
        export = self.get_object(request, object_id)
        if not isinstance(export, Export):
            raise Http404("There is no such export.")
        return export


def _request(page: LogAdmin, filters: LogFilter, file_format: str) -> ExportRequest:
    address = filters.address()
    if isinstance(filters, TimedFilter):  # “last hour” is that of now, not of the worker's turn
        moments = {"since": filters.span.since, "until": filters.span.until}
        texts = {name: at.isoformat() for name, at in moments.items() if at is not None}
        address = filters.address(without="time", **texts)
    return ExportRequest(
        door=ExportDoor.PAGE,
        list_name=page.opts.label_lower,
        title=str(page.opts.verbose_name_plural),
        filters=address.removeprefix("?"),
        format=FileFormat(file_format),
    )
