"""Puts postbacks back into the queue because a person asks for it."""

from datetime import datetime

from django.db import connection

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    Event,
    Postback,
    PostbackStatus,
    RuleStatus,
)
from postbacks.models.events import ERASED

MOST_ATTEMPTS = 1_000

_ENQUEUE_AGAIN = load_sql("postbacks.delivery", "enqueue_again", AttemptKind, PostbackStatus)
_RELEASE_HELD = """
UPDATE due_postback AS due SET due_at = now()
FROM postback
WHERE due.organization_id = %(organization)s AND due.rule_id = %(rule)s AND due.claim_id IS NULL
  AND postback.organization_id = due.organization_id AND postback.id = due.postback_id
  AND postback.event_received_at = due.event_received_at AND postback.next_attempt_at <= now()
"""


class NotResendableError(Exception):
    """The postback can't be sent again; the message says why."""


def resend_refusal(postback: Postback) -> str:
    """Return why a postback can't be sent again, empty if it can."""
    if postback.test:
        return "It was a test send; send a new test from its rule."
    if postback.status == PostbackStatus.SKIPPED:
        return "It was skipped by its rule, so there is nothing to send again."
    if postback.rule.status == RuleStatus.SUSPENDED:
        return (
            "Its rule was suspended after the partner answered 410 Gone; switch the rule on first."
        )
    if postback.rule.status != RuleStatus.ACTIVE:
        return "Its rule is not active; switch it on first."
    if postback.attempts_made >= MOST_ATTEMPTS:
        return f"It was tried {MOST_ATTEMPTS} times; that is enough."
    if _is_device_erased(postback):
        return "Its device was forgotten, so there are no data left to send."
    return ""


def resend(postback: Postback) -> None:
    """Have a postback sent now, with a fresh retry schedule.

    A pending one goes out at once instead of at its next try, unless a worker has it right now.
    A delivered one stays delivered, even if the new attempt fails.
    """
    if refusal := resend_refusal(postback):
        raise NotResendableError(refusal)
    with connection.cursor() as cursor:
        cursor.execute(_ENQUEUE_AGAIN, _parameters(postback))
        if cursor.fetchone() is None:
            raise NotResendableError("It is being sent at this moment.")
        cursor.execute("SELECT pg_notify('postbacks_work', '')")
    postback.refresh_from_db()
    log_action(Action.RESENT, postback)


def _is_device_erased(postback: Postback) -> bool:
    event = Event.objects.filter(
        id=postback.event_id or 0, received_at=postback.event_received_at, device__startswith=ERASED
    )
    return event.exists()


def release_held(rule: CallbackRule) -> None:
    """Have the postbacks sent now that waited for their rule to be switched on.

    Only due ones are released; the others keep to their retry schedule.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE_HELD, {"rule": rule.pk, "organization": rule.organization_id})
        cursor.execute("SELECT pg_notify('postbacks_work', '')")


def _parameters(postback: Postback) -> dict[str, int | datetime]:
    return {
        "id": postback.pk,
        "organization": postback.organization_id,
        "received": postback.event_received_at,
        "rule": postback.rule_id,
        "version": postback.rule_version,
    }
