"""Mails an organization's owners when a callback rule was suspended, or is on the way to it."""

from datetime import datetime
from functools import partial
from typing import cast

from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from apps_registry.audit.audited_model import AuditedQuerySet
from apps_registry.mail_text import one_line
from apps_registry.people.owner_mails import mail_owners
from postbacks.delivery.holding import HELD_DAYS
from postbacks.delivery.lasting_failure import (
    FAILING_DAYS,
    MOST_GIVEN_UP,
    WARNINGS,
    failure_that_suspended,
    percent_of_way,
)
from postbacks.infrastructure.database.statements import rows
from postbacks.models import CallbackRule, RuleFailure, RuleStatus

_MOST_AT_ONCE = 200
_UNNOTIFIED = f"""
SELECT organization_id, id FROM callback_rule
WHERE status = '{RuleStatus.SUSPENDED}' AND suspension_told_at IS NULL ORDER BY id LIMIT %(limit)s
"""  # noqa: S608  # only our own words are put in


def unnotified_suspensions() -> list[tuple[int, int]]:
    """Return organization and ID of each suspended rule whose owners are not notified yet.

    Only the role worker sees every organization's rules; any other role gets none.
    """
    return [
        (organization_id, rule_id)
        for organization_id, rule_id in rows(_UNNOTIFIED, {"limit": _MOST_AT_ONCE})
    ]


def notify_of_suspension(rule_id: int) -> None:
    """Mail the owners that a rule of the current organization sends no more."""
    rules = CallbackRule.objects.select_for_update(skip_locked=True)
    rule = rules.filter(
        pk=rule_id, status=RuleStatus.SUSPENDED, suspension_told_at__isnull=True
    ).first()
    if rule is None:
        return  # notified by another worker, or switched on again
    _mark_notified(rule_id, at=timezone.now())
    mail_owners(
        subject=f"Callback rule suspended: {one_line(rule.name)}",
        body=_suspension_text(rule),
        undo=partial(_mark_notified, rule_id, at=None),
    )


def warn_of_failure(rule_id: int, *, now: datetime) -> None:
    """Mail the owners that a rule of the current organization fails, once for each level."""
    failures = RuleFailure.objects.select_for_update(skip_locked=True, of=("self",))
    failure = failures.filter(pk=rule_id, failing_since__isnull=False).first()
    if failure is None or failure.failing_since is None:
        return
    percent = percent_of_way(failure.failing_since, failure.given_up, now)
    level = max((warning for warning in WARNINGS if warning <= percent), default=0)
    if level <= failure.warned:
        return
    _mark_warned(rule_id, level)
    mail_owners(
        subject=f"Callback rule failing: {one_line(failure.rule.name)}",
        body=_warning_text(failure, level),
        undo=partial(_mark_warned, rule_id, failure.warned),
    )


def suspension_reason(rule: CallbackRule) -> str:
    """Return why a rule was suspended, as the end of a sentence."""
    failure = failure_that_suspended(rule)
    if failure is None or failure.failing_since is None:
        return "its partner answered 410 Gone, which means that the address is gone for good"
    since = timezone.localtime(failure.failing_since)
    return (
        f"nothing was delivered since {since:%b} {since.day}, {since:%Y}, and "
        f"{failure.given_up:,} postbacks were given up"
    )


def _warning_text(failure: RuleFailure, level: int) -> str:
    page = reverse("admin:postbacks_callbackrule_change", args=[failure.rule.pk])
    since = timezone.localtime(failure.failing_since)
    return (
        f"Nothing of the callback rule “{one_line(failure.rule.name)}” was delivered since "
        f"{since:%b} {since.day}, {since:%Y, %H:%M}, and {failure.given_up:,} of its postbacks "
        f"were given up. That is {level} % of the way to its suspension: a rule that fails for "
        f"{FAILING_DAYS} days, with at least {MOST_GIVEN_UP} postbacks given up, sends nothing "
        "any more until somebody switches it on.\n\n"
        "The delivery log says what the partner answers. One success, or a corrected rule, "
        "starts the count anew.\n\n"
        f"{settings.PUBLIC_URL}{page}\n"
    )


def _suspension_text(rule: CallbackRule) -> str:
    page = reverse("admin:postbacks_callbackrule_change", args=[rule.pk])
    return (
        f"The callback rule “{one_line(rule.name)}” sends nothing any more: "
        f"{suspension_reason(rule)}.\n\n"
        f"Its postbacks are held for {HELD_DAYS} days each, new ones too, and skipped after "
        "that. Correct the URL and switch the rule on: the page then asks whether to send or "
        "to drop what is held. A program that switches it on by the API says so by POST "
        f"callback-rules/{rule.public_id}/held; until then all stay held.\n\n"
        f"{settings.PUBLIC_URL}{page}\n"
    )


def _mark_warned(rule_id: int, level: int) -> None:
    RuleFailure.objects.filter(pk=rule_id).update(warned=level)


def _mark_notified(rule_id: int, *, at: datetime | None) -> None:
    rules = cast(AuditedQuerySet, CallbackRule.objects.filter(pk=rule_id))
    rules.update_unaudited(suspension_told_at=at)
