"""Requests to forget a device, their progress, and the tombstones that block its later data."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from apps_registry.models import App
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import TenantModel


class ErasureMode(models.TextChoices):
    """Whether a device is forgotten for good or reset."""

    FORGET = "forget", "Forget for good"
    RESET = "reset", "Reset for tests"


class ErasureReach(models.TextChoices):
    """How far a request may follow a device's ids; an app's key is public, so not far."""

    INSTALL = "install", "What carries this install ID"
    DEVICE = "device", "All that the device's IDs lead to"


class ErasureState(models.TextChoices):
    """The progress of the background work."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"


class ErasureRequest(TenantModel):
    """A device to forget. It stores no id: `digest` is keyed, `ending` has four characters."""

    audited: ClassVar[tuple[str, ...]] = ("app", "mode", "kind", "ending")

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    mode = models.CharField(
        max_length=8, choices=ErasureMode.choices, default=ErasureMode.FORGET, verbose_name="what"
    )
    reach = models.CharField(max_length=8, choices=ErasureReach.choices)
    kind = models.CharField("kind of ID", max_length=32)
    digest = models.UUIDField()
    ending = models.CharField("ID's ending", max_length=4, blank=True)
    state = models.CharField(
        max_length=8, choices=ErasureState.choices, default=ErasureState.WAITING
    )
    asked_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    swept_to = models.DateField(null=True, help_text="Events from this day on were looked through.")
    counts = models.JSONField(default=dict, help_text="Rows that were emptied, by table.")
    runs = models.PositiveIntegerField(default=0)
    finished_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        db_table = "erasure_request"
        verbose_name = "request to forget a device"
        verbose_name_plural = "requests to forget a device"
        ordering = ["-asked_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="erasure_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "app", "mode", "kind", "digest"],
                name="one_erasure_per_app_mode_and_id",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=~models.Q(state="done"),
                name="erasure_request_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.masked}"

    @property
    def masked(self) -> str:
        return f"•••{self.ending}"


class ErasureTrace(SealedSecret):
    """The device's ids that an unfinished erasure has found, encrypted; deleted once it is done."""

    request = models.OneToOneField(
        ErasureRequest, models.DO_NOTHING, db_constraint=False, related_name="trace"
    )

    class Meta(TenantModel.Meta):
        db_table = "erasure_trace"

    def __str__(self) -> str:
        return self.operator_label

    @property
    def encryption_context(self) -> str:
        """Return organization, table and request: the trace opens nowhere else."""
        return f"{self.organization_id}:erasure_trace:{self.request_id}"

    @property
    def operator_label(self) -> str:
        return f"unfinished erasure {self.request_id}"

    def seal(self, secret: str) -> None:
        """Encrypt the trace, and store no ending of it."""
        super().seal(secret)
        self.ending = ""


class ErasureTombstone(TenantModel):
    """The keyed digest of a forgotten device's identifier: data with it are blocked."""

    app = models.ForeignKey(App, models.DO_NOTHING, db_constraint=False, related_name="+")
    digest = models.UUIDField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        db_table = "erasure_tombstone"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "app", "digest"], name="one_tombstone_per_app_and_digest"
            )
        ]

    def __str__(self) -> str:
        return str(self.digest)


class TombstoneKey(SealedSecret):
    """The organization's key for digests of forgotten devices.

    It is random and never changes, or tombstones would block nothing any more. It is encrypted like
    every secret: rotating FIELD_ENCRYPTION_KEYS encrypts it again.
    """

    class Meta(TenantModel.Meta):
        db_table = "tombstone_key"
        constraints = [models.UniqueConstraint(fields=["organization"], name="one_tombstone_key")]

    def __str__(self) -> str:
        return self.operator_label

    @property
    def encryption_context(self) -> str:
        """Return organization and table: the key opens nowhere else."""
        return tombstone_key_context(self.organization_id)

    @property
    def operator_label(self) -> str:
        return "key of forgotten devices"


def tombstone_key_context(organization_id: int) -> str:
    """Return the encryption context of an organization's key, for reads without the ORM."""
    return f"{organization_id}:tombstone_key"
