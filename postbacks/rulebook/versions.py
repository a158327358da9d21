"""Versions of rules: compared, restored, copied to other apps, and those in force at a moment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction

from apps_registry.models import App, Partner, User
from apps_registry.tenancy import Lifecycle
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.callbacks.rules.definition import FIELDS, RuleDefinition
from postbacks.callbacks.rules.versions import apply_definition, definition_from, definition_of
from postbacks.insights.rule_status import log_begins_at, statuses_at
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


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule at a moment: its version, its status, and whether its partner was archived.

    `compiled` is None if the version can't be read; its own status is always the current one.
    """

    version: int
    compiled: CompiledRule | None
    status: str
    is_partner_archived: bool

    @property
    def is_on(self) -> bool:
        return self.status == RuleStatus.ACTIVE and not self.is_partner_archived


@dataclass(frozen=True, slots=True)
class RuleThenAndNow:
    """A rule at a moment in the past, and today.

    Where the log or the versions do not reach back to the moment, `then` is what is nearest to it,
    and `log_begins_at` or `has_version` say so.
    """

    rule: CallbackRule
    then: RuleState
    now: RuleState
    is_newer: bool
    has_version: bool
    log_begins_at: datetime | None  # None if it reaches


def rules_then_and_now(
    rules: Sequence[CallbackRule], moment: datetime
) -> dict[int, RuleThenAndNow]:
    """Return each rule as it was at a moment and as it is, by its row id.

    Five statements serve all rules: versions of that time and today, partners, and the audit log.
    """
    numbers = _versions_at(rules, moment)
    oldest = _oldest_versions([rule for rule in rules if rule.pk not in numbers])
    then = {rule.pk: numbers.get(rule.pk) or oldest.get(rule.pk, rule.version) for rule in rules}
    versions_then = {(rule.pk, then[rule.pk]) for rule in rules}
    compiled = load_rule_versions(versions_then | {(rule.pk, rule.version) for rule in rules})
    statuses = statuses_at(
        CallbackRule._meta.db_table, {str(rule.public_id): rule.status for rule in rules}, moment
    )
    partners = {c.partner.public_id: c.partner.status for c in compiled.values() if c.partner}
    partners_then = statuses_at(Partner._meta.db_table, partners, moment)
    begins_at = log_begins_at()
    return {
        rule.pk: RuleThenAndNow(
            rule=rule,
            then=_state(
                then[rule.pk],
                compiled.get((rule.pk, then[rule.pk])),
                statuses[str(rule.public_id)],
                partners_then,
            ),
            now=_state(rule.version, compiled.get((rule.pk, rule.version)), rule.status, partners),
            is_newer=rule.created_at > moment,
            has_version=rule.pk in numbers,
            log_begins_at=None if begins_at is None or begins_at <= moment else begins_at,
        )
        for rule in rules
    }


def _state(
    number: int, compiled: CompiledRule | None, status: str, partners: dict[str, str]
) -> RuleState:
    partner = compiled.partner if compiled else None
    is_archived = partner is not None and partners[partner.public_id] == Lifecycle.ARCHIVED
    return RuleState(number, compiled, status, is_archived)


def _versions_at(rules: Sequence[CallbackRule], moment: datetime) -> dict[int, int]:
    rows = CallbackRuleVersion.objects.filter(rule__in=rules, created_at__lte=moment)
    newest = rows.order_by("rule_id", "-number").distinct("rule_id")
    return dict(newest.values_list("rule_id", "number"))


def _oldest_versions(rules: Sequence[CallbackRule]) -> dict[int, int]:
    if not rules:
        return {}
    rows = CallbackRuleVersion.objects.filter(rule__in=rules).order_by("rule_id", "number")
    return dict(rows.distinct("rule_id").values_list("rule_id", "number"))
