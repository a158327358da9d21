"""Callback rules: which events send a postback to which partner, and its content."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from apps_registry.audit.actions import Action
from apps_registry.models import App, Partner, User
from apps_registry.tenancy import TenantModel
from postbacks.values.events import ANY_EVENT
from postbacks.values.rule_choices import (
    DEFAULT_DELAYS,
    AttributionScope,
    BodyType,
    Frequency,
    HttpMethod,
    MissingValues,
    WithoutConsent,
)
from postbacks.values.rule_choices import any_success as any_success  # migrations name it here

LONGEST_RULE_NAME = 120
# Rules that aren't archived. Each is compared with each event of its app.
MOST_RULES = 2_000  # of an organization
MOST_RULES_OF_APP = 1_000  # ... those for all apps included
LARGEST_RULE = 4 * 1024 * 1024  # bytes, as `RuleDefinition.counted_bytes`
LARGEST_RULES = 16 * 1024 * 1024  # ... of an organization's rules together
MOST_WAITS = 24  # between tries
LONGEST_WAIT = 86_400  # seconds

FREQUENCIES = [
    (Frequency.EVERY.value, "Every time"),
    (Frequency.FIRST.value, "First time per device"),
]
SCOPES = [
    (AttributionScope.EVERYONE.value, "Everyone"),
    (AttributionScope.PARTNER.value, "Attributed to this partner"),
    (AttributionScope.PARTNER_AND_ORGANIC.value, "Attributed to this partner, and organic"),
    (AttributionScope.ANY_ATTRIBUTED.value, "Attributed to any partner"),
]
WITHOUT_CONSENT = [
    (WithoutConsent.SEND.value, "Send all the same"),
    (WithoutConsent.STRIP.value, "Leave personal data out"),
    (WithoutConsent.SKIP.value, "Do not send"),
]
METHODS = [(method.value, method.value.capitalize()) for method in HttpMethod]
BODY_TYPES = [
    (BodyType.NONE.value, "No body"),
    (BodyType.FORM.value, "Form (a=1&b=2)"),
    (BodyType.JSON.value, "JSON"),
    (BodyType.RAW.value, "As it stands"),
]
MISSING_VALUES = [
    (MissingValues.EMPTY.value, "Send it empty"),
    (MissingValues.DROP.value, "Leave the parameter out"),
]


class RuleStatus(models.TextChoices):
    """Whether a rule sends."""

    DRAFT = "draft", "Draft"
    ACTIVE = "active", "Active"
    PAUSED = "paused", "Paused"
    SUSPENDED = "suspended", "Suspended by us"
    ARCHIVED = "archived", "Archived"


def any_event() -> list[str]:
    """Return the trigger of a new rule."""
    return [ANY_EVENT]


def default_delays() -> list[int]:
    """Return the contract's retry schedule in seconds."""
    return list(DEFAULT_DELAYS)


def every_event() -> dict[str, object]:
    """Return the conditions of a new rule: none."""
    return {"all": []}


def no_authentication() -> dict[str, str]:
    """Return the authentication of a new rule: none."""
    return {"type": "none"}


EXPENSIVE_REMEDY = (
    "Name values in a list in place of a pattern, write fewer and simpler patterns, or narrow the "
    "rule's events and app; then replay what was skipped."
)


