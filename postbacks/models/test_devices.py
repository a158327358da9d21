"""Devices of testers, which the fraud checks leave alone for some days."""

import uuid
from typing import ClassVar

from django.db import models
from django.utils import timezone

from apps_registry.tenancy import TenantModel

FEWEST_DAYS = 1
MOST_DAYS = 30
MOST_MARKS = 1_000  # of an organization


class TestDevice(TenantModel):
    """A device that is marked by one of its ids, in all apps of the organization.

    It stores no id: `key` is the digest by which installs name it, `ending` has four characters.
    """

    __test__ = False  # no class of tests, whatever pytest makes of its name

    audited: ClassVar[tuple[str, ...]] = ("name", "kind", "ending", "ends_at")

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this test device.",
    )
    name = models.CharField(
        max_length=100,
        help_text="By which your team knows the device, for example Anna's Pixel 8.",
    )
    kind = models.CharField("kind of ID", max_length=32, editable=False)
    key = models.UUIDField(editable=False)
    ending = models.CharField("ID's ending", max_length=4, blank=True, editable=False)
    created_at = models.DateTimeField("created", default=timezone.now, editable=False)
    ends_at = models.DateTimeField("ends", editable=False)

    class Meta(TenantModel.Meta):
        db_table = "test_device"
        verbose_name = "test device"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "key"], name="one_mark_per_test_device")
        ]
        indexes = [models.Index(fields=["ends_at"], name="test_device_by_end")]

    def __str__(self) -> str:
        return self.name

    @property
    def masked(self) -> str:
        return f"•••{self.ending}"
