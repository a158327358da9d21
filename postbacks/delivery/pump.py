"""⑦ The pump: decides, claims, sends many at once and logs, for as long as its task runs.

One thread talks to the database, many talk to partners. A NOTIFY from the intake, a finished
request and the next due time wake it; a look once a second is the net below.
"""

import logging
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import connection

from postbacks.delivery.claiming import Claim, Lane, claim_due, seconds_until_due
from postbacks.delivery.http import Sender
from postbacks.delivery.logbook import OUTAGES, RULE_OFF, Finished, log_attempts, put_back
from postbacks.delivery.sending import attempt, broken
from postbacks.outgoing import Owed, Prepared

logger = logging.getLogger(__name__)

CHANNEL = "postbacks_work"
THREADS = 48  # they wait for partners nearly all the time
MOST_IN_FLIGHT = THREADS + 16  # a few wait for a thread, so that no thread waits for one of them
PER_LANE = THREADS // 2  # of one organization and host: one that hangs leaves the rest to others
HELD_SECONDS = 60.0  # how soon a switched-off rule's postbacks are looked at again
BEAT_SECONDS = 1.0
_TAKEN_SECONDS = 0.05  # until a look at rows that are due but in another pump's hands

Prepare = Callable[[Sequence[Owed]], list[Prepared]]


class Untried(Enum):
    """Why a claimed postback comes back without an attempt."""

    HELD = "its rule is switched off"
    LATE = "its lease or the pump's time is nearly over"


Result = tuple[Claim, Finished | Untried]


@dataclass(slots=True)
class Pump:
    """One pump. `decide` decides waiting events; `beat` gives a sign of life, False means stop."""

    sender: Sender
    decide: Callable[[], int]
    prepare: Prepare
    beat: Callable[[], bool]
    beat_seconds: float = BEAT_SECONDS
    _done: SimpleQueue[Result] = field(default_factory=SimpleQueue)
    _unwritten: list[Result] = field(default_factory=list)
    _lanes: Counter[Lane] = field(default_factory=Counter)
    _stopping: bool = False
    _notified: bool = False
    _listening: object = None
    _next_beat: float = 0.0
    _wake: tuple[int, int] = (-1, -1)

    def run(self, seconds: float) -> None:
        """Work for so many seconds or until asked to stop, then finish what is in flight."""
        self._wake = os.pipe()
        os.set_blocking(self._wake[1], False)
        ends_at = time.monotonic() + seconds
        try:
            with ThreadPoolExecutor(THREADS) as threads:
                while self._survives(self._goes_on) and time.monotonic() < ends_at:
                    if not self._survives(lambda: self._turn(threads)):
                        self._survives(lambda: self._wait(ends_at))
                self._stopping = True  # what waits for a thread goes back untried
                while self._in_flight or self._unwritten:
                    self._survives(self._drain)
        finally:
            for end in self._wake:
                os.close(end)

    def _survives(self, step: Callable[[], bool]) -> bool:
        """Run a step; whatever goes wrong, wait a moment and call that work.

        Requests in flight would otherwise be lost to the log, and so be sent again.
        """
        try:
            return step()
        except OUTAGES as error:
            logger.warning("The database can't be reached; the pump tries again: %s", error)
            connection.close()
        except Exception:
            logger.exception("A step of the pump failed; it tries again")
        time.sleep(1.0)
        return True

    def _goes_on(self) -> bool:
        if time.monotonic() < self._next_beat:
            return True
        self._next_beat = time.monotonic() + self.beat_seconds
        return self.beat()

    @property
    def _in_flight(self) -> int:
        return self._lanes.total()

    def _turn(self, threads: ThreadPoolExecutor) -> bool:
        """Do what there is to do now; tell whether there was anything."""
        self._listen()
        self._notified = False
        written = self._write()
        claimed = self._claim(threads)
        decided = self.decide()
        return bool(written or claimed or decided)

    def _listen(self) -> None:
        connection.ensure_connection()
        raw = connection.connection
        if raw is not self._listening:
            raw.add_notify_handler(self._note)
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
            self._listening = raw

    def _note(self, _notification: object) -> None:
        # Called while any statement runs: what came then no longer shows on the socket.
        self._notified = True

    def _claim(self, threads: ThreadPoolExecutor) -> int:
        room = MOST_IN_FLIGHT - self._in_flight
        if room <= 0:
            return 0
        claimed_at = time.monotonic()
        busy = [lane for lane, count in self._lanes.items() if count >= PER_LANE]
        claims = claim_due(room, per_host=PER_LANE, busy=busy)
        prepared = self.prepare([claim.owed for claim in claims]) if claims else []
        for claim, ready in zip(claims, prepared, strict=True):
            self._lanes[claim.lane] += 1
            if ready.held:
                self._done.put((claim, Untried.HELD))
            else:
                threads.submit(self._send, claim, ready, claimed_at)
        return len(claims)

    def _send(self, claim: Claim, prepared: Prepared, claimed_at: float) -> None:
        """Make an attempt in a thread, unless it is too late for the lease or for the pump."""
        result: Finished | Untried = Untried.LATE
        try:
            if not self._stopping and time.monotonic() - claimed_at < settings.LEASE_SECONDS / 2:
                result = attempt(claim, prepared, self.sender)
        except Exception:
            logger.exception("The attempt of postback %s broke", claim.owed.public_id)
            result = broken(claim, prepared)
        self._done.put((claim, result))
        with suppress(BlockingIOError):  # the pipe may be full of wake-ups already
            os.write(self._wake[1], b"\0")

    def _write(self) -> int:
        """Log what has come back. What can't be written now is kept for the next turn."""
        try:
            while True:
                claim, result = self._done.get_nowait()
                self._unwritten.append((claim, result))
                self._leave(claim.lane)
        except Empty:
            pass
        if not self._unwritten:
            return 0
        log_attempts([result for _, result in self._unwritten if isinstance(result, Finished)])
        held = [claim for claim, result in self._unwritten if result is Untried.HELD]
        put_back(held, seconds=HELD_SECONDS, reason=RULE_OFF)
        late = [claim for claim, result in self._unwritten if result is Untried.LATE]
        put_back(late, seconds=0.0)
        count = len(self._unwritten)
        self._unwritten.clear()
        return count

    def _leave(self, lane: Lane) -> None:
        self._lanes[lane] -= 1
        if not self._lanes[lane]:
            del self._lanes[lane]

    def _wait(self, ends_at: float) -> bool:
        limits = [self.beat_seconds, ends_at - time.monotonic()]
        if self._in_flight < MOST_IN_FLIGHT and (due_in := seconds_until_due()) is not None:
            limits.append(max(due_in, _TAKEN_SECONDS))
        if not self._notified and self._done.empty():  # both may have changed by the query
            self._sleep(max(0.0, min(limits)))
        return True

    def _drain(self) -> bool:
        self.beat()
        if not self._write():
            self._sleep(self.beat_seconds)
        return True

    def _sleep(self, seconds: float) -> None:
        sockets = [self._wake[0]]
        if connection.connection is not None:
            sockets.append(connection.connection.fileno())
        readable, _, _ = select.select(sockets, [], [], seconds)
        if self._wake[0] in readable:
            os.read(self._wake[0], 65_536)
