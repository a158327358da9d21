"""Facts from SDKs, their deduplication key, and the queue of those not yet decided."""

from django.db import models
from django.db.models.fields.json import KeyTextTransform

from apps_registry.models import App
from apps_registry.tenancy import TenantModel
from postbacks.values.events import SYSTEM

ERASED = "erased:"  # the prefix of the stand-in for a forgotten device


class EventSource(models.TextChoices):
    """Who reported an event."""

    SDK = "sdk", "SDK in the app"
    SERVER = "server", "Advertiser's server"
    TENJIN = "tenjin", "Tenjin-compatible API"
    SYSTEM = SYSTEM, "Postbacks itself"


class Event(TenantModel):
    """One fact from an SDK. Partitioned by the server's `received_at`, never by a client's time."""

    event_id = models.UUIDField()
    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    event_name = models.CharField(max_length=64)
    event_time = models.DateTimeField()
    received_at = models.DateTimeField()
    source = models.CharField(max_length=16, choices=EventSource.choices)
    platform = models.CharField(max_length=16, blank=True)
    bundle_id = models.CharField("bundle ID", max_length=255, blank=True)
    device = models.CharField(
        max_length=320, blank=True, help_text="The device's best id, for “first time per device”."
    )
    customer_user_id = models.CharField(max_length=255, blank=True)
    revenue = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    currency = models.CharField(max_length=3, blank=True)
    fields = models.JSONField(default=dict, help_text="Every other field of the SDK API.")
    params = models.JSONField(default=dict, help_text="Anything else that the app sent.")
    # Under row-level security an index on the expression itself would not be looked at.
    transaction_id = models.GeneratedField(
        expression=KeyTextTransform("transaction_id", "fields"),
        output_field=models.TextField(),
        db_persist=True,
    )

    class Meta(TenantModel.Meta):
        db_table = "event"
        ordering = ["-received_at", "-id"]

    def __str__(self) -> str:
        return f"{self.event_name} {self.event_id}"


class EventKey(TenantModel):
    """Makes `event_id` unique per app over all days, which a partitioned table can't."""

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    event_id = models.UUIDField()
    received_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "event_key"

    def __str__(self) -> str:
        return str(self.event_id)


class UndecidedEvent(TenantModel):
    """A stored event that the pipeline has not decided yet. Its id is the event's."""

    received_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "undecided_event"

    def __str__(self) -> str:
        return str(self.pk)


class DecisionFailure(TenantModel):
    """An event whose decision raised, to be decided again. Its id is the event's."""

    received_at = models.DateTimeField()
    error = models.TextField()
    tries = models.PositiveIntegerField(default=1)
    next_try_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "decision_failure"

    def __str__(self) -> str:
        return self.error
