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
from postbacks.values.outgoing_request import ClaimedPostback

# FOLDED from pacing.py

# A worker that wakes late catches up by so much. It bounds what a second can hold above the limit:
# this share of it, or one request.
_SLACK_SECONDS = 0.05

_NEXT = """
SELECT extract(epoch FROM min(due_at) - now())::float8,
       (SELECT extract(epoch FROM min(greatest(pace.next_at, first.due_at)) - now())::float8
        FROM rule_pace AS pace CROSS JOIN LATERAL (
            SELECT due_at FROM due_postback WHERE paced AND rule_id = pace.rule_id
            ORDER BY due_at LIMIT 1
        ) AS first)
FROM due_postback WHERE NOT paced
"""

_LOCK = """
SELECT rule_id FROM rule_pace
WHERE next_at <= now() AND EXISTS (
    SELECT FROM due_postback
    WHERE paced AND due_postback.rule_id = rule_pace.rule_id AND due_at <= now()
)
ORDER BY next_at LIMIT 64 FOR UPDATE SKIP LOCKED
"""


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

# A statement of its own after the lock: only so does it see what others have claimed before.
_CLAIM_PACED = """
WITH pace AS MATERIALIZED (
    SELECT rule_id, least(
        %(limit)s::bigint,
        floor(extract(epoch FROM least(now() - next_at, make_interval(secs => %(slack)s)))
              * rate_limit_per_second)::bigint + 1,
        max_in_flight - (
            SELECT count(*) FROM due_postback
            WHERE paced AND claim_id IS NOT NULL AND due_at > now()
              AND due_postback.rule_id = rule_pace.rule_id
        )
    ) AS places
    FROM rule_pace WHERE rule_id = ANY(%(rules)s::bigint[])
), chosen AS (
    SELECT due.postback_id FROM pace CROSS JOIN LATERAL (
        SELECT postback_id FROM due_postback
        WHERE paced AND due_postback.rule_id = pace.rule_id AND due_at <= now()
          AND (organization_id, host) NOT IN (
              SELECT * FROM unnest(%(busy_organizations)s::bigint[], %(busy_hosts)s::text[])
          )
        ORDER BY due_at LIMIT greatest(0, pace.places) FOR UPDATE SKIP LOCKED
    ) AS due
    LIMIT %(limit)s
), claimed AS (
    UPDATE due_postback SET due_at = now() + make_interval(secs => %(lease)s), claim_id = %(claim)s
    FROM chosen
    WHERE due_postback.postback_id = chosen.postback_id
    RETURNING due_postback.postback_id, event_received_at, host, kind, tries, rule_id
), moved AS (
    UPDATE rule_pace SET
        next_at = greatest(next_at, now() - make_interval(secs => %(slack)s))
                  + make_interval(secs => taken.count / rate_limit_per_second::float8)
    FROM (SELECT rule_id, count(*) FROM claimed GROUP BY rule_id) AS taken
    WHERE rule_pace.rule_id = taken.rule_id AND rate_limit_per_second IS NOT NULL
)
SELECT postback_id, event_received_at, host, kind, tries FROM claimed
"""


@dataclass(frozen=True, slots=True)
class Due:
    """In how many seconds the next postback may be taken; None where nothing is waiting."""

    plain: float | None
    paced: float | None

    @property
    def soonest(self) -> float | None:
        """Return when there may be something to claim at all."""
        return min((it for it in (self.plain, self.paced) if it is not None), default=None)

    @staticmethod
    def is_now(seconds: float | None) -> bool:
        """Tell whether a moment has come."""
        return seconds is not None and seconds <= 0


def next_due() -> Due:
    """Return when the next postbacks are due, those of rules with limits apart."""
    ((plain, paced),) = prepared.run(_NEXT, {})
    return Due(plain, paced)


Lane = tuple[int, str]  # an organization and a host


@dataclass(frozen=True, slots=True)
class Lease:
    """One postback that is ours until the lease ends. `tries` counts those of this schedule."""

    claim_id: uuid.UUID
    host: str
    kind: str
    tries: int
    owed: ClaimedPostback

    @property
    def lane(self) -> Lane:
        """Return whose share of a worker this postback takes."""
        return self.owed.organization_id, self.host


def claim_paced(limit: int, *, busy: Iterable[Lane] = ()) -> list[Lease]:
    """Claim up to `limit` due postbacks of rules with limits, none where lanes are `busy`."""
    lanes = list(busy)
    claim_id = uuid.uuid4()
    with transaction.atomic():
        rules = [rule_id for (rule_id,) in prepared.run(_LOCK, {})]
        if not rules:
            return []
        rows = prepared.run(
            _CLAIM_PACED,
            {
                "rules": rules,
                "limit": limit,
                "slack": _SLACK_SECONDS,
                "lease": settings.LEASE_SECONDS,
                "claim": claim_id,
                "busy_organizations": [organization_id for organization_id, _ in lanes],
                "busy_hosts": [host for _, host in lanes],
            },
        )
        return claims_of(claim_id, rows)


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

ClaimedRow = tuple[Any, ...]  # postback's id, its event's received_at, host, kind, tries


def claim_due(limit: int, *, per_host: int | None = None, busy: Iterable[Lane] = ()) -> list[Lease]:
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


def claims_of(claim_id: uuid.UUID, rows: Sequence[ClaimedRow]) -> list[Lease]:
    """Return what was claimed together with what its postbacks say, in the same transaction."""
    owed = _load([(id_, received_at) for id_, received_at, *_ in rows])
    _forget(id_ for id_, *_ in rows if id_ not in owed)
    return [
        Lease(claim_id, host, kind, tries, owed[id_])
        for id_, _, host, kind, tries in rows
        if id_ in owed
    ]


def _forget(ids: Iterable[int]) -> None:
    """Take postbacks out of the queue whose rows have left with their day's partition."""
    gone = list(ids)
    if gone:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM due_postback WHERE postback_id = ANY(%s)", [gone])


def _load(keys: Sequence[tuple[int, datetime]]) -> dict[int, ClaimedPostback]:
    if not keys:
        return {}
    ids, moments = zip(*keys, strict=True)
    first, last = whole_days(moments)
    rows = prepared.run(
        _LOAD, {"ids": list(ids), "moments": list(moments), "first": first, "last": last}
    )
    return {owed.id: owed for owed in (ClaimedPostback(*row) for row in rows)}
