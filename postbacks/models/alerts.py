"""Alerts that an organization defines, what they have found, and whom they tell of it."""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from apps_registry.links import masked_address
from apps_registry.models import App, Partner
from apps_registry.tenancy import TenantModel
from postbacks.models.rules import CallbackRule

MOST_ALERTS = 100  # of an organization
MOST_EMAILS = 20  # of an alert
MOST_OPEN = 50  # incidents of an alert at one time
LONGEST_MINUTES = 1_440
INCIDENT_DAYS_KEPT = 90  # since their end; notices since they were made


class AlertKind(models.TextChoices):
    """What an alert watches."""

    SUCCESS_RATE = "success_rate", "Success rate below a limit"
    NO_EVENTS = "no_events", "No events from an app"
    VOLUME_JUMP = "volume_jump", "Jump of volume"
    RULE_SUSPENDED = "rule_suspended", "Rule failing or suspended"
    BREAKER_OPEN = "breaker_open", "Circuit breaker open"


class JumpDirection(models.TextChoices):
    """Which jumps of volume count."""

    EITHER = "either", "More or fewer"
    RISE = "rise", "More events only"
    DROP = "drop", "Fewer events only"


class AlertTopic(models.TextChoices):
    """What a notice is about, as its receiver reads it."""

    RAISED = "alert.raised"
    CLEARED = "alert.cleared"
    RULE_FAILING = "rule.failing"
    RULE_SUSPENDED = "rule.suspended"
    RULE_RECOVERED = "rule.recovered"
    BREAKER_OPENED = "breaker.opened"
    BREAKER_CLOSED = "breaker.closed"
    TEST = "alert.test"


class NoticeChannel(models.TextChoices):
    """How a notice is sent."""

    EMAIL = "email", "E-mail"
    CALLBACK = "callback", "Callback"


class NoticeStatus(models.TextChoices):
    """The state of a notice."""

    PENDING = "pending", "On its way"
    HELD = "held", "Held until quiet hours end"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    DROPPED = "dropped", "Not sent: over before quiet hours ended"


class ClearReason(models.TextChoices):
    """Why an incident is over."""

    RECOVERED = "recovered", "Recovered"
    TOO_LITTLE_DATA = "too_little_data", "Too little data for a day"
    NOT_WATCHED = "not_watched", "No longer watched"


