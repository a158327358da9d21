"""⑦ Claims postbacks of rules that limit how fast they send, apart from all others.

What a rule may still send is a fact for all workers together, so it lies in the database: one row
for each such rule says when its next request may start. Claiming moves that moment on by one
request's share of a second for each postback taken, so that the rest stays in the queue, costs no
thread and keeps nobody waiting. Requests at the same time are those under a running claim. The row
is locked while this is worked out: two workers never give the same place away.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction

from postbacks.delivery.claiming import Claim, Lane, claims_of
from postbacks.infrastructure.database import prepared

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

# A statement of its own after the lock: only so does it see what others have claimed before.
_CLAIM = """
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


def claim_paced(limit: int, *, busy: Iterable[Lane] = ()) -> list[Claim]:
    """Claim up to `limit` due postbacks of rules with limits, none where lanes are `busy`."""
    lanes = list(busy)
    claim_id = uuid.uuid4()
    with transaction.atomic():
        rules = [rule_id for (rule_id,) in prepared.run(_LOCK, {})]
        if not rules:
            return []
        rows = prepared.run(
            _CLAIM,
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
