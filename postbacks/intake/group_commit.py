"""② Commits together what concurrent requests of one process have to store.

A commit costs as much for one event as for a hundred, and so does a round trip. The first request
to come writes; those that come meanwhile wait, and the first of them then writes for all of these.
Nobody waits for a timer, and nobody is answered before the commit. Requests that the web server's
loop runs never write: the loop does it for them and for all others that wait, between requests, or
a thread where a connection has to be opened first.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, Generic, TypeVar, cast

from django.db import Error as DatabaseError
from django.db import OperationalError, connection, connections
from psycopg import Cursor

from apps_registry.tenancy import SET_TENANT, current_organization
from postbacks.infrastructure import loop_requests
from postbacks.infrastructure.database import stalls
from postbacks.infrastructure.database.loop_sessions import LoopSession
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.database.prepared import one_round_trip
from postbacks.infrastructure.loop_requests import Loop, LoopTurn
from postbacks.web.middleware import renew_closed_connections

logger = logging.getLogger(__name__)

W = TypeVar("W")
R = TypeVar("R")

MOST_TOGETHER: Final = 128  # requests in one commit: more would make each of them wait
WAIT_SECONDS: Final = stalls.SECONDS  # for one's turn, before the request is answered 503


class BusyError(OperationalError):
    """The commits before this one take too long; nothing of this one was stored."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[W, R]):
    """What one request waits for; `turn` is released when there is an outcome, or to lead."""

    work: W
    turn: "Lock | LoopTurn" = field(default_factory=Lock)
    outcome: R | Exception | None = None
    leads: bool = False


