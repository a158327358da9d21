"""The audit log in words: kinds of rows, fields and values as people know them from the forms."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import models
from django.utils import timezone
from django.utils.text import capfirst

from apps_registry.admin_base.theme import Tone
from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import SECRET, AuditedModel
from apps_registry.models import AuditEntry

_NOTHING = "—"
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
    """One field: what it said before and what it says now."""

    title: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as pages show it."""

    entry: AuditEntry
    action: str
    tone: str
    kind: str
    actor: str
    door: str
    changes: tuple[AuditedChange, ...]


def audit_rows(entries: Iterable[AuditEntry]) -> tuple[AuditRow, ...]:
    """Return entries in words."""
    return tuple(_line(entry) for entry in entries)


def changes_as_text(entry: AuditEntry) -> str:
    """Return all that an entry says of fields, for a cell of a file."""
    changes = _line(entry).changes
    return "; ".join(f"{it.title}: {it.before} → {it.after}" for it in changes)


def object_type_choices() -> list[tuple[str, str]]:
    """Return the kinds of rows that people change, as choices in alphabetical order."""
    audited = [model for model in _recorded() if model.audited]
    named = ((it._meta.db_table, capfirst(str(it._meta.verbose_name))) for it in audited)
    return sorted(named, key=lambda choice: choice[1].casefold())


def object_type_label(object_type: str) -> str:
    """Return what people call a kind of row; of one that is no more, its stored name."""
    model = _model(object_type)
    return capfirst(str(model._meta.verbose_name)) if model else capfirst(object_type)


def _line(entry: AuditEntry) -> AuditRow:
    model = _model(entry.object_type)
    return AuditRow(
        entry=entry,
        action=entry.action_label,
        tone=str(_TONES.get(entry.action, Tone.INFO)),
        kind=object_type_label(entry.object_type),
        actor=entry.actor_name,
        door=" · ".join(filter(None, (entry.get_door_display(), entry.ip_address))),
        changes=tuple(
            _change(model, name, entry.changes[name]) for name in _in_order(entry, model)
        ),
    )


def _in_order(entry: AuditEntry, model: type[AuditedModel] | None) -> list[str]:
    """Return the changed fields as the model names them: PostgreSQL keeps them in no order."""
    order = list(model.audited) if model else []
    places = {name: place for place, name in enumerate(order)}
    return sorted(entry.changes, key=lambda name: places.get(name, len(places)))


def _change(model: type[AuditedModel] | None, name: str, pair: Sequence[Any]) -> AuditedChange:
    field = _field(model, name)
    title = name.replace("_", " ") if field is None or name == SECRET else field.verbose_name
    before, after = [_value(field, value) for value in (*pair, None, None)[:2]]
    return AuditedChange(capfirst(str(title)), before, after)


def _value(field: "models.Field[Any, Any] | None", value: Any) -> str:
    if value is None or value in ("", [], {}):
        return _NOTHING
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if field is not None and field.choices:
        return str(dict(field.flatchoices).get(value, value))
    if isinstance(field, models.DateTimeField):
        return _moment(str(value))
    if isinstance(value, list) and all(isinstance(it, str | int) for it in value):
        return ", ".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return timezone.localtime(moment).strftime("%b %-d, %Y, %H:%M:%S")


def _field(model: type[AuditedModel] | None, name: str) -> "models.Field[Any, Any] | None":
    fields = {field.name: field for field in model._meta.concrete_fields} if model else {}
    return fields.get(name)


def _model(object_type: str) -> type[AuditedModel] | None:
    return {model._meta.db_table: model for model in _recorded()}.get(object_type)


def _recorded() -> list[type[AuditedModel]]:
    return [model for model in apps.get_models() if issubclass(model, AuditedModel)]
