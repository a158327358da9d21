"""The page of campaigns."""

from django.contrib import admin

from apps_registry.models import Campaign
from apps_registry.tenant_admin import ArchivingAdmin, TenantRelatedFilter


@admin.register(Campaign)
class CampaignAdmin(ArchivingAdmin):
    """Partners' promotions of apps."""

    list_display = ["name", "app", "partner", "remote_campaign_id", "status", "created_at"]
    list_select_related = ["app", "partner"]
    list_filter = [("app", TenantRelatedFilter), ("partner", TenantRelatedFilter), "status"]
    search_fields = ["name", "remote_campaign_id"]
    search_help_text = "Search by name or the network's campaign id."
    ordering = ["name"]
    fixed_fields = ("app", "partner")
    readonly_fields = ["public_id", "status", "created_at"]
