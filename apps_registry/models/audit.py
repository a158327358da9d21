"""The entries of the audit log, which are never changed."""

import uuid
from typing import Any, NoReturn

from django.db import models
from django.utils import timezone

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import ActorKind, Door
from apps_registry.tenancy import TenantModel


class AppendOnlyError(RuntimeError):
    """Our code tried to change or delete an audit entry."""


class AuditEntry(TenantModel):
    """One action of an actor. PostgreSQL refuses to change or delete it (migration 0004).

    Names are stored as they were, since people, tokens and rows may be deleted. `object_type` is
    the name of the row's table.
    """

    public_id = models.UUIDField("ID in the API", default=uuid.uuid4, unique=True, editable=False)
    at = models.DateTimeField("when", default=timezone.now)
    actor_kind = models.CharField(max_length=16, choices=ActorKind.choices)
    actor_id = models.BigIntegerField(null=True)  # of a user who may be deleted by now
    actor_name = models.CharField(max_length=255)
    door = models.CharField(max_length=16, choices=Door.choices)
    ip_address = models.GenericIPAddressField("IP address", null=True)
    action = models.CharField(max_length=32)  # no choices: a new action needs no migration
    object_type = models.CharField(max_length=64, blank=True)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=255, blank=True)
    changes = models.JSONField(default=dict)

    class Meta(TenantModel.Meta):
        db_table = "audit_entry"
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(fields=["organization", "-at", "-id"], name="audit_entry_newest"),
            models.Index(
                fields=["organization", "object_id", "-at", "-id"], name="audit_entry_of_object"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action_label}: {self.object_name}".rstrip(": ")

    @property
    def action_label(self) -> str:
        return dict(Action.choices).get(self.action, self.action)

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError("An entry of the audit log is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("An entry of the audit log is never deleted.")