class CallbackRule(TenantModel):
    """Which events send a postback to a partner, and its content. Each save makes a version."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(
        max_length=LONGEST_RULE_NAME,
        help_text="What the rule is for, for example Purchases to Unity Ads.",
    )
    app = models.ForeignKey(
        App,
        models.PROTECT,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="rules",
        help_text="Whose events are sent, for example Gem Harbor iOS. Empty: all apps.",
    )
    partner = models.ForeignKey(
        Partner,
        models.PROTECT,
        null=True,
        blank=True,
        db_constraint=False,
        related_name="rules",
        help_text="Who gets the postbacks, for example Unity Ads. Credentials belong to a partner.",
    )
    status = models.CharField(
        max_length=16,
        choices=RuleStatus.choices,
        default=RuleStatus.DRAFT,
        help_text="Only an active rule sends. Start with a draft while you write.",
    )
    triggers = ArrayField(
        models.CharField(max_length=64),
        default=any_event,
        help_text="Event names separated by commas, for example install,purchase. * is any event.",
    )
    frequency = models.CharField(
        max_length=8,
        choices=FREQUENCIES,
        default=Frequency.EVERY,
        help_text="Whether a device's second purchase, for example, is sent too.",
    )
    attribution_scope = models.CharField(
        max_length=24,
        choices=SCOPES,
        default=AttributionScope.EVERYONE,
        help_text="All installs' events, or for example only of those that the partner earned.",
    )
    conditions = models.JSONField(
        default=every_event,
        help_text=(
            'What an event must fulfil, for example {"all": [{"field": "country", "operator": '
            '"in", "value": ["DE", "AT"]}]}; "any" in place of "all": one of them is enough.'
        ),
    )
    event_map = models.JSONField(
        default=dict,
        blank=True,
        help_text=(
            'The partner\'s event names, for example {"purchase": "af_purchase"}; sent as '
            "{{partner_event_name}}. Events that a map does not name are not sent."
        ),
    )
    window_days = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(3650)],
        help_text="Days after the install in which events count, for example 30. Empty: always.",
    )
    sampling_percent = models.PositiveSmallIntegerField(
        default=100,
        validators=[MaxValueValidator(100)],
        help_text="Share of devices whose events are sent, for example 10. 100: all.",
    )
    delay_seconds = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(7 * 86_400)],
        help_text="How many seconds to wait before the first try, for example 60. 0: at once.",
    )
    send_revenue = models.BooleanField(
        default=True, help_text="Off: amounts and currency, for example 4.99 USD, are left out."
    )
    without_consent = models.CharField(
        max_length=8,
        choices=WITHOUT_CONSENT,
        default=WithoutConsent.STRIP,
        help_text="What to do when a person opted out, for example of tracking on iOS.",
    )
    method = models.CharField(
        max_length=8,
        choices=METHODS,
        default=HttpMethod.GET,
        help_text="How the partner wants to be called; most ad networks use GET.",
    )
    url = models.TextField(
        "URL",
        help_text=(
            "For example https://ads.example.com/postback?id={{advertising_id}}"
            "&event={{event_name}}. Macros in double braces are filled in from the event."
        ),
    )
    headers = models.JSONField(
        default=dict,
        blank=True,
        help_text='Extra headers, for example {"Authorization": "Bearer {{credential.api_key}}"}.',
    )
    body_type = models.CharField(
        max_length=8,
        choices=BODY_TYPES,
        default=BodyType.NONE,
        help_text="The format that the partner reads, for example JSON. GET has no body.",
    )
    body = models.TextField(
        blank=True, help_text='For example {"event": "{{event_name}}", "revenue": {{revenue}}}.'
    )
    missing_values = models.CharField(
        max_length=8,
        choices=MISSING_VALUES,
        default=MissingValues.EMPTY,
        help_text="What happens to a parameter without a value, for example idfa on Android.",
    )
    authentication = models.JSONField(
        default=no_authentication,
        help_text=(
            'How the partner knows that it is us, for example {"type": "bearer", "credential": '
            '"api_key"}.'
        ),
    )
    sign = models.BooleanField(
        default=False,
        help_text="On: requests carry a Standard Webhooks signature, which your server can verify.",
    )
    success = models.JSONField(
        default=any_success,
        help_text='What counts as received, for example {"codes": ["2xx"], "body_contains": "ok"}.',
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(15)],
        help_text="How long the partner may take to answer, 1 to 15 seconds.",
    )
    retry_delays = ArrayField(
        models.PositiveIntegerField(
            validators=[MinValueValidator(1), MaxValueValidator(LONGEST_WAIT)]
        ),
        default=default_delays,
        blank=True,
        size=MOST_WAITS,
        help_text="Seconds before each new try, for example 5,30,120. Empty: never again.",
    )
    rate_limit_per_second = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="The most requests that start in one second, for example 20. Empty: no limit.",
    )
    max_in_flight = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="The most requests that run at the same time, for example 4. Empty: no limit.",
    )
    version = models.PositiveIntegerField(default=0, editable=False)
    counted_bytes = models.PositiveIntegerField(default=0, editable=False)  # of its definition
    # The version whose lane and pace the queued postbacks have; another one: they must move.
    queue_version = models.PositiveIntegerField(default=0, editable=False)
    suspension_told_at = models.DateTimeField(
        null=True, editable=False
    )  # when owners were notified
    # Attempts that began before count nothing toward a suspension.
    judged_since = models.DateTimeField(null=True, editable=False)
    # The version whose conditions took too long when last seen; another one: they may be cheap.
    expensive_version = models.PositiveIntegerField(null=True, editable=False)
    expensive_at = models.DateTimeField(null=True, editable=False)
    expensive_ms = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    audited = (
        "name",
        "status",
        "app",
        "partner",
        "triggers",
        "frequency",
        "attribution_scope",
        "event_map",
        "window_days",
        "sampling_percent",
        "delay_seconds",
        "send_revenue",
        "without_consent",
        "method",
        "url",
        "headers",
        "body_type",
        "body",
        "missing_values",
        "conditions",
        "authentication",
        "sign",
        "success",
        "timeout_seconds",
        "retry_delays",
        "rate_limit_per_second",
        "max_in_flight",
    )

    class Meta(TenantModel.Meta):
        db_table = "callback_rule"
        verbose_name = "callback rule"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="rule_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "name"],
                condition=~Q(status="archived"),
                name="one_rule_per_name",
                violation_error_message="Another rule has this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_too_expensive(self) -> bool:
        """Whether the current version's conditions took too long for an event."""
        return self.expensive_version is not None and self.expensive_version == self.version

    def audit_action(self, changes: Mapping[str, list[Any]]) -> Action:
        """Name a change of status by what it means for sending."""
        before, now = changes.get("status", ("", ""))
        if now == RuleStatus.ACTIVE:
            return Action.SWITCHED_ON
        if now == RuleStatus.SUSPENDED:
            return Action.SUSPENDED
        if before == RuleStatus.ACTIVE and now != RuleStatus.ARCHIVED:
            return Action.SWITCHED_OFF
        return super().audit_action(changes)


