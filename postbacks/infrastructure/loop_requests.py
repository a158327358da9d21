"""Requests that the loop of a web server runs itself, without a thread for each.

A request that needs memory and a commit is over sooner than a thread is handed it. It runs in a
greenlet: where it waits for its commit the loop runs others, and comes back to it afterwards. What
would wait in any other way raises NeedsThread, and a thread runs the request from its beginning:
it has stored and counted nothing until then.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from greenlet import getcurrent, greenlet

MOST_IDLE: Final = 64  # greenlets that are kept for further requests
MOST_OF_A_TURN: Final = 32  # requests that begin; then what they store is written meanwhile


class NeedsThread(BaseException):  # no error, and no handler of errors may take it
    """What the loop runs would have to wait, and all other requests with it."""


class LoopRequest(greenlet):  # type: ignore[misc]  # greenlet is not typed
    """Runs a request of the loop; and, when that has ended, others after it."""

    loop: "Loop"
    call: Callable[[], None]

    def run(self) -> None:
        """Run one request after the other; between them the loop goes on."""
        while True:
            self.call()
            if not self.loop.keep(self):
                return
            self.parent.switch()


def running() -> LoopRequest | None:
    """Return the request that the loop runs at this place; None in a thread."""
    current = getcurrent()
    return current if isinstance(current, LoopRequest) else None


class LoopTurn:
    """What a request of the loop waits for: a lock that another thread releases, once."""

    __slots__ = ("_is_free", "_is_waited_for", "_request", "_until")

    def __init__(self, request: LoopRequest) -> None:
        self._request = request
        self._is_free = True
        self._is_waited_for = False
        self._until = 0.0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock as `threading.Lock` does; the loop runs other requests meanwhile."""
        if not self._is_free and blocking:
            self._until = time.monotonic() + timeout if timeout >= 0 else float("inf")
            self._is_waited_for = True
            self._request.loop.wait(self)
        is_taken, self._is_free = self._is_free, False
        return is_taken

    def release(self) -> None:
        """Let the request go on with the next `wake`; for any thread."""
        self._is_free = True
        self._request.loop.released.append(self)

    @property
    def loop(self) -> "Loop":
        return self._request.loop

    def is_over(self, now: float) -> bool:
        return now > self._until

    def go_on(self) -> None:
        """Run the request from where it waits, if it does."""
        if self._is_waited_for:
            self._is_waited_for = False
            self._request.switch()

    def suspend(self) -> None:
        parent = self._request.parent
        if parent is not None:
            parent.switch()


class Loop:
    """The requests that the loop of this process has begun; `wake` ends its wait, from any thread.

    One turn of the loop begins what has come and goes on with what has been released.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.released: deque[LoopTurn] = deque()
        self._wake = wake
        self._is_woken = False
        self._waiting: dict[LoopTurn, None] = {}
        self._at_end: dict[Callable[[], None], None] = {}
        self._begun = 0
        self._idle: list[LoopRequest] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def run(self, request: Callable[[], None]) -> None:
        """Run a request until it ends or waits for the first time."""
        runner = self._idle.pop() if self._idle else LoopRequest()
        runner.loop, runner.call = self, request
        runner.gr_context = None  # no request sees what one before it has set
        runner.switch()
        self._begun += 1
        if self._begun >= MOST_OF_A_TURN:
            self.end_turn()

    def keep(self, ended: LoopRequest) -> bool:
        """Keep what has ended for another request: Python maps a stack anew for each greenlet."""
        has_room = len(self._idle) < MOST_IDLE
        if has_room:
            self._idle.append(ended)
        return has_room

    def wait(self, turn: LoopTurn) -> None:
        """Leave the request that calls, until its turn comes or its time is over."""
        self._waiting[turn] = None
        turn.suspend()
        del self._waiting[turn]

    def wake(self) -> None:
        """Have the loop go on with what was released; for any thread."""
        if self.released and not self._is_woken:
            self._is_woken = True
            self._wake()

    def go_on(self) -> None:
        """Go on with what was released."""
        self._is_woken = False
        while self.released:
            self.released.popleft().go_on()

    def end_waits(self, now: float) -> None:
        """Go on with the requests that have waited for too long."""
        for turn in [turn for turn in self._waiting if turn.is_over(now)]:
            turn.go_on()

    def at_end_of_turn(self, call: Callable[[], None]) -> None:
        """Call once at the end of this turn: what many requests need done is done once for all."""
        self._at_end[call] = None

    def end_turn(self) -> None:
        self._begun = 0
        calls, self._at_end = self._at_end, {}
        for call in calls:
            call()
