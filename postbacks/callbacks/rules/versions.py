"""④ Saves rules and their versions, and converts between a rule's row and its definition."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from apps_registry.models import User
from postbacks.callbacks.rules.definition import FIELDS, RuleDefinition
from postbacks.infrastructure.database import database_clock
from postbacks.models import CallbackRule, CallbackRuleVersion, RulePace, RuleStatus


def definition_from(rule: CallbackRule) -> RuleDefinition:
    """Return the definition of a rule's row, saved or not."""
    return msgspec.convert({name: getattr(rule, name) for name in FIELDS}, RuleDefinition)


def save_rule(rule: CallbackRule, *, by: User | None) -> None:
    """Save a rule, and a new version if its definition changed.

    Switching a rule on or off makes no version. What was attempted before a new version, or before
    the rule was switched on, counts nothing toward a suspension.
    """
    defined = definition_from(rule)
    definition = _as_json(defined)
    before = None
    with transaction.atomic():
        if rule.pk is not None:
            # Two people who save at once get two versions, one after the other.
            before = CallbackRule.objects.select_for_update().get(pk=rule.pk)
            rule.version, rule.queue_version = before.version, before.queue_version
            rule.judged_since = before.judged_since
        latest = rule.versions.filter(number=rule.version).first() if rule.pk else None
        changed = latest is None or upgraded(latest.definition) != definition
        if changed:
            rule.version += 1
            if rule.queue_version == rule.version - 1 and _keeps_queue(latest, defined):
                rule.queue_version = rule.version
        is_switched_on = rule.status == RuleStatus.ACTIVE and (
            before is None or before.status != RuleStatus.ACTIVE
        )
        if changed or is_switched_on:
            rule.judged_since = database_clock.ask()  # attempts go by it
        rule.counted_bytes = defined.counted_bytes
        rule.save()
        if changed:
            CallbackRuleVersion.objects.create(
                rule=rule,
                number=rule.version,
                definition=definition,
                saved_by=by,
                tested_at=_still_tested(latest, defined),
            )
        _keep_pace(rule)


def _still_tested(latest: CallbackRuleVersion | None, now: RuleDefinition) -> datetime | None:
    """Return when the version before was tested, if that test proves this one too."""
    if latest is None or latest.tested_at is None:
        return None
    try:
        return latest.tested_at if definition_of(latest).request_text == now.request_text else None
    except msgspec.ValidationError:
        return None


def _keeps_queue(latest: CallbackRuleVersion | None, now: RuleDefinition) -> bool:
    """Tell whether queued postbacks are where they belong after this save; a task moves them."""
    try:
        return latest is None or definition_of(latest).queued_as == now.queued_as
    except msgspec.ValidationError:
        return False


def _keep_pace(rule: CallbackRule) -> None:
    """Store a rule's limits, by which its postbacks are claimed.

    The row stays after the limits are lifted, since queued postbacks still look it up; without
    limits it holds nothing back.
    """
    is_paced = rule.rate_limit_per_second is not None or rule.max_in_flight is not None
    before = RulePace.objects.filter(pk=rule.pk).first()
    if before is None and not is_paced:
        return
    limits = (rule.rate_limit_per_second, rule.max_in_flight)
    if before is not None and (before.rate_limit_per_second, before.max_in_flight) == limits:
        return
    RulePace.objects.update_or_create(
        pk=rule.pk,
        defaults={"rate_limit_per_second": limits[0], "max_in_flight": limits[1]},
        create_defaults={
            "rate_limit_per_second": limits[0],
            "max_in_flight": limits[1],
            "next_at": database_clock.ask(),
        },
    )


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
