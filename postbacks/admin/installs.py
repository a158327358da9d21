"""Who has the app, since when, and thanks to whom."""

from django.contrib import admin

from apps_registry.tenant_admin import TenantRelatedFilter
from postbacks.admin.log_pages import LogAdmin
from postbacks.models import Install


@admin.register(Install)
class InstallAdmin(LogAdmin):
    """Installs, newest first."""

    list_display = ["installed_at", "app", "device", "attribution_type"]
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter)]
    ordering = ["-id"]
