"""What became of a rule: its versions compared and restored, and copies of it for other apps."""

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
from postbacks.rulebook import saving

_LONGEST_NAME = 120


class NotRestorableError(Exception):
    """A version can't be what the rule says now; the message says why."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that two versions say differently."""

    field: str
    before: Any
    after: Any


def compare(before: RuleDefinition, after: RuleDefinition) -> tuple[FieldChange, ...]:
    """Return what changed from one definition to another, in the order of their fields."""
    return tuple(
        FieldChange(name, getattr(before, name), getattr(after, name))
        for name in FIELDS
        if getattr(before, name) != getattr(after, name)
    )


def restore(version: CallbackRuleVersion, *, by: User | None) -> CallbackRule:
    """Have a rule say again what a version said; that is a new version, and no status changes.

    Raises NotRestorableError where what the version names is gone, RuleProblemsError where it may
    no longer be saved, and Django's ValidationError where its name is taken by now.
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
    """Make a draft of a rule for each app, named after it, and return them; all or none.

    Raises RuleProblemsError where the rule may no longer be saved as it is.
    """
    taken = set(
        CallbackRule.objects.exclude(status=RuleStatus.ARCHIVED).values_list("name", flat=True)
    )
    copies = []
    for app in apps:
        copy = CallbackRule(status=RuleStatus.DRAFT)
        apply_definition(copy, definition_from(rule))
        copy.app = app
        copy.name = _free_name(f"{rule.name} ({app.name})", taken)
        taken.add(copy.name)
        saving.save(copy, by=by)
        copies.append(copy)
    return copies


def rules_saying(versions: Sequence[CallbackRuleVersion]) -> list[CallbackRule | None]:
    """Return for each version a rule, not to be saved, that says what it said; None if unreadable.

    Their apps and partners are looked up together.
    """
    rules = [_saying(version) for version in versions]
    known = [rule for rule in rules if rule is not None]
    apps = App.objects.in_bulk({rule.app_id for rule in known if rule.app_id})
    partners = Partner.objects.in_bulk({rule.partner_id for rule in known if rule.partner_id})
    for rule in known:
        rule.app = apps.get(rule.app_id) if rule.app_id else None
        rule.partner = partners.get(rule.partner_id) if rule.partner_id else None
    return rules


def _saying(version: CallbackRuleVersion) -> CallbackRule | None:
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


def _free_name(wanted: str, taken: set[str]) -> str:
    name, number = wanted[:_LONGEST_NAME], 1
    while name in taken:
        number += 1
        ending = f" {number}"
        name = wanted[: _LONGEST_NAME - len(ending)] + ending
    return name
