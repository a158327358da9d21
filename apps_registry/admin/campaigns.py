"""The page of campaigns."""

from django.contrib import admin

from apps_registry.listing import HideArchived, LifecycleColumns
from apps_registry.models import Campaign
from apps_registry.tenant_admin import ArchivingAdmin, TenantRelatedFilter


@admin.register(Campaign)
class CampaignAdmin(LifecycleColumns, ArchivingAdmin):
    """Partners' promotions of apps."""

    nothing_yet = (
        "Add a campaign once you have an app and a partner, so that installs can be credited to it."
    )
    list_display = ["name", "app", "partner", "remote_campaign_id", "state", "created"]
    list_select_related = ["app", "partner"]
    list_filter = [HideArchived, ("app", TenantRelatedFilter), ("partner", TenantRelatedFilter)]
    search_fields = ["name", "remote_campaign_id"]
    search_help_text = "Name or the network's campaign ID"
    ordering = ["name"]
    fixed_fields = ("app", "partner")
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "app", "partner", "remote_campaign_id"],
                "description": "A partner's promotion of one app. App and partner stay as they are "
                "once the campaign is saved, since installs are credited to it.",
            },
        )
    ]
    facts = ("public_id", "state", "created")
    readonly_fields = facts
