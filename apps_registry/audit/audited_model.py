"""The audit log: every change of an audited field, in the transaction that makes the change.

A model lists its audited fields in `audited`. The model itself logs them, so no entry point can
forget to. Bulk updates and deletions, which bypass `save`, are done row by row.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime
from typing import Any, ClassVar, Self

from django.apps import apps
from django.db import models, transaction
from django.http import QueryDict

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import current_actor
from apps_registry.links import masked_address

MASKED = "•••"
SECRET = "secret"  # noqa: S105  # the field name under which a changed secret is logged
Changes = dict[str, list[Any]]  # {field: [before, after]}
_FILTERS_ABOUT_NOBODY = frozenset(
    {
        *("app", "partner", "rule", "campaign", "link", "bundle_id", "status", "state", "kind"),
        *("role", "platform", "event_name", "source", "reason", "outcome", "error", "test", "type"),
        *("method", "attribution_type", "protocol", "version", "signature_state", "action", "door"),
        *("since", "until", "period", "hours", "at", "received_at", "created_at", "o", "limit"),
    }
)
_JSON_TYPES = (str, int, float, bool, list, dict, type(None))


class AuditedQuerySet(models.QuerySet[Any]):
    """Updates and deletes audited rows one by one, each with its audit entry."""

    def update(self, **values: Any) -> int:
        """Update with one statement, or row by row if an audited field changes."""
        if not _audited_columns(self.model) & values.keys():
            return super().update(**values)
        with transaction.atomic():
            # Once locked, each row still meets the condition, as with one UPDATE.
            rows = list(self.select_for_update(no_key=True, of=("self",)))
            for row in rows:
                for name, value in values.items():
                    setattr(row, name, value)
                row.save(update_fields=list(values))
        return len(rows)

    update.alters_data = True  # type: ignore[attr-defined]  # templates must not call it

    def update_unaudited(self, **values: Any) -> int:
        """Update without an audit entry: the meaning stays, as when a secret is resealed."""
        return super().update(**values)

    update_unaudited.alters_data = True  # type: ignore[attr-defined]  # likewise

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete with one statement, or row by row if the model is audited."""
        if not _audited_columns(self.model):
            return super().delete()
        with transaction.atomic():
            rows = list(self)
            for row in rows:
                row.delete()
        return len(rows), {self.model._meta.label: len(rows)}

    delete.alters_data = True  # type: ignore[attr-defined]  # likewise
    delete.queryset_only = True  # type: ignore[attr-defined]  # a manager offers no deletion of all


class AuditedModel(models.Model):
    """A row that writes an audit entry whenever one of its audited fields changes."""

    audited: ClassVar[tuple[str, ...]] = ()
    audited_secrets: ClassVar[tuple[str, ...]] = ()  # logged as changed, without their values
    audited_addresses: ClassVar[tuple[str, ...]] = ()  # of the audited: logged with the host alone

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not _audited_columns(type(self)):
            super().save(*args, **kwargs)
            return
        with transaction.atomic(savepoint=False):
            before = None if self._state.adding else self._load_stored(lock=True)
            super().save(*args, **kwargs)
            after = self._load_stored()
            if after is None:
                return
            changes = _changes(before, after)
            if before is None:
                self._log_change(Action.CREATED, changes)
            elif changes:
                self._log_change(self.audit_action(changes), changes)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        if not _audited_columns(type(self)):
            return super().delete(*args, **kwargs)
        with transaction.atomic(savepoint=False):
            before = self._load_stored()
            deleted = super().delete(*args, **kwargs)
            if before is not None:
                self._log_change(Action.DELETED, _changes(before, None))
        return deleted

    @property
    def audit_id(self) -> str:
        """Return the id under which the audit log stores the row's entries."""
        return str(getattr(self, "public_id", ""))

    @property
    def audit_name(self) -> str:
        """Return the row's name in the audit log."""
        return str(self)

    def audit_action(self, changes: Mapping[str, list[Any]]) -> Action:
        """Return the action that a change of a stored row amounts to."""
        if changes.get("revoked_at", ("", None))[1] is not None:
            return Action.REVOKED
        return Action.CHANGED

    def in_its_organization(self) -> AbstractContextManager[None]:
        """Return the context in which the row's audit entries can be written."""
        return nullcontext()

    def _load_stored(self, *, lock: bool = False) -> Self | None:
        rows = type(self)._base_manager.filter(pk=self.pk)
        return (rows.select_for_update(no_key=True) if lock else rows).first()

    def _log_change(self, action: Action, changes: Changes) -> None:
        with self.in_its_organization():
            log_action(action, self, changes=changes)


def logged_filters(query: QueryDict) -> Changes:
    """Return the filters of a list that was taken away, for the audit log.

    The log can't be changed, also not when a device is forgotten: what may name a person is masked.
    """
    if not query:
        return {}
    logged = QueryDict(mutable=True)
    for name, values in query.lists():
        logged.setlist(name, values if is_about_nobody(name) else [MASKED])
    return {"filters": [None, logged.urlencode(safe=MASKED)]}


def may_name_a_person(query: QueryDict) -> bool:
    """Tell whether one of a list's filters may say whose rows are listed."""
    return not all(map(is_about_nobody, query))


def is_about_nobody(filter_name: str) -> bool:
    """Tell whether a list's filter of this name says nothing of a person or device."""
    return filter_name.partition("__")[0] in _FILTERS_ABOUT_NOBODY


def log_action(
    action: Action,
    row: AuditedModel | None = None,
    *,
    changes: Changes | None = None,
    name: str = "",
) -> None:
    """Write an audit entry of the current organization for the current actor.

    It names the row, or without one the object that `name` says, for example “delivery log”.
    `changes` must hold no secret. Raises WrongTenantError outside of an organization.
    """
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


def _audited_columns(model: type[models.Model]) -> set[str]:
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
            changes[name] = [_loggable(before, name), _loggable(after, name)]
    if any(
        getattr(before, name, None) != getattr(after, name, None) for name in row.audited_secrets
    ):
        changes[SECRET] = [before and MASKED, after and MASKED]
    return changes


def _is_empty(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {}


def _loggable(row: AuditedModel | None, name: str) -> object:
    """Return a field's value as JSON takes it; a relation becomes its name."""
    value = getattr(row, name, None)
    if row is not None and name in row.audited_addresses:
        return masked_address(str(value))
    if isinstance(value, models.Model):
        return str(getattr(value, "email", "") or value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, _JSON_TYPES) else str(value)
