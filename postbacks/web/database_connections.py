"""The web's connections to PostgreSQL: one that the server has closed is opened again unasked.

Django would ask PostgreSQL `SELECT 1` before each request. A look at the socket says as much, and
costs no round trip: a connection that was closed can be read from, a quiet one can't.
"""

import select
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper


def renew_closed(**_signal: Any) -> None:
    """Close what PostgreSQL has closed, at the start of a request, so that it is opened again."""
    for database in connections.all(initialized_only=True):
        if database.connection is None or database.in_atomic_block:
            continue
        if _is_quiet(database):
            database.health_check_done = True  # type: ignore[attr-defined]  # the stubs lack it
        else:
            database.close()


def _is_quiet(database: BaseDatabaseWrapper) -> bool:
    """Tell whether nothing has come over a connection that waits for nothing."""
    if database.connection.closed:
        return False
    poll = select.poll()
    poll.register(database.connection.fileno(), select.POLLIN)
    return not poll.poll(0)
