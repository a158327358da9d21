"""Keeps copies of apps that nobody has, for 30 days and so many of each app."""

from datetime import datetime, timedelta

from django.utils import timezone

from postbacks.infrastructure.database import prepared
from postbacks.models import UnclaimedCopy

MOST_OF_AN_APP = 1_000  # anybody could send as many
KEPT = timedelta(days=30)

# Those whose app somebody has by now.
_CLAIMED = """
SELECT copy.id FROM unclaimed_copy AS copy
JOIN store_claim AS claim ON claim.store_id = copy.store_id AND claim.state = 'standing'
ORDER BY copy.id LIMIT %(limit)s
"""
_TAKE = "DELETE FROM unclaimed_copy WHERE id = %(id)s RETURNING received_at, body"
_FORGET = """
DELETE FROM unclaimed_copy WHERE id IN (
    SELECT id FROM unclaimed_copy WHERE received_at < %(before)s LIMIT %(limit)s
)
RETURNING id
"""


def keep(store_id: str, *, body: str, received_at: datetime) -> None:
    """Keep a copy, unless there are enough of its app."""
    kept = UnclaimedCopy.objects.filter(store_id=store_id)
    if kept[:MOST_OF_AN_APP].count() < MOST_OF_AN_APP:
        UnclaimedCopy.objects.create(store_id=store_id, received_at=received_at, body=body)


def claimed_by_now(limit: int) -> list[int]:
    """Return the ids of copies whose app somebody has; a worker sees every organization's."""
    return [row[0] for row in prepared.run(_CLAIMED, {"limit": limit})]


def take(id_: int) -> tuple[datetime, str] | None:
    """Take a copy out in this transaction: when it came, and its body; None if it is gone."""
    taken = prepared.run(_TAKE, {"id": id_})
    return taken[0][:2] if taken else None


def forget_old_copies(limit: int = 5_000) -> int:
    """Delete a batch of copies that nobody has claimed in time; return how many."""
    return len(prepared.run(_FORGET, {"before": timezone.now() - KEPT, "limit": limit}))
