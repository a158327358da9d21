"""Campaigns: a partner's promotions of an app."""

import uuid

from django.db import models
from django.db.models import Q

from apps_registry.models.apps import App
from apps_registry.models.partners import Partner
from apps_registry.tenancy import Lifecycle, TenantModel


class Campaign(TenantModel):
    """A partner's promotion of an app, to which installs are credited."""

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this campaign.",
    )
    name = models.CharField(
        max_length=120, help_text="As the network names it, for example US iOS Summer 2026."
    )
    app = models.ForeignKey(
        App,
        models.PROTECT,
        related_name="campaigns",
        db_constraint=False,
        help_text="The app that is promoted, for example Gem Harbor iOS.",
    )
    partner = models.ForeignKey(
        Partner,
        models.PROTECT,
        related_name="campaigns",
        db_constraint=False,
        help_text="The network that shows the ads, for example Unity Ads.",
    )
    remote_campaign_id = models.CharField(
        "network's campaign ID",
        max_length=255,
        blank=True,
        help_text="The campaign's ID on the network's side, for example 238471. Can stay empty.",
    )
    status = models.CharField(
        max_length=16, choices=Lifecycle.choices, default=Lifecycle.ACTIVE, editable=False
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    audited = ("name", "app", "partner", "remote_campaign_id", "status")

    class Meta(TenantModel.Meta):
        db_table = "campaign"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="campaign_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "app", "name"],
                condition=Q(status="active"),
                name="one_active_campaign_per_app_and_name",
                violation_error_message="Another campaign of this app has this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name
