"""Ends a request's wait for a PostgreSQL that says nothing: frozen, or on a disk that hangs.

Such a server keeps its connections open, so that neither libpq nor the system ends a statement. The
connection of a thread that has waited too long is cut, and fails as if the server had gone away.

What machines ask for is over in milliseconds. A page may have a statement that works for seconds:
there PostgreSQL is asked first, on another connection, whether it does.
"""

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any, Final

import psycopg
from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from greenlet import getcurrent, greenlet
from psycopg.pq import TransactionStatus

from postbacks.infrastructure.loop_requests import NeedsThread, running

SECONDS: Final = 4.0  # without a word
SECONDS_OF_PAGES: Final = 3.0  # after which PostgreSQL is asked
_ASK_SECONDS: Final = 0.7  # for its answer
_STATES: Final = "SELECT pid, state FROM pg_stat_activity WHERE usename = session_user"
_LOOK_SECONDS: Final = 0.25
_OUTAGE_SECONDS: Final = 1.0  # that an outage counts for; then somebody asks PostgreSQL again


@dataclass(slots=True)
class _Wait:
    """How long a thread has waited for an answer on its connection."""

    database: BaseDatabaseWrapper
    is_of_page: bool = False
    since: float = field(default_factory=time.monotonic)

    def restart(self) -> None:
        self.since = time.monotonic()

    def is_over(self, now: float) -> bool:
        return now > self.since + (SECONDS_OF_PAGES if self.is_of_page else SECONDS)


class _Watch:
    """The threads of this process that do not wait for ever, and the one that watches them."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.waits: dict[greenlet, _Wait] = {}  # of which each thread has one, and its tasks
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
                late = [wait for wait in self.waits.values() if wait.is_over(now)]
                for wait in late:
                    if not wait.is_of_page:
                        _cut(wait.database)
            if late := [wait for wait in late if wait.is_of_page and _is_asking(wait.database)]:
                self._cut_stalled([(wait, wait.since) for wait in late])

    def _cut_stalled(self, waits: Sequence[tuple[_Wait, float]]) -> None:
        """Cut the connections on which PostgreSQL does not work; the others may wait on."""
        working = _working_backends(waits[0][0].database)
        with self.lock:
            for wait, since in waits:
                if wait.since != since or wait not in self.waits.values():
                    continue  # it was answered meanwhile
                if working is None or _backend_of(wait.database) in working:
                    wait.restart()
                else:
                    _cut(wait.database)


_watch = _Watch()


@contextmanager
def not_for_ever() -> Iterator[None]:
    """Cut this thread's connection when a statement of the block takes longer than SECONDS.

    The statement raises OperationalError then; whether PostgreSQL still ends it, nobody knows.
    """
    with _watched(_Wait(connections[connection.alias])):
        yield


@contextmanager
def not_for_ever_in_page() -> Iterator[None]:
    """Cut this thread's connection when PostgreSQL does not work on a statement of the block.

    The statement raises OperationalError then.
    """
    wait = _Wait(connections[connection.alias], is_of_page=True)

    def execute_anew(execute: Callable[..., object], *arguments: object) -> object:
        wait.restart()
        return execute(*arguments)

    with _watched(wait), connection.execute_wrapper(execute_anew):
        yield


@contextmanager
def _watched(wait: _Wait) -> Iterator[None]:
    _watch.begin()
    waiting = getcurrent()
    with _watch.lock:
        outer = _watch.waits.get(waiting)  # of a page whose view has a limit of its own
        _watch.waits[waiting] = wait
    try:
        yield
    finally:
        with _watch.lock:
            if outer is None:
                del _watch.waits[waiting]
            else:
                _watch.waits[waiting] = outer


def restart_wait() -> None:
    """Begin to count this thread's wait anew: PostgreSQL has answered, or is asked now."""
    wait = _watch.waits.get(getcurrent())
    if wait is not None:
        wait.restart()


def note_outage() -> None:
    """Note that a request of this process was refused because the database is away."""
    _watch.away_until = time.monotonic() + _OUTAGE_SECONDS


def is_away() -> bool:
    """Tell whether the database was away a moment ago."""
    return time.monotonic() < _watch.away_until


def _is_asking(database: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection waits for PostgreSQL, and not the thread for something else."""
    session = database.connection
    return session is not None and session.info.transaction_status == TransactionStatus.ACTIVE


def _backend_of(database: BaseDatabaseWrapper) -> int:
    session = database.connection
    return 0 if session is None else int(session.info.backend_pid)


def _working_backends(database: BaseDatabaseWrapper) -> set[int] | None:
    """Return which of our connections PostgreSQL works for, none if it does not answer in time.

    None: it does not know them, for something stands between that shares connections.
    """
    answers: list[list[tuple[int, str]]] = []

    def ask() -> None:
        parameters: dict[str, Any] = database.get_connection_params()
        with suppress(psycopg.Error), psycopg.connect(**parameters, autocommit=True) as session:
            answers.append(session.execute(_STATES).fetchall())

    asking = Thread(target=ask, name="stalls asks", daemon=True)
    asking.start()
    asking.join(_ASK_SECONDS)
    if not answers:
        return set()
    states = dict(answers[0])
    if _backend_of(database) not in states:
        return None
    return {backend for backend, state in states.items() if state == "active"}


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
