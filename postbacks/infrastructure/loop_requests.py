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


class LoopTask(greenlet):  # type: ignore[misc]  # greenlet is not typed
    """Runs what the loop does for many requests at once, one call after the other.

    Where a call waits for a descriptor, the loop goes on with requests.
    """

    def __init__(self, loop: "Loop") -> None:
        super().__init__()
        self.loop = loop
        self._call: Callable[[], None] | None = None

    def begin(self, call: Callable[[], None]) -> None:
        """Run a call until it ends or waits for the first time; for the loop alone."""
        self._call = call
        self._go_on()

    def run(self) -> None:
        """Run one call after the other; between them the loop goes on."""
        while self._call is not None:
            self._call()
            self._call = None
            self.parent.switch()

    def wait(self, descriptor: int, events: int) -> None:
        """Leave the call, within it, until a descriptor is ready for one of some events."""
        self.loop.call_when_ready(descriptor, events, self._go_on)
        self.parent.switch()

    def _go_on(self) -> None:
        self.switch()
        self.loop.go_on()


def running() -> LoopRequest | None:
    """Return the request that the loop runs at this place; None in a thread."""
    current = getcurrent()
    return current if isinstance(current, LoopRequest) else None


def running_task() -> LoopTask | None:
    """Return the task of the loop that runs at this place."""
    current = getcurrent()
    return current if isinstance(current, LoopTask) else None


def gather() -> None:
    """Go on when all requests that come in this turn of the loop have come as far.

    Each step of one after the other is done sooner than all steps of each: what a step needs, of
    code above all, stays in the processor's caches. In a thread nothing is waited for.
    """
    if (request := running()) is not None:
        request.loop.gather(request)


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
        self._request.loop.released.append(self.go_on)

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
    `call_when_ready` has a function called once a descriptor is ready for one of some events, of
    `selectors`; not every loop can do that.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        call_when_ready: Callable[[int, int, Callable[[], None]], None] | None = None,
    ) -> None:
        self.released: deque[Callable[[], None]] = deque()
        self.waits_for_descriptors = call_when_ready is not None
        self.call_when_ready = call_when_ready or _refuse_to_wait
        self.begun = 0  # requests, in this turn
        self._wake = wake
        self._is_woken = False
        self._waiting: dict[LoopTurn, None] = {}
        self._at_end: dict[Callable[[], None], None] = {}
        self._idle: list[LoopRequest] = []
        self._gathered: list[LoopRequest] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def run(self, request: Callable[[], None]) -> None:
        """Run a request until it ends or waits for the first time."""
        runner = self._idle.pop() if self._idle else LoopRequest()
        runner.loop, runner.call = self, request
        runner.gr_context = None  # no request sees what one before it has set
        runner.switch()
        self.begun += 1
        if self.begun >= MOST_OF_A_TURN:
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
        """Have the loop go on with what was released, as it does after a task; for any thread."""
        task = running_task()
        is_told = task is not None and task.loop is self
        if self.released and not (self._is_woken or is_told):
            self._is_woken = True
            self._wake()

    def go_on(self) -> None:
        """Go on with what was released."""
        self._is_woken = False
        while self.released:
            self.released.popleft()()

    def end_waits(self, now: float) -> None:
        """Go on with the requests that have waited for too long."""
        for turn in [turn for turn in self._waiting if turn.is_over(now)]:
            turn.go_on()

    def gather(self, request: LoopRequest) -> None:
        """Leave a request until the end of this turn, when all others have come as far."""
        self._gathered.append(request)
        self.at_end_of_turn(self._go_on_with_gathered)
        request.parent.switch()

    def _go_on_with_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for request in gathered:
            request.switch()

    def at_end_of_turn(self, call: Callable[[], None]) -> None:
        """Call once at the end of this turn: what many requests need done is done once for all."""
        self._at_end[call] = None

    def end_turn(self) -> None:
        self.begun = 0
        while self._at_end:
            calls, self._at_end = self._at_end, {}
            for call in calls:
                call()


def _refuse_to_wait(_descriptor: int, _events: int, _call: Callable[[], None]) -> None:
    raise NotImplementedError("This loop waits for no descriptors.")
