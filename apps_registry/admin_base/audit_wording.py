"""The wording of the audit log: object types, fields and values as the forms name them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone
from django.utils.text import capfirst

from apps_registry.admin_base.theme import Tone
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import SECRET, AuditedModel
from apps_registry.models import AuditEntry

_EMPTY = "—"
_TONES: dict[str, Tone] = {
    Action.CREATED: Tone.GOOD,
    Action.SWITCHED_ON: Tone.GOOD,
    Action.SWITCHED_OFF: Tone.BUSY,
    Action.SUSPENDED: Tone.BAD,
    Action.ARCHIVED: Tone.STILL,
    Action.DELETED: Tone.BAD,
    Action.REVOKED: Tone.BAD,
}


@dataclass(frozen=True, slots=True)
class AuditedChange:
    """A changed field with its values before and after."""

    title: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An audit entry as pages show it."""

    entry: AuditEntry
    action: str
    tone: str
    kind: str
    actor: str
    door: str
    changes: tuple[AuditedChange, ...]


def audit_rows(entries: Iterable[AuditEntry]) -> tuple[AuditRow, ...]:
    return tuple(_audit_row(entry) for entry in entries)


def changes_as_text(entry: AuditEntry) -> str:
    """Return all changes of an entry as one text, for a cell of an exported file."""
    changes = _audit_row(entry).changes
    return "; ".join(f"{change.title}: {change.before} → {change.after}" for change in changes)


def object_type_choices() -> list[tuple[str, str]]:
    """Return the audited models as choices, in alphabetical order."""
    options = [model._meta for model in _models_by_table().values() if model.audited]
    choices = [(option.db_table, capfirst(str(option.verbose_name))) for option in options]
    return sorted(choices, key=lambda choice: choice[1].casefold())


def object_type_label(object_type: str) -> str:
    """Return the label of an object type; of a removed model, its stored name."""
    model = _model(object_type)
    return capfirst(str(model._meta.verbose_name)) if model else capfirst(object_type)


def _audit_row(entry: AuditEntry) -> AuditRow:
    model = _model(entry.object_type)
    return AuditRow(
        entry=entry,
        action=entry.action_label,
        tone=str(_TONES.get(entry.action, Tone.INFO)),
        kind=object_type_label(entry.object_type),
        actor=entry.actor_name,
        door=" · ".join(filter(None, (entry.get_door_display(), entry.ip_address))),
        changes=tuple(
            _audited_change(model, name, entry.changes[name])
            for name in _changed_fields(entry, model)
        ),
    )


def _changed_fields(entry: AuditEntry, model: type[AuditedModel] | None) -> list[str]:
    """Return the changed fields in the model's order: PostgreSQL's JSON objects have none."""
    names = model.audited if model else ()
    positions = {name: position for position, name in enumerate(names)}
    return sorted(entry.changes, key=lambda name: positions.get(name, len(positions)))


def _audited_change(
    model: type[AuditedModel] | None, name: str, pair: Sequence[Any]
) -> AuditedChange:
    field = _field(model, name)
    title = name.replace("_", " ") if field is None or name == SECRET else field.verbose_name
    before, after = [_format_value(field, value) for value in (*pair, None, None)[:2]]
    return AuditedChange(capfirst(str(title)), before, after)


def _format_value(field: "models.Field[Any, Any] | None", value: Any) -> str:
    if value is None or value in ("", [], {}):
        return _EMPTY
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if field is not None and field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(field, models.DateTimeField):
        return _format_time(str(value))
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        choices = getattr(getattr(field, "base_field", None), "flatchoices", ())
        # Of a choice that explains itself, such as “Read: apps, rules, events”, the name is enough.
        labels = {choice: str(label).partition(":")[0] for choice, label in choices}
        return ", ".join(labels.get(item, str(item)) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _format_time(text: str) -> str:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return timezone.localtime(time).strftime("%b %-d, %Y, %H:%M:%S")


def _field(model: type[AuditedModel] | None, name: str) -> "models.Field[Any, Any] | None":
    fields = {field.name: field for field in model._meta.concrete_fields} if model else {}
    return fields.get(name)


def _model(object_type: str) -> type[AuditedModel] | None:
    return _models_by_table().get(object_type)


@cache  # asked for each row of a page
def _models_by_table() -> dict[str, type[AuditedModel]]:
    audited = [model for model in apps.get_models() if issubclass(model, AuditedModel)]
    return {model._meta.db_table: model for model in audited}