class Alert(TenantModel):
    """What is watched, from where on it is raised, and who is told.

    Without app, partner and rule each of them is watched by itself. Which of the fields count
    follows from the kind: `alerts.kinds` says so.
    """

    audited: ClassVar[tuple[str, ...]] = (
        *("name", "kind", "app", "partner", "rule", "threshold", "minutes", "direction"),
        *("emails", "webhook_url", "quiet_from", "quiet_until", "enabled"),
    )
    audited_addresses = ("webhook_url",)

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this alert.",
    )
    name = models.CharField(
        max_length=100,
        help_text="What your team calls the alert, for example Postbacks to Chartboost fail.",
    )
    kind = models.CharField(max_length=16, choices=AlertKind.choices)
    app = models.ForeignKey(
        App, models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="+"
    )
    partner = models.ForeignKey(
        Partner, models.DO_NOTHING, db_constraint=False, null=True, blank=True, related_name="+"
    )
    rule = models.ForeignKey(
        CallbackRule,
        models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="+",
    )
    threshold = models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(1_000)]
    )
    minutes = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_MINUTES)],
    )
    direction = models.CharField(
        max_length=8, choices=JumpDirection.choices, default=JumpDirection.EITHER
    )
    emails = ArrayField(
        models.EmailField(max_length=254),
        default=list,
        blank=True,
        size=MOST_EMAILS,
        verbose_name="members who get an e-mail",
        help_text="Members who leave the organization get no more e-mails.",
    )
    webhook_url = models.CharField(
        "callback URL",
        max_length=2_000,
        blank=True,
        help_text="Optional: the address of a program of yours, which gets a signed POST, for "
        "example https://hooks.example.com/postbacks. Your signing secrets sign it.",
    )
    quiet_from = models.TimeField(
        "quiet hours from",
        null=True,
        blank=True,
        help_text="Optional, for example 22:00 in your organization's time zone. From then on "
        "nobody is told.",
    )
    quiet_until = models.TimeField(
        "quiet hours until",
        null=True,
        blank=True,
        help_text="For example 07:00: then you are told what is still wrong.",
    )
    enabled = models.BooleanField(
        "on",
        default=True,
        help_text="An alert that is off watches nothing and tells nobody.",
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    class Meta(TenantModel.Meta):
        db_table = "alert"
        verbose_name = "alert"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="alert_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "name"],
                name="one_alert_per_name",
                violation_error_message="There is an alert of this name. Choose another one.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def masked_webhook_url(self) -> str:
        """The callback URL for those who may not set up alerts: its path may be a key."""
        return masked_address(self.webhook_url)

    @property
    def has_quiet_hours(self) -> bool:
        return self.quiet_from is not None and self.quiet_until is not None


class AlertIncident(TenantModel):
    """The time from when an alert is raised for one subject, such as one rule, until it is over.

    `subject` says which one (`rule:12`), `label` its name then. `value` and `detail` are what was
    seen last, `level` how far a rule is on the way to its suspension, in percent.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    alert = models.ForeignKey(Alert, models.CASCADE, db_constraint=False, related_name="incidents")
    subject = models.CharField(max_length=300)
    label = models.CharField(max_length=300)
    app_ref = models.BigIntegerField(default=0)
    partner_ref = models.BigIntegerField(default=0)
    rule_ref = models.BigIntegerField(default=0)
    level = models.PositiveSmallIntegerField(default=0)
    value = models.FloatField(null=True)
    detail = models.CharField(max_length=500, blank=True)
    raised_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    well_since = models.DateTimeField(null=True)
    cleared_at = models.DateTimeField(null=True)
    clear_reason = models.CharField(max_length=16, choices=ClearReason.choices, blank=True)

    class Meta(TenantModel.Meta):
        db_table = "alert_incident"
        verbose_name = "incident"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="incident_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "alert", "subject"],
                condition=models.Q(cleared_at=None),
                name="one_open_incident_per_alert_and_subject",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "alert", "id"], name="incident_in_order"),
            models.Index(fields=["cleared_at"], name="incident_by_end"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def is_open(self) -> bool:
        return self.cleared_at is None


class AlertNotice(TenantModel):
    """One message about an incident, or a test, on one channel.

    `body` is the callback's body, byte for byte the same at each try; `public_id` its `webhook-id`.
    `tries` fences a worker that comes back late: what it finishes must be the try that it began.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    alert = models.ForeignKey(Alert, models.CASCADE, db_constraint=False, related_name="notices")
    incident = models.ForeignKey(
        AlertIncident, models.CASCADE, db_constraint=False, null=True, related_name="notices"
    )
    topic = models.CharField(max_length=16, choices=AlertTopic.choices)
    channel = models.CharField(max_length=8, choices=NoticeChannel.choices)
    status = models.CharField(max_length=8, choices=NoticeStatus.choices)
    body = models.TextField()
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=64, blank=True)

    class Meta(TenantModel.Meta):
        db_table = "alert_notice"
        verbose_name = "notice"
        indexes = [
            models.Index(
                fields=["organization", "due_at"],
                condition=models.Q(status__in=["pending", "held"]),
                name="notice_due",
            ),
            models.Index(fields=["organization", "alert", "id"], name="notice_in_order"),
            models.Index(fields=["created_at"], name="notice_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.topic} by {self.get_channel_display()}"


class AlertTurn(TenantModel):
    """When an organization's alerts were judged last, and the last one that there was time for."""

    judged_at = models.DateTimeField()
    after_id = models.BigIntegerField(default=0)

    class Meta(TenantModel.Meta):
        db_table = "alert_turn"
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="one_turn_per_organization")
        ]
        indexes = [models.Index(fields=["judged_at"], name="alert_turn_by_time")]

    def __str__(self) -> str:
        return str(self.judged_at)
