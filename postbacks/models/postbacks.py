"""Postbacks, their delivery attempts, and the queue of due ones."""

from django.db import models

from apps_registry.models import App
from apps_registry.tenancy import TenantModel
from postbacks.models.events import Event
from postbacks.models.installs import Install
from postbacks.models.rules import CallbackRule


class PostbackStatus(models.TextChoices):
    """A postback's state."""

    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"


class SkipReason(models.TextChoices):
    """Why a postback is not sent."""

    MISSING_MACRO = "missing_macro", "A required macro has no value"
    NOT_MAPPED = "not_mapped", "The rule's event map does not name this event"
    NO_CONSENT = "no_consent", "The person did not consent"
    PARTNER_CHANGED = "partner_changed", "The rule got another partner after it was decided"
    ERASED = "erased", "The device was forgotten, so there are no data to send"
    RULE_ARCHIVED = "rule_archived", "Its rule or the rule's partner was archived"
    RULE_ERROR = "rule_error", "The rule could not be applied; the operator's log says why"


class AttemptKind(models.TextChoices):
    """What caused an attempt."""

    AUTO = "auto", "Automatic"
    TEST = "test", "Test send"
    RESEND = "resend", "Resend"
    REPLAY = "replay", "Replay"


class Postback(TenantModel):
    """One request to send for one event under one rule. Partitioned by the event's `received_at`.

    A test send has no event row, its `event_received_at` is the time of the test, and no count
    includes it.
    """

    public_id = models.UUIDField()
    rule = models.ForeignKey(CallbackRule, models.DO_NOTHING, db_constraint=False, related_name="+")
    rule_version = models.PositiveIntegerField()
    app = models.ForeignKey(
        App, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    event = models.ForeignKey(
        Event, models.DO_NOTHING, null=True, db_constraint=False, related_name="postbacks"
    )
    sdk_event_id = models.UUIDField()
    event_name = models.CharField(max_length=64, blank=True)
    event_received_at = models.DateTimeField()
    install = models.ForeignKey(
        Install, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    attribution_version = models.PositiveIntegerField(default=1)
    installed_at = models.DateTimeField(null=True)
    status = models.CharField(max_length=16, choices=PostbackStatus.choices)
    reason = models.CharField(max_length=64, blank=True)
    test = models.BooleanField(default=False)
    attempts_made = models.PositiveIntegerField(default=0)
    last_status_code = models.PositiveSmallIntegerField(null=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    # Of attempts by later versions of the rule, by their number.
    other_fingerprints = models.JSONField(null=True)
    created_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "postback"
        ordering = ["-event_received_at", "-id"]

    def __str__(self) -> str:
        return str(self.public_id)


class DeliveryAttempt(TenantModel):
    """One attempt to send a postback, append-only. Secrets are masked before it is stored."""

    postback = models.ForeignKey(
        Postback, models.DO_NOTHING, db_constraint=False, related_name="attempts"
    )
    event_received_at = models.DateTimeField()
    number = models.PositiveIntegerField()
    rule_version = models.PositiveIntegerField(null=True)  # null: the postback's
    kind = models.CharField(max_length=8, choices=AttemptKind.choices)
    started_at = models.DateTimeField()
    duration_ms = models.PositiveIntegerField()
    outcome = models.CharField(max_length=16)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True)
    request = models.JSONField(default=dict)
    response = models.JSONField(default=dict)

    class Meta(TenantModel.Meta):
        db_table = "delivery_attempt"
        ordering = ["number"]

    def __str__(self) -> str:
        return f"Attempt {self.number}: {self.outcome}"


class DuePostback(TenantModel):
    """The queue: a row exists only while its postback is pending. Its id is the postback's."""

    postback = models.OneToOneField(
        Postback, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="due"
    )
    event_received_at = models.DateTimeField()
    rule = models.ForeignKey(CallbackRule, models.DO_NOTHING, db_constraint=False, related_name="+")
    host = models.CharField(max_length=262)  # and port: the lane
    kind = models.CharField(max_length=8, choices=AttemptKind.choices, default=AttemptKind.AUTO)
    due_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    claim_id = models.UUIDField(null=True)
    paced = models.BooleanField(
        default=False
    )  # its rule has a limit: paced postbacks are claimed apart
    pinned_version = models.PositiveIntegerField(null=True)  # null: goes by the rule's current one

    class Meta(TenantModel.Meta):
        db_table = "due_postback"

    def __str__(self) -> str:
        return str(self.postback_id)
