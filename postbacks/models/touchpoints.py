"""Clicks, impressions and claims, and the identifiers by which installs find them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps_registry.models import App, Campaign, Partner, TrackingLink
from apps_registry.models.apps import Platform
from apps_registry.tenancy import TenantModel
from postbacks.values.touchpoints import LONGEST_CLICK_ID


class TouchpointKind(models.TextChoices):
    """Whether the person clicked the ad or only saw it."""

    CLICK = "click", "Click"
    IMPRESSION = "impression", "Impression"


class TouchpointSource(models.TextChoices):
    """Who reported a touchpoint."""

    LINK = "link", "Tracking link"
    SERVER = "server", "Partner's server"
    CLAIM = "claim", "Claim of a self-attributing network"


class Touchpoint(TenantModel):
    """A click, an impression, or a claim. Partitioned by kind, then by the server's time."""

    public_id = models.UUIDField()
    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    partner = models.ForeignKey(Partner, models.DO_NOTHING, db_constraint=False, related_name="+")
    campaign = models.ForeignKey(
        Campaign, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    link = models.ForeignKey(
        TrackingLink, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    kind = models.CharField(max_length=16, choices=TouchpointKind.choices)
    source = models.CharField(max_length=16, choices=TouchpointSource.choices)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    click_id = models.CharField("network's click ID", max_length=LONGEST_CLICK_ID, blank=True)
    site_id = models.CharField("site", max_length=255, blank=True)
    ip_address = models.CharField(max_length=64, blank=True)
    user_agent = models.TextField(blank=True)
    os_name = models.CharField(max_length=32, blank=True)
    os_version = models.CharField(max_length=32, blank=True)
    device_model = models.CharField(max_length=64, blank=True)
    language = models.CharField(max_length=32, blank=True)
    country = models.CharField(max_length=2, blank=True)
    names = models.JSONField(
        default=list, help_text="The identifiers by which an install is recognized."
    )
    params = models.JSONField(default=dict, help_text="Every parameter, for {{click.name}}.")
    signature = models.CharField(max_length=32, blank=True)
    sender = models.CharField(
        max_length=48,
        blank=True,
        default="",
        help_text="Which key or, hashed, which address reported it, if a server did.",
    )
    refused = models.CharField(
        max_length=64, blank=True, help_text="Why it can earn nothing, known when it came."
    )

    class Meta(TenantModel.Meta):
        db_table = "touchpoint"
        ordering = ["-received_at", "-id"]

    @property
    def device_text(self) -> str:
        """Return the device in words, such as “Pixel 8, Android 15”."""
        system = dict(Platform.choices).get(self.os_name.lower(), self.os_name)
        return ", ".join(filter(None, (self.device_model, f"{system} {self.os_version}".strip())))

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"


class TouchpointSeen(TenantModel):
    """Deduplicates touchpoints: the same click of a network counts once in seven days."""

    digest = models.UUIDField()
    public_id = models.UUIDField(help_text="The touchpoint that was the first of its kind.")
    received_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "touchpoint_seen"

    def __str__(self) -> str:
        return str(self.digest)


class TouchpointKey(TenantModel):
    """One identifier of a touchpoint, for look-ups that open no day's partition."""

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    key = models.UUIDField()
    kind = models.CharField(max_length=16, choices=TouchpointKind.choices)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    touchpoint = models.ForeignKey(
        Touchpoint, models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    class Meta(TenantModel.Meta):
        db_table = "touchpoint_key"

    def __str__(self) -> str:
        return str(self.key)


class SiteTimes(TenantModel):
    """One site's installs of the seven days before a night, by the time from click to install.

    Only sites whose clicks look invented are kept.
    """

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    partner = models.ForeignKey(Partner, models.DO_NOTHING, db_constraint=False, related_name="+")
    site_id = models.CharField("site", max_length=255, blank=True)
    day = models.DateField()
    times = ArrayField(
        models.IntegerField(), help_text="Installs by time; see attribution.outliers."
    )

    class Meta(TenantModel.Meta):
        db_table = "site_times"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "app", "partner", "site_id", "day"],
                name="one_site_times_per_site_and_day",
            )
        ]

    def __str__(self) -> str:
        return f"{self.site_id} {self.day}"
