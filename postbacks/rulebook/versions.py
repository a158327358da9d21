"""Compares and restores a rule's versions, and copies rules to other apps."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import transaction

from apps_registry.models import App, Partner, User
from apps_registry.tenancy import Lifecycle
from postbacks.callbacks.rules.definition import FIELDS, RuleDefinition
from postbacks.callbacks.rules.versions import apply_definition, definition_from, definition_of
from postbacks.models import CallbackRule, CallbackRuleVersion, RuleStatus
from postbacks.models.rules import LONGEST_RULE_NAME
from postbacks.rulebook import saving


class NotRestorableError(Exception):
    """A version can't be restored; the message says why."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that differs between two versions."""

    field: str
    before: Any
    after: Any


def compare(before: RuleDefinition, after: RuleDefinition) -> tuple[FieldChange, ...]:
    """Return the fields that changed, in the order of a definition."""
    return tuple(
        FieldChange(name, getattr(before, name), getattr(after, name))
        for name in FIELDS
        if getattr(before, name) != getattr(after, name)
    )


def restore(version: CallbackRuleVersion, *, by: User | None) -> CallbackRule:
    """Give a rule the definition of an old version, as a new version; its status stays.

    Raises NotRestorableError if the version names something archived, RuleProblemsError if it may
    no longer be saved, and Django's ValidationError if another rule has its name.
    """
    rule = version.rule
    try:
        definition = definition_of(version)
    except msgspec.ValidationError:
        raise NotRestorableError("This version can't be read any more.") from None
    _check_in_use(definition)
    apply_definition(rule, definition)
    rule.validate_constraints()
    saving.save(rule, by=by)
    return rule


@transaction.atomic
def copy_to(rule: CallbackRule, apps: Iterable[App], *, by: User | None) -> list[CallbackRule]:
    """Copy a rule to each app, as a draft named after the app; all or none.

    Raises RuleProblemsError if the rule may no longer be saved as it is.
    """
    used_names = set(
        CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED).values_list("name", flat=True)
    )
    copies = []
    for app in apps:
        copy = CallbackRule(status=RuleStatus.DRAFT)
        apply_definition(copy, definition_from(rule))
        copy.app = app
        copy.name = _free_name(f"{rule.name} ({app.name})", used_names)
        used_names.add(copy.name)
        saving.save(copy, by=by)
        copies.append(copy)
    return copies


def rules_at(versions: Sequence[CallbackRuleVersion]) -> list[CallbackRule | None]:
    """Return each version as an unsaved rule, None if it can't be read.

    Apps and partners are loaded together.
    """
    rules = [_rule_at(version) for version in versions]
    readable = [rule for rule in rules if rule is not None]
    apps = App.objects.in_bulk({rule.app_id for rule in readable if rule.app_id})
    partners = Partner.objects.in_bulk({rule.partner_id for rule in readable if rule.partner_id})
    for rule in readable:
        rule.app = apps.get(rule.app_id) if rule.app_id else None
        rule.partner = partners.get(rule.partner_id) if rule.partner_id else None
    return rules


def _rule_at(version: CallbackRuleVersion) -> CallbackRule | None:
    rule = CallbackRule()
    try:
        apply_definition(rule, definition_of(version))
    except msgspec.ValidationError:
        return None
    return rule


def _check_in_use(definition: RuleDefinition) -> None:
    for model, pk in ((App, definition.app_id), (Partner, definition.partner_id)):
        row = model.objects.filter(pk=pk).first() if pk else None
        if pk and (row is None or row.status == Lifecycle.ARCHIVED):
            name = f" “{row}”" if row else ""
            raise NotRestorableError(f"The {model._meta.verbose_name}{name} is archived.")


def _free_name(name: str, used: set[str]) -> str:
    free, number = name[:LONGEST_RULE_NAME], 1
    while free in used:
        number += 1
        ending = f" {number}"
        free = name[: LONGEST_RULE_NAME - len(ending)] + ending
    return free
