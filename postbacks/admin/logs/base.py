"""What the pages of logs share: read-only, newest first, paged by key and never counted."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from apps_registry import csv_format
from apps_registry.admin_base.csv_export import TRUNCATED
from apps_registry.admin_base.permissions import ReadOnlyAdmin
from apps_registry.admin_base.tenant_admin import TenantAdmin
from apps_registry.tenancy import tenant
from postbacks.admin.logs.columns import Columns
from postbacks.admin.logs.filters import LogFilter
from postbacks.insights.keyset import Cursor, KeysetPage, KeysetPosition

# FOLDED from log_list.py


class LogList(ChangeList):
    """Django's list of rows, with a page by key in place of counted and numbered ones."""

    search_form_class = forms.Form  # our own form reads the address
    model_admin: "LogAdmin"
    filters: LogFilter
    page: KeysetPage[Any]

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> "QuerySet[Any]":
        """Return all rows: an action names its rows by id, and a page reads its own."""
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        rows: QuerySet[Any] = self.root_queryset
        return rows

    def get_results(self, request: HttpRequest) -> None:
        self.filters = self.model_admin.filter_form(request.GET)
        self.page = KeysetPage()
        if self.filters.is_valid():
            cursor = self._cursor(request)
            self.page = self.model_admin.read_page(self.filters, cursor)
        self.result_list = self.page.rows
        self.result_count = self.full_result_count = len(self.page.rows)
        self.show_full_result_count = self.can_show_all = self.multi_page = False
        self.show_admin_actions = bool(self.page.rows)
        self.paginator = None

    def _cursor(self, request: HttpRequest) -> Cursor:
        try:
            places = {
                name: KeysetPosition.decode(request.GET[name])
                for name in ("after", "before")
                if request.GET.get(name)
            }
            return Cursor(places.get("after"), places.get("before"))
        except ValueError:
            words = "That page can't be found any more, so this is the newest one."
            messages.warning(request, words)
            return Cursor()

    @property
    def newer(self) -> str:
        """Return the address of the newer neighbor, empty at the top."""
        place = self.page.newer
        return self.filters.address(before=place.encode()) if place else ""

    @property
    def older(self) -> str:
        """Return the address of the older neighbor, empty at the end."""
        place = self.page.older
        return self.filters.address(after=place.encode()) if place else ""

    @property
    def newest(self) -> str:
        """Return the address of the first page under the same filters."""
        return "" if self.page.is_first else self.filters.address()


_BIGGEST_ID = 2**63 - 1


class LogAdmin(ReadOnlyAdmin, TenantAdmin):
    """A list of what happened, and a page for each row of it."""

    list_title: ClassVar[str]
    filter_form: ClassVar[type[LogFilter]] = LogFilter
    page_template: ClassVar[str]
    columns: ClassVar[Columns]  # of the file that people export
    list_fullwidth = True
    list_filter = ()
    search_fields = ()
    sortable_by = ()
    show_full_result_count = False

    class Media:
        css = {"all": ["postbacks/log.css"]}
        js = ["postbacks/log.js"]

    def read_page(self, filters: Any, cursor: Cursor) -> KeysetPage[Any]:
        """Return the rows that a valid form asks for."""
        raise NotImplementedError(f"{type(self).__name__} must say how its rows are read.")

    def details(self, request: HttpRequest, row: Any) -> dict[str, object]:
        """Return what the template of a row's page shows besides the row."""
        return {}

    def lines(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Return the rows of a page as its template reads them."""
        return rows

    def more_of_list(self, request: HttpRequest) -> dict[str, object]:
        """Return what the list's template shows besides the rows."""
        return {}

    def export_rows(
        self, request: HttpRequest, organization_id: int
    ) -> tuple[Sequence[str], Iterator[Sequence[Sequence[object]]]]:
        """Return the headings, and what the filters leave, read page by page as it is sent."""
        filters = self.filter_form(request.GET)
        if not filters.is_valid():
            raise IncorrectLookupParameters
        return list(self.columns), self._portions_of_log(filters, organization_id)

    def _portions_of_log(
        self, filters: LogFilter, organization_id: int
    ) -> Iterator[Sequence[Sequence[object]]]:
        place, left = None, csv_format.MAX_ROWS
        while left:
            with tenant(organization_id):
                cursor = Cursor(after=place, size=min(left, csv_format.CHUNK_SIZE))
                page = self.read_page(filters, cursor)
                portion = [[of(row) for of in self.columns.values()] for row in page.rows]
            yield portion
            place, left = page.older, left - len(portion)
            if place is None:
                return
        yield [[TRUNCATED]]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LogList]:
        return LogList

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        chosen = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if not all(is_id(one) for one in chosen):
            return HttpResponseRedirect(request.get_full_path())
        more = {"title": self.list_title, **self.more_of_list(request), **(extra_context or {})}
        answer: HttpResponse = super().changelist_view(request, more)
        if isinstance(answer, TemplateResponse) and "cl" in (answer.context_data or {}):
            self._add_lines(request, answer)
        return answer

    def _add_lines(self, request: HttpRequest, answer: TemplateResponse) -> None:
        context = answer.context_data or {}
        context["rows"] = self.lines(context["cl"].page.rows)
        context["back"] = request.get_full_path()

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
            words = "That row does not exist, or no longer: logs are kept for a limited time."
            self.message_user(request, words, messages.WARNING)
            return HttpResponseRedirect(self.way_back(request))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": str(row),
            "original": row,
            "media": self.media,
            "back": self.way_back(request),
            **self.details(request, row),
        }
        return TemplateResponse(request, self.page_template, context)

    def way_back(self, request: HttpRequest) -> str:
        """Return the list from which a person came, filters and all; never an address outside."""
        listed = reverse(self.admin_site_name("changelist"))
        asked, _, _ = (request.POST.get("next") or request.GET.get("next") or "").partition("#")
        inside = asked.startswith(reverse("admin:app_list", args=[self.opts.app_label]))
        if (
            inside
            and asked.isprintable()
            and url_has_allowed_host_and_scheme(asked, allowed_hosts=None)
        ):
            return asked
        return listed

    def admin_site_name(self, page: str) -> str:
        return f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _BIGGEST_ID


def address_of(row: Model) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    return reverse(name, args=[row.pk])