class CallbackRuleVersion(TenantModel):
    """A rule's definition when it was saved. Never changed: postbacks refer to their version.

    `tested_at` is the last success of a test send with the same request, None without one.
    """

    rule = models.ForeignKey(
        CallbackRule, models.PROTECT, related_name="versions", db_constraint=False
    )
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    saved_by = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, db_constraint=False, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    tested_at = models.DateTimeField(null=True, editable=False)

    class Meta(TenantModel.Meta):
        db_table = "callback_rule_version"
        verbose_name = "rule version"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "rule", "number"], name="one_version_per_rule_and_number"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule} v{self.number}"


class RuleDevice(TenantModel):
    """Stores “first time per device”: one row per rule and device that was served."""

    rule = models.ForeignKey(CallbackRule, models.DO_NOTHING, db_constraint=False, related_name="+")
    device = models.CharField(max_length=320)

    class Meta(TenantModel.Meta):
        db_table = "rule_device"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "rule", "device"], name="one_first_time_per_rule_and_device"
            )
        ]

    def __str__(self) -> str:
        return self.device


class RuleFailure(TenantModel):
    """Since when nothing of a rule's current version succeeded, and how much was given up since.

    There are rows of rules that have failed only. `warned` is the percentage of the way to a
    suspension that owners were last told of.
    """

    rule = models.OneToOneField(
        CallbackRule,
        models.DO_NOTHING,
        primary_key=True,
        db_constraint=False,
        related_name="failure",
    )
    version = models.PositiveIntegerField()
    failing_since = models.DateTimeField(null=True)  # null: it has succeeded since
    given_up = models.PositiveIntegerField(default=0)
    warned = models.PositiveSmallIntegerField(default=0)

    class Meta(TenantModel.Meta):
        db_table = "rule_failure"

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.given_up} since {self.failing_since}"


class RulePace(TenantModel):
    """A rule's limits and the time of its next request, for rules that ever had a limit.

    A row stays when its rule's limits are lifted, since queued postbacks still look it up.
    """

    rule = models.OneToOneField(
        CallbackRule, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="+"
    )
    rate_limit_per_second = models.PositiveSmallIntegerField(null=True)
    max_in_flight = models.PositiveSmallIntegerField(null=True)
    next_at = models.DateTimeField()

    class Meta(TenantModel.Meta):
        db_table = "rule_pace"

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.rate_limit_per_second}/s, {self.max_in_flight} at once"
