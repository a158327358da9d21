"""⑦ Says which claimed postback begins next: each lane's in their order, a few of them at once.

More is claimed of a lane than is sent at once, because claiming and logging many together is
cheap. A lane that hangs still takes no more than its share of what the transport has open.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock

from postbacks.delivery.claiming import Lane, LaneQueue, Lease, Room
from postbacks.models import QueueClass
from postbacks.values.outgoing_request import RenderedPostback

# Of 7 slots of a lane with all three classes: no class starves, and fresh ones go first.
_PATTERN = (
    QueueClass.FRESH,
    QueueClass.LATE,
    QueueClass.FRESH,
    QueueClass.REPLAYED,
    QueueClass.FRESH,
    QueueClass.LATE,
    QueueClass.FRESH,
)
_MOST_REMEMBERED = 10_000
_FEWEST = 8  # claimed together of a queue: fewer cost as much


@dataclass(slots=True)
class Turns:
    """Shares out what one claim may take among the queues that hold something due.

    The lane that was served longest ago comes first, so that none waits for ever behind others.
    Of one lane each class of postbacks has its part in the lane's room.
    """

    _served: dict[Lane, int] = field(default_factory=dict)
    _offsets: dict[Lane, int] = field(default_factory=dict)  # of each lane, in the pattern
    _turn: int = 0

    def allot(
        self, queues: Sequence[LaneQueue], room_of: Callable[[Lane], int], limit: int
    ) -> list[Room]:
        """Return how many of each queue may be claimed, in the order in which to claim them."""
        by_lane: dict[Lane, list[LaneQueue]] = {}
        for queue in queues:
            by_lane.setdefault(queue.lane, []).append(queue)
        rooms_of = {lane: room for lane in by_lane if (room := room_of(lane)) > 0}
        if not rooms_of:
            return []
        share = max(_FEWEST, limit // len(rooms_of))
        rooms: list[Room] = []
        left = limit
        self._turn += 1
        for lane in sorted(rooms_of, key=lambda lane: self._served.get(lane, 0)):
            if left <= 0:
                break
            self._served[lane] = self._turn
            room = min(share, rooms_of[lane])
            left -= min(_FEWEST, room)  # most lanes hold only a few
            rooms += self._split(lane, by_lane[lane], room)
        self._forget()
        return rooms

    def _split(self, lane: Lane, queues: Sequence[LaneQueue], room: int) -> list[Room]:
        if len(queues) == 1:
            return [Room(queues[0], room)]
        due = {queue.queue_class for queue in queues}
        pattern = [each for each in _PATTERN if each in due]
        offset = self._offsets.get(lane, 0) % len(pattern)
        self._offsets[lane] = offset + room
        rounds, rest = divmod(room, len(pattern))
        counts = Counter({each: pattern.count(each) * rounds for each in due})
        counts.update((pattern + pattern)[offset : offset + rest])
        return [
            Room(queue, counts[queue.queue_class]) for queue in queues if counts[queue.queue_class]
        ]

    def _forget(self) -> None:
        if len(self._served) > _MOST_REMEMBERED:
            self._served.clear()
            self._offsets.clear()


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
