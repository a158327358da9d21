"""⑦ Holds the postbacks of suspended and switched-off rules, away from the queue.

While a rule is suspended, its postbacks are held until a person has them sent or dropped, for at
most a week; those of a rule that is only off, until it is on. Each statement that moves a postback
locks the rule's status first: a rule that is switched on leaves nothing behind that nobody looks
for.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import msgspec
from django.db import connection, transaction

from postbacks.delivery.skipping import SkippedRow, skip_rows
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql, within_days
from postbacks.models import HeldReason, RuleStatus, SkipReason
from postbacks.models.days import whole_days
from postbacks.values.outgoing_request import Lease

BATCH = 1_000
HELD_DAYS = 7

_HOLD = load_sql("postbacks.delivery", "hold_postbacks")
_RELEASE = load_sql("postbacks.delivery", "release_held", HeldReason)

_LOCK_STATUSES = """
SELECT id, status FROM callback_rule WHERE id = ANY(%(rules)s) ORDER BY id FOR SHARE
"""
_COLUMNS = """
organization_id, postback_id, event_received_at, rule_id, kind, due_at, tries, pinned_version
"""
# A claimed row's `due_at` is the end of its lease.
_DEQUEUE_CLAIMED = """
DELETE FROM due_postback
WHERE postback_id = ANY(%(ids)s) AND claim_id = ANY(%(claims)s) AND rule_id = ANY(%(rules)s)
RETURNING organization_id, postback_id, event_received_at, rule_id, kind, now() AS due_at, tries,
          pinned_version
