"""Mails an organization's owners when one of its callback rules was suspended."""

import logging
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import cast

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from apps_registry.audit.audited_model import AuditedQuerySet
from apps_registry.mail_text import one_line
from apps_registry.models import Membership
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.delivery.holding import HELD_DAYS
from postbacks.models import CallbackRule, RuleStatus

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
    owners = Membership.objects.filter(
        organization=rule.organization, role=Role.OWNER, user__is_active=True
    )
    addresses = list(owners.order_by("id").values_list("user__email", flat=True))
    if addresses:
        transaction.on_commit(partial(_send, _mail(rule, addresses), rule.organization_id, rule_id))


def _mail(rule: CallbackRule, addresses: list[str]) -> EmailMessage:
    page = reverse("admin:postbacks_callbackrule_change", args=[rule.pk])
    name = one_line(rule.name)
    return EmailMessage(
        subject=f"Callback rule suspended: {name}",
        body=(
            f"The callback rule “{name}” sends nothing any more: its partner answered "
            "410 Gone, which means that the address is gone for good.\n\n"
            f"Its postbacks are held for {HELD_DAYS} days each, new ones too, and skipped after "
            "that. Correct the URL and switch the rule on: the page then asks whether to send or "
            "to drop what is held. A program that switches it on by the API says so by POST "
            f"callback-rules/{rule.public_id}/held; until then all stay held.\n\n"
            f"{settings.PUBLIC_URL}{page}\n"
        ),
        to=addresses[:1],
        bcc=addresses[1:],  # owners need not learn each other's addresses from a mail
    )


def _send(mail: EmailMessage, organization_id: int, rule_id: int) -> None:
    try:
        mail.send()
    except OSError:  # refused, unreachable, timed out; what smtplib raises is one too
        logger.warning("A mail about rule %d could not be sent; it is tried again", rule_id)
        with tenant(organization_id):
            _mark_notified(rule_id, at=None)


def _mark_notified(rule_id: int, *, at: datetime | None) -> None:
    rules = cast(AuditedQuerySet, CallbackRule.objects.filter(pk=rule_id))
    rules.update_unaudited(suspension_told_at=at)
