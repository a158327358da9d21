"""④ Keeps rules and their versions."""

import msgspec
from django.db import transaction

from apps_registry.models import User
from postbacks.callbacks.definition import FIELDS, RuleDefinition
from postbacks.models import CallbackRule, CallbackRuleVersion


def define(rule: CallbackRule) -> RuleDefinition:
    """Return what a rule says now."""
    return msgspec.convert({name: getattr(rule, name) for name in FIELDS}, RuleDefinition)


def save_rule(rule: CallbackRule, *, by: User | None) -> None:
    """Save a rule; if what it says has changed, that is a new version.

    Switching a rule on or off is no new version: it says the same.
    """
    # As JSON gives it back: a tuple would never equal the list that was stored.
    definition = msgspec.json.decode(msgspec.json.encode(define(rule)))
    with transaction.atomic():
        if rule.pk is not None:
            # Two people who save at once get two versions, one after the other.
            rule.version = CallbackRule.objects.select_for_update().get(pk=rule.pk).version
        latest = rule.versions.filter(number=rule.version).first() if rule.pk else None
        changed = latest is None or latest.definition != definition
        if changed:
            rule.version += 1
        rule.save()
        if changed:
            CallbackRuleVersion.objects.create(
                rule=rule, number=rule.version, definition=definition, saved_by=by
            )
