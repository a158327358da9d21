"""⑦ Claims due postbacks for this worker, under a lease that ends even if the worker dies.

Postbacks of rules that limit how fast they send are claimed apart from all others. What such a rule
may still send is a fact for all workers together, so it lies in the database: one row for each rule
says when its next request may start. Claiming moves that moment on by one request's share of a
second for each claimed postback. The rest stays in the queue, costs no thread and delays nobody.
Requests at the same time are those under a running lease. The row is locked meanwhile: two workers
never give the same slot away.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from postbacks.delivery.dead_pumps import InterruptedClaim, log_lapsed
from postbacks.delivery.loads import EVERYBODY, Served
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import BreakerState, QueueClass
from postbacks.models.days import whole_days
from postbacks.values.outgoing_request import ClaimedPostback, Lease

Lane = tuple[int, str]  # an organization, and a host with its port
QueuePlace = tuple[int, str, int]  # organization, host and class: a place in the order of queues
FIRST_PLACE: QueuePlace = (0, "", -1)
MOST_QUEUES = 1_000  # that one look walks through
LOOK_AGAIN_SECONDS = 0.2  # where a look did not see when the next is due, behind what is due now

# A worker that wakes late catches up by so much. It bounds what a second can hold above the limit:
# this share of it, or one request.
_SLACK_SECONDS = 0.05

_FIND_DUE_LANES = load_sql("postbacks.delivery", "find_due_lanes")

# Due rows and rows whose lease has ended look the same: `due_at` is when they may be claimed.
_CLAIM_DUE = load_sql("postbacks.delivery", "claim_due", BreakerState)

# A rule whose oldest may not go now, for its lane is full or fails, is not even locked.
_LOCK_PACES = """
SELECT rule_id FROM rule_pace CROSS JOIN LATERAL (
    SELECT organization_id, host FROM due_postback
    WHERE paced AND due_postback.rule_id = rule_pace.rule_id AND due_at <= now()
    ORDER BY due_at LIMIT 1
) AS first
WHERE next_at <= now()
  AND (first.organization_id = ANY(%(named)s::bigint[])) = %(are_served)s
  AND (first.organization_id, host) NOT IN (
      SELECT * FROM unnest(%(busy_organizations)s::bigint[], %(busy_hosts)s::text[])
  )
  AND NOT EXISTS (
      SELECT FROM circuit_breaker AS breaker
      WHERE breaker.organization_id = first.organization_id AND breaker.host = first.host
        AND next_probe_at > now()
  )
ORDER BY next_at LIMIT 64 FOR UPDATE OF rule_pace SKIP LOCKED
"""

# A statement of its own after the lock: only so does it see what others have claimed before.
_CLAIM_PACED = load_sql("postbacks.delivery", "claim_paced", BreakerState)

_LOAD_POSTBACKS = """
SELECT organization_id, id, public_id, rule_id, rule_version, event_id, event_received_at,
       installed_at, created_at, attempts_made, fingerprint, other_fingerprints::text,
       pinned_version, install_id, attribution_version
FROM unnest(%(ids)s::bigint[], %(moments)s::timestamptz[], %(pins)s::integer[])
    AS input (postback_id, received_at, pinned_version)
CROSS JOIN LATERAL (  -- one by one: each is found by its key, whatever the statistics say
    SELECT * FROM postback
    WHERE id = postback_id AND event_received_at = received_at
      AND event_received_at BETWEEN %(first)s AND %(last)s
    LIMIT 1
) AS claimed
"""


@dataclass(frozen=True, slots=True)
class LaneQueue:
    """One class of a lane's queued postbacks, and in how many seconds its oldest may be claimed."""

    organization_id: int
    host: str
    queue_class: QueueClass
    due_in: float
    is_failing: bool = False  # its lane has a row in `circuit_breaker`
    is_probe: bool = False  # its lane's breaker is open: one request finds out

    @property
    def lane(self) -> Lane:
        return self.organization_id, self.host


@dataclass(frozen=True, slots=True)
class Due:
    """What may be claimed now, and in how many seconds the next postback; None where none waits."""

    lanes: Sequence[LaneQueue] = ()
    plain: float | None = None
    paced: float | None = None  # of rules that limit how fast they send
    resume_after: QueuePlace = FIRST_PLACE  # where the next look begins if this one saw not all

    @property
    def soonest(self) -> float | None:
        return min((due for due in (self.plain, self.paced) if due is not None), default=None)

    def of(self, served: Served) -> "Due":
        """Return what is due of the organizations that a pump works for."""
        lanes = [queue for queue in self.lanes if queue.organization_id in served]
        if len(lanes) == len(self.lanes):
            return self
        return replace(self, lanes=lanes, plain=self.plain if lanes else LOOK_AGAIN_SECONDS)

    @staticmethod
    def is_now(seconds: float | None) -> bool:
        return seconds is not None and seconds <= 0


@dataclass(frozen=True, slots=True)
class Room:
    """How many postbacks of a queue may be claimed now."""

    queue: LaneQueue
    count: int


