"""Ends a request's wait for a PostgreSQL that says nothing: frozen, or on a disk that hangs.

Such a server keeps its connections open, so that neither libpq nor the system ends a statement. The
connection of a thread that has waited too long is cut, and fails as if the server had gone away.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock, Thread, get_ident
from typing import Final

import psycopg
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from postbacks.infrastructure.loop_requests import NeedsThread, running

SECONDS: Final = 4.0  # without a word
_LOOK_SECONDS: Final = 0.25
_OUTAGE_SECONDS: Final = 1.0  # that an outage counts for; then somebody asks PostgreSQL again


@dataclass(slots=True)
class _Wait:
    """How long a thread has waited for an answer on its connection."""

    database: BaseDatabaseWrapper
    since: float = field(default_factory=time.monotonic)


class _Watch:
    """The threads of this process that do not wait for ever, and the one that watches them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.waits: dict[int, _Wait] = {}
        self.away_until = 0.0
        self._process = 0

    def begin(self) -> None:
        """Start watching in this process; a fork has no threads of its parent."""
        with self.lock:
            if self._process != os.getpid():
                self._process = os.getpid()
                Thread(target=self._look, name="stalls", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            # While the lock is held, nobody whose wait has ended uses the connection for another.
            with self.lock:
                for wait in self.waits.values():
                    if now > wait.since + SECONDS:
                        _cut(wait.database)


_watch = _Watch()


@contextmanager
def not_for_ever() -> Iterator[None]:
    """Cut this thread's connection when a statement of the block takes longer than SECONDS.

    The statement raises OperationalError then; whether PostgreSQL still ends it, nobody knows.
    """
    _watch.begin()
    thread = get_ident()
    wait = _Wait(connections[connection.alias])
    with _watch.lock:
        _watch.waits[thread] = wait
    try:
        yield
    finally:
        with _watch.lock:
            del _watch.waits[thread]


def restart_wait() -> None:
    """Begin to count this thread's wait anew: PostgreSQL has answered, or is asked now."""
    wait = _watch.waits.get(get_ident())
    if wait is not None:
        wait.since = time.monotonic()


def note_outage() -> None:
    """Note that a request of this process was refused because the database is away."""
    _watch.away_until = time.monotonic() + _OUTAGE_SECONDS


def is_away() -> bool:
    """Tell whether the database was away a moment ago."""
    return time.monotonic() < _watch.away_until


def _cut(database: BaseDatabaseWrapper) -> None:
    session = database.connection
    if session is None or session.closed:
        return  # it is being opened, which has a limit of its own
    # Its thread may close it at this moment. An error would end the watch of all threads.
    with (
        suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(session.fileno())) as copy,
    ):
        copy.shutdown(socket.SHUT_RDWR)


def keep_loop_from_database() -> None:
    """Have what the loop runs never connect to a database: each of its waits is everybody's."""
    for database in connections.all():
        connect = database.connect

        def connect_in_threads(connect: Callable[[], None] = connect) -> None:
            if running() is not None:
                raise NeedsThread
            connect()

        database.connect = connect_in_threads  # type: ignore[method-assign]
