"""Records what a save or a deletion changes, in the transaction that makes the change.

A model that people change names the fields in `audited`. The recording is the model's own, so that
no door can forget it; many rows at once, which would pass it by, are taken one by one.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Any, ClassVar, Self

from django.apps import apps
from django.db import models, transaction

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import current_actor

MASKED = "•••"
SECRET = "secret"  # noqa: S105  # the name under which a changed secret is recorded
Changes = dict[str, list[Any]]
_PLAIN = (str, int, float, bool, list, dict, type(None))


class RecordedQuerySet(models.QuerySet[Any]):
    """Rows of which audited fields are changed one by one, each with its record."""

    def update(self, **values: Any) -> int:
        """Change columns: at once, or row by row where the audit log asks about them."""
        if not _watched(self.model) & values.keys():
            return super().update(**values)
        with transaction.atomic():
            # Once locked, each row still fulfills the condition, as with one UPDATE.
            rows = list(self.select_for_update(no_key=True, of=("self",)))
            for row in rows:
                for name, value in values.items():
                    setattr(row, name, value)
                row.save(update_fields=list(values))
        return len(rows)

    update.alters_data = True  # type: ignore[attr-defined]  # templates must not call it

    def update_unrecorded(self, **values: Any) -> int:
        """Change columns whose meaning stays: a secret that is sealed anew is the same secret."""
        return super().update(**values)

    update_unrecorded.alters_data = True  # type: ignore[attr-defined]  # likewise

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete rows: at once, or one by one where the audit log asks about them."""
        if not _watched(self.model):
            return super().delete()
        with transaction.atomic():
            rows = list(self)
            for row in rows:
                row.delete()
        return len(rows), {self.model._meta.label: len(rows)}

    delete.alters_data = True  # type: ignore[attr-defined]  # likewise
    delete.queryset_only = True  # type: ignore[attr-defined]  # a manager offers no deletion of all


class AuditedModel(models.Model):
    """A row whose audited fields leave an entry in the audit log whenever they change."""

    audited: ClassVar[tuple[str, ...]] = ()
    audited_secrets: ClassVar[tuple[str, ...]] = ()  # of these the log says only that they changed

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Write the row, and what that changed."""
        if not _watched(type(self)):
            super().save(*args, **kwargs)
            return
        with transaction.atomic(savepoint=False):
            before = None if self._state.adding else self._stored(locked=True)
            super().save(*args, **kwargs)
            after = self._stored()
            if after is None:
                return
            changes = _changes(before, after)
            if before is None:
                self._record(Action.CREATED, changes)
            elif changes:
                self._record(self.audit_action(changes), changes)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row, and keep what it said."""
        if not _watched(type(self)):
            return super().delete(*args, **kwargs)
        with transaction.atomic(savepoint=False):
            before = self._stored()
            deleted = super().delete(*args, **kwargs)
            if before is not None:
                self._record(Action.DELETED, _changes(before, None))
        return deleted

    @property
    def audit_id(self) -> str:
        """Return the id by which the audit log finds the row."""
        return str(getattr(self, "public_id", ""))

    @property
    def audit_name(self) -> str:
        """Return what people call the row."""
        return str(self)

    def audit_action(self, changes: Mapping[str, list[Any]]) -> Action:
        """Name what a change of a stored row amounts to."""
        if changes.get("status", ("", ""))[1] == "archived":
            return Action.ARCHIVED
        if changes.get("revoked_at", ("", None))[1] is not None:
            return Action.REVOKED
        return Action.CHANGED

    def in_its_organization(self) -> AbstractContextManager[None]:
        """Return the context in which the row's entries can be written."""
        return nullcontext()

    def _stored(self, *, locked: bool = False) -> Self | None:
        """Return the row as PostgreSQL has it; locked, so that nobody changes it in between."""
        rows = type(self)._base_manager.filter(pk=self.pk)
        return (rows.select_for_update(no_key=True) if locked else rows).first()

    def _record(self, action: Action, changes: Changes) -> None:
        with self.in_its_organization():
            write_entry(action, self, changes=changes)


def write_entry(
    action: Action, row: AuditedModel | None, *, changes: Changes | None = None, name: str = ""
) -> None:
    """Write an entry of the current organization: the current actor did this to a row."""
    actor = current_actor()
    apps.get_model("apps_registry", "AuditEntry").objects.create(
        actor_kind=actor.kind,
        actor_id=actor.user_id,
        actor_name=actor.name[:255],
        door=actor.door,
        ip_address=actor.address,
        action=action,
        object_type=row._meta.db_table if row else "",
        object_id=row.audit_id if row else "",
        object_name=(row.audit_name if row else name)[:255],
        changes=changes or {},
    )


def _watched(model: type[models.Model]) -> set[str]:
    fields = {*getattr(model, "audited", ()), *getattr(model, "audited_secrets", ())}
    return fields | {f"{name}_id" for name in fields}


def _changes(before: AuditedModel | None, after: AuditedModel | None) -> Changes:
    row = before or after
    if row is None:
        return {}
    changes: Changes = {}
    for name in row.audited:
        key = row._meta.get_field(name).attname  # type: ignore[union-attr]  # a column of ours
        old, new = getattr(before, key, None), getattr(after, key, None)
        if old != new and not (_is_empty(old) and _is_empty(new)):
            changes[name] = [_shown(before, name), _shown(after, name)]
    secrets = {(getattr(before, it, None), getattr(after, it, None)) for it in row.audited_secrets}
    if any(old != new for old, new in secrets):
        changes[SECRET] = [before and MASKED, after and MASKED]
    return changes


def _is_empty(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {}


def _shown(row: AuditedModel | None, name: str) -> object:
    """Return a field's value as JSON and people can read it: of a relation, its name."""
    value = getattr(row, name, None)
    if isinstance(value, models.Model):
        return str(getattr(value, "email", "") or value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, _PLAIN) else str(value)
