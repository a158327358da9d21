"""Copies of the postbacks that Apple sends to ad networks, claimed by an organization or not."""

import uuid

from django.db import models
from django.db.models import Q

from apps_registry.models import App, Partner
from apps_registry.tenancy import TenantModel


class SkanProtocol(models.TextChoices):
    """Apple's two frameworks."""

    SKADNETWORK = "skadnetwork", "SKAdNetwork"
    ADATTRIBUTIONKIT = "adattributionkit", "AdAttributionKit"


class SignatureState(models.TextChoices):
    """What a copy's signature says about it; only valid copies count."""

    VALID = "valid", "Valid"
    INVALID = "invalid", "Invalid"
    UNVERIFIABLE = "unverifiable", "Can't be verified"
    DEVELOPMENT = "development", "Development"


class SkanPostback(TenantModel):
    """A copy as it came, its fields, and the meaning of its conversion value at that time."""

    public_id = models.UUIDField("ID", default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, models.PROTECT, db_constraint=False, related_name="+")
    partner = models.ForeignKey(
        Partner, models.PROTECT, null=True, db_constraint=False, related_name="+"
    )
    protocol = models.CharField(max_length=16, choices=SkanProtocol.choices)
    version = models.CharField(max_length=255, blank=True)
    network_id = models.CharField("network", max_length=255, blank=True)
    transaction_id = models.CharField("transaction ID", max_length=255, blank=True)
    sequence = models.PositiveSmallIntegerField("postback", default=0)
    signature_state = models.CharField("signature", max_length=16, choices=SignatureState.choices)
    remark = models.CharField("about the signature", max_length=255, blank=True)
    digest = models.UUIDField(
        editable=False, help_text="Of all that makes another copy the same as this one."
    )
    duplicate_of = models.UUIDField("duplicate of", null=True)
    received_at = models.DateTimeField("received")
    campaign_id = models.CharField("campaign ID", max_length=255, blank=True)
    source_identifier = models.CharField(max_length=255, blank=True)
    source_app_id = models.CharField("source app", max_length=255, blank=True)
    source_domain = models.CharField(max_length=255, blank=True)
    conversion_type = models.CharField(max_length=255, blank=True)
    ad_type = models.CharField("kind of ad", max_length=16, blank=True)
    redownload = models.BooleanField(null=True)
    did_win = models.BooleanField("won", null=True)
    conversion_value = models.PositiveSmallIntegerField(null=True)
    coarse_value = models.CharField(max_length=8, blank=True)
    country = models.CharField(max_length=2, blank=True)
    event_name = models.CharField("decoded event", max_length=64, blank=True)
    least_revenue = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    most_revenue = models.DecimalField(max_digits=18, decimal_places=6, null=True)
    currency = models.CharField(max_length=3, blank=True)
    signature = models.TextField("Apple's signature", blank=True)
    body = models.TextField("copy as it came")

    class Meta(TenantModel.Meta):
        db_table = "skan_postback"
        verbose_name = "SKAdNetwork copy"
        verbose_name_plural = "SKAdNetwork copies"
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(fields=["organization", "-received_at", "-id"], name="skan_by_time"),
            models.Index(fields=["organization", "public_id"], name="skan_by_public_id"),
            models.Index(fields=["organization", "transaction_id"], name="skan_by_transaction"),
        ]
        constraints = [
            # One copy is the first, even of those that come at the same moment.
            models.UniqueConstraint(
                fields=["organization", "digest"],
                condition=Q(duplicate_of=None),
                name="one_first_copy_per_transaction",
            ),
        ]

    def __str__(self) -> str:
        return self.transaction_id or str(self.public_id)

    @property
    def counts(self) -> bool:
        """Tell whether the copy is genuine and the first of its transaction."""
        return self.signature_state == SignatureState.VALID and self.duplicate_of is None


class UnclaimedCopy(models.Model):
    """A copy for an app of no organization, kept until one claims it."""

    store_id = models.CharField("store ID", max_length=19, blank=True)
    received_at = models.DateTimeField(db_index=True)
    body = models.TextField()

    class Meta:
        db_table = "unclaimed_copy"
        verbose_name = "unclaimed copy"
        verbose_name_plural = "unclaimed copies"
        indexes = [models.Index(fields=["store_id", "id"], name="unclaimed_by_store_id")]

    def __str__(self) -> str:
        return self.store_id
