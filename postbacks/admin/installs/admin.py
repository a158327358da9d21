"""Who has the app, since when, and thanks to whom."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from postbacks.admin.install_filter import InstallFilter
from postbacks.admin.install_lines import InstallLine
from postbacks.admin.installs.timeline import install_story
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin
from postbacks.insights.install_log import install_log
from postbacks.insights.keyset import Cursor, Page
from postbacks.models import Install


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
        """Return installs with the names of whom they are credited to."""
        rows = super().get_queryset(request)
        return rows.prefetch_related("app", "partner", "campaign", "link")

    def read_page(self, filters: InstallFilter, cursor: Cursor) -> Page[Install]:
        """Return the installs that a valid form asks for."""
        return install_log(filters.wanted, cursor)

    def lines(self, rows: Sequence[Install]) -> Sequence[InstallLine]:
        """Return the rows with their credit in words."""
        return [InstallLine.of(install) for install in rows]

    def details(self, request: HttpRequest, row: Install) -> dict[str, object]:
        """Return the install's story."""
        return {
            "title": f"{row.get_kind_display()} of {row.app}",
            "story": install_story(row),
            "line": InstallLine.of(row),
        }
