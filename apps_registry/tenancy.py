"""Tenant isolation in Python: the first of two walls. The second is row-level security.

Each wall holds without the other. `tenant(…)` tells both of them the organization, for the length
of one transaction.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import connection, models, transaction

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import AuditedModel, AuditedQuerySet

M = TypeVar("M", bound=models.Model)

SET_TENANT = "SELECT set_config('pb.org', %s, true)"

_current: ContextVar[int | None] = ContextVar("organization", default=None)


class NoTenantError(RuntimeError):
    """A query for a tenant's rows ran outside `tenant(…)`: our mistake, never a user's."""


class WrongTenantError(RuntimeError):
    """A row of one organization would have been written on behalf of another."""


def current_organization() -> int | None:
    """Return the id of the current organization, None outside of `tenant(…)`."""
    return _current.get()


@contextmanager
def tenant(organization_id: int) -> Iterator[None]:
    """Open a transaction in which only this organization's rows are visible."""
    nested = connection.in_atomic_block
    with transaction.atomic():
        outer_organization_id = _current.get()
        token = _current.set(organization_id)
        _set_tenant(organization_id)
        try:
            yield
            # A rollback, or the end of the transaction, resets the setting.
            if nested and not connection.needs_rollback:
                _set_tenant(outer_organization_id)
        finally:
            _current.reset(token)


def _set_tenant(organization_id: int | None) -> None:
    value = "" if organization_id is None else str(organization_id)
    with connection.cursor() as cursor:
        cursor.execute(SET_TENANT, [value])


class TenantManager(models.Manager[M]):
    """Limits queries to the current organization; without one every query raises."""

    _queryset_class = AuditedQuerySet

    def get_queryset(self) -> models.QuerySet[M]:
        organization_id = _current.get()
        if organization_id is None:
            raise NoTenantError(f"{self.model.__name__} was asked for outside of an organization.")
        return super().get_queryset().filter(organization_id=organization_id)


class TenantModel(AuditedModel):
    """A row that belongs to one organization and never moves to another."""

    organization = models.ForeignKey(
        "apps_registry.Organization", on_delete=models.PROTECT, editable=False, related_name="+"
    )

    objects = TenantManager()

    class Meta:
        abstract = True
        base_manager_name = "objects"
        default_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the row. Raises WrongTenantError outside of its organization."""
        current = _current.get()
        if current is not None and not self.organization_id:
            self.organization_id = current
        if current is None or self.organization_id != current:
            raise WrongTenantError(f"{type(self).__name__} belongs to another organization.")
        super().save(*args, **kwargs)

    def audit_action(self, changes: Mapping[str, list[Any]]) -> Action:
        if changes.get("status", ("", ""))[1] == Lifecycle.ARCHIVED:
            return Action.ARCHIVED
        return super().audit_action(changes)


class Lifecycle(models.TextChoices):
    """Whether a row is still in use. Rows that history refers to are never deleted."""

    ACTIVE = "active", "Active"
    ARCHIVED = "archived", "Archived"
