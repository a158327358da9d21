"""What a version of a rule says, line by line in words, and what changed from one to the next."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from apps_registry.models import App, Partner
from postbacks.admin.rules.fields import (
    show_value,
    show_waits,
    words_of_authentication,
    words_of_conditions,
)
from postbacks.admin.rules.help_texts import LABELS, SCOPES
from postbacks.callbacks.rules.definition import FIELDS
from postbacks.callbacks.rules.versions import definition_from, upgraded
from postbacks.models import CallbackRule, CallbackRuleVersion, RuleStatus
from postbacks.models.rules import BODY_TYPES, FREQUENCIES, MISSING_VALUES, WITHOUT_CONSENT

MOST_VERSIONS = 50

_NONE = "—"
_TITLES = {"app_id": "App", "partner_id": "Partner", "url": "URL", "success": "Success", **LABELS}
_CODE = {"url", "headers", "body", "event_map"}
_UNSET = {"window_days": "Always", "delay_seconds": "At once", "retry_delays": "Never again",
    "rate_limit_per_second": "No limit", "max_in_flight": "No limit",
}  # fmt: skip
_CHOICES: Mapping[str, Mapping[str, str]] = {
    "frequency": dict(FREQUENCIES),
    "attribution_scope": SCOPES,
    "without_consent": dict(WITHOUT_CONSENT),
    "body_type": dict(BODY_TYPES),
    "missing_values": dict(MISSING_VALUES),
}


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One field in words."""

    title: str
    text: str
    is_code: bool = False


@dataclass(frozen=True, slots=True)
class LabeledChange:
    """One field that was written anew."""

    title: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class SavedVersion:
    """One version as the history shows it; the oldest one shown has no changes."""

    number: int
    saved_at: datetime
    saved_by: str
    changes: tuple[LabeledChange, ...]
    lines: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """What the ids in definitions are called."""

    apps: Mapping[int, str]
    partners: Mapping[int, str]


def history_of(rule: CallbackRule) -> tuple[SavedVersion, ...]:
    """Return the latest versions of a rule, newest first."""
    versions = list(rule.versions.select_related("saved_by").order_by("-number")[:MOST_VERSIONS])
    names = _names(version.definition for version in versions)
    said = [lines_of(upgraded(version.definition), names) for version in versions]
    return tuple(
        _saved(version, lines, said[place + 1] if place + 1 < len(said) else None)
        for place, (version, lines) in enumerate(zip(versions, said, strict=True))
    )


def words_of(rule: CallbackRule) -> tuple[RuleRow, ...]:
    """Return what a rule says now, and whether it sends."""
    definition = msgspec.to_builtins(definition_from(rule))
    status = RuleRow("Status", str(RuleStatus(rule.status).label))
    return (status, *lines_of(definition, _names([definition])))


def lines_of(definition: Mapping[str, object], names: Names) -> tuple[RuleRow, ...]:
    """Return a definition, as a version keeps it, in words."""
    return tuple(
        RuleRow(
            _TITLES.get(name, name.capitalize()),
            _words(name, definition[name], names),
            is_code=name in _CODE,
        )
        for name in FIELDS
        if name in definition
    )


def changes_between(
    before: Sequence[RuleRow], after: Sequence[RuleRow]
) -> tuple[LabeledChange, ...]:
    """Return what is said differently, line by line."""
    texts = {line.title: line.text for line in before}
    return tuple(
        LabeledChange(line.title, texts.get(line.title, ""), line.text)
        for line in after
        if texts.get(line.title) != line.text
    )


def _saved(
    version: CallbackRuleVersion, lines: Sequence[RuleRow], before: Sequence[RuleRow] | None
) -> SavedVersion:
    changes = () if before is None else changes_between(before, lines)
    by = str(version.saved_by) if version.saved_by else ""
    return SavedVersion(version.number, version.created_at, by, changes, tuple(lines))


def _names(definitions: Iterable[Mapping[str, object]]) -> Names:
    ids = [(each.get("app_id"), each.get("partner_id")) for each in definitions]
    return Names(
        apps=dict(App.objects.filter(pk__in={a for a, _ in ids if a}).values_list("pk", "name")),
        partners=dict(
            Partner.objects.filter(pk__in={p for _, p in ids if p}).values_list("pk", "name")
        ),
    )


def _words(name: str, value: object, names: Names) -> str:
    if name in _CHOICES:
        return _CHOICES[name].get(str(value), str(value))
    if name == "app_id":
        return names.apps.get(value, _NONE) if isinstance(value, int) else "All apps"
    if name == "partner_id":
        return names.partners.get(value, _NONE) if isinstance(value, int) else "No partner"
    if name in _UNSET and not value:
        return _UNSET[name]
    if name == "retry_delays" and isinstance(value, list | tuple):
        return show_waits(value)
    if name in _OBJECTS and isinstance(value, dict):
        return _OBJECTS[name](value)
    return _plain_words(value)


def _plain_words(value: object) -> str:
    if value is None or value in ("", {}, []):
        return _NONE
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return "\n".join(f"{key}: {text}" for key, text in value.items())
    return str(value)


def _success_words(success: Mapping[str, object]) -> str:
    codes = success.get("codes") or ["2xx"]
    words = [", ".join(map(str, codes)) if isinstance(codes, list) else str(codes)]
    if success.get("body_contains"):
        words.append(f"the answer contains “{success['body_contains']}”")
    if success.get("json_path"):
        words.append(f"{success['json_path']} is {show_value(success.get('json_equals'))}")
    return "; ".join(words)


_OBJECTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "conditions": words_of_conditions,
    "authentication": words_of_authentication,
    "success": _success_words,
}
