"""What the SDK's doors refused: a bounded sample of it, and counters of all of it."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models

from apps_registry.models import App, SdkKey
from apps_registry.tenancy import TenantModel

DAYS_KEPT = 7
LONGEST_CONTENT = 4_096  # bytes
LONGEST_POINTER = 128
LONGEST_VERSION = 32
OTHER = "…"  # stands for the rest, once a day has counted many pointers or versions


class RefusalDoor(models.TextChoices):
    """The address at which something was refused."""

    EVENTS = "events", "Events"
    TOUCHPOINTS = "touchpoints", "Touchpoints"
    TENJIN = "tenjin", "Tenjin's API"
    FORGET_DEVICE = "forget-device", "Forget a device"


class RefusalReason(models.TextChoices):
    """Why something was refused."""

    INVALID_FIELD = "invalid_field", "A field is wrong"
    DEVICE_FORGOTTEN = "device_forgotten", "The device was forgotten"
    UNREADABLE_BODY = "unreadable_body", "The body can't be read"
    INVALID_REQUEST = "invalid_request", "The request is wrong"
    TOO_LARGE = "too_large", "Too large"
    KEY_REVOKED = "key_revoked", "The SDK key was revoked"
    KEY_ENDED = "key_ended", "The SDK key was rotated and has ended"
    APP_ARCHIVED = "app_archived", "The app is archived"
    NOT_ALLOWED = "not_allowed", "The SDK key may not do this"
    TOO_FAST = "too_fast", "Too fast"


class RefusedEvent(TenantModel):
    """One item, or one whole request, that was refused.

    What may be personal keeps its form alone. `keys` are digests of its ids, by which a search
    finds it and an erasure deletes it.
    """

    public_id = models.UUIDField("ID", default=uuid.uuid4, editable=False)
    app = models.ForeignKey(
        App, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    sdk_key = models.ForeignKey(
        SdkKey, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    received_at = models.DateTimeField()
    door = models.CharField(max_length=16, choices=RefusalDoor.choices)
    status_code = models.PositiveSmallIntegerField(help_text="Of the answer to the whole request.")
    index = models.PositiveIntegerField(
        null=True, help_text="The place in its request, from 0; null for a whole request."
    )
    reason = models.CharField(max_length=32, choices=RefusalReason.choices)
    pointer = models.CharField(max_length=LONGEST_POINTER, blank=True)
    event_name = models.CharField(max_length=64, blank=True)
    sdk_version = models.CharField(max_length=LONGEST_VERSION, blank=True)
    errors = models.JSONField(default=list, help_text="As the caller read them.")
    content = models.TextField(blank=True, help_text="What arrived; personal values are masked.")
    is_cut = models.BooleanField(default=False)
    keys = ArrayField(models.UUIDField(), default=list)

    class Meta(TenantModel.Meta):
        db_table = "refused_event"
        verbose_name = "refused event"
        ordering = ["-received_at", "-id"]
        indexes = [
            models.Index(
                fields=["organization", "-received_at", "-id"], name="refused_event_by_time"
            ),
            models.Index(fields=["organization", "public_id"], name="refused_event_by_public_id"),
            models.Index(fields=["received_at"], name="refused_event_by_age"),
            GinIndex(fields=["keys"], name="refused_event_by_key"),
        ]

    @property
    def error_views(self) -> list[dict[str, str]]:
        """Return the errors; what is none of ours, such as a test's mark, is left out."""
        errors = self.errors if isinstance(self.errors, list) else []
        return [error for error in errors if isinstance(error, dict)]

    def __str__(self) -> str:
        return f"Refused {self.event_name or self.get_door_display()}"


class RefusalCount(TenantModel):
    """How many a day refused for one reason, of one SDK version, and how many of them are kept."""

    app = models.ForeignKey(
        App, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    day = models.DateField()
    reason = models.CharField(max_length=32, choices=RefusalReason.choices)
    pointer = models.CharField(max_length=LONGEST_POINTER, blank=True)
    sdk_version = models.CharField(max_length=LONGEST_VERSION, blank=True)
    refused = models.BigIntegerField(default=0)
    kept = models.BigIntegerField(default=0, help_text="How many of them are in the list.")

    class Meta(TenantModel.Meta):
        db_table = "refusal_count"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "day", "app", "reason", "pointer", "sdk_version"],
                name="one_refusal_count_per_day_and_reason",
            )
        ]
        indexes = [models.Index(fields=["day"], name="refusal_count_by_age")]

    def __str__(self) -> str:
        return f"{self.refused}x {self.reason} on {self.day}"
