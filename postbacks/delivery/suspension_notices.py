"""Mails an organization's owners when a callback rule was suspended, or is on the way to it."""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import cast

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps_registry.audit.audited_model import AuditedQuerySet
from apps_registry.mail_text import mail_to_all, one_line
from apps_registry.models import Membership
from apps_registry.roles import Role
from apps_registry.tenancy import current_organization, tenant
from postbacks.delivery.holding import HELD_DAYS
from postbacks.delivery.lasting_failure import (
    FAILING_DAYS,
    MOST_GIVEN_UP,
    WARNINGS,
    failure_that_suspended,
    percent_of_way,
)
from postbacks.models import CallbackRule, RuleFailure, RuleStatus

logger = logging.getLogger(__name__)

_MOST_AT_ONCE = 200
_UNNOTIFIED = f"""
SELECT organization_id, id FROM callback_rule
WHERE status = '{RuleStatus.SUSPENDED}' AND suspension_told_at IS NULL ORDER BY id LIMIT %s
"""  # noqa: S608  # only our own words are put in


def unnotified_suspensions() -> Iterator[tuple[int, int]]:
    """Yield organization and id of each suspended rule whose owners are not notified yet.

    Only the role worker sees every organization's rules; any other role gets none.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNNOTIFIED, [_MOST_AT_ONCE])
        yield from cursor.fetchall()


def notify_of_suspension(rule_id: int) -> None:
    """Mail the owners that a rule of the current organization sends no more.

    The mail leaves after the commit, since no transaction may wait for a mail server. If it can't
    be sent, the next run tries again.
    """
    rules = CallbackRule.objects.select_for_update(skip_locked=True)
    rule = rules.filter(
        pk=rule_id, status=RuleStatus.SUSPENDED, suspension_told_at__isnull=True
    ).first()
    if rule is None:
        return  # notified by another worker, or switched on again
    _mark_notified(rule_id, at=timezone.now())
    if addresses := owner_addresses():
        undo = partial(_mark_notified, rule_id, at=None)
        transaction.on_commit(partial(_send, _mail(rule, addresses), rule, undo))


def warn_of_failure(rule_id: int, *, now: datetime) -> None:
    """Mail the owners that a rule of the current organization fails, once for each level.

    If the mail can't be sent, the next run tries again.
    """
    failures = RuleFailure.objects.select_for_update(skip_locked=True, of=("self",))
    failure = failures.filter(pk=rule_id, failing_since__isnull=False).first()
    if failure is None or failure.failing_since is None:
        return
    percent = percent_of_way(failure.failing_since, failure.given_up, now)
    level = max((each for each in WARNINGS if each <= percent), default=0)
    if level <= failure.warned:
        return
    undo = partial(_mark_warned, rule_id, failure.warned)
    _mark_warned(rule_id, level)
    if addresses := owner_addresses():
        mail = _warning(failure.rule, failure, level, addresses)
        transaction.on_commit(partial(_send, mail, failure.rule, undo))


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


def owner_addresses() -> list[str]:
    """Return the addresses of the current organization's owners."""
    owners = Membership.objects.filter(
        organization=current_organization(), role=Role.OWNER, user__is_active=True
    )
    return list(owners.order_by("id").values_list("user__email", flat=True))


def _warning(
    rule: CallbackRule, failure: RuleFailure, level: int, addresses: list[str]
) -> EmailMessage:
    page = reverse("admin:postbacks_callbackrule_change", args=[rule.pk])
    name = one_line(rule.name)
    since = timezone.localtime(failure.failing_since)
    return mail_to_all(
        addresses,
        subject=f"Callback rule failing: {name}",
        body=(
            f"Nothing of the callback rule “{name}” was delivered since "
            f"{since:%b} {since.day}, {since:%Y, %H:%M}, and {failure.given_up:,} of its postbacks "
            f"were given up. That is {level} % of the way to its suspension: a rule that fails for "
            f"{FAILING_DAYS} days, with at least {MOST_GIVEN_UP} postbacks given up, sends nothing "
            "any more until somebody switches it on.\n\n"
            "The delivery log says what the partner answers. One success, or a corrected rule, "
            "starts the count anew.\n\n"
            f"{settings.PUBLIC_URL}{page}\n"
        ),
    )


def _mail(rule: CallbackRule, addresses: list[str]) -> EmailMessage:
    page = reverse("admin:postbacks_callbackrule_change", args=[rule.pk])
    name = one_line(rule.name)
    return mail_to_all(
        addresses,
        subject=f"Callback rule suspended: {name}",
        body=(
            f"The callback rule “{name}” sends nothing any more: {suspension_reason(rule)}.\n\n"
            f"Its postbacks are held for {HELD_DAYS} days each, new ones too, and skipped after "
            "that. Correct the URL and switch the rule on: the page then asks whether to send or "
            "to drop what is held. A program that switches it on by the API says so by POST "
            f"callback-rules/{rule.public_id}/held; until then all stay held.\n\n"
            f"{settings.PUBLIC_URL}{page}\n"
        ),
    )


def _send(mail: EmailMessage, rule: CallbackRule, undo: Callable[[], None]) -> None:
    try:
        mail.send()
    except OSError:  # refused, unreachable, timed out; what smtplib raises is one too
        logger.warning("A mail about rule %d could not be sent; it is tried again", rule.pk)
        with tenant(rule.organization_id):
            undo()


def _mark_warned(rule_id: int, level: int) -> None:
    RuleFailure.objects.filter(pk=rule_id).update(warned=level)


def _mark_notified(rule_id: int, *, at: datetime | None) -> None:
    rules = cast(AuditedQuerySet, CallbackRule.objects.filter(pk=rule_id))
    rules.update_unaudited(suspension_told_at=at)
