"""Suspends rules that fail for days, and warns their owners on the way.

The statement that logs attempts keeps one row for each failing rule: since when nothing succeeded,
and how many postbacks were given up meanwhile (`RuleFailure`). So a look here reads no log. An
attempt counts only if it used the rule's current version, and began after the rule was last
corrected or switched on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import F, Q

from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, RuleFailure, RuleStatus

FAILING_DAYS = 5
MOST_GIVEN_UP = 20
WARNINGS = (50, 70, 90)  # percent of the way to the suspension
SUSPENDED = 100

_MOST_AT_ONCE = 200
# Whatever began before the rule was corrected or switched on is forgotten.
# What a worker counts just now is skipped: it locks rules in their order, and would deadlock.
_FORGET_CORRECTED = """
WITH corrected AS (
    SELECT failure.rule_id FROM rule_failure AS failure
    JOIN callback_rule AS rule
      ON rule.organization_id = failure.organization_id AND rule.id = failure.rule_id
    WHERE failure.failing_since IS NULL OR rule.version <> failure.version
       OR failure.failing_since < rule.judged_since
    FOR UPDATE OF failure SKIP LOCKED
)
DELETE FROM rule_failure USING corrected WHERE rule_failure.rule_id = corrected.rule_id
"""
_FAILING = f"""
SELECT failure.organization_id, failure.rule_id, failure.failing_since, failure.given_up,
       failure.warned
FROM rule_failure AS failure
JOIN callback_rule AS rule
  ON rule.organization_id = failure.organization_id AND rule.id = failure.rule_id
WHERE rule.status = '{RuleStatus.ACTIVE}' AND failure.given_up >= %(given_up)s
  AND failure.failing_since <= %(before)s
ORDER BY failure.failing_since LIMIT %(limit)s
"""  # noqa: S608  # our own words


@dataclass(frozen=True, slots=True)
class FailingRule:
    """A rule that is at least half way to its suspension."""

    organization_id: int
    rule_id: int
    failing_since: datetime
    given_up: int
    warned: int

    def level(self, now: datetime) -> int:
        """Return the highest warning that is reached, SUSPENDED at the end, 0 before the first."""
        percent = percent_of_way(self.failing_since, self.given_up, now)
        return max((each for each in (*WARNINGS, SUSPENDED) if each <= percent), default=0)


def percent_of_way(failing_since: datetime, given_up: int, now: datetime) -> int:
    """Return how far a rule is on the way to its suspension: days and count, the lesser share."""
    days = (now - failing_since) / timedelta(days=FAILING_DAYS)
    return max(0, int(100 * min(days, given_up / MOST_GIVEN_UP, 1)))


def current_failure(rule: CallbackRule) -> RuleFailure | None:
    """Return what counts toward a rule's suspension at present, None if nothing does."""
    failure: RuleFailure | None = getattr(rule, "failure", None)
    if failure is None or failure.failing_since is None or failure.version != rule.version:
        return None
    is_old = rule.judged_since is not None and failure.failing_since < rule.judged_since
    return None if is_old else failure


def failure_that_suspended(rule: CallbackRule) -> RuleFailure | None:
    """Return the failure for which a rule was suspended; None where its partner answered 410."""
    if rule.status != RuleStatus.SUSPENDED:
        return None
    return RuleFailure.objects.filter(pk=rule.pk, version=rule.version, warned=SUSPENDED).first()


def failing_rules(*, now: datetime) -> list[tuple[RuleFailure, int]]:
    """Return the rules of this organization that are half way to their suspension, and how far."""
    rows = RuleFailure.objects.select_related("rule").filter(
        rule__status=RuleStatus.ACTIVE,
        failing_since__lte=now - timedelta(days=FAILING_DAYS) * WARNINGS[0] / 100,
        given_up__gte=MOST_GIVEN_UP * WARNINGS[0] / 100,
        version=F("rule__version"),
    )
    current = rows.filter(
        Q(rule__judged_since=None) | Q(failing_since__gte=F("rule__judged_since"))
    )
    return [
        (row, percent_of_way(row.failing_since, row.given_up, now))
        for row in current.order_by("rule__name")
        if row.failing_since is not None
    ]


def judge_failing_rules(*, now: datetime) -> list[tuple[int, int]]:
    """Suspend rules that have failed for too long; return organization and id of those to warn of.

    Only the role worker may do this; it sees every organization's rules.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_CORRECTED)
    return [
        (failing.organization_id, failing.rule_id)
        for failing in _failing_rules(now)
        if failing.level(now) > failing.warned and not _suspend(failing, now)
    ]


def _failing_rules(now: datetime) -> Iterator[FailingRule]:
    least = WARNINGS[0] / 100
    with connection.cursor() as cursor:
        cursor.execute(
            _FAILING,
            {
                "given_up": MOST_GIVEN_UP * least,
                "before": now - timedelta(days=FAILING_DAYS) * least,
                "limit": _MOST_AT_ONCE,
            },
        )
        rows = cursor.fetchall()
    return (FailingRule(*row) for row in rows)


def _suspend(failing: FailingRule, now: datetime) -> bool:
    """Suspend a rule whose way is at its end; tell whether it is there."""
    if failing.level(now) < SUSPENDED:
        return False
    with tenant(failing.organization_id), transaction.atomic():
        rule = CallbackRule.objects.select_for_update().get(pk=failing.rule_id)
        failure = RuleFailure.objects.select_for_update().filter(pk=rule.pk).first()
        if (
            failure is None
            or failure.failing_since != failing.failing_since  # it has succeeded since
            or rule.status != RuleStatus.ACTIVE
            or failure.version != rule.version
            or (rule.judged_since is not None and failing.failing_since < rule.judged_since)
        ):
            return True
        failure.warned = SUSPENDED
        failure.save(update_fields=["warned"])
        rule.status = RuleStatus.SUSPENDED
        rule.suspension_told_at = None
        rule.save(update_fields=["status", "suspension_told_at"])
    return True
