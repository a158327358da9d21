"""② Keeps each device's events in order, though several workers decide at once.

What a purchase means depends on the install before it. A worker that takes the purchase while
another is still deciding the install would find a device that never opened the app.
"""

from collections.abc import Sequence

from postbacks.infrastructure.database import prepared
from postbacks.intake.events.queue import UndecidedRow
from postbacks.values.events import StoredEvent

# Of the older ones all that are left are in other workers' hands, and these are few.
_BEFORE = """
SELECT waiting.id, opening.organization_id, opening.app_id, opening.device
FROM undecided_event AS waiting
CROSS JOIN LATERAL (
    SELECT organization_id, app_id, device, event_name FROM event
    WHERE event.id = waiting.id AND event.received_at = waiting.received_at LIMIT 1
) AS opening
WHERE waiting.id < %(last)s AND opening.event_name IN ('install', 'open') AND opening.device <> ''
"""

_PUT_BACK = """
INSERT INTO undecided_event (id, organization_id, received_at)
SELECT * FROM unnest(%(ids)s::bigint[], %(organizations)s::bigint[], %(moments)s::timestamptz[])
"""


def defer_out_of_order(
    taken: Sequence[UndecidedRow], events: Sequence[StoredEvent]
) -> list[StoredEvent]:
    """Return the events that may be decided now, and put the others back into the queue.

    Those wait whose device opened the app by an event that came before them and is not decided yet.
    """
    rows = prepared.run(_BEFORE, {"last": taken[-1].id})
    first: dict[tuple[int, int, str], int] = {}
    for event_id, organization_id, app_id, device in rows:
        key = (organization_id, app_id, device)
        first[key] = min(event_id, first.get(key, event_id))
    early = {event.id for event in events if event.id > first.get(event.key, event.id)}
    if early:
        _put_back([event for event in taken if event.id in early])
    return [event for event in events if event.id not in early]


def _put_back(events: Sequence[UndecidedRow]) -> None:
    prepared.run(
        _PUT_BACK,
        {
            "ids": [event.id for event in events],
            "organizations": [event.organization_id for event in events],
            "moments": [event.received_at for event in events],
        },
    )