class GroupCommit(Generic[W, R]):
    """Hands the work of concurrent requests to `write`, together.

    `write` returns one result for each piece of work, in their order, and commits before it does.
    When it raises, nothing of them is stored. Where one piece is what PostgreSQL refuses, or what
    can't be written, the others are written without it.
    """

    def __init__(self, write: Callable[[Sequence[W]], Sequence[R]]) -> None:
        self._write = write
        self._lock = Lock()
        self._waiting: deque[_Entry[W, R]] = deque()
        self._is_writing = False
        self._calls: SimpleQueue[Loop] = SimpleQueue()
        self._writer: Thread | None = None
        self._session: LoopSession | None = None

    def commit(self, work: W) -> R:
        """Return the result of one piece of work, once it is committed.

        Within an open transaction it is written as a part of that, and not together with others'.

        Raises Django's database errors; BusyError when its turn does not come in time.
        """
        request = loop_requests.running()
        if request is None and connection.in_atomic_block:
            return self._write([work])[0]
        entry: _Entry[W, R] = _Entry(work, LoopTurn(request)) if request else _Entry(work)
        entry.turn.acquire()
        with self._lock:
            self._waiting.append(entry)
            is_first, self._is_writing = not self._is_writing, True
            entry.leads = is_first and request is None
        if is_first and request is not None:
            request.loop.at_end_of_turn(partial(self._write_for_loop, request.loop))
        if not entry.leads:
            self._wait(entry)
        if entry.leads and entry.outcome is None:
            self._lead()
        if isinstance(entry.outcome, Exception):
            raise entry.outcome
        return cast(R, entry.outcome)

    def _wait(self, entry: _Entry[W, R]) -> None:
        if entry.turn.acquire(timeout=WAIT_SECONDS):
            return
        with self._lock:
            if entry.leads or entry.outcome is not None:
                entry.turn.acquire(blocking=False)  # it came at this very moment
                return
            if entry in self._waiting:
                self._waiting.remove(entry)
                raise BusyError("Earlier events are still being stored.")
        raise OperationalError("The commit does not end; it may have been stored.")

    def _lead(self, *, lend_to: Loop | None = None) -> None:
        """Write for all that wait, the leader among them, and hand the turn on."""
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(MOST_TOGETHER, len(self._waiting)))]
        try:
            outcomes = self._outcomes([entry.work for entry in group]) if group else []
            for entry, outcome in zip(group, outcomes, strict=True):
                entry.outcome = outcome
            if lend_to is not None:
                self._lend_connection(lend_to)
        finally:
            self._hand_on(group)

    def _outcomes(self, works: Sequence[W]) -> Sequence[R | Exception]:
        try:
            return self._write(works)
        except DatabaseError as error:
            if is_outage(error):
                connection.close()
            if is_outage(error) or len(works) == 1:
                # Of an outage the same holds for all of them; each raises an error of its own.
                return [_copy(error) for _ in works]
            logger.warning("One of %s requests can't be stored: %s", len(works), error)
        except Exception as error:
            logger.exception("What %s requests had to store was not written.", len(works))
            if len(works) == 1:
                return [error]
        return [outcome for work in works for outcome in self._outcomes([work])]

    def _hand_on(self, group: Sequence[_Entry[W, R]]) -> None:
        loops = set()
        with self._lock:
            for entry in group:
                if entry.outcome is None:  # this thread is being ended
                    entry.outcome = OperationalError("The process ends; send it again.")
                entry.turn.release()
                if isinstance(entry.turn, LoopTurn):
                    loops.add(entry.turn.loop)
            self._is_writing = bool(self._waiting)
            if self._waiting and (loop := self._let_lead(self._waiting[0])):
                loops.add(loop)
        for loop in loops:
            loop.wake()  # after all of them, for it would take the processor from this thread

    def _let_lead(self, entry: _Entry[W, R]) -> Loop | None:
        """Have the next group written: by its first request, or by a loop, which is to be woken."""
        if isinstance(entry.turn, LoopTurn):
            loop = entry.turn.loop
            loop.released.append(partial(loop.at_end_of_turn, partial(self._write_for_loop, loop)))
            return loop
        entry.leads = True
        entry.turn.release()
        return None

    def _write_for_loop(self, loop: Loop) -> None:
        """Write in the loop; or have a thread do it, which then lends the loop its connection."""
        session = self._session
        if session is not None and not (session.loop is loop and session.is_usable()):
            session.close()
            session = self._session = None
        if session is not None:
            session.run(self._lead_within_seconds)
            return
        if self._writer is None:
            self._writer = Thread(target=self._write_when_called, name="commits", daemon=True)
            self._writer.start()
        self._calls.put(loop)

    def _write_when_called(self) -> None:
        while True:
            loop = self._calls.get()
            renew_closed_connections()
            self._lead_within_seconds(lend_to=loop)

    def _lead_within_seconds(self, *, lend_to: Loop | None = None) -> None:
        with stalls.not_for_ever():
            self._lead(lend_to=lend_to)

    def _lend_connection(self, loop: Loop) -> None:
        """Leave this thread's connection to the loop; the thread opens another when it needs it."""
        session = connection.connection
        if loop.waits_for_descriptors and session is not None and not session.closed:
            self._session = LoopSession(loop, connections[connection.alias])
            del connections[connection.alias]


def _copy(error: Exception) -> Exception:
    copied = type(error)(*error.args)
    copied.__cause__ = error.__cause__  # PostgreSQL's own words, from which the answer is made
    return copied


def run_for_organizations(
    statement: str | Mapping[int, str], parameters: Mapping[int, Mapping[str, object]]
) -> dict[int, list[tuple[Any, ...]]]:
    """Run a prepared statement for each of some organizations, by their ids; return its rows.

    It is one for all of them, or one for each.

    All in one transaction and one round trip, and in the order of the ids, so that two processes
    never wait for each other in a ring. Each organization's statement sees only its own rows.
    """
    cursors: dict[int, Cursor[tuple[Any, ...]]] = {}
    with one_round_trip() as execute:
        for organization_id in sorted(parameters):
            execute(SET_TENANT, [str(organization_id)])
            own = statement if isinstance(statement, str) else statement[organization_id]
            cursors[organization_id] = execute(own, parameters[organization_id])
        if connection.in_atomic_block:
            execute(SET_TENANT, [str(current_organization() or "")])
    return {organization_id: cursor.fetchall() for organization_id, cursor in cursors.items()}
