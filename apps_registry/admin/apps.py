"""The pages of apps and their bundle IDs."""

from django.contrib import admin

from apps_registry.models import App, BundleId
from apps_registry.roles import Right
from apps_registry.tenant_admin import (
    ArchivingAdmin,
    TenantAdmin,
    TenantInline,
    TenantRelatedFilter,
)


class BundleIdInline(TenantInline):
    """The names under which stores know the app."""

    model = BundleId
    fields = ["identifier"]
    right_to_delete = Right.SET_UP


@admin.register(App)
class AppAdmin(ArchivingAdmin):
    """Apps that report events."""

    list_display = ["name", "platform", "store_id", "status", "created_at"]
    list_filter = ["platform", "status"]
    search_fields = ["name", "store_id", "bundle_ids__identifier"]
    search_help_text = "Search by name, store id or bundle ID."
    ordering = ["name"]
    readonly_fields = ["public_id", "status", "created_at"]
    inlines = [BundleIdInline]


@admin.register(BundleId)
class BundleIdAdmin(TenantAdmin):
    """Bundle IDs of all apps. One that was mistyped is deleted: no history hangs on it."""

    list_display = ["identifier", "app", "created_at"]
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter)]
    search_fields = ["identifier"]
    ordering = ["identifier"]
    fixed_fields = ("app",)
    right_to_delete = Right.SET_UP
