"""The list of a log: filters in the address, pages by key, nothing counted."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest

from postbacks.admin.logs.filters import LogFilter
from postbacks.insights.keyset import Cursor, Page, Place

if TYPE_CHECKING:
    from postbacks.admin.logs.base import LogAdmin


class LogList(ChangeList):
    """Django's list of rows, with a page by key in place of counted and numbered ones."""

    search_form_class = forms.Form  # our own form reads the address
    model_admin: "LogAdmin"
    filters: LogFilter
    page: Page[Any]

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> "QuerySet[Any]":
        """Return all rows: an action names its rows by id, and a page reads its own."""
        self.filter_specs: list[Any] = []
        self.has_filters = self.has_active_filters = False
        rows: QuerySet[Any] = self.root_queryset
        return rows

    def get_results(self, request: HttpRequest) -> None:
        """Read the page that the address asks for; nothing while the filters can't be read."""
        self.filters = self.model_admin.filter_form(request.GET)
        self.page = Page()
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
                name: Place.decode(request.GET[name])
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
