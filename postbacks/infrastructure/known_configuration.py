"""What rarely changes, kept in the memory of a process: keys of SDKs and clicks, apps and links.

Whatever changes such a row writes `configuration_version` in the same transaction, by triggers, so
that no writer can forget to. A process reads the version at most every half second and forgets
what it knew under another one: a revoked key is refused within a second. No LISTEN is needed, which
PgBouncer would not pass on.
"""

import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Final, Generic, TypeVar

from django.db import connection

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.loop_requests import running

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SECONDS: Final = 0.5  # for which a version counts
_ASK_SECONDS: Final = 0.1  # in which a thread that was asked to read it has begun to
MOST: Final = 20_000  # rows of one kind; beyond, the longer known half is forgotten

_READ = "SELECT version FROM configuration_version"


class _Version:
    """The version that this process has read last."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._value: int | None = None
        self._read_at = -SECONDS
        self._asked_at = -SECONDS

    def forget(self) -> None:
        self._read_at = self._asked_at = -SECONDS

    def current(self) -> int | None:
        """Return the version as it was at most half a second ago; None before any change.

        One of concurrent requests reads it, and the others go by the value before. So do those that
        the loop of a web server runs: of these one in a while is given to a thread, to read it.
        """
        now = time.monotonic()
        if now - self._read_at < SECONDS or (running() and now - self._asked_at < _ASK_SECONDS):
            return self._value
        if self._lock.acquire(blocking=False):
            self._asked_at = now
            try:
                begun = time.monotonic()
                rows = prepared.run(_READ, {})
                self._value = rows[0][0] if rows else None
                self._read_at = begun
            finally:
                self._lock.release()
        return self._value


_version = _Version()


def known_version() -> int:
    """Return the version by which this process goes now; 0 before any change.

    A statement that stores by what is known can compare it, and so learn of a change at once.
    """
    return _version.current() or 0


def read_again() -> None:
    """Read the version with the next question: somebody has seen that it is another."""
    _version.forget()


class Known(Generic[K, V]):
    """Rows of one kind as `load` reads them, by what names them, for as long as they hold.

    What `load` does not find it raises or returns None for; None is not kept, since strangers can
    name what does not exist.
    """

    def __init__(self, load: Callable[[K], V | None]) -> None:
        self._load = load
        self._lock = Lock()
        self._rows: dict[K, V] = {}
        self._version: int | None = None

    def get(self, name: K) -> V | None:
        """Return a row as it was at most half a second ago. Raises Django's database errors.

        Within an open transaction it is read: the transaction may have changed it.
        """
        if running() is None and connection.in_atomic_block:
            return self._load(name)
        version = _version.current()
        with self._lock:
            if version != self._version:
                self._rows, self._version = {}, version
            row = self._rows.get(name)
        if row is not None:
            return row
        row = self._load(name)
        if row is not None:
            with self._lock:
                if version == self._version:  # else it may have been read before the change
                    self._make_room()
                    self._rows[name] = row
        return row

    def _make_room(self) -> None:
        if len(self._rows) >= MOST:
            for name in list(self._rows)[: MOST // 2]:
                del self._rows[name]
