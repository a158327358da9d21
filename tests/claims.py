"""Claims as a pump makes them, without a pump."""

import uuid

from postbacks.delivery.claiming import Room, claim_rooms, next_due
from postbacks.values.outgoing_request import Lease


def claim_due(
    limit: int, *, of_each_queue: int | None = None, claim_id: uuid.UUID | None = None
) -> list[Lease]:
    """Claim up to `limit` due postbacks of rules without limits, the longest due of each queue."""
    rooms = [Room(queue, of_each_queue or limit) for queue in next_due().lanes]
    return claim_rooms(rooms, limit, claim_id=claim_id)
