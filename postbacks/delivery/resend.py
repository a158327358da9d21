"""Puts postbacks back into the queue because a person asks for it."""

from datetime import datetime
from typing import Any

from django.db import connection

from postbacks.delivery.lasting_failure import failure_that_suspended
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import (
    AttemptKind,
    Event,
    Postback,
    PostbackStatus,
    RuleStatus,
)
from postbacks.models.events import ERASED

MOST_ATTEMPTS = 1_000

_ENQUEUE_AGAIN = load_sql("postbacks.delivery", "enqueue_again", PostbackStatus)


def resend_refusal(postback: Postback) -> str:
    """Return why a postback can't be sent again, empty if it can."""
    if postback.test:
        return "It was a test send; send a new test from its rule."
    if postback.rule.status == RuleStatus.SUSPENDED:
        if failure_that_suspended(postback.rule):
            return "Its rule was suspended after it failed for days; switch the rule on first."
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


def enqueue_again(
    postback: Postback,
    *,
    host: str,
    is_paced: bool,
    pinned_version: int | None = None,
    kind: AttemptKind = AttemptKind.RESEND,
    due_at: datetime | None = None,
) -> bool:
    """Queue a postback once more, due now or at a time, with a fresh retry schedule.

    Its attempts go by the rule's current version, or by the pinned one. False: a worker has it.
    """
    parameters: dict[str, Any] = {
        "id": postback.pk,
        "organization": postback.organization_id,
        "received": postback.event_received_at,
        "rule": postback.rule_id,
        "host": host,
        "paced": is_paced,
        "pinned_version": pinned_version,
        "kind": kind.value,
        "due_at": due_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ENQUEUE_AGAIN, parameters)
        return cursor.fetchone() is not None


def _is_device_erased(postback: Postback) -> bool:
    event = Event.objects.filter(
        id=postback.event_id or 0, received_at=postback.event_received_at, device__startswith=ERASED
    )
    return event.exists()
