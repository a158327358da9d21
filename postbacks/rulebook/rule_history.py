"""Rules as they were when an event was decided: their versions, and whether they were on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from apps_registry.models import Partner
from apps_registry.tenancy import Lifecycle
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.insights.rule_status import log_begins_at, statuses_at
from postbacks.models import CallbackRule, CallbackRuleVersion, RuleStatus


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
