"""Counts calls in the memory of this process, and regularly adds them to a shared count.

A call costs one lookup in a dictionary. Nothing is shared of a key that stays below its limit
divided by 20 and by the number of processes, as most devices and addresses do: all processes
together let through at most a twentieth more because of that. From there on a process adds its
count to the shared store as often as it has grown by so much, and at least once a second while
there are calls; the count of all processes comes back.

The count slides: calls of the window before still count in proportion to its overlap with a window
that ends now.

While the store is away each process goes by its own count, and refuses nobody because of it.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from postbacks.infrastructure.loop_requests import NeedsThread, running

logger = logging.getLogger(__name__)

SHORTEST_WINDOW = 10  # seconds: bursts pass, and not every call needs the shared count
SHARE_SECONDS = 1.0  # how often a key's count is shared at least, while there are calls
SHARES = 20  # this part of a limit is what all processes together may keep to themselves
AWAY_SECONDS = 5.0  # how long a store that failed is not asked again
MOST_KEYS = 20_000  # in memory; beyond, the longer unused half is dropped

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_OFF = {"off", "none", "0"}


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many calls in so many seconds, on average over `window` seconds."""

    amount: int
    seconds: int
    window: int = field(init=False, compare=False)
    most: int = field(init=False, compare=False)  # calls in a window

    def __post_init__(self) -> None:
        window = max(self.seconds, SHORTEST_WINDOW)
        object.__setattr__(self, "window", window)
        object.__setattr__(self, "most", self.amount * window // self.seconds)

    def __str__(self) -> str:
        return f"{self.amount}/{self.seconds}s"


def parse_rate(value: str) -> RateLimit | None:
    """Return the rate of `60/s`, `600/m` or `5000/h`, None for `off`. Raises ValueError."""
    if value.strip().lower() in _OFF:
        return None
    amount, _, unit = value.strip().partition("/")
    if not amount.isdigit() or int(amount) < 1 or unit not in _SECONDS:
        raise ValueError(f"“{value}” is no rate; write one like 60/s, 600/m, 5000/h, or off.")
    return RateLimit(int(amount), _SECONDS[unit])


class StoreAwayError(Exception):
    """The shared store can't be reached now."""


class Store(Protocol):
    """A count that processes share."""

    def add(self, key: str, *, window: int, seconds: int, count: int) -> tuple[int, int]:
        """Count, and return the counts of this window and of the one before.

        Windows are numbered from 1970 and last so many seconds. Raises StoreAwayError.
        """


@dataclass(frozen=True, slots=True)
class RateVerdict:
    """Whether a call may pass; `retry_after` are the seconds until the next may, 0 if it may."""

    allowed: bool
    retry_after: int = 0


ALLOWED = RateVerdict(allowed=True)


@dataclass(slots=True)
class _Count:
    window: int
    before: int = 0  # in the window before
    shared: int = 0  # in this one, as far as the store knows or will soon
    own: int = 0  # in this one, not shared yet
    shared_at: float = -math.inf

    def roll(self, window: int) -> None:
        if window != self.window:
            self.before = self.shared + self.own if window == self.window + 1 else 0
            self.window, self.shared, self.own = window, 0, 0


@dataclass(slots=True)
class Limiter:
    """Enforces rates, for all threads of this process and all processes that share its store."""

    store: Store
    clock: Callable[[], float] = time.time
    processes: int = 1  # that share the store
    _counts: dict[tuple[str, RateLimit], _Count] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)
    _away_until: float = -math.inf

    def limit(self, key: str, rate: RateLimit | None, *, count: int = 1) -> RateVerdict:
        """Count a call, or as many as `count`, and say whether it may pass.

        With room for one call a larger one may pass too: the next ones wait the longer. A refused
        call is not counted.
        """
        if rate is None:
            return ALLOWED
        now = self.clock()
        with self._lock:
            counted = self._counted(key, rate, now)
            wait = _wait(rate, counted, now)
            if wait:
                return RateVerdict(allowed=False, retry_after=wait)
            if running() is not None and self._is_due(counted, rate, now, more=count):
                raise NeedsThread
            counted.own += count
            unshared = self._take_unshared(counted, rate, now)
        if unshared:
            self._share(key, rate, counted, unshared)
        return ALLOWED

    def add(self, key: str, rate: RateLimit | None, *, count: int) -> None:
        """Count what a call turned out to contain, after it has passed."""
        if rate is None or count < 1:
            return
        now = self.clock()
        with self._lock:
            counted = self._counted(key, rate, now)
            counted.own += count
            if running() is not None:
                return  # what it contains is stored by now; the next call shares the count
            unshared = self._take_unshared(counted, rate, now)
        if unshared:
            self._share(key, rate, counted, unshared)

    def _counted(self, key: str, rate: RateLimit, now: float) -> _Count:
        window = int(now // rate.window)
        counted = self._counts.pop((key, rate), None)
        if counted is None:
            self._make_room()
            counted = _Count(window)
        counted.roll(window)
        self._counts[(key, rate)] = counted  # at the end: the dictionary is in order of use
        return counted

    def _make_room(self) -> None:
        if len(self._counts) >= MOST_KEYS:
            for key in list(self._counts)[: MOST_KEYS // 2]:
                del self._counts[key]

    def _take_unshared(self, counted: _Count, rate: RateLimit, now: float) -> int:
        """Return how many calls to share now; they count as shared from here on."""
        if not self._is_due(counted, rate, now):
            return 0
        unshared, counted.own = counted.own, 0
        counted.shared += unshared
        counted.shared_at = now
        return unshared

    def _is_due(self, counted: _Count, rate: RateLimit, now: float, *, more: int = 0) -> bool:
        """Tell whether to share a key's calls now, of which there will be so many more."""
        own = counted.own + more
        is_much = own >= rate.most / (SHARES * self.processes)
        is_shared = counted.shared_at > -math.inf and own > 0
        is_due = is_much or (is_shared and now - counted.shared_at >= SHARE_SECONDS)
        return is_due and now >= self._away_until

    def _share(self, key: str, rate: RateLimit, counted: _Count, unshared: int) -> None:
        """Add to the store's count and take it over, outside of the lock."""
        window = counted.window
        try:
            shared, before = self.store.add(key, window=window, seconds=rate.window, count=unshared)
        except StoreAwayError as error:
            logger.warning("Rate limits are held by each process alone: %s", error)
            self._away_until = self.clock() + AWAY_SECONDS
            return
        with self._lock:
            if counted.window == window:
                # Another thread may have asked in between and know more.
                counted.shared = max(counted.shared, shared)
                counted.before = max(counted.before, before)


def _wait(rate: RateLimit, counted: _Count, now: float) -> int:
    """Return the whole seconds until one more call fits in; 0 if it does now."""
    passed = now / rate.window % 1
    count = counted.shared + counted.own
    if counted.before * (1 - passed) + count + 1 <= rate.most:
        return 0
    if count + 1 <= rate.most:
        fits_at = 1 - (rate.most - 1 - count) / counted.before
    else:  # not in this window: its own calls have to slide out first
        fits_at = 2 - (rate.most - 1) / count
    return max(1, math.ceil((fits_at - passed) * rate.window))
