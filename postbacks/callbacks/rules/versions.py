"""④ Saves rules and their versions, and converts between a rule's row and its definition."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from apps_registry.models import User
from postbacks.callbacks.rules.definition import FIELDS, RuleDefinition
from postbacks.models import CallbackRule, CallbackRuleVersion
from postbacks.models.pacing import keep_pace


def definition_from(rule: CallbackRule) -> RuleDefinition:
    """Return the definition of a rule's row, saved or not."""
    return msgspec.convert({name: getattr(rule, name) for name in FIELDS}, RuleDefinition)


def save_rule(rule: CallbackRule, *, by: User | None) -> None:
    """Save a rule, and a new version if its definition changed.

    Switching a rule on or off makes no version.
    """
    defined = definition_from(rule)
    definition = _as_json(defined)
    with transaction.atomic():
        if rule.pk is not None:
            # Two people who save at once get two versions, one after the other.
            rule.version = CallbackRule.objects.select_for_update().get(pk=rule.pk).version
        latest = rule.versions.filter(number=rule.version).first() if rule.pk else None
        changed = latest is None or upgraded(latest.definition) != definition
        if changed:
            rule.version += 1
        rule.save()
        if changed:
            CallbackRuleVersion.objects.create(
                rule=rule,
                number=rule.version,
                definition=definition,
                saved_by=by,
                tested_at=_still_tested(latest, defined),
            )
        keep_pace(rule)


def _still_tested(latest: CallbackRuleVersion | None, now: RuleDefinition) -> datetime | None:
    """Return when the version before was tested, if that test proves this one too."""
    if latest is None or latest.tested_at is None:
        return None
    try:
        return latest.tested_at if definition_of(latest).request_text == now.request_text else None
    except msgspec.ValidationError:
        return None


def definition_of(version: CallbackRuleVersion) -> RuleDefinition:
    """Return a version's definition in today's fields.

    Raises msgspec.ValidationError for one that can't be read any more.
    """
    return msgspec.convert(version.definition, RuleDefinition)


def apply_definition(rule: CallbackRule, definition: RuleDefinition) -> None:
    """Set a rule's fields from a definition, without saving it."""
    for name, value in _as_json(definition).items():
        setattr(rule, name, value)


def upgraded(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a stored definition with the defaults of fields that are newer than it."""
    try:
        return _as_json(msgspec.convert(definition, RuleDefinition))
    except msgspec.ValidationError:
        return definition


def _as_json(definition: RuleDefinition) -> dict[str, Any]:
    """Return a definition as JSON stores it: a tuple would never equal a stored list."""
    return msgspec.json.decode(msgspec.json.encode(definition))  # type: ignore[no-any-return]  # an object
