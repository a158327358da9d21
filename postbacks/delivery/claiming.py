"""⑦ Claims due postbacks for this worker: a lease that ends by itself if the worker dies."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from postbacks.infrastructure.database import prepared
from postbacks.models.days import whole_days
from postbacks.values.outgoing_request import Owed

# Due rows and rows whose lease has ended look the same: `due_at` is when somebody may take them.
_CLAIM = """
WITH candidates AS (
    SELECT postback_id, organization_id, host, due_at FROM due_postback
    WHERE due_at <= now() AND NOT paced AND (organization_id, host) NOT IN (
        SELECT * FROM unnest(%(busy_organizations)s::bigint[], %(busy_hosts)s::text[])
    )
    ORDER BY due_at LIMIT 4 * %(limit)s FOR UPDATE SKIP LOCKED
), fair AS (
    SELECT postback_id, due_at,
           row_number() OVER (PARTITION BY organization_id, host ORDER BY due_at) AS place
    FROM candidates
), chosen AS (
    SELECT postback_id FROM fair WHERE place <= %(per_host)s ORDER BY due_at LIMIT %(limit)s
)
UPDATE due_postback SET due_at = now() + make_interval(secs => %(lease)s), claim_id = %(claim)s
FROM chosen
WHERE due_postback.postback_id = chosen.postback_id
RETURNING due_postback.postback_id, event_received_at, host, kind, tries
"""

_LOAD = """
SELECT organization_id, id, public_id, rule_id, rule_version, event_id, event_received_at,
       installed_at, created_at, attempts_made, fingerprint, install_id, attribution_version
FROM unnest(%(ids)s::bigint[], %(moments)s::timestamptz[]) AS wanted (wanted_id, received_at)
CROSS JOIN LATERAL (  -- one by one: each is found by its key, whatever the statistics say
    SELECT * FROM postback
    WHERE id = wanted_id AND event_received_at = received_at
      AND event_received_at BETWEEN %(first)s AND %(last)s
    LIMIT 1
) AS claimed
"""


Lane = tuple[int, str]  # an organization and a host
ClaimedRow = tuple[Any, ...]  # postback's id, its event's received_at, host, kind, tries


@dataclass(frozen=True, slots=True)
class Claim:
    """One postback that is ours until the lease ends. `tries` counts those of this schedule."""

    claim_id: uuid.UUID
    host: str
    kind: str
    tries: int
    owed: Owed

    @property
    def lane(self) -> Lane:
        """Return whose share of a worker this postback takes."""
        return self.owed.organization_id, self.host


def claim_due(limit: int, *, per_host: int | None = None, busy: Iterable[Lane] = ()) -> list[Claim]:
    """Claim up to `limit` due postbacks, the longest due first; `pacing` claims those of rules
    that limit how fast they send.

    Of one organization and host at most `per_host`, and none where they are `busy`: a partner that
    hangs holds its own share of a worker and no more.
    """
    lanes = list(busy)
    claim_id = uuid.uuid4()
    with transaction.atomic():
        rows = prepared.run(
            _CLAIM,
            {
                "lease": settings.LEASE_SECONDS,
                "claim": claim_id,
                "limit": limit,
                "per_host": limit if per_host is None else per_host,
                "busy_organizations": [organization_id for organization_id, _ in lanes],
                "busy_hosts": [host for _, host in lanes],
            },
        )
        return claims_of(claim_id, rows)


def claims_of(claim_id: uuid.UUID, rows: Sequence[ClaimedRow]) -> list[Claim]:
    """Return what was claimed together with what its postbacks say, in the same transaction."""
    owed = _load([(id_, received_at) for id_, received_at, *_ in rows])
    _forget(id_ for id_, *_ in rows if id_ not in owed)
    return [
        Claim(claim_id, host, kind, tries, owed[id_])
        for id_, _, host, kind, tries in rows
        if id_ in owed
    ]


def _forget(ids: Iterable[int]) -> None:
    """Take postbacks out of the queue whose rows have left with their day's partition."""
    gone = list(ids)
    if gone:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM due_postback WHERE postback_id = ANY(%s)", [gone])


def _load(keys: Sequence[tuple[int, datetime]]) -> dict[int, Owed]:
    if not keys:
        return {}
    ids, moments = zip(*keys, strict=True)
    first, last = whole_days(moments)
    rows = prepared.run(
        _LOAD, {"ids": list(ids), "moments": list(moments), "first": first, "last": last}
    )
    return {owed.id: owed for owed in (Owed(*row) for row in rows)}
