"""The base of all log pages: read-only, newest first, paged by key and never counted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.http import url_has_allowed_host_and_scheme

from apps_registry.admin_base.csv_export import TRUNCATED, encoded, heading
from apps_registry.admin_base.own_pages import list_paths
from apps_registry.admin_base.permissions import ReadOnlyAdmin
from apps_registry.admin_base.tenant_admin import TenantAdmin
from apps_registry.csv_format import ColumnType, FileFormat
from postbacks.admin.logs.columns import Columns, column_type
from postbacks.admin.logs.filters import LogFilter
from postbacks.admin.logs.saved_views import (
    cell_text,
    change_choices,
    choices_of,
    chosen_columns,
)
from postbacks.insights import exports, parquet_files
from postbacks.insights.exports import FilePortion
from postbacks.insights.keyset import Cursor, KeysetPage, KeysetPosition
from postbacks.insights.live import LiveKind

_BIGGEST_ID = 2**63 - 1
_BEFORE_ALL = KeysetPosition(0, datetime(2000, 1, 1, tzinfo=UTC))


class LogList(ChangeList):
    """Django's list of rows, paged by key in place of counted and numbered pages."""

    search_form_class = forms.Form  # our own form reads the address
    model_admin: "LogAdmin"
    filters: LogFilter
    page: KeysetPage[Any]
    read_at: float
    is_at_start: bool  # of the list as it is ordered

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> "QuerySet[Any]":
        """Return all rows: an action names its rows by id, and `read_page` reads a page."""
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        rows: QuerySet[Any] = self.root_queryset
        return rows

    def get_results(self, request: HttpRequest) -> None:
        self.read_at = time.time()
        self.filters = self.model_admin.filter_form(request.GET)
        self.page = KeysetPage()
        self.is_at_start = True
        if self.filters.is_valid():
            self._read(self._cursor(request))
        self.result_list = self.page.rows
        self.result_count = self.full_result_count = len(self.page.rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(self.page.rows)
        self.paginator = None

    def _read(self, cursor: Cursor) -> None:
        """Read the page; with the oldest first it is read from the other end, and turned round."""
        self.is_at_start = cursor == Cursor()
        if not self.filters.is_oldest_first:
            self.page = self.model_admin.read_page(self.filters, cursor)
            return
        start = Cursor(before=_BEFORE_ALL) if self.is_at_start else cursor
        page = self.model_admin.read_page(self.filters, start)
        self.page = replace(page, rows=page.rows[::-1])

    def _cursor(self, request: HttpRequest) -> Cursor:
        try:
            positions = {
                name: KeysetPosition.decode(request.GET[name])
                for name in ("after", "before")
                if request.GET.get(name)
            }
            return Cursor(positions.get("after"), positions.get("before"))
        except ValueError:
            messages.warning(
                request, "That page can't be found any more, so this is the newest one."
            )
            return Cursor()

    @property
    def newer(self) -> str:
        """Return the address of the page with newer rows, empty on the newest."""
        position = self.page.newer
        return self.filters.address(before=position.encode()) if position else ""

    @property
    def older(self) -> str:
        """Return the address of the page with older rows, empty on the oldest."""
        starts_here = self.is_at_start and self.filters.is_oldest_first
        position = None if starts_here else self.page.older
        return self.filters.address(after=position.encode()) if position else ""

    @property
    def live_address(self) -> str:
        """Return where a script asks for news of this page, empty where none can come."""
        kind = self.model_admin.live_kind
        if kind is None or self.filters.errors or not self.filters.leaves_what_comes:
            return ""
        if not self.page.is_first:
            return ""
        return reverse("admin:live_rows") + self.filters.address(kind=kind.value)

    @property
    def start(self) -> str:
        """Return the address of the first page with the same filters, empty on that page."""
        return "" if self.is_at_start or self.page.is_first else self.filters.address()


class LogFile:
    """A log under its filters as a file that a worker writes."""

    def __init__(self, page: "LogAdmin", filters: LogFilter, file_format: FileFormat) -> None:
        self._page = page
        self._filters = filters
        self._format = file_format

    @property
    def heading(self) -> bytes:
        return heading(list(self._page.columns), self._format)

    @property
    def column_types(self) -> Mapping[str, ColumnType]:
        own = self._page.column_types
        return {name: own.get(name) or column_type(name) for name in self._page.columns}

    @property
    def truncated(self) -> bytes:
        """What a file ends with that has not all rows."""
        return encoded(list(self._page.columns), [[TRUNCATED]], self._format)

    def portion(self, start: KeysetPosition | None, size: int) -> FilePortion:
        """Return the rows after a position, and where the next ones begin."""
        page = self._page.read_page(self._filters, Cursor(after=start, size=size))
        rows = [[cell(row) for cell in self._page.columns.values()] for row in page.rows]
        return FilePortion(self._encoded(rows), len(rows), page.older)

    def oldest(self) -> KeysetPosition | None:
        """Return the position of the oldest row that the filters leave; None if it is far."""
        return self._page.read_page(self._filters, Cursor(before=_BEFORE_ALL, size=1)).older

    def _encoded(self, rows: Sequence[Sequence[object]]) -> bytes:
        if self._format == FileFormat.PARQUET:
            return parquet_files.encode(self.column_types, rows)
        return encoded(list(self._page.columns), rows, self._format)


class LogAdmin(ReadOnlyAdmin, TenantAdmin):
    """A log: its list, a page for each row, and the export of the rows."""

    filter_form: ClassVar[type[LogFilter]] = LogFilter
    live_kind: ClassVar[LiveKind | None] = None  # of the live rows that are news for the list
    page_template: ClassVar[str]
    columns: ClassVar[Columns]  # of the exported file
    column_types: ClassVar[Mapping[str, ColumnType]] = {}  # where a heading has another one here
    can_be_exported: ClassVar[bool] = True  # by a worker too
    list_fullwidth = True
    list_filter = ()
    search_fields = ()
    sortable_by = ()
    show_full_result_count = False

    class Media:
        css = {"all": ["postbacks/log.css"]}
        js = ["postbacks/log.js"]

    def read_page(self, filters: Any, cursor: Cursor) -> KeysetPage[Any]:
        """Return one page of the rows that valid filters leave."""
        raise NotImplementedError(f"{type(self).__name__} must say how its rows are read.")

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, object]:
        """Return the context of a row's page besides the row itself."""
        return {}

    def row_views(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows of a page as the list's template reads them."""
        return rows

    def list_context(self, request: HttpRequest) -> dict[str, object]:
        """Return the context of the list besides its rows."""
        return {}

    def file_content(
        self, request: HttpRequest, organization_id: int, file_format: FileFormat
    ) -> Iterator[bytes]:
        filters = self.filter_form(request.GET)
        if not filters.is_valid():
            raise IncorrectLookupParameters
        file = LogFile(self, filters, file_format)
        return exports.stream(file, organization_id, truncated=file.truncated)

    def open_file(self, filters: str, file_format: str) -> LogFile:
        """Return the log under the filters of an address, as a worker reads it."""
        form = self.filter_form(QueryDict(filters))
        if not form.is_valid():
            raise IncorrectLookupParameters
        return LogFile(self, form, FileFormat(file_format))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LogList]:
        return LogList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if not all(map(is_id, chosen)):
            return HttpResponseRedirect(request.get_full_path())
        context = {"title": self.list_title, **self.list_context(request), **(extra_context or {})}
        response: HttpResponse = super().changelist_view(request, context)
        if isinstance(response, TemplateResponse) and "cl" in (response.context_data or {}):
            self._add_rows(request, response)
        return response

    def _add_rows(self, request: HttpRequest, response: TemplateResponse) -> None:
        context = response.context_data or {}
        rows = context["cl"].page.rows
        context["rows"] = views = self.row_views(rows)
        context["back"] = request.get_full_path()
        if not self.can_be_exported:
            return
        chosen = chosen_columns(request, self.opts.label_lower, self.columns)
        context["query"] = request.GET.urlencode()
        context["choices"] = choices_of(request, self.opts.label_lower, self.columns, chosen)
        context["chosen_columns"] = chosen
        context["chosen_rows"] = [
            (
                view,
                reverse(self.admin_site_name("change"), args=[self.key_of(row)]),
                [cell_text(self.columns[name](row)) for name in chosen],
            )
            for view, row in (zip(views, rows, strict=True) if chosen else ())
        ]

    def key_of(self, row: Any) -> int:
        """Return the primary key of a row as `read_page` returns it."""
        return int(row.pk)

    def get_urls(self) -> list[URLPattern]:
        views = list_paths(self, views=self.views_view) if self.can_be_exported else []
        return [*views, *super().get_urls()]

    def views_view(self, request: HttpRequest) -> HttpResponse:
        """Choose columns, or save or delete a view of this list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        filters = list(self.filter_form({}).fields)
        back = reverse(self.admin_site_name("changelist"))
        return change_choices(request, self.opts.label_lower, filters, back)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            self.message_user(
                request,
                "That row does not exist, or no longer: logs are kept for a limited time.",
                messages.WARNING,
            )
            return HttpResponseRedirect(self.list_address(request))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(row),
            "original": row,
            "media": self.media,
            "back": self.list_address(request),
            **self.row_context(request, row),
        }
        return TemplateResponse(request, self.page_template, context)

    def list_address(self, request: HttpRequest) -> str:
        """Return the list from which a person came, filters and all; never an outside address."""
        address, _, _ = (request.POST.get("next") or request.GET.get("next") or "").partition("#")
        is_inside = address.startswith(reverse("admin:app_list", args=[self.opts.app_label]))
        if (
            is_inside
            and address.isprintable()
            and url_has_allowed_host_and_scheme(address, allowed_hosts=None)
        ):
            return address
        return reverse(self.admin_site_name("changelist"))

    def admin_site_name(self, page: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _BIGGEST_ID


def row_address(row: Model) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return reverse(name, args=[row.pk])
