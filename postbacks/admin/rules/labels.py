"""Put a rule's definition into words, field by field, and say what changed between versions."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from apps_registry.models import App, Partner
from postbacks.admin.rules.fields import (
    authentication_label,
    conditions_label,
    format_mark,
    format_value,
    format_waits,
)
from postbacks.admin.rules.help_texts import LABELS, SCOPES
from postbacks.callbacks.rules.definition import FIELDS
from postbacks.callbacks.rules.versions import definition_from, upgraded
from postbacks.models import CallbackRule, CallbackRuleVersion, RuleStatus
from postbacks.models.rules import BODY_TYPES, FREQUENCIES, MISSING_VALUES, WITHOUT_CONSENT
from postbacks.values.rule_choices import any_success

MOST_VERSIONS = 50

_NONE = "—"
_TITLES = {"app_id": "App", "partner_id": "Partner", "url": "URL", "success": "Success", **LABELS}
_CODE_FIELDS = {"url", "headers", "body", "event_map"}
_WHEN_UNSET = {
    "window_days": "Always",
    "delay_seconds": "At once",
    "retry_delays": "Never again",
    "rate_limit_per_second": "No limit",
    "max_in_flight": "No limit",
}
_CHOICES: Mapping[str, Mapping[str, str]] = {
    "frequency": dict(FREQUENCIES),
    "attribution_scope": SCOPES,
    "without_consent": dict(WITHOUT_CONSENT),
    "body_type": dict(BODY_TYPES),
    "missing_values": dict(MISSING_VALUES),
}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One field of a rule with its value in words."""

    title: str
    text: str
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class LabeledChange:
    """One field whose value differs between two versions."""

    title: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """One version in the history; the oldest one listed has no changes."""

    number: int
    saved_at: datetime
    saved_by: str
    changes: tuple[LabeledChange, ...]
    rows: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class RelatedNames:
    """The names of the apps and partners whose ids stand in definitions."""

    apps: Mapping[int, str]
    partners: Mapping[int, str]


def version_history(rule: CallbackRule) -> tuple[SavedVersion, ...]:
    """Return the latest versions of a rule, newest first."""
    versions = list(rule.versions.select_related("saved_by").order_by("-number")[:MOST_VERSIONS])
    names = _related_names(version.definition for version in versions)
    rows = [definition_rows(upgraded(version.definition), names) for version in versions]
    older_rows = [*rows[1:], None]
    return tuple(map(_saved_version, versions, rows, older_rows))


def current_rows(rule: CallbackRule) -> tuple[RuleRow, ...]:
    """Return the rule's status and its definition in words."""
    definition = msgspec.to_builtins(definition_from(rule))
    status = RuleRow("Status", str(RuleStatus(rule.status).label))
    return (status, *definition_rows(definition, _related_names([definition])))


def definition_rows(definition: Mapping[str, object], names: RelatedNames) -> tuple[RuleRow, ...]:
    """Return a definition, in the shape that versions store, in words."""
    return tuple(
        RuleRow(
            _TITLES.get(name, name.capitalize()),
            _value_label(name, definition[name], names),
            is_code=name in _CODE_FIELDS,
        )
        for name in FIELDS
        if name in definition
    )


def changes_between(
    before: Sequence[RuleRow], after: Sequence[RuleRow]
) -> tuple[LabeledChange, ...]:
    texts = {row.title: row.text for row in before}
    return tuple(
        LabeledChange(row.title, texts.get(row.title, ""), row.text)
        for row in after
        if texts.get(row.title) != row.text
    )


def _related_names(definitions: Iterable[Mapping[str, object]]) -> RelatedNames:
    ids = [(each.get("app_id"), each.get("partner_id")) for each in definitions]
    return RelatedNames(
        apps=dict(App.objects.filter(pk__in={a for a, _ in ids if a}).values_list("pk", "name")),
        partners=dict(
            Partner.objects.filter(pk__in={p for _, p in ids if p}).values_list("pk", "name")
        ),
    )


def _saved_version(
    version: CallbackRuleVersion, rows: Sequence[RuleRow], older: Sequence[RuleRow] | None
) -> SavedVersion:
    changes = () if older is None else changes_between(older, rows)
    saved_by = str(version.saved_by) if version.saved_by else ""
    return SavedVersion(version.number, version.created_at, saved_by, changes, tuple(rows))


def _value_label(name: str, value: object, names: RelatedNames) -> str:
    if name in _CHOICES:
        return _CHOICES[name].get(str(value), str(value))
    if name == "app_id":
        return names.apps.get(value, _NONE) if isinstance(value, int) else "All apps"
    if name == "partner_id":
        return names.partners.get(value, _NONE) if isinstance(value, int) else "No partner"
    if name in _WHEN_UNSET and not value:
        return _WHEN_UNSET[name]
    if name == "retry_delays" and isinstance(value, list | tuple):
        return format_waits(value)
    if name in _OBJECT_LABELS and isinstance(value, dict):
        return _OBJECT_LABELS[name](value)
    return _plain_label(value)


def _plain_label(value: object) -> str:
    if value is None or value in ("", {}, []):
        return _NONE
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "\n".join(f"{key}: {text}" for key, text in value.items())
    return str(value)


def _success_label(success: Mapping[str, object]) -> str:
    codes = success.get("codes") or any_success()["codes"]
    checks = [", ".join(map(str, codes)) if isinstance(codes, list) else str(codes)]
    if success.get("body_contains"):
        checks.append(f"the answer contains “{success['body_contains']}”")
    if success.get("json_path"):
        checks.append(f"{success['json_path']} is {format_value(success.get('json_equals'))}")
    for name, meaning in (("final", "no for good"), ("retry", "no for now")):
        marks = success.get(name)
        if isinstance(marks, list) and marks:
            checks.append(f"{meaning}: {', '.join(map(format_mark, marks))}")
    return "; ".join(checks)


_OBJECT_LABELS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "conditions": conditions_label,
    "authentication": authentication_label,
    "success": _success_label,
}
