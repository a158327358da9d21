"""Discrepancies: a partner's list of conversions beside what was sent to that partner."""

from typing import Any

from django.db import models

from apps_registry.models import Partner
from apps_registry.tenancy import TenantModel
from postbacks.models.jobs import JobStatus, ListJob
from postbacks.values.partner_lists import LONGEST_ID


class DiscrepancyOutcome(models.TextChoices):
    """What is known here of one conversion."""

    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    WAITING = "waiting", "On its way"
    NOT_OWED = "not_owed", "Never owed"
    UNKNOWN = "unknown", "Not known here"
    MISSING = "missing", "Sent, and they lack it"


class Discrepancy(ListJob):
    """A comparison: the list until it was read, how far it is, and the totals.

    `counts` are by outcome; `their_money` is by currency, `our_money` by outcome and currency.
    What was sent from `since` until `until` is looked for in the list, newest first, down to
    `reached_at` and `reached_id`.
    """

    partner = models.ForeignKey(Partner, models.DO_NOTHING, db_constraint=False, related_name="+")
    event_name = models.CharField(max_length=64, blank=True)
    text = models.TextField(blank=True)
    readings = models.JSONField(default=list)
    remarks = models.JSONField(default=list)
    id_kind = models.CharField(max_length=16, blank=True)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    without_id = models.PositiveIntegerField(default=0)  # sent postbacks that can't be compared
    counts = models.JSONField(default=dict)
    differing_amounts = models.PositiveIntegerField(default=0)
    their_money = models.JSONField(default=dict)
    our_money = models.JSONField(default=dict)

    class Meta(ListJob.Meta):
        db_table = "discrepancy"
        verbose_name = "discrepancy"
        verbose_name_plural = "discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "id"], name="discrepancy_of_organization"
            )
        ]
        indexes = [
            models.Index(
                fields=["worked_at"],
                condition=models.Q(status=JobStatus.RUNNING),
                name="discrepancy_to_work_on",
            ),
            models.Index(fields=["organization", "created_at", "id"], name="discrepancy_in_order"),
        ]

    def __str__(self) -> str:
        return f"Discrepancies with {self.partner}"

    @classmethod
    def given_up_values(cls) -> dict[str, Any]:
        return {**super().given_up_values(), "text": ""}

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0


class DiscrepancyLine(TenantModel):
    """One conversion: the partner's line beside ours, or ours that the partner lacks (`number` 0).

    Lines are stored backwards, so that the newest first are in the partner's order.
    """

    discrepancy = models.ForeignKey(
        Discrepancy, models.PROTECT, db_constraint=False, related_name="lines"
    )
    number = models.PositiveIntegerField()
    partner_id_text = models.CharField("ID", max_length=LONGEST_ID)
    digest = models.UUIDField()  # of the ID, which may be too long for an index
    at = models.DateTimeField(null=True)
    amount = models.DecimalField(max_digits=40, decimal_places=20, null=True)
    currency = models.CharField(max_length=3, blank=True)
    outcome = models.CharField(max_length=16, choices=DiscrepancyOutcome.choices)
    reason = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True)
    event_name = models.CharField(max_length=64, blank=True)
    sdk_event_id = models.UUIDField(null=True)
    postback_public_id = models.UUIDField(null=True)
    sent_at = models.DateTimeField(null=True)
    status_code = models.PositiveSmallIntegerField(null=True)
    our_amount = models.DecimalField(max_digits=40, decimal_places=20, null=True)
    our_currency = models.CharField(max_length=3, blank=True)

    class Meta(TenantModel.Meta):
        db_table = "discrepancy_line"
        verbose_name = "line of a discrepancy"
        verbose_name_plural = "lines of a discrepancy"
        indexes = [
            models.Index(
                fields=["organization", "discrepancy", "outcome", "id"],
                name="discrepancy_line_in_order",
            ),
            models.Index(fields=["discrepancy", "digest"], name="discrepancy_line_by_id"),
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.outcome}"

    @property
    def differs(self) -> bool:
        """Tell whether both sides have an amount, and not the same."""
        if self.amount is None or self.our_amount is None:
            return False
        is_comparable = self.currency in {"", self.our_currency}
        return is_comparable and self.amount != self.our_amount
