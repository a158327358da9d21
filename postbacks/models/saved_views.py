"""Lists as people keep them: filters and columns under a name, and each person's own columns."""

import uuid

from django.db import models
from django.utils import timezone

from apps_registry.tenancy import TenantModel

LONGEST_VIEW_NAME = 80
LONGEST_FILTERS = 2_000


class SavedView(TenantModel):
    """A list under some filters, with some columns.

    Without a name it is what a person has chosen for a list, and holds columns alone. One that is
    shared stays when its creator leaves. Filters by an id or a text are never kept.
    """

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    list_name = models.CharField("list", max_length=64)
    name = models.CharField(max_length=LONGEST_VIEW_NAME, blank=True)
    # A person's number, null of a program's; no reference, so that whoever leaves can be deleted.
    owner_ref = models.BigIntegerField(null=True, editable=False)
    created_by = models.CharField(max_length=255, blank=True, editable=False)
    filters = models.CharField(max_length=LONGEST_FILTERS, blank=True)
    columns = models.JSONField(default=list)
    is_shared = models.BooleanField("shared", default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta(TenantModel.Meta):
        db_table = "saved_view"
        verbose_name = "saved view"
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "owner_ref", "list_name", "name"],
                name="one_saved_view_per_person_list_and_name",
            )
        ]

    def __str__(self) -> str:
        return self.name or f"Columns of {self.list_name}"
