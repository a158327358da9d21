"""⑦ Skips pending postbacks that may no longer be sent, and says why in their rows.

A skip uses up no “first time per device”: a postback that is skipped gives it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db import connection, transaction

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql, within_days
from postbacks.models import PostbackStatus
from postbacks.models.days import whole_days
from postbacks.values.outgoing_request import Lease
from postbacks.values.rule_choices import Frequency

_SKIP = load_sql("postbacks.delivery", "skip_postbacks", PostbackStatus, Frequency)
_DEQUEUE_CLAIMED = """
DELETE FROM due_postback WHERE postback_id = ANY(%(ids)s) AND claim_id = ANY(%(claims)s)
RETURNING postback_id
"""


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """A postback that has left the queue, and the code of the reason why it is not sent."""

    organization_id: int
    postback_id: int
    event_received_at: datetime
    reason: str


def skip_claims(claims: Sequence[tuple[Lease, str]]) -> int:
    """Skip claimed postbacks, each for a reason, as far as the lease is still ours."""
    if not claims:
        return 0
    leases = [lease for lease, _ in claims]
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                _DEQUEUE_CLAIMED,
                {
                    "ids": [lease.postback.id for lease in leases],
                    "claims": [lease.claim_id for lease in leases],
                },
            )
            ours = {postback_id for (postback_id,) in cursor.fetchall()}
        return skip_rows(
            [
                SkippedRow(
                    lease.postback.organization_id,
                    lease.postback.id,
                    lease.postback.event_received_at,
                    reason,
                )
                for lease, reason in claims
                if lease.postback.id in ours
            ]
        )


def skip_rows(rows: Sequence[SkippedRow]) -> int:
    """Skip postbacks that this transaction has taken from the queue; return how many there were.

    One that was delivered before, and waited only to be sent again, stays delivered.
    """
    if not rows:
        return 0
    first, last = whole_days(row.event_received_at for row in rows)
    parameters = {"rows": msgspec.json.encode(rows).decode()}
    ((skipped,),) = prepared.run(within_days(_SKIP, first, last), parameters)
    return int(skipped)
