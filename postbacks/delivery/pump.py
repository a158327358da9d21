"""⑦ The pump: decides, claims, sends many at once and logs, for as long as its task runs.

One thread talks to the database, many talk to partners. A NOTIFY from the intake, a finished
request and the next due time wake it; a look once a second is the net below.
"""

import logging
import os
import select
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from postbacks.delivery.claiming import Claim, claim_due, seconds_until_due
from postbacks.delivery.http import Sender
from postbacks.delivery.logbook import Finished, log_attempts, put_back
from postbacks.delivery.sending import attempt
from postbacks.outgoing import Owed, Prepared

logger = logging.getLogger(__name__)

CHANNEL = "postbacks_work"
THREADS = 16
MOST_IN_FLIGHT = 2 * THREADS  # as many wait as are sent, so that no thread does
HELD_SECONDS = 30.0  # how soon a switched-off rule's postbacks are looked at again
BEAT_SECONDS = 1.0
_DATABASE_IS_AWAY = (OperationalError, InterfaceError)

Prepare = Callable[[Sequence[Owed]], list[Prepared]]


@dataclass(slots=True)
class Pump:
    """One pump. `decide` decides waiting events; `beat` gives a sign of life, False means stop."""

    sender: Sender
    decide: Callable[[], int]
    prepare: Prepare
    beat: Callable[[], bool]
    beat_seconds: float = BEAT_SECONDS
    _done: SimpleQueue[tuple[Claim, Finished | None]] = field(default_factory=SimpleQueue)
    _unwritten: list[tuple[Claim, Finished | None]] = field(default_factory=list)
    _in_flight: int = 0
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
        except _DATABASE_IS_AWAY as error:
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

    def _turn(self, threads: ThreadPoolExecutor) -> bool:
        """Do what there is to do now; tell whether there was anything."""
        self._listen()
        self._notified = False
        decided = self.decide()
        claims = self._claim(threads)
        return bool(self._write() or decided or claims)

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
        claims = claim_due(room)
        prepared = self.prepare([claim.owed for claim in claims]) if claims else []
        for claim, ready in zip(claims, prepared, strict=True):
            self._in_flight += 1
            if ready.held:
                self._done.put((claim, None))
            else:
                threads.submit(self._send, claim, ready, claimed_at)
        return len(claims)

    def _send(self, claim: Claim, prepared: Prepared, claimed_at: float) -> None:
        """Make an attempt in a thread. Late in its lease a postback is given back, not sent."""
        finished = None
        try:
            if time.monotonic() - claimed_at < settings.LEASE_SECONDS / 2:
                finished = attempt(claim, prepared, self.sender)
        except Exception:  # the lease will end and another try be made
            logger.exception("The attempt of postback %s broke", claim.owed.public_id)
        self._done.put((claim, finished))
        with suppress(BlockingIOError):  # the pipe may be full of wake-ups already
            os.write(self._wake[1], b"\0")

    def _write(self) -> int:
        """Log what has come back. What can't be written now is kept for the next turn."""
        try:
            while True:
                self._unwritten.append(self._done.get_nowait())
                self._in_flight -= 1
        except Empty:
            pass
        if not self._unwritten:
            return 0
        log_attempts([finished for _, finished in self._unwritten if finished])
        held = [claim for claim, finished in self._unwritten if not finished]
        put_back(
            [claim.owed.id for claim in held],
            [claim.claim_id for claim in held],
            seconds=HELD_SECONDS,
        )
        count = len(self._unwritten)
        self._unwritten.clear()
        return count

    def _wait(self, ends_at: float) -> bool:
        if self._notified or not self._done.empty():
            return True
        due_in = seconds_until_due() if self._in_flight < MOST_IN_FLIGHT else None
        limits = [self.beat_seconds, ends_at - time.monotonic(), *([due_in] if due_in else [])]
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
