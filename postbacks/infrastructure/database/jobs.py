"""Has an organization's work done in turns, and holds a job while a worker that lives does it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from apps_registry.tenancy import current_organization

_TAKE_TURNS = "SELECT pg_advisory_xact_lock(hashtext(%s), (%s::bigint & 2147483647)::int)"
_TRY_TURN = "SELECT pg_try_advisory_xact_lock(hashtext(%s), (%s::bigint & 2147483647)::int)"
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, %s))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, %s))"


def take_turns(table: str) -> None:
    """Let nothing else of the organization add rows of a table so until this transaction ends.

    So that two that come at once are both counted.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURNS, [table, current_organization()])


def try_turn(table: str) -> bool:
    """Take the organization's turn likewise; False where another transaction has it."""
    with connection.cursor() as cursor:
        cursor.execute(_TRY_TURN, [table, current_organization()])
        return bool(cursor.fetchone()[0])


@contextmanager
def held_job(table: str, waiting: str) -> Iterator[tuple[int, int] | None]:
    """Hold the first job that no living worker holds; give its organization and id.

    `waiting` selects organizations and ids of jobs, the next one first. The caller looks again
    whether the job is still to be done: it may have ended between the two.
    """
    with connection.cursor() as cursor:
        cursor.execute(waiting)
        for organization_id, job_id in cursor.fetchall():
            cursor.execute(_TRY_LOCK, [table, job_id])
            if not cursor.fetchone()[0]:
                continue
            session = connection.connection
            try:
                yield organization_id, job_id
            finally:
                if connection.connection is session and not session.closed:  # or it has gone
                    with connection.cursor() as unlocking:
                        unlocking.execute(_UNLOCK, [table, job_id])
            return
    yield None
