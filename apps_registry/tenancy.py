"""Who may see which rows: the first of two walls, in Python. The second is row-level security.

Each wall holds without the other. Both learn the organization from `tenant(…)`, for the length of
one transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import connection, models, transaction

from apps_registry.audit.recorded_model import AuditedModel, RecordedQuerySet

M = TypeVar("M", bound=models.Model)

_current: ContextVar[int | None] = ContextVar("organization", default=None)


class NoTenantError(RuntimeError):
    """A tenant's rows were asked for outside `tenant(…)`: our mistake, never a user's."""


class WrongTenantError(RuntimeError):
    """A row of one organization was about to be written on behalf of another."""


def current_organization() -> int | None:
    """Return the id of the organization whose rows may be seen now."""
    return _current.get()


@contextmanager
def tenant(organization_id: int) -> Iterator[None]:
    """Open a transaction in which only this organization's rows exist, held twice."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        before = _current.get()
        token = _current.set(organization_id)
        _tell_postgres(organization_id)
        try:
            yield
            # A rollback takes the setting back by itself; so does the end of the transaction.
            if nested and not connection.needs_rollback:
                _tell_postgres(before)
        finally:
            _current.reset(token)


def _tell_postgres(organization_id: int | None) -> None:
    value = "" if organization_id is None else str(organization_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pb.org', %s, true)", [value])


class TenantManager(models.Manager[M]):
    """Shows the current organization's rows, and nothing at all when there is none."""

    _queryset_class = RecordedQuerySet

    def get_queryset(self) -> models.QuerySet[M]:
        organization_id = _current.get()
        if organization_id is None:
            raise NoTenantError(f"{self.model.__name__} was asked for outside of an organization.")
        return super().get_queryset().filter(organization_id=organization_id)


class TenantModel(AuditedModel):
    """A row that belongs to one organization for good."""

    organization = models.ForeignKey(
        "apps_registry.Organization", on_delete=models.PROTECT, editable=False, related_name="+"
    )

    objects = TenantManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"
        default_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the row, which belongs to the current organization or is refused."""
        current = _current.get()
        if current is not None and not self.organization_id:
            self.organization_id = current
        if current is None or self.organization_id != current:
            raise WrongTenantError(f"{type(self).__name__} belongs to another organization.")
        super().save(*args, **kwargs)


class Lifecycle(models.TextChoices):
    """Whether people still use a row. Nothing that history refers to is ever deleted."""

    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"
