"""Trials of rules that a worker makes: tests that are sent, and dry runs over past events."""

from typing import Any

from django.db import models

from apps_registry.tenancy import TenantModel
from postbacks.models.jobs import BackgroundJob
from postbacks.models.rules import CallbackRule


class TestSend(TenantModel):
    """A test that a worker sends once. The row goes a minute after its result came.

    `public_id` is that of its postback, which only the test of a saved rule has. `sealed` is the
    rendered request, encrypted, until it was sent; `skips` says why the rule would not send it.
    """

    __test__ = False  # no class of tests, whatever pytest makes of its name

    public_id = models.UUIDField(unique=True, editable=False)
    rule = models.ForeignKey(
        CallbackRule, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    rule_version = models.PositiveIntegerField(default=0)
    definition = models.JSONField()
    skips = models.JSONField(default=list)
    sdk_event_id = models.UUIDField()
    sealed = models.TextField(blank=True)
    made_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    result = models.JSONField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "test_send"
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(claimed_at=None), name="test_send_to_claim"
            )
        ]

    def __str__(self) -> str:
        return str(self.public_id)

    @property
    def seal_context(self) -> str:
        """What the sealed request is bound to."""
        return f"{self.organization_id}:test_send:{self.public_id}"


class DryRunStatus(models.TextChoices):
    """The state of a dry run."""

    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"
    OUT_OF_TIME = "out_of_time", "Stopped for its time"
    GIVEN_UP = "given_up", "Given up"


class DryRunJob(BackgroundJob):
    """A dry run in the background: a rule as it was written, how far it is, and its outcome.

    `examples` name people's devices as requests do; the row goes after an hour.
    """

    rule = models.ForeignKey(
        CallbackRule, models.DO_NOTHING, null=True, db_constraint=False, related_name="+"
    )
    definition = models.JSONField()
    since = models.DateTimeField()
    cancelled_at = models.DateTimeField(null=True)
    out_of_time = models.BooleanField(default=False)
    total = models.PositiveIntegerField(default=0)
    done = models.PositiveIntegerField(default=0)
    is_complete = models.BooleanField(default=True)
    would_send = models.PositiveIntegerField(default=0)
    skipped = models.JSONField(default=dict)
    not_matched = models.JSONField(default=dict)
    examples = models.JSONField(default=list)

    class Meta(BackgroundJob.Meta):
        db_table = "dry_run_job"
        verbose_name = "dry run"
        indexes = [
            models.Index(
                fields=["id"], condition=models.Q(finished_at=None), name="dry_run_job_to_work_on"
            )
        ]

    def __str__(self) -> str:
        return str(self.public_id)

    @classmethod
    def given_up_values(cls) -> dict[str, Any]:
        return {"is_complete": False}

    @property
    def status(self) -> DryRunStatus:
        if self.cancelled_at is not None:
            return DryRunStatus.CANCELLED
        if self.finished_at is None:
            return DryRunStatus.RUNNING
        if self.tries > self.MOST_TRIES:
            return DryRunStatus.GIVEN_UP
        return DryRunStatus.OUT_OF_TIME if self.out_of_time else DryRunStatus.FINISHED

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total if self.total else 0
