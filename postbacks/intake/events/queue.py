"""② The queue between intake and the pipeline: events that are stored and not yet decided.

Several workers decide at once, but each device's events in order: what a purchase means depends on
the install before it. A worker that decides the purchase while another is still at the install
would find a device that never opened the app.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from postbacks.infrastructure.database import prepared
from postbacks.values.events import StoredEvent

# `min` walks the index, which skips deleted rows; the table's beginning is full of them.
_IS_ANY = "SELECT min(id) IS NOT NULL FROM undecided_event"

_DEQUEUE = """
WITH dequeued AS (
    SELECT id FROM undecided_event ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), cleared AS (
    DELETE FROM decision_failure USING dequeued WHERE decision_failure.id = dequeued.id
)
DELETE FROM undecided_event USING dequeued WHERE undecided_event.id = dequeued.id
RETURNING undecided_event.id, organization_id, received_at
"""

# Older events that are still queued are locked by other workers, and these are few.
_EARLIER_OPENS = """
SELECT queued.id, opening.organization_id, opening.app_id, opening.device
FROM undecided_event AS queued
CROSS JOIN LATERAL (
    SELECT organization_id, app_id, device, event_name FROM event
    WHERE event.id = queued.id AND event.received_at = queued.received_at LIMIT 1
) AS opening
WHERE queued.id < %(last)s AND opening.event_name IN ('install', 'open') AND opening.device <> ''
"""

_REQUEUE = """
INSERT INTO undecided_event (id, organization_id, received_at)
SELECT * FROM unnest(%(ids)s::bigint[], %(organizations)s::bigint[], %(received)s::timestamptz[])
"""

# A failed decision is tried again after 10 s, 20 s, 40 s … at most an hour.
_RECORD_FAILURE = """
INSERT INTO decision_failure (id, organization_id, received_at, error, next_try_at)
VALUES (%(id)s, %(organization)s, %(received)s, %(error)s, now() + interval '10 seconds')
ON CONFLICT (id) DO UPDATE SET
    error = excluded.error, tries = decision_failure.tries + 1,
    next_try_at = now() + least(3600, 10 * 2 ^ least(decision_failure.tries, 9)) * interval '1 s'
"""

_REQUEUE_FAILED = """
INSERT INTO undecided_event (id, organization_id, received_at)
SELECT id, organization_id, received_at FROM decision_failure
WHERE next_try_at <= now() ORDER BY next_try_at LIMIT %s
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class UndecidedRow:
    """An undecided event: our id and its partition's time."""

    id: int
    organization_id: int
    received_at: datetime


def is_any_undecided() -> bool:
    """Tell whether events are queued; another worker may be deciding some of them."""
    ((is_any,),) = prepared.run(_IS_ANY, {})
    return bool(is_any)


def dequeue_events(limit: int) -> list[UndecidedRow]:
    """Take the oldest undecided events out of the queue, within the caller's transaction.

    A rollback, or the death of this process, puts them back, and the notes on earlier failures.
    """
    rows = prepared.fetch(UndecidedRow, _DEQUEUE, {"limit": limit})
    return sorted(rows, key=lambda row: row.id)


def defer_out_of_order(
    dequeued: Sequence[UndecidedRow], events: Sequence[StoredEvent]
) -> list[StoredEvent]:
    """Return the events that may be decided now, and put the others back into the queue.

    Events whose device has an earlier, undecided open are deferred.
    """
    opens = prepared.run(_EARLIER_OPENS, {"last": dequeued[-1].id})
    first_open: dict[tuple[int, int, str], int] = {}
    for event_id, organization_id, app_id, device in opens:
        key = (organization_id, app_id, device)
        first_open[key] = min(event_id, first_open.get(key, event_id))
    deferred = {event.id for event in events if event.id > first_open.get(event.key, event.id)}
    if deferred:
        _requeue([row for row in dequeued if row.id in deferred])
    return [event for event in events if event.id not in deferred]


def dequeue_event(row: UndecidedRow) -> bool:
    """Take one event out of the queue; False if another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM undecided_event WHERE id = ("
            "SELECT id FROM undecided_event WHERE id = %s FOR UPDATE SKIP LOCKED)",
            [row.id],
        )
        return bool(cursor.rowcount == 1)


def record_failure(row: UndecidedRow, error: str) -> None:
    """Note why an event could not be decided, for the operator and for another try."""
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD_FAILURE,
            {
                "id": row.id,
                "organization": row.organization_id,
                "received": row.received_at,
                "error": error.replace("\x00", " ")[:2000],
            },
        )


def clear_failure(row: UndecidedRow) -> None:
    """Remove the note on an event that has been decided after all."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM decision_failure WHERE id = %s", [row.id])


def requeue_failed(limit: int = 100) -> int:
    """Queue events again whose decision failed and whose next try is due; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_REQUEUE_FAILED, [limit])
        return int(cursor.rowcount)


def _requeue(rows: Sequence[UndecidedRow]) -> None:
    prepared.run(
        _REQUEUE,
        {
            "ids": [row.id for row in rows],
            "organizations": [row.organization_id for row in rows],
            "received": [row.received_at for row in rows],
        },
    )
