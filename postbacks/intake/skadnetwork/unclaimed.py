"""Copies whose app nobody has provably claimed: kept for 30 days, a limited number of each app."""

from datetime import datetime, timedelta

from django.utils import timezone

from postbacks.infrastructure.database import prepared
from postbacks.models import UnclaimedCopy

MAX_COPIES_PER_APP = 1_000  # anybody can send copies
RETENTION = timedelta(days=30)

_FIND_CLAIMED = """
SELECT copy.id FROM unclaimed_copy AS copy
JOIN store_claim AS claim ON claim.store_id = copy.store_id AND claim.state = 'standing'
    AND claim.proven_at IS NOT NULL
ORDER BY copy.id LIMIT %(limit)s
"""
# Of the keys of an app's events any one will do: intake takes none of another bundle ID. But
# anybody can report events, so of two organizations neither proves anything in this way.
_PROVE = """
UPDATE store_claim AS claim SET proven_at = now()
WHERE claim.state = 'standing' AND claim.proven_at IS NULL
    AND (%(number)s = claim.store_id OR %(number)s = '' AND EXISTS (
        SELECT FROM unclaimed_copy AS copy WHERE copy.store_id = claim.store_id))
    AND EXISTS (SELECT FROM bundle_id AS bundle
        WHERE bundle.organization_id = claim.organization_id AND bundle.app_id = claim.app_id)
    AND EXISTS (SELECT FROM event_key AS key
        WHERE key.organization_id = claim.organization_id AND key.app_id = claim.app_id)
    AND NOT is_store_id_contested(claim.store_id)
RETURNING claim.id
"""
_TAKE = "DELETE FROM unclaimed_copy WHERE id = %(id)s RETURNING received_at, body"
_DELETE_EXPIRED = """
DELETE FROM unclaimed_copy WHERE id IN (
    SELECT id FROM unclaimed_copy WHERE received_at < %(before)s LIMIT %(limit)s
)
RETURNING id
"""


def keep_copy(store_id: str, *, body: str, received_at: datetime) -> None:
    """Keep a copy, unless the limit of its app is reached."""
    copies = UnclaimedCopy.objects.filter(store_id=store_id)
    if copies[:MAX_COPIES_PER_APP].count() < MAX_COPIES_PER_APP:
        UnclaimedCopy.objects.create(store_id=store_id, received_at=received_at, body=body)


def prove_claims(store_id: str = "") -> bool:
    """Note claims of apps whose events have arrived as proven; tell whether there were any.

    Within an organization that is its claim to one number, for a worker those of all copies kept.
    """
    return bool(prepared.run(_PROVE, {"number": store_id}))


def find_claimed(limit: int) -> list[int]:
    """Return the ids of copies whose app has an owner by now; a worker sees all organizations."""
    return [row[0] for row in prepared.run(_FIND_CLAIMED, {"limit": limit})]


def take_copy(copy_id: int) -> tuple[datetime, str] | None:
    """Remove a copy in this transaction; return its time and body, None if it is gone."""
    rows = prepared.run(_TAKE, {"id": copy_id})
    return rows[0] if rows else None


def delete_expired_copies(limit: int = 5_000) -> int:
    """Delete a batch of copies that nobody claimed in time; return how many."""
    return len(
        prepared.run(_DELETE_EXPIRED, {"before": timezone.now() - RETENTION, "limit": limit})
    )
