"""Puts postbacks back into the queue because a person asks for it."""

from datetime import datetime

from django.db import connection

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
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


class NotResendableError(Exception):
    """The postback can't be sent again; the message says why."""


def resend(postback: Postback) -> None:
    """Have a postback sent now, with a fresh retry schedule.

    A pending one goes out at once instead of at its next try, unless a worker has it right now.
    One that was delivered stays delivered, whatever becomes of the new attempt.
    """
    if postback.test:
        raise NotResendableError("It was a test send; send a new test from its rule.")
    if postback.status == PostbackStatus.SKIPPED:
        raise NotResendableError(
            "The postback was skipped by its rule, so there is nothing to send again."
        )
    if _is_forgotten(postback):
        raise NotResendableError("The device was forgotten, so there are no data left to send.")
    if postback.rule.status != RuleStatus.ACTIVE:
        raise NotResendableError("The rule is not active; switch it on first.")
    if postback.attempts_made >= MOST_ATTEMPTS:
        raise NotResendableError(f"The postback was tried {MOST_ATTEMPTS} times; that is enough.")
    with connection.cursor() as cursor:
        cursor.execute(_OWE_AGAIN, _parameters(postback))
        if cursor.fetchone() is None:
            raise NotResendableError("The postback is being sent at this moment.")
        cursor.execute("SELECT pg_notify('postbacks_work', '')")
    postback.refresh_from_db()
    log_action(Action.RESENT, postback)


def _is_forgotten(postback: Postback) -> bool:
    event = Event.objects.filter(
        id=postback.event_id or 0, received_at=postback.event_received_at, device__startswith=ERASED
    )
    return event.exists()


def release_held(rule: CallbackRule) -> None:
    """Have the postbacks sent now that waited for their rule to be switched on.

    They are the ones whose own time has come; the others keep to their retry schedule.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"rule": rule.pk, "organization": rule.organization_id})
        cursor.execute("SELECT pg_notify('postbacks_work', '')")


_RELEASE = """
UPDATE due_postback AS due SET due_at = now()
FROM postback
WHERE due.organization_id = %(organization)s AND due.rule_id = %(rule)s AND due.claim_id IS NULL
  AND postback.organization_id = due.organization_id AND postback.id = due.postback_id
  AND postback.event_received_at = due.event_received_at AND postback.next_attempt_at <= now()
"""

# A row with a claim is in a worker's hands: stealing it would send twice.
_OWE_AGAIN = f"""
WITH owed AS (
    INSERT INTO due_postback AS due
        (postback_id, organization_id, event_received_at, rule_id, host, kind, due_at, paced)
    SELECT %(id)s, organization_id, %(received)s, rule_id,
           coalesce(substring(definition ->> 'url' FROM '^[a-z]+://([^/?#]{{1,255}})'), ''),
           '{AttemptKind.RESEND}', now(),
           EXISTS (SELECT FROM rule_pace WHERE rule_pace.rule_id = %(rule)s)
    FROM callback_rule_version
    WHERE organization_id = %(organization)s AND rule_id = %(rule)s AND number = %(version)s
    ON CONFLICT (postback_id) DO UPDATE
        SET due_at = now(), tries = 0, kind = '{AttemptKind.RESEND}', claim_id = NULL
        WHERE due.claim_id IS NULL OR due.due_at <= now()
    RETURNING postback_id, due_at
)
UPDATE postback SET
    status = CASE WHEN status = '{PostbackStatus.DELIVERED}' THEN status
                  ELSE '{PostbackStatus.PENDING}' END,
    reason = '', next_attempt_at = owed.due_at
FROM owed
WHERE postback.id = owed.postback_id AND organization_id = %(organization)s
  AND event_received_at = %(received)s
RETURNING id
"""  # noqa: S608  # only our own words are put in


def _parameters(postback: Postback) -> dict[str, int | datetime]:
    return {
        "id": postback.pk,
        "organization": postback.organization_id,
        "received": postback.event_received_at,
        "rule": postback.rule_id,
        "version": postback.rule_version,
    }
