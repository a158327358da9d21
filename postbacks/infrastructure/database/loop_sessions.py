"""A connection to PostgreSQL on which the web server's loop waits without being held up.

To hand each commit to a thread and back cost more than the commit: both threads want Python's lock
at the same moments. A task of the loop uses psycopg as a thread does; only its waits are other.
"""

import select
from collections.abc import Callable
from typing import Any, Final, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait

from postbacks.infrastructure.loop_requests import Loop, LoopTask, running_task

R = TypeVar("R")

_ALIAS: Final = DEFAULT_DB_ALIAS


class LoopSession:
    """A database connection of the loop, and the task that uses it.

    A thread has opened the connection, for the loop can't wait for that.
    """

    def __init__(self, loop: Loop, database: BaseDatabaseWrapper) -> None:
        session: psycopg.Connection[Any] = database.connection
        self.loop = loop
        self._database = self._other = database
        self._task: LoopTask | None = None  # which belongs to the thread that makes it
        self._descriptor = session.fileno()
        self._can_read, self._can_write = select.poll(), select.poll()
        self._can_read.register(self._descriptor, select.POLLIN)
        self._can_write.register(self._descriptor, select.POLLOUT)
        self._wait_in_thread = session.wait
        session.wait = self._wait  # type: ignore[method-assign]
        database.connect = _refuse_to_connect  # type: ignore[method-assign]
        database.inc_thread_sharing()

    def is_usable(self) -> bool:
        """Tell whether the connection waits for nothing and nothing has come: it is not closed."""
        session = self._database.connection
        return session is not None and not session.closed and not self._can_read.poll(0)

    def close(self) -> None:
        self._database.close()

    def run(self, call: Callable[[], None]) -> None:
        """Run a call in the loop, whose `connection` is this one, until it ends or waits."""

        def run_on_connection() -> None:
            self._exchange()
            try:
                call()
            finally:
                self._exchange()

        if self._task is None:
            self._task = LoopTask(self.loop)
        self._task.begin(run_on_connection)

    def _exchange(self) -> None:
        """Let this task's `connection` be its own one, or the loop's again when it is left."""
        self._other, connections[_ALIAS] = connections[_ALIAS], self._other

    def _wait(self, gen: PQGen[R], interval: float = 0.1, timeout: float | None = None) -> R:
        """Wait as psycopg's `wait` does; while PostgreSQL works, the loop runs requests."""
        task = running_task()
        if task is None:
            return self._wait_in_thread(gen, interval, timeout)
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(self._until_ready(task, wanted))
        except StopIteration as end:
            result: R = end.value
            return result

    def _until_ready(self, task: LoopTask, wanted: Wait) -> Ready:
        if wanted & Wait.W and self._can_write.poll(0):
            return Ready.W  # nearly always, and at once
        self._exchange()
        try:
            task.wait(self._descriptor, wanted)
        finally:
            self._exchange()
        return Ready.W if wanted & Wait.W and self._can_write.poll(0) else Ready.R


def _refuse_to_connect() -> None:
    raise OperationalError("The connection was lost.")
