"""⑦ Says which claimed postback begins next: each lane's in their order, a few of them at once.

More is claimed of a lane than is sent at once, because claiming and logging many together is
cheap.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock

from postbacks.delivery.claiming import Lane
from postbacks.delivery.shares import Shares, claimed_together
from postbacks.values.outgoing_request import Lease, RenderedPostback

_TURN = 16  # of one lane that begin before the next lane's turn


@dataclass(slots=True)  # not frozen: one is made for each attempt
class Job:
    """A claimed postback that waits to be sent."""

    lease: Lease
    rendered: RenderedPostback
    claimed_at: float


@dataclass(slots=True)
class Lanes:
    """Begins claimed postbacks, each lane's in their order and lane by lane, as `Shares` allows.

    `begin` starts a job without waiting for it and tells whether it is open now; open jobs end with
    `end_all`, from any thread.
    """

    begin: Callable[[Job], bool]
    shares: Shares
    _waiting: dict[Lane, deque[Job]] = field(default_factory=dict)
    _line: deque[Lane] = field(default_factory=deque)  # lanes with waiting jobs, each once
    _lock: Lock = field(default_factory=Lock)

    def add(self, job: Job) -> None:
        """Begin a postback as soon as its lane and the transport have room."""
        self.add_all([job])

    def add_all(self, jobs: Sequence[Job]) -> None:
        """Begin postbacks as soon as their lanes and the transport have room."""
        with self._lock:
            for job in jobs:
                lane = job.lease.lane
                if lane not in self._waiting:
                    self._waiting[lane] = deque()
                    self._line.append(lane)
                self._waiting[lane].append(job)
        self.begin_waiting()

    def end_all(self, jobs: Sequence[tuple[Job, bool]]) -> None:
        """Note that open jobs have ended, and which by a timeout; begin what has room now."""
        with self._lock:
            for job, is_timeout in jobs:
                self.shares.end(job.lease.lane, id(job), is_timeout=is_timeout)
        self.begin_waiting()

    def withdraw(self, lanes: Collection[Lane] | None = None) -> list[Job]:
        """Return the jobs that have not begun, of all or some lanes; they are not sent.

        Of some lanes, probes stay: they find out whether the lane answers again.
        """
        with self._lock:
            if lanes is None:
                jobs = [job for waiting in self._waiting.values() for job in waiting]
                self._waiting.clear()
                self._line.clear()
                return jobs
            jobs = []
            for lane in [lane for lane in lanes if lane in self._waiting]:
                jobs += [job for job in self._waiting[lane] if not job.lease.is_probe]
                probes = deque(job for job in self._waiting[lane] if job.lease.is_probe)
                if probes:
                    self._waiting[lane] = probes
                else:
                    del self._waiting[lane]
                    self._line.remove(lane)
            return jobs

    def room_of(self, lane: Lane) -> int:
        """Return how many more jobs of a lane would soon begin.

        A lane that answers quickly has some in hand; of others a lease might end in waiting.
        """
        with self._lock:
            taken = self.shares.open_of(lane) + len(self._waiting.get(lane, ()))
            if self.shares.is_quick(lane):
                return self.shares.limit_of(lane) + claimed_together(self.shares.capacity) - taken
            if not self.shares.may_begin(lane):
                return 0  # it would only wait, and be asked about each time that a request ends
            return self.shares.limit_of(lane) - taken

    def full_lanes(self) -> list[Lane]:
        """Return the lanes that may not begin anything now."""
        with self._lock:
            lanes = {*self.shares.open_lanes(), *self._waiting}
            return [
                lane for lane in lanes if lane in self._waiting or not self.shares.may_begin(lane)
            ]

    def is_behind(self, lane: Lane) -> bool:
        """Tell whether there is still a job to begin, in this lane or for lack of room."""
        return lane in self._waiting or (bool(self._line) and self.shares.free <= 0)

    def begin_waiting(self) -> None:
        """Begin what has room: a lane gets room by its answers, and by those of others."""
        # Without the lock: whoever adds a job begins it as well.
        while self._line and (jobs := self._next_jobs()):
            for job in jobs:
                if not self.begin(job):
                    with self._lock:
                        self.shares.end(job.lease.lane, id(job), is_timeout=None)

    def _next_jobs(self) -> list[Job]:
        """Take the next jobs of the first lane in line that has room, which is at its end then."""
        with self._lock:
            for _ in range(len(self._line)):
                if self.shares.free <= 0:
                    break
                lane = self._line.popleft()
                waiting = self._waiting[lane]
                first = list(islice(waiting, _TURN))
                count = self.shares.try_begin(lane, [id(job) for job in first])
                jobs = [waiting.popleft() for _ in range(count)]
                if waiting:
                    self._line.append(lane)
                else:
                    del self._waiting[lane]
                if jobs:
                    return jobs
        return []
