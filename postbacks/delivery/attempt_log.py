"""⑧ Logs attempts and finishes postbacks, a batch in one statement.

A row leaves the queue, or gets its next time, only with the claim under which it was taken; what
was changed there drives everything else. So a worker whose lease has ended writes nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError, connection

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import SYSTEM
from postbacks.delivery.claiming import Lease
from postbacks.infrastructure.database import prepared
from postbacks.models import PostbackStatus
from postbacks.models.days import whole_days

logger = logging.getLogger(__name__)

OUTAGES = (OperationalError, InterfaceError)  # the database's trouble, not a row's


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """What one attempt came to. `wait_seconds` is None once the postback has ended."""

    organization_id: int
    postback_id: int
    event_received_at: datetime
    rule_id: int
    claim_id: UUID
    number: int
    kind: str
    started_at: datetime
    duration_ms: int
    outcome: str
    status: str
    status_code: int | None
    error: str
    detail: str
    request: Mapping[str, object]
    response: Mapping[str, object]
    fingerprint: str
    wait_seconds: float | None
    suspend_rule: bool = False


_FINISH = f"""
WITH input AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
        organization_id bigint, postback_id bigint, event_received_at timestamptz, rule_id bigint,
        claim_id uuid, number integer, kind text, started_at timestamptz, duration_ms integer,
        outcome text, status text, status_code smallint, error text, detail text, request jsonb,
        response jsonb, fingerprint text, wait_seconds float8, suspend_rule boolean
    )
), ended AS (
    DELETE FROM due_postback USING input
    WHERE due_postback.postback_id = input.postback_id
      AND due_postback.claim_id = input.claim_id AND input.wait_seconds IS NULL
    RETURNING due_postback.postback_id
), again AS (
    UPDATE due_postback SET
        due_at = now() + make_interval(secs => input.wait_seconds), tries = tries + 1,
        claim_id = NULL
    FROM input
    WHERE due_postback.postback_id = input.postback_id
      AND due_postback.claim_id = input.claim_id AND input.wait_seconds IS NOT NULL
    RETURNING due_postback.postback_id
), ours AS (
    SELECT input.* FROM input
    JOIN (SELECT * FROM ended UNION ALL SELECT * FROM again) AS changed USING (postback_id)
), logged AS (
    INSERT INTO delivery_attempt (
        organization_id, postback_id, event_received_at, number, kind, started_at, duration_ms,
        outcome, status_code, error, detail, request, response
    )
    SELECT organization_id, postback_id, event_received_at, number, kind, started_at, duration_ms,
           outcome, status_code, error, detail, request, response
    FROM ours
), suspended AS (
    UPDATE callback_rule SET status = 'suspended', suspension_told_at = NULL
    FROM ours
    WHERE ours.suspend_rule AND callback_rule.organization_id = ours.organization_id
      AND callback_rule.id = ours.rule_id AND callback_rule.status = 'active'
    RETURNING callback_rule.organization_id, callback_rule.public_id, callback_rule.name
), audited AS (
    INSERT INTO audit_entry (
        organization_id, public_id, at, actor_kind, actor_name, door, action, object_type,
        object_id, object_name, changes
    )
    SELECT organization_id, gen_random_uuid(), now(), '{SYSTEM.kind}', '{SYSTEM.name}',
           '{SYSTEM.door}', '{Action.SUSPENDED}', 'callback_rule', public_id::text, name,
           '{{{{"status": ["active", "suspended"]}}}}'
    FROM suspended
)
UPDATE postback SET
    -- What was delivered once stays delivered, whatever becomes of a resend.
    status = CASE WHEN delivered_at IS NULL THEN ours.status ELSE postback.status END,
    reason = CASE WHEN ours.status = '{PostbackStatus.FAILED}' AND delivered_at IS NULL
                  THEN ours.error ELSE '' END,
    attempts_made = ours.number,
    last_status_code = ours.status_code,
    fingerprint = ours.fingerprint,
    next_attempt_at = now() + make_interval(secs => ours.wait_seconds),
    delivered_at = CASE WHEN ours.status = '{PostbackStatus.DELIVERED}'
                        THEN coalesce(delivered_at, now()) ELSE delivered_at END
FROM ours
WHERE postback.organization_id = ours.organization_id AND postback.id = ours.postback_id
  AND postback.event_received_at = ours.event_received_at
  -- The days stand in the text: with parameters PostgreSQL would plan for days that look short.
  AND postback.event_received_at BETWEEN '{{first}}' AND '{{last}}'
"""  # noqa: S608  # only our own words are put in

_PUT_BACK = """
WITH back AS (
    UPDATE due_postback
    SET due_at = now() + make_interval(secs => %(seconds)s), claim_id = NULL
    WHERE postback_id = ANY(%(ids)s) AND claim_id = ANY(%(claims)s)
    RETURNING postback_id
)
UPDATE postback SET reason = %(reason)s FROM back
WHERE postback.id = back.postback_id AND status = 'pending' AND reason <> %(reason)s
  AND event_received_at BETWEEN %(first)s AND %(last)s
"""

RULE_OFF = "rule_off"  # pending, but not before its rule is switched on again


def log_attempts(attempts: Sequence[AttemptResult]) -> None:
    """Log attempts and write what they mean for their postbacks.

    If PostgreSQL refuses the batch for what one of them holds, each is written alone, and the one
    that is refused again without what partner and rule put into it: its outcome must not be lost.
    """
    try:
        _finish(attempts)
    except OUTAGES:
        raise
    except DatabaseError:
        logger.exception("A batch of %d attempts was refused; each is written alone", len(attempts))
        for attempt in attempts:
            _log_alone(attempt)


def _log_alone(attempt: AttemptResult) -> None:
    detail = "The request and the answer could not be stored."
    for form in (attempt, replace(attempt, request={}, response={}, detail=detail)):
        try:
            return _finish([form])
        except OUTAGES:
            raise
        except DatabaseError:
            logger.exception("An attempt of postback %d was refused", attempt.postback_id)
    return None  # its lease will end and it is tried again; the others are safe


def _finish(attempts: Sequence[AttemptResult]) -> None:
    if not attempts:
        return
    first, last = whole_days(attempt.event_received_at for attempt in attempts)
    rows = msgspec.json.encode(attempts).decode()
    prepared.run(_FINISH.format(first=first, last=last), {"rows": rows})


def return_claims(claims: Sequence[Lease], *, seconds: float, reason: str = "") -> None:
    """Give claimed postbacks back untried, to be due again after so many seconds."""
    if not claims:
        return
    first, last = whole_days(claim.owed.event_received_at for claim in claims)
    with connection.cursor() as cursor:
        cursor.execute(
            _PUT_BACK,
            {
                "seconds": seconds,
                "reason": reason,
                "ids": [claim.owed.id for claim in claims],
                "claims": [claim.claim_id for claim in claims],
                "first": first,
                "last": last,
            },
        )
