"""⑦ The pump: decides, claims, sends many at once and logs, for as long as its task runs.

One thread talks to the database, many talk to partners. A NOTIFY from the intake, finished requests
and the next due time wake it; a look once a second is the net below. What has been sent is logged
at once while little goes on, and many together while there is more to send.
"""

import logging
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import connection

from postbacks.delivery.attempt import attempt, broken
from postbacks.delivery.attempt_log import (
    OUTAGES,
    RULE_OFF,
    AttemptResult,
    log_attempts,
    return_claims,
)
from postbacks.delivery.claiming import Due, Lane, Lease, claim_due, claim_paced, next_due
from postbacks.delivery.http.sender import Sender
from postbacks.delivery.lanes import PER_LANE, Job, Lanes
from postbacks.infrastructure.database import prepared as statements
from postbacks.values.outgoing_request import ClaimedPostback, RenderedPostback

logger = logging.getLogger(__name__)

CHANNEL = "postbacks_work"
MANY = 64  # what is claimed of one lane, or logged, together
MOST_IN_FLIGHT = 4 * MANY  # of which one lane has at most half
LINGER_SECONDS = 0.05  # the longest that a finished request waits for others to be logged with it
HELD_SECONDS = 60.0  # how soon a switched-off rule's postbacks are looked at again
BEAT_SECONDS = 1.0
_TAKEN_SECONDS = 0.05  # until a look at rows that are due but in another pump's hands

Prepare = Callable[[Sequence[ClaimedPostback]], list[RenderedPostback]]


class Untried(Enum):
    """Why a claimed postback comes back without an attempt."""

    HELD = "its rule is switched off"
    LATE = "its lease or the pump's time is nearly over"


Result = tuple[Lease, AttemptResult | Untried]


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
    _lanes: Lanes = field(init=False)
    _in_flight: Counter[Lane] = field(default_factory=Counter)
    _stopping: bool = False
    _notified: bool = False
    _asleep: bool = False
    _urgent: bool = False  # something is finished and nothing more will come soon
    _listening: object = None
    _next_beat: float = 0.0
    _logged_at: float = 0.0
    _wake: tuple[int, int] = (-1, -1)
    _due_in: float | None = None  # seconds, as last seen

    def __post_init__(self) -> None:
        self._lanes = Lanes(self._send)

    def run(self, seconds: float) -> None:
        """Work for so many seconds or until asked to stop, then finish what is in flight."""
        self._wake = os.pipe()
        os.set_blocking(self._wake[1], False)
        ends_at = time.monotonic() + seconds
        try:
            with self._lanes:
                while self._survives(self._goes_on) and time.monotonic() < ends_at:
                    if not self._survives(self._turn):
                        self._survives(lambda: self._wait(ends_at))
                self._stop()
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
        statements.plan_anew()
        return self.beat()

    def _turn(self) -> bool:
        """Do what there is to do now; tell whether there may be more."""
        self._listen()
        self._notified = False
        if self._is_time_to_log():
            self._write()
        decided = self.decide()
        # Most turns find nothing: to look takes far less than to begin a claim.
        due = next_due()
        self._due_in = due.soonest
        claimed = self._claim(due) if self._due_in is not None and self._due_in <= 0 else 0
        return bool(decided or claimed)

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

    def _claim(self, due: Due) -> int:
        room = MOST_IN_FLIGHT - self._in_flight.total()
        if room <= 0:
            return 0
        claimed_at = time.monotonic()
        claims = []
        if due.is_now(due.plain):
            claims += claim_due(min(room, MANY), busy=self._lanes_with(MANY + 1))
        if due.is_now(due.paced):  # what would wait in its lane would be sent in one gust later
            claims += claim_paced(min(room, MANY), busy=self._lanes_with(PER_LANE))
        prepared = self.prepare([claim.owed for claim in claims]) if claims else []
        for claim, ready in zip(claims, prepared, strict=True):
            self._in_flight[claim.lane] += 1
            if ready.held:
                self._done.put((claim, Untried.HELD))
            else:
                self._lanes.add(Job(claim, ready, claimed_at))
        return len(claims)

    def _lanes_with(self, count: int) -> list[Lane]:
        return [lane for lane, taken in self._in_flight.items() if taken >= count]

    def _send(self, job: Job) -> None:
        """Make an attempt in a thread, unless it is too late for the lease or for the pump."""
        result: AttemptResult | Untried = Untried.LATE
        try:
            age = time.monotonic() - job.claimed_at
            if not self._stopping and age < settings.LEASE_SECONDS / 2:
                result = attempt(job.claim, job.prepared, self.sender)
        except Exception:
            logger.exception("The attempt of postback %s broke", job.claim.owed.public_id)
            result = broken(job.claim, job.prepared)
        self._done.put((job.claim, result))
        self._urgent |= not self._lanes.is_behind(job.claim.lane)
        if self._asleep and (self._urgent or self._done.qsize() >= MANY):
            with suppress(BlockingIOError):  # the pipe may be full of wake-ups already
                os.write(self._wake[1], b"\0")

    def _is_time_to_log(self) -> bool:
        lingered = time.monotonic() - self._logged_at >= LINGER_SECONDS
        return self._urgent or self._done.qsize() >= (1 if lingered else MANY)

    def _stop(self) -> None:
        """Begin nothing more: what no thread has begun goes back untried."""
        self._stopping = True
        for job in self._lanes.take_back():
            self._done.put((job.claim, Untried.LATE))

    def _write(self) -> int:
        """Log what has come back. What can't be written now is kept for the next turn."""
        self._urgent = False
        self._logged_at = time.monotonic()
        try:
            while True:
                claim, result = self._done.get_nowait()
                self._unwritten.append((claim, result))
                self._leave(claim.lane)
        except Empty:
            pass
        if not self._unwritten:
            return 0
        log_attempts([result for _, result in self._unwritten if isinstance(result, AttemptResult)])
        held = [claim for claim, result in self._unwritten if result is Untried.HELD]
        return_claims(held, seconds=HELD_SECONDS, reason=RULE_OFF)
        late = [claim for claim, result in self._unwritten if result is Untried.LATE]
        return_claims(late, seconds=0.0)
        count = len(self._unwritten)
        self._unwritten.clear()
        return count

    def _leave(self, lane: Lane) -> None:
        self._in_flight[lane] -= 1
        if not self._in_flight[lane]:
            del self._in_flight[lane]

    def _wait(self, ends_at: float) -> bool:
        limits = [self.beat_seconds, ends_at - time.monotonic()]
        if self._due_in is not None:
            limits.append(max(self._due_in, _TAKEN_SECONDS))
        if not self._notified:  # that may have changed by the last query
            self._sleep(max(0.0, min(limits)))
        return True

    def _drain(self) -> bool:
        self.beat()
        if not self._write():
            self._sleep(self.beat_seconds)
        return True

    def _sleep(self, seconds: float) -> None:
        """Sleep until something calls, or until what is finished has lingered long enough."""
        ends_at = time.monotonic() + seconds
        self._asleep = True  # what is urgent from here on wakes us; what was before shows here
        while (left := ends_at - time.monotonic()) > 0 and not self._is_time_to_log():
            if self._is_called_within(min(left, LINGER_SECONDS) if self._in_flight else left):
                break
        self._asleep = False

    def _is_called_within(self, seconds: float) -> bool:
        sockets = [self._wake[0]]
        if connection.connection is not None:
            sockets.append(connection.connection.fileno())
        readable, _, _ = select.select(sockets, [], [], seconds)
        if self._wake[0] in readable:
            os.read(self._wake[0], 65_536)
        return bool(readable)
