"""⑦ Claims due postbacks for this worker, under a lease that ends even if the worker dies.

Postbacks of rules that limit how fast they send are claimed apart from all others. What such a rule
may still send is a fact for all workers together, so it lies in the database: one row for each rule
says when its next request may start. Claiming moves that moment on by one request's share of a
second for each claimed postback. The rest stays in the queue, costs no thread and delays nobody.
Requests at the same time are those under a running lease. The row is locked meanwhile: two workers
never give the same slot away.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models.days import whole_days
from postbacks.values.outgoing_request import ClaimedPostback

Lane = tuple[int, str]  # an organization and a host, which share the threads of a worker

# A worker that wakes late catches up by so much. It bounds what a second can hold above the limit:
# this share of it, or one request.
_SLACK_SECONDS = 0.05

_NEXT_DUE = """
SELECT extract(epoch FROM min(due_at) - now())::float8 AS plain,
       (SELECT extract(epoch FROM min(greatest(pace.next_at, first.due_at)) - now())::float8
        FROM rule_pace AS pace CROSS JOIN LATERAL (
            SELECT due_at FROM due_postback WHERE paced AND rule_id = pace.rule_id
            ORDER BY due_at LIMIT 1
        ) AS first) AS paced
FROM due_postback WHERE NOT paced
"""

# Due rows and rows whose lease has ended look the same: `due_at` is when they may be claimed.
_CLAIM_DUE = load_sql("postbacks.delivery", "claim_due")

_LOCK_PACES = """
SELECT rule_id FROM rule_pace
WHERE next_at <= now() AND EXISTS (
    SELECT FROM due_postback
    WHERE paced AND due_postback.rule_id = rule_pace.rule_id AND due_at <= now()
)
ORDER BY next_at LIMIT 64 FOR UPDATE SKIP LOCKED
"""

# A statement of its own after the lock: only so does it see what others have claimed before.
_CLAIM_PACED = load_sql("postbacks.delivery", "claim_paced")

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
class Due:
    """In how many seconds the next postback may be claimed; None where nothing is waiting."""

    plain: float | None
    paced: float | None  # of rules that limit how fast they send

    @property
    def soonest(self) -> float | None:
        return min((due for due in (self.plain, self.paced) if due is not None), default=None)

    @staticmethod
    def is_now(seconds: float | None) -> bool:
        return seconds is not None and seconds <= 0


@dataclass(frozen=True, slots=True)
class Lease:
    """A postback that this worker may send until the lease ends."""

    claim_id: uuid.UUID
    host: str
    kind: str
    tries: int  # of this retry schedule
    postback: ClaimedPostback
    is_paced: bool = False

    @property
    def lane(self) -> Lane:
        return self.postback.organization_id, self.host


def next_due() -> Due:
    (due,) = prepared.fetch(Due, _NEXT_DUE, {})
    return due


def claim_due(limit: int, *, per_host: int | None = None, busy: Iterable[Lane] = ()) -> list[Lease]:
    """Claim up to `limit` due postbacks, the longest due first, of rules without limits.

    Of one organization and host at most `per_host`, and none where they are `busy`: a partner that
    hangs holds its own share of a worker and no more.
    """
    limits: dict[str, object] = {
        "limit": limit,
        "per_host": limit if per_host is None else per_host,
    }
    with transaction.atomic():
        return _claim(_CLAIM_DUE, limits, busy)


def claim_paced(limit: int, *, busy: Iterable[Lane] = ()) -> list[Lease]:
    """Claim up to `limit` due postbacks of rules with limits, none where lanes are `busy`."""
    with transaction.atomic():
        rules = [rule_id for (rule_id,) in prepared.run(_LOCK_PACES, {})]
        if not rules:
            return []
        limits: dict[str, object] = {"rules": rules, "limit": limit, "slack": _SLACK_SECONDS}
        return _claim(_CLAIM_PACED, limits, busy)


@dataclass(frozen=True, slots=True)
class _ClaimedRow:
    postback_id: int
    event_received_at: datetime
    host: str
    kind: str
    tries: int
    paced: bool
    pinned_version: int | None


def _claim(statement: str, limits: dict[str, object], busy: Iterable[Lane]) -> list[Lease]:
    """Claim rows and load their postbacks in the same transaction."""
    lanes = list(busy)
    claim_id = uuid.uuid4()
    rows = prepared.fetch(
        _ClaimedRow,
        statement,
        {
            **limits,
            "lease": settings.LEASE_SECONDS,
            "claim": claim_id,
            "busy_organizations": [organization_id for organization_id, _ in lanes],
            "busy_hosts": [host for _, host in lanes],
        },
    )
    postbacks = _load_postbacks(rows)
    _dequeue(row.postback_id for row in rows if row.postback_id not in postbacks)
    return [
        Lease(claim_id, row.host, row.kind, row.tries, postbacks[row.postback_id], row.paced)
        for row in rows
        if row.postback_id in postbacks
    ]


def _load_postbacks(rows: Sequence[_ClaimedRow]) -> dict[int, ClaimedPostback]:
    if not rows:
        return {}
    moments = [row.event_received_at for row in rows]
    first, last = whole_days(moments)
    postbacks = prepared.fetch(
        ClaimedPostback,
        _LOAD_POSTBACKS,
        {
            "ids": [row.postback_id for row in rows],
            "moments": moments,
            "pins": [row.pinned_version for row in rows],
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
