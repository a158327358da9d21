"""⑦ Sends each partner's postbacks in their order, a few of them at once.

More is claimed of a lane than is sent at once, because claiming and logging many together is
cheap. A lane that hangs still takes no more than its share of threads.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Self

from postbacks.delivery.claiming import Lane, Lease
from postbacks.values.outgoing_request import RenderedPostback

THREADS = 48  # they wait for partners nearly all the time
PER_LANE = THREADS // 2  # of one organization and host: one that hangs leaves the rest to others


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed postback that waits for a thread."""

    lease: Lease
    rendered: RenderedPostback
    claimed_at: float


@dataclass(slots=True)
class Lanes:
    """Sends claimed postbacks in threads, at most `PER_LANE` of one lane at a time.

    After each postback a thread goes to the end of the line, so that a lane with much to send
    does not keep others waiting.
    """

    send: Callable[[Job], None]
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS))
    _waiting: defaultdict[Lane, deque[Job]] = field(default_factory=lambda: defaultdict(deque))
    _served: Counter[Lane] = field(default_factory=Counter)  # by so many threads, or soon
    _in_line: int = 0  # turns that wait for a thread
    _lock: Lock = field(default_factory=Lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._threads.shutdown()

    def add(self, job: Job) -> None:
        """Send a postback as soon as its lane and a thread are free."""
        lane = job.lease.lane
        with self._lock:
            self._waiting[lane].append(job)
            if self._served[lane] >= PER_LANE:
                return
            self._served[lane] += 1
            self._in_line += 1
        self._threads.submit(self._serve, lane)

    def withdraw(self) -> list[Job]:
        """Return the jobs that no thread has begun; they are not sent."""
        with self._lock:
            jobs = [job for waiting in self._waiting.values() for job in waiting]
            self._waiting.clear()
        return jobs

    def is_behind(self, lane: Lane) -> bool:
        """Tell whether threads still have a job to begin, in this lane or in line."""
        return self._in_line > 0 or bool(self._waiting.get(lane))

    def _serve(self, lane: Lane) -> None:
        with self._lock:
            self._in_line -= 1
            waiting = self._waiting.get(lane)
            job = waiting.popleft() if waiting else None
        if job is not None:
            self.send(job)
        if self._has_next(lane):
            self._threads.submit(self._serve, lane)

    def _has_next(self, lane: Lane) -> bool:
        with self._lock:
            if self._waiting.get(lane):
                self._in_line += 1
                return True
            self._waiting.pop(lane, None)
            self._served[lane] -= 1
            if not self._served[lane]:
                del self._served[lane]
            return False