def next_due(after: QueuePlace = FIRST_PLACE) -> Due:
    """Look at the head of each lane's queues, after a place in their order.

    However many postbacks a lane has, it costs one probe of an index.
    """
    parameters: dict[str, object] = {
        "after_organization": after[0],
        "after_host": after[1],
        "after_class": after[2],
        "most": MOST_QUEUES,
    }
    rows = prepared.run(_FIND_DUE_LANES, parameters)
    paced, walked = rows[0][:2]
    queues = [
        LaneQueue(organization_id, host, QueueClass(queue_class), due_in, is_failing, is_probe)
        for _, _, organization_id, host, queue_class, due_in, is_failing, is_probe in rows
        if organization_id is not None
    ]
    last = queues[-1] if queues and walked == MOST_QUEUES else None
    return Due(
        lanes=[queue for queue in queues if queue.due_in <= 0],
        plain=min((queue.due_in for queue in queues), default=None),
        paced=paced,
        resume_after=(*last.lane, last.queue_class) if last else FIRST_PLACE,
    )


def claim_rooms(
    rooms: Sequence[Room], limit: int, *, claim_id: uuid.UUID | None = None
) -> list[Lease]:
    """Claim the longest due postbacks of each queue, as many as it has room for, `limit` in all.

    Nothing else is read or locked, however much waits. Of a lane whose breaker is open only one is
    claimed, and only by one worker.
    """
    if not rooms:
        return []
    # One class of an open lane has the probe.
    named: dict[Lane | LaneQueue, Room] = {}
    for room in rooms:
        named.setdefault(room.queue.lane if room.queue.is_probe else room.queue, room)
    rooms = list(named.values())
    parameters: dict[str, object] = {
        "limit": limit,
        "organizations": [room.queue.organization_id for room in rooms],
        "hosts": [room.queue.host for room in rooms],
        "classes": [room.queue.queue_class.value for room in rooms],
        "rooms": [1 if room.queue.is_probe else room.count for room in rooms],
        "failing": [room.queue.is_failing for room in rooms],
        "probes": [room.queue.is_probe for room in rooms],
    }
    with transaction.atomic():
        return _claim(_CLAIM_DUE, parameters, claim_id)


def claim_paced(
    limit: int,
    *,
    busy: Iterable[Lane] = (),
    served: Served = EVERYBODY,
    claim_id: uuid.UUID | None = None,
) -> list[Lease]:
    """Claim up to `limit` due postbacks of rules with limits, none where lanes are `busy`."""
    lanes = list(busy)
    parameters: dict[str, object] = {
        "busy_organizations": [organization_id for organization_id, _ in lanes],
        "busy_hosts": [host for _, host in lanes],
        "named": list(served.named),
        "are_served": served.are_served,
    }
    with transaction.atomic():
        rules = [rule_id for (rule_id,) in prepared.run(_LOCK_PACES, parameters)]
        if not rules:
            return []
        limits = {"rules": rules, "limit": limit, "slack": _SLACK_SECONDS}
        return _claim(_CLAIM_PACED, {**parameters, **limits}, claim_id)


@dataclass(slots=True)  # not frozen: one is made for each postback
class _ClaimedRow:
    postback_id: int
    event_received_at: datetime
    host: str
    kind: str
    tries: int
    paced: bool
    pinned_version: int | None
    is_failing: bool
    is_probe: bool
    organization_id: int
    rule_id: int
    lapsed_claim: uuid.UUID | None  # of a worker that has not finished in its time
    was_due_at: datetime


def _claim(
    statement: str, parameters: Mapping[str, object], claim_id: uuid.UUID | None
) -> list[Lease]:
    """Claim rows and load their postbacks in the same transaction."""
    claim_id = claim_id or uuid.uuid4()
    rows = prepared.fetch(
        _ClaimedRow,
        statement,
        {**parameters, "lease": settings.LEASE_SECONDS, "claim": claim_id},
    )
    _log_lapsed(rows)
    postbacks = _load_postbacks(rows)
    _dequeue(row.postback_id for row in rows if row.postback_id not in postbacks)
    return [
        Lease(
            claim_id,
            row.host,
            row.kind,
            row.tries,
            postbacks[row.postback_id],
            is_paced=row.paced,
            is_failing=row.is_failing,
            is_probe=row.is_probe,
        )
        for row in rows
        if row.postback_id in postbacks
    ]


def _log_lapsed(rows: Sequence[_ClaimedRow]) -> None:
    """Log what was taken from workers that have fallen silent: they may have sent it."""
    lapsed = [
        InterruptedClaim(
            row.lapsed_claim,
            row.organization_id,
            row.postback_id,
            row.event_received_at,
            row.rule_id,
            row.kind,
            row.pinned_version,
            claimed_at=row.was_due_at - timedelta(seconds=settings.LEASE_SECONDS),
        )
        for row in rows
        if row.lapsed_claim is not None
    ]
    if lapsed:
        log_lapsed(lapsed)


def _load_postbacks(rows: Sequence[_ClaimedRow]) -> dict[int, ClaimedPostback]:
    if not rows:
        return {}
    moments = [row.event_received_at for row in rows]
    first, last = whole_days(moments)
    postbacks = prepared.fetch(
        ClaimedPostback,
        _LOAD_POSTBACKS,
        {
            "ids": prepared.array_of(row.postback_id for row in rows),
            "moments": prepared.array_of(moments),
            "pins": prepared.array_of(row.pinned_version for row in rows),
            "first": first,
            "last": last,
        },
    )
    return {postback.id: postback for postback in postbacks}


def _dequeue(ids: Iterable[int]) -> None:
    """Remove postbacks from the queue whose rows have left with their day's partition."""
    gone = list(ids)
    if gone:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM due_postback WHERE postback_id = ANY(%s)", [gone])
