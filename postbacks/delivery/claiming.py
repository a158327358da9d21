"""⑦ Claims due postbacks for this worker: a lease that ends by itself if the worker dies."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from postbacks.outgoing import Owed

# Due rows and rows whose lease has ended look the same: `due_at` is when somebody may take them.
_CLAIM = """
UPDATE due_postback SET due_at = now() + make_interval(secs => %(lease)s), claim_id = %(claim)s
FROM (
    SELECT postback_id FROM due_postback WHERE due_at <= now()
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AS due
WHERE due_postback.postback_id = due.postback_id
RETURNING due_postback.postback_id, event_received_at, kind, tries
"""

_LOAD = """
SELECT organization_id, id, public_id, rule_id, rule_version, event_id, event_received_at,
       installed_at, created_at, attempts_made, fingerprint
FROM postback
WHERE id = ANY(%(ids)s) AND event_received_at BETWEEN %(first)s AND %(last)s
"""

_NEXT_DUE = "SELECT extract(epoch FROM min(due_at) - now()) FROM due_postback"


@dataclass(frozen=True, slots=True)
class Claim:
    """One postback that is ours until the lease ends. `tries` counts those of this schedule."""

    claim_id: uuid.UUID
    kind: str
    tries: int
    owed: Owed


def claim_due(limit: int) -> list[Claim]:
    """Claim up to `limit` due postbacks, the longest due first."""
    claim_id = uuid.uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"lease": settings.LEASE_SECONDS, "claim": claim_id, "limit": limit})
        rows = cursor.fetchall()
        owed = _load([(id_, received_at) for id_, received_at, _, _ in rows])
        _forget(id_ for id_, _, _, _ in rows if id_ not in owed)
    return [Claim(claim_id, kind, tries, owed[id_]) for id_, _, kind, tries in rows if id_ in owed]


def seconds_until_due() -> float | None:
    """Return how long until the next postback is due; None if nothing is waiting."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_DUE)
        (seconds,) = cursor.fetchone()
    return None if seconds is None else float(seconds)


def _forget(ids: Iterable[int]) -> None:
    """Take postbacks out of the queue whose rows have left with their day's partition."""
    gone = list(ids)
    if gone:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM due_postback WHERE postback_id = ANY(%s)", [gone])


def _load(keys: Sequence[tuple[int, datetime]]) -> dict[int, Owed]:
    if not keys:
        return {}
    moments = [received_at for _, received_at in keys]
    with connection.cursor() as cursor:
        cursor.execute(
            _LOAD, {"ids": [id_ for id_, _ in keys], "first": min(moments), "last": max(moments)}
        )
        return {owed.id: owed for owed in (Owed(*row) for row in cursor.fetchall())}
