"""The queue between intake and the pipeline: events that are stored and not decided."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from postbacks.infrastructure.database import prepared

# By the index, which remembers what is gone; the table's beginning is full of it.
_IS_ANY = "SELECT min(id) IS NOT NULL FROM undecided_event"

_TAKE = """
WITH taken AS (
    SELECT id FROM undecided_event ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
), forgotten AS (
    DELETE FROM decision_failure USING taken WHERE decision_failure.id = taken.id
)
DELETE FROM undecided_event USING taken WHERE undecided_event.id = taken.id
RETURNING undecided_event.id, organization_id, received_at
"""

# A failed decision is tried again after 10 s, 20 s, 40 s … at most an hour.
_SET_ASIDE = """
INSERT INTO decision_failure (id, organization_id, received_at, error, next_try_at)
VALUES (%(id)s, %(organization)s, %(received)s, %(error)s, now() + interval '10 seconds')
ON CONFLICT (id) DO UPDATE SET
    error = excluded.error, tries = decision_failure.tries + 1,
    next_try_at = now() + least(3600, 10 * 2 ^ least(decision_failure.tries, 9)) * interval '1 s'
"""

_BRING_BACK = """
INSERT INTO undecided_event (id, organization_id, received_at)
SELECT id, organization_id, received_at FROM decision_failure
WHERE next_try_at <= now() ORDER BY next_try_at LIMIT %s
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class UndecidedRow:
    """The place of one undecided event: our id and its partition's time."""

    id: int
    organization_id: int
    received_at: datetime


def is_any_undecided() -> bool:
    """Tell whether events wait, of which another worker may be deciding some."""
    ((waits,),) = prepared.run(_IS_ANY, {})
    return bool(waits)


def dequeue_events(limit: int) -> list[UndecidedRow]:
    """Take the oldest undecided events out of the queue, within the caller's transaction.

    A rollback, or the death of this process, puts them back, and the notes on earlier failures.
    """
    rows = prepared.run(_TAKE, {"limit": limit})
    return sorted((UndecidedRow(*row) for row in rows), key=lambda event: event.id)


def dequeue_event(event: UndecidedRow) -> bool:
    """Take one event out of the queue; False if another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM undecided_event WHERE id = ("
            "SELECT id FROM undecided_event WHERE id = %s FOR UPDATE SKIP LOCKED)",
            [event.id],
        )
        return bool(cursor.rowcount == 1)


def record_failure(event: UndecidedRow, error: str) -> None:
    """Note why an event could not be decided, for the operator and for another try."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SET_ASIDE,
            {
                "id": event.id,
                "organization": event.organization_id,
                "received": event.received_at,
                "error": error.replace("\x00", " ")[:2000],
            },
        )


def clear_failure(event: UndecidedRow) -> None:
    """Remove the note on an event that has been decided after all."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM decision_failure WHERE id = %s", [event.id])


def requeue_failed(limit: int = 100) -> int:
    """Queue events again whose decision failed and whose time has come."""
    with connection.cursor() as cursor:
        cursor.execute(_BRING_BACK, [limit])
        return int(cursor.rowcount)
