"""⑦ Says which claimed postback begins next: each lane's in their order, a few of them at once.

More is claimed of a lane than is sent at once, because claiming and logging many together is
cheap. A lane that hangs still takes no more than its share of what the transport has open.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from postbacks.delivery.claiming import Lane, Lease
from postbacks.values.outgoing_request import RenderedPostback


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed postback that waits to be sent."""

    lease: Lease
    rendered: RenderedPostback
    claimed_at: float


def most_of_one_lane(capacity: int) -> int:
    """Return how much one organization and host may have open: one that hangs leaves the rest."""
    return capacity // 2


@dataclass(slots=True)
class Lanes:
    """Begins claimed postbacks, at most `capacity` at a time.

    After each postback its turn goes to the end of the line, so that a lane with much to send does
    not keep others waiting. `begin` starts a job without waiting for it and tells whether it is
    open now; an open job ends with `end`, from any thread.
    """

    begin: Callable[[Job], bool]
    capacity: int
    _waiting: defaultdict[Lane, deque[Job]] = field(default_factory=lambda: defaultdict(deque))
    _turns: Counter[Lane] = field(default_factory=Counter)  # of jobs that are open or in line
    _line: deque[Lane] = field(default_factory=deque)
    _open: int = 0
    _lock: Lock = field(default_factory=Lock)

    def add(self, job: Job) -> None:
        """Begin a postback as soon as its lane and the transport have room."""
        lane = job.lease.lane
        with self._lock:
            self._waiting[lane].append(job)
            if self._turns[lane] < most_of_one_lane(self.capacity):
                self._turns[lane] += 1
                self._line.append(lane)
        self._begin_jobs()

    def end(self, lane: Lane) -> None:
        """Note that an open job has ended, and begin what has room now."""
        with self._lock:
            self._open -= 1
            self._pass_turn(lane)
        self._begin_jobs()

    def withdraw(self) -> list[Job]:
        """Return the jobs that have not begun; they are not sent."""
        with self._lock:
            jobs = [job for waiting in self._waiting.values() for job in waiting]
            self._waiting.clear()
        return jobs

    def is_behind(self, lane: Lane) -> bool:
        """Tell whether there is still a job to begin, in this lane or in line."""
        return bool(self._line) or bool(self._waiting.get(lane))

    def _begin_jobs(self) -> None:
        while (job := self._next_job()) is not None:
            if not self.begin(job):
                with self._lock:
                    self._open -= 1
                    self._pass_turn(job.lease.lane)

    def _next_job(self) -> Job | None:
        with self._lock:
            while self._line and self._open < self.capacity:
                lane = self._line.popleft()
                if waiting := self._waiting.get(lane):
                    self._open += 1
                    return waiting.popleft()
                self._pass_turn(lane)  # its jobs were withdrawn, or other turns took them
        return None

    def _pass_turn(self, lane: Lane) -> None:
        if self._waiting.get(lane):
            self._line.append(lane)
            return
        self._waiting.pop(lane, None)
        self._turns[lane] -= 1
        if not self._turns[lane]:
            del self._turns[lane]
