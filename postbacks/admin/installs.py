"""Who has the app, since when, and thanks to whom."""

from django.contrib import admin
from django.http import HttpRequest

from postbacks.admin import log_columns
from postbacks.admin.log_filters import InstallFilter
from postbacks.admin.log_pages import LogAdmin
from postbacks.insights.keyset import Cursor, Page
from postbacks.insights.logs import install_log
from postbacks.models import Install


@admin.register(Install)
class InstallAdmin(LogAdmin):
    """Installs, newest first."""

    list_title = "Installs"
    nothing_yet = "An install appears here with the first open of your app on a device."
    filter_form = InstallFilter
    page_template = "admin/postbacks/install/page.html"
    columns = log_columns.INSTALLS

    def read_page(self, filters: InstallFilter, cursor: Cursor) -> Page[Install]:
        """Return the installs that a valid form asks for."""
        return install_log(filters.span, filters.app_id, cursor)

    def details(self, request: HttpRequest, row: Install) -> dict[str, object]:
        """Return the attribution in words."""
        return {"attribution": row.attribution_type.replace("_", " ").capitalize()}
