"""Jobs that people start and workers do: whose they are, how far, and how they ended."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, QuerySet

from apps_registry.tenancy import TenantModel, tenant

KEPT_FOR = timedelta(days=7)  # from the start


class JobStatus(models.TextChoices):
    """The state of a job."""

    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    CANCELLED = "cancelled", "Cancelled"
    FAILED = "failed", "Failed"
    ERASED = "erased", "Deleted by an erasure"


class BackgroundJob(TenantModel):
    """Work for a worker. `tries` counts the workers in a row that began a turn and did not end it.

    Two that were killed by it are enough: it would end the next one, too.
    """

    MOST_TRIES: ClassVar = 2

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta(TenantModel.Meta):
        abstract = True

    @classmethod
    def unfinished(cls, id_: int) -> "QuerySet[Self]":
        """Return a job, if it has not ended."""
        return cls.objects.filter(pk=id_, finished_at=None)

    @classmethod
    def begin_turn(cls, organization_id: int, id_: int) -> bool:
        """Count a worker's try; False for a job that has ended, or that is given up by this."""
        with tenant(organization_id):
            if not cls.unfinished(id_).update(tries=F("tries") + 1):
                return False
            tired = cls.unfinished(id_).filter(tries__gt=cls.MOST_TRIES)
            return not tired.update(finished_at=datetime.now(UTC), **cls.given_up_values())

    @classmethod
    def given_up_values(cls) -> dict[str, Any]:
        """Return how a job ends that ended its workers."""
        return {}


class ListJob(BackgroundJob):
    """A job that goes through a list in turns, from the newest row down to `reached_at`."""

    GIVEN_UP: ClassVar = (
        f"It ended {BackgroundJob.MOST_TRIES} workers, so it was given up. "
        "Try a shorter time or a narrower filter, and tell the operator."
    )

    asked_by = models.CharField(max_length=255, blank=True)
    expires_at = models.DateTimeField()
    worked_at = models.DateTimeField()  # by a worker; the one of longest ago is next
    status = models.CharField(max_length=16, choices=JobStatus.choices, default=JobStatus.RUNNING)
    failure = models.CharField(max_length=255, blank=True, default="", db_default="")
    reached_id = models.BigIntegerField(null=True)
    reached_at = models.DateTimeField(null=True)

    class Meta(BackgroundJob.Meta):
        abstract = True

    @classmethod
    def unfinished(cls, id_: int) -> "QuerySet[Self]":
        return cls.objects.filter(pk=id_, status=JobStatus.RUNNING)

    @classmethod
    def end_turn(cls, organization_id: int, id_: int) -> None:
        """Forget the tries of a turn that its worker has survived."""
        with tenant(organization_id):
            cls.objects.filter(pk=id_).update(tries=0)

    @classmethod
    def end(cls, id_: int, status: JobStatus, **values: object) -> bool:
        """End a job; tell whether it was running."""
        ended = {"status": status, "finished_at": datetime.now(UTC), **values}
        return bool(cls.unfinished(id_).update(**ended))

    @classmethod
    def given_up_values(cls) -> dict[str, Any]:
        return {"status": JobStatus.FAILED, "failure": cls.GIVEN_UP}

    @property
    def is_running(self) -> bool:
        return self.status == JobStatus.RUNNING