"""
_DEQUEUE_QUEUED = f"""
WITH chosen AS (
    SELECT postback_id AS id FROM due_postback WHERE rule_id = %(rule)s AND claim_id IS NULL
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM due_postback USING chosen WHERE postback_id = chosen.id RETURNING {_COLUMNS}
"""  # noqa: S608  # our own words
_TAKE_HELD = f"""
WITH chosen AS (
    SELECT postback_id AS id FROM held_postback
    WHERE rule_id = %(rule)s AND reason = ANY(%(reasons)s)
    ORDER BY postback_id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM held_postback USING chosen WHERE postback_id = chosen.id
RETURNING {_COLUMNS}
"""  # noqa: S608  # our own words
# A job that sends them at the pace of a slow rule may take longer than they are held.
_TAKE_EXPIRED = f"""
WITH chosen AS (
    SELECT postback_id AS id FROM held_postback
    WHERE reason = '{HeldReason.RULE_SUSPENDED}' AND held_at < %(before)s
      AND NOT EXISTS (
          SELECT FROM postback_job WHERE postback_job.rule_id = held_postback.rule_id
            AND postback_job.reason = held_postback.reason AND finished_at IS NULL
      )
    ORDER BY held_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
DELETE FROM held_postback USING chosen WHERE postback_id = chosen.id
RETURNING {_COLUMNS}
"""  # noqa: S608  # our own words
_STILL_QUEUED = """
SELECT postback_id FROM due_postback
WHERE postback_id = ANY(%(ids)s) AND (due_at <= now() OR claim_id IS NOT NULL)
"""


@dataclass(frozen=True, slots=True)
class _DequeuedRow:
    """A row that was taken from the queue, or from what is held."""

    organization_id: int
    postback_id: int
    event_received_at: datetime
    rule_id: int
    kind: str
    due_at: datetime
    tries: int
    pinned_version: int | None


@dataclass(frozen=True, slots=True)
class QueueLane:
    """Where a rule's postbacks are queued: its host and port, and whether its pace is limited."""

    host: str
    is_paced: bool


def lock_statuses(rules: Collection[int]) -> dict[int, RuleStatus]:
    """Return the status of each rule; it stays the same until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_STATUSES, {"rules": list(rules)})
        return {rule_id: RuleStatus(status) for rule_id, status in cursor.fetchall()}


def hold_claims(claims: Sequence[Lease]) -> None:
    """Hold the claimed postbacks whose rule is not on, as far as the lease is still ours."""
    if not claims:
        return
    with transaction.atomic():
        reasons = {
            rule_id: reason
            for rule_id, status in lock_statuses(
                {claim.postback.rule_id for claim in claims}
            ).items()
            if (reason := held_reason(status))
        }
        parameters = {
            "ids": [claim.postback.id for claim in claims],
            "claims": [claim.claim_id for claim in claims],
            "rules": list(reasons),
        }
        _hold(_DEQUEUE_CLAIMED, parameters, reasons)


def hold_queued(rule_id: int, *, limit: int = BATCH) -> int:
    """Hold a batch of a suspended rule's queued postbacks; return how many there were."""
    with transaction.atomic():
        if lock_statuses([rule_id]).get(rule_id) != RuleStatus.SUSPENDED:
            return 0
        parameters = {"rule": rule_id, "limit": limit}
        return _hold(_DEQUEUE_QUEUED, parameters, {rule_id: HeldReason.RULE_SUSPENDED})


def hold_longer(rule_id: int, *, limit: int = BATCH) -> int:
    """Let a suspended rule hold a batch of what it held while it was off; return how many."""
    with transaction.atomic():
        if lock_statuses([rule_id]).get(rule_id) != RuleStatus.SUSPENDED:
            return 0
        parameters = {"rule": rule_id, "reasons": [HeldReason.RULE_OFF.value], "limit": limit}
        return _hold(_TAKE_HELD, parameters, {rule_id: HeldReason.RULE_SUSPENDED})


def release_held(
    rule_id: int, reason: HeldReason, lane: QueueLane, *, organization_id: int, limit: int
) -> list[int]:
    """Queue a rule's oldest held postbacks again, and return their ids."""
    parameters = {
        "organization": organization_id,
        "rule": rule_id,
        "reason": reason.value,
        "limit": limit,
        "host": lane.host,
        "paced": lane.is_paced,
    }
    return [postback_id for (postback_id,) in prepared.run(_RELEASE, parameters)]


def skip_held(
    rule_id: int, held: Collection[HeldReason], reason: SkipReason, *, limit: int = BATCH
) -> int:
    """Skip a batch of the postbacks that a rule holds; return how many left."""
    parameters = {"rule": rule_id, "reasons": [str(each) for each in held], "limit": limit}
    with transaction.atomic():
        return _skip(_TAKE_HELD, parameters, reason)


def skip_queued(rule_id: int, reason: SkipReason, *, limit: int = BATCH) -> int:
    """Skip a batch of a rule's queued postbacks, those in a worker's hands aside."""
    with transaction.atomic():
        return _skip(_DEQUEUE_QUEUED, {"rule": rule_id, "limit": limit}, reason)


def skip_expired(before: datetime, *, limit: int = BATCH) -> int:
    """Skip a batch of what suspended rules have held since before a moment."""
    with transaction.atomic():
        parameters = {"before": before, "limit": limit}
        return _skip(_TAKE_EXPIRED, parameters, SkipReason.HELD_EXPIRED)


def still_queued(postbacks: Collection[int]) -> list[int]:
    """Return those that are due and untried, or in a worker's hands."""
    with connection.cursor() as cursor:
        cursor.execute(_STILL_QUEUED, {"ids": list(postbacks)})
        return [postback_id for (postback_id,) in cursor.fetchall()]


def held_reason(status: RuleStatus) -> HeldReason | None:
    """Return why a rule of this status holds its pending postbacks; None if it does not."""
    if status in {RuleStatus.ACTIVE, RuleStatus.ARCHIVED}:
        return None
    return HeldReason.RULE_SUSPENDED if status == RuleStatus.SUSPENDED else HeldReason.RULE_OFF


def _hold(
    statement: str, parameters: Mapping[str, object], reasons: Mapping[int, HeldReason]
) -> int:
    rows = prepared.fetch(_DequeuedRow, statement, parameters)
    if rows:
        first, last = whole_days(row.event_received_at for row in rows)
        held = [{**asdict(row), "reason": reasons[row.rule_id].value} for row in rows]
        prepared.run(within_days(_HOLD, first, last), {"rows": msgspec.json.encode(held).decode()})
    return len(rows)


def _skip(statement: str, parameters: Mapping[str, object], reason: SkipReason) -> int:
    rows = prepared.fetch(_DequeuedRow, statement, parameters)
    skip_rows(
        [
            SkippedRow(row.organization_id, row.postback_id, row.event_received_at, reason.value)
            for row in rows
        ]
    )
    return len(rows)
