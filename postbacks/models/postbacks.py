"""Postbacks, their delivery attempts, and the queue of due ones."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps_registry.models import App
from apps_registry.tenancy import TenantModel
from postbacks.models.events import Event
from postbacks.models.installs import Install
from postbacks.models.rules import CallbackRule
from postbacks.values.request_timings import RequestTimings, unpack


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
    HELD_EXPIRED = "held_expired", "It was held for seven days, and nobody had it sent"
    HELD_DROPPED = "held_dropped", "It was held, and somebody dropped it"
    RULE_ERROR = "rule_error", "The rule could not be applied; the operator's log says why"
    RULE_TOO_EXPENSIVE = (
        "rule_too_expensive",
        "The rule's conditions took too long; write cheaper ones, then replay the postback",
    )
    NO_TIME_LEFT = (
        "no_time_left",
        "Other rules' conditions took the event's time; write cheaper ones there, then replay "
        "the postback",
    )


class HeldReason(models.TextChoices):
    """Why a pending postback is not in the queue."""

    RULE_SUSPENDED = "rule_suspended", "Its rule was suspended; somebody sends or drops it"
    RULE_OFF = "rule_off", "Its rule is off; it is sent once the rule is switched on"


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
    # The credited campaign when it was decided, for figures; null: none.
    campaign_ref = models.BigIntegerField(null=True)
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
    packed_timings = models.BigIntegerField(
        null=True, db_column="timings"
    )  # of `values.request_timings`; null: not measured, or nothing was begun
    outcome = models.CharField(max_length=16)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True)
    request = models.JSONField(default=dict)
    response = models.JSONField(default=dict)

    class Meta(TenantModel.Meta):
        db_table = "delivery_attempt"
        ordering = ["number"]

    @property
    def timings(self) -> RequestTimings | None:
        return None if self.packed_timings is None else unpack(self.packed_timings)

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


class QueueClass(models.IntegerChoices):
    """In which of its lane's queues a due postback stands, as the SQL function `queue_class` says.

    Each gets its share of what the lane sends: no backlog of one delays the others.
    """

    FRESH = 0, "Fresh"
    LATE = 1, "Late"  # tried before
    REPLAYED = 2, "Replayed"


class BreakerState(models.TextChoices):
    """Whether a lane's postbacks are sent."""

    CLOSED = "closed", "Closed"  # they are
    OPEN = "open", "Open"  # they wait
    HALF_OPEN = "half_open", "Half open"  # they wait, and one request finds out


class CircuitBreaker(TenantModel):
    """What all workers know of a lane that fails or failed lately: an organization, host and port.

    A lane without a row is well. `failures` are those in a row, `window_…` those of a minute.
    """

    host = models.CharField(max_length=262)  # and port
    state = models.CharField(
        max_length=9, choices=BreakerState.choices, default=BreakerState.CLOSED
    )
    reason = models.CharField(max_length=64, blank=True)  # the code of the last failure
    failures = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField()
    window_requests = models.PositiveIntegerField(default=0)
    window_failures = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True)
    next_probe_at = models.DateTimeField(null=True)
    probe_wait_seconds = models.PositiveIntegerField(default=0)

    class Meta(TenantModel.Meta):
        db_table = "circuit_breaker"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "host"], name="one_circuit_breaker_per_lane"
            )
        ]
        indexes = [
            models.Index(
                fields=["next_probe_at"],
                condition=~models.Q(state="closed"),
                name="circuit_breaker_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.host}: {self.state}"


class HeldPostback(TenantModel):
    """A pending postback that left the queue when its rule was suspended or switched off.

    Its id is the postback's. `due_at` is when it would have been sent, and `tries` how many of its
    retry schedule it has had.
    """

    postback = models.OneToOneField(
        Postback, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="held"
    )
    event_received_at = models.DateTimeField()
    rule = models.ForeignKey(CallbackRule, models.DO_NOTHING, db_constraint=False, related_name="+")
    kind = models.CharField(max_length=8, choices=AttemptKind.choices, default=AttemptKind.AUTO)
    due_at = models.DateTimeField()
    tries = models.PositiveIntegerField(default=0)
    pinned_version = models.PositiveIntegerField(null=True)
    reason = models.CharField(max_length=16, choices=HeldReason.choices)
    held_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "held_postback"

    def __str__(self) -> str:
        return str(self.postback_id)


class JobAction(models.TextChoices):
    """What a job does with a rule's held postbacks."""

    SEND = "send", "Send"
    DROP = "drop", "Drop"


class PostbackJob(TenantModel):
    """Background work on many postbacks of a rule, one batch after the other.

    `queued_ids` are those of the last batches that may still wait in the queue: the next batch
    follows when most of them have been tried, so that a job never runs ahead of its rule's pace.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    rule = models.ForeignKey(CallbackRule, models.DO_NOTHING, db_constraint=False, related_name="+")
    action = models.CharField(max_length=8, choices=JobAction.choices)
    reason = models.CharField(max_length=16, choices=HeldReason.choices)  # of the held postbacks
    total = models.PositiveIntegerField(default=0)  # when the job was started
    done = models.PositiveIntegerField(default=0)
    queued_ids = ArrayField(models.BigIntegerField(), default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()  # when the next batch is looked for
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "postback_job"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "rule", "reason"],
                condition=models.Q(finished_at=None),
                name="one_running_job_per_rule_and_reason",
            )
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(finished_at=None), name="postback_job_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.done} of {self.total}"
