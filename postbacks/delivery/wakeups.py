"""⑦ Wakes pumps: threads that send wake their own pump, a notification wakes one of a host's."""

import fcntl
import logging
import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Self

logger = logging.getLogger(__name__)

_REMEMBERED = 256  # notifications that have been taken
_MOST_DIGITS = 18  # of 64 bits
_TRIES = 1_000
_TAKEN = struct.Struct("<qd")  # its number, and when it was taken
_REPEAT_SECONDS = 60.0  # in which all pumps but frozen ones have woken


@dataclass(slots=True)
class Wakeup:
    """Lets the threads that send wake the one that talks to the database."""

    _lock: Lock = field(default_factory=Lock)
    _pipe: tuple[int, int] = (-1, -1)
    _is_urgent: bool = False  # something is finished and nothing more will come soon
    _is_asleep: bool = False

    def __enter__(self) -> Self:
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        return self

    def __exit__(self, *_exception: object) -> None:
        with self._lock:  # a thread may still be in `notify`
            for end in self._pipe:
                os.close(end)

    @property
    def is_urgent(self) -> bool:
        return self._is_urgent

    @property
    def is_asleep(self) -> bool:
        return self._is_asleep

    def clear(self) -> None:
        with self._lock:
            self._is_urgent = False

    def notify(self, *, is_urgent: bool, is_batch_full: bool) -> None:
        """Say that a request is finished; wake the sleeper if it must be logged now."""
        with self._lock:
            self._is_urgent = self._is_urgent or is_urgent
            if self._is_asleep and (self._is_urgent or is_batch_full):
                with suppress(BlockingIOError):  # the pipe may be full of wake-ups already
                    os.write(self._pipe[1], b"\0")

    @contextmanager
    def sleeping(self) -> Iterator[None]:
        """Have `notify` write into the pipe. Check what is urgent already only in here."""
        self._is_asleep = True
        try:
            yield
        finally:
            self._is_asleep = False

    def wait(self, seconds: float, *sockets: int) -> bool:
        """Wait for a wake-up or for one of the sockets; tell whether there was any."""
        poll = select.poll()  # not `select`, which refuses descriptors above 1,023
        for descriptor in (self._pipe[0], *sockets):
            poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
        if self._pipe[0] in ready:
            os.read(self._pipe[0], 65_536)
        return bool(ready)


class SharedNotifications:
    """Has one of a host's sleeping pumps answer a notification that reaches them all.

    The first to wake takes it, in a file that they share: pumps that are busy, dead or frozen take
    none. An error of the file wakes a pump too many, never one too few. A number that comes again a
    minute later is another notification: PostgreSQL was restored from a backup.
    """

    def __init__(self, path: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._file: int | None = None
        self._clock = clock
        if path is None:
            return
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.warning("Every event wakes all pumps of this host: %s", error)

    def take(self, payload: bytes) -> bool:
        """Tell whether this pump answers a notification; one without a number is for all."""
        if self._file is None or not payload.isdigit() or len(payload) > _MOST_DIGITS:
            return True
        number, now = int(payload), self._clock()
        place = _TAKEN.size * (number % _REMEMBERED)
        try:
            with _locked(self._file) as is_locked:
                if is_locked and self._is_taken(number, now, place):
                    return False
                os.pwrite(self._file, _TAKEN.pack(number, now), place)
        except OSError:  # the disk is full
            logger.debug("A notification could not be noted as taken", exc_info=True)
        return True

    def _is_taken(self, number: int, now: float, place: int) -> bool:
        noted = os.pread(self._file, _TAKEN.size, place)  # type: ignore[arg-type]  # it is open
        if len(noted) < _TAKEN.size:
            return False
        taken, at = _TAKEN.unpack(noted)
        return bool(taken == number and abs(now - at) < _REPEAT_SECONDS)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


@contextmanager
def _locked(file: int) -> Iterator[bool]:
    """Lock a file, which others do for microseconds. False if one of them is frozen meanwhile."""
    for _ in range(_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        os.sched_yield()
    else:
        yield False
        return
    try:
        yield True
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)
