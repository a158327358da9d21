"""⑦ Says which claimed postback begins next: each lane's in their order, a few of them at once.

More is claimed of a lane than is sent at once, because claiming and logging many together is
cheap. A lane that hangs still takes no more than its share of what the transport has open.
"""

import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock
from typing import NamedTuple

from postbacks.delivery.claiming import Lane, LaneQueue, Room
from postbacks.models import QueueClass
from postbacks.values.outgoing_request import Lease, RenderedPostback

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
_TURN = 16  # of one lane that begin before the next lane's turn
_MOST_REMEMBERED = 10_000
_MANY_OPEN = 512  # a transport without a thread for each request
_QUICK_SECONDS = 1.0
_BUSY_LANE = 5_000  # requests of one lane that a pump sends in a second, and a few more
_KEEPS_BUSY = 64  # requests that a lane has open at least, however quickly it answers
_TIMEOUTS_OF_A_HANGING_LANE = 3
_CLAIMED_TOGETHER = 64
_MANY_CLAIMED_TOGETHER = 256  # where a look at the lanes and a claim pay for more
SMALL_BYTES = 16 * 1024  # a request with which a pump may be full
HEAVY_BYTES = 32 * 1024 * 1024  # of larger ones in a pump's hands
_RENDERING_SECONDS = 0.25  # in one claim, of postbacks that are slowly rendered
_RENDERING_SECONDS_BESIDE_OTHERS = 0.025
_FEWEST = 8  # claimed together of a queue: fewer cost as much
_NEIGHBOR_SECONDS = 10.0  # since an organization had something to send, it counts as a neighbor
_LONG_SECONDS = 0.01  # of a step of the pump; a shorter one makes nobody wait
_LONGEST_REST = 0.25


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


@dataclass(slots=True)
class HeavyLanes:
    """Bounds what lanes with large requests take of a pump's memory, and slow ones of its time.

    Lanes whose requests are small and quickly rendered are never held back. Of the others one
    organization has at most half.
    """

    _sizes: dict[Lane, tuple[int, float]] = field(default_factory=dict)  # and seconds
    _in_hand: dict[int, int] = field(default_factory=dict)  # of large ones, by the lease's id
    _total: int = 0
    _of_organization: Counter[int] = field(default_factory=Counter)

    def add(self, lease: Lease, rendered: RenderedPostback) -> None:
        lane, size = lease.lane, rendered.size
        if size > SMALL_BYTES or rendered.seconds:
            if len(self._sizes) >= _MOST_REMEMBERED:
                self._sizes.clear()
            self._sizes[lane] = max(size, 1), rendered.seconds
        elif rendered.rendering is not None and lane in self._sizes:
            del self._sizes[lane]
        if size > SMALL_BYTES:
            self._in_hand[id(lease)] = size
            self._total += size
            self._of_organization[lane[0]] += size

    def release_all(self, leases: Iterable[Lease]) -> None:
        if self._total:
            for lease in leases:
                self._release(lease)

    def _release(self, lease: Lease) -> None:
        size = self._in_hand.pop(id(lease), 0)
        if size:
            self._total -= size
            self._of_organization[lease.lane[0]] -= size
            if not self._of_organization[lease.lane[0]]:
                del self._of_organization[lease.lane[0]]

    def is_heavy(self, lane: Lane) -> bool:
        return lane in self._sizes

    def fitting(self, rooms: Sequence[Room], *, has_neighbors: bool = False) -> list[Room]:
        """Return rooms for as many postbacks as there is memory and time for."""
        if not any(room.queue.lane in self._sizes for room in rooms):
            return list(rooms)
        fitting = [room for room in rooms if room.queue.lane not in self._sizes]
        heavy = [room for room in rooms if room.queue.lane in self._sizes]
        free = HEAVY_BYTES - self._total
        most_seconds = _RENDERING_SECONDS_BESIDE_OTHERS if has_neighbors else _RENDERING_SECONDS
        seconds = most_seconds
        promised: Counter[int] = Counter()
        random.shuffle(heavy)  # none comes last always
        for room in heavy:
            size, slowness = self._sizes[room.queue.lane]
            organization_id = room.queue.organization_id
            taken = self._of_organization[organization_id] + promised[organization_id]
            bytes_left = min(free, HEAVY_BYTES // 2 - taken)
            count = min(room.count, bytes_left // size)
            if slowness:
                count = min(count, int(seconds / slowness))
            is_beyond = size > HEAVY_BYTES // 2 or slowness > most_seconds
            if count <= 0 and is_beyond and not taken and seconds == most_seconds:
                count = 1  # or it would never have its turn
            if count > 0:
                fitting.append(Room(room.queue, count))
                promised[organization_id] += count * size
                free -= count * size
                seconds -= count * slowness
        return fitting

    def full_lanes(self) -> list[Lane]:
        """Return the lanes that have no room for one more."""
        return [lane for lane, (size, _) in self._sizes.items() if self._is_full(lane[0], size)]

    def _is_full(self, organization_id: int, size: int) -> bool:
        taken = self._of_organization.get(organization_id, 0)
        return taken > 0 and size > min(HEAVY_BYTES - self._total, HEAVY_BYTES // 2 - taken)


@dataclass(slots=True)
class Rests:
    """Has a pump rest from one organization's backlog while others have something to send.

    The backlog would otherwise keep processors and database busy without a pause, and others'
    postbacks would wait for each of its steps. Alone, an organization has everything.
    """

    clock: Callable[[], float] = time.monotonic
    _latest: tuple[int, float] = (0, -math.inf)  # which organization had something, and when
    _other: tuple[int, float] = (0, -math.inf)  # the latest but for that one
    _ends_at: float = -math.inf

    def note_claimed(self, leases: Sequence[Lease]) -> None:
        """Note which organizations have something to send."""
        now = self.clock()
        for organization_id in {lease.lane[0] for lease in leases}:
            if organization_id != self._latest[0]:
                self._other = self._latest
            self._latest = (organization_id, now)

    def begin(self, leases: Sequence[Lease], seconds: float, *, is_divided: bool = False) -> None:
        """Rest for as long as the step took that claimed these, if they are a backlog's.

        A backlog is a claim of which one organization has more than half. Where pumps are divided,
        others have something for another pump.
        """
        if leases and seconds > _LONG_SECONDS and (is_divided or self.has_neighbors):
            [(_, most)] = Counter(lease.lane[0] for lease in leases).most_common(1)
            if most > len(leases) / 2:
                self._ends_at = self.clock() + min(seconds, _LONGEST_REST)

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._ends_at - self.clock())

    @property
    def has_neighbors(self) -> bool:
        return self._other[1] > self.clock() - _NEIGHBOR_SECONDS


@dataclass(slots=True)  # not frozen: one is made for each attempt
class Job:
    """A claimed postback that waits to be sent."""

    lease: Lease
    rendered: RenderedPostback
    claimed_at: float


def most_of_one_lane(capacity: int) -> int:
    """Return how much a lane may have open that has not answered yet: one that hangs holds it."""
    return capacity // 8


def claimed_together(capacity: int) -> int:
    """Return how many postbacks one claim takes at most; a quick lane has as many in hand."""
    return _MANY_CLAIMED_TOGETHER if capacity >= _MANY_OPEN else _CLAIMED_TOGETHER


@dataclass(slots=True)
class Speed:
    """How a lane answers: the time of its last answers, and its timeouts in a row."""

    seconds: float | None = None  # of an answer, newer ones counting more; None: none came yet
    timeouts: int = 0
    fewest_seconds: float | None = None  # of one of about the last thirty answers

    def note(self, seconds: float, *, is_timeout: bool) -> None:
        self.timeouts = self.timeouts + 1 if is_timeout else 0
        known = seconds if self.seconds is None else self.seconds
        self.seconds = known + (seconds - known) / 4
        fewest = seconds if self.fewest_seconds is None else self.fewest_seconds
        self.fewest_seconds = min(seconds, fewest + fewest / 16)


Speeds = dict[Lane, Speed]


class _OpenJob(NamedTuple):
    """When a request began, and as what of its lane it counts until it ends."""

    at: float
    is_hanging: bool
    is_unproved: bool


class _LaneState(NamedTuple):
    """What is known of a lane now; `seconds` are those of its answers."""

    at: float
    is_known: bool
    is_hanging: bool
    is_quick: bool  # it has answered, and has lately answered within a second
    seconds: float


@dataclass(slots=True)
class Shares:
    """Says how much each lane may have open, the less the slower it answers.

    A lane that answers within a second has its whole share, or as much of it as keeps it busy: what
    is open beyond that only waits, and makes each request dearer. A slower one has as much less as
    it is slower, unless nearly everything is free; the oldest of its open requests counts as an
    answer already. Each lane has its first request early: the fuller the transport, the fewer get a
    second one. Lanes that have not proved to be quick never take the last quarter, nor all of one
    tenant's more than five eighths. One that timed out three times has one request open to find
    out, and all of these have an eighth together.
    `speeds` may outlive this object.
    """

    capacity: int
    speeds: Speeds = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    _open: dict[Lane, dict[int, _OpenJob]] = field(default_factory=dict)  # by the job's id
    _total: int = 0
    _hanging: int = 0  # open requests that began as the one of a hanging lane
    _unproved: Counter[int] = field(default_factory=Counter)  # by organization: of lanes not quick
    _share: int = field(init=False)  # of a lane

    def __post_init__(self) -> None:
        # An eighth of few threads would slow a distant partner that answers well.
        is_large = self.capacity >= _MANY_OPEN
        self._share = most_of_one_lane(self.capacity) if is_large else self.capacity // 2

    def begin(self, lane: Lane, job: int) -> None:
        self._begin(lane, [job], self._state_of(lane))

    def try_begin(self, lane: Lane, jobs: Sequence[int]) -> int:
        """Begin the first of a lane's next jobs, as many as have room, and return their number."""
        state = self._state_of(lane)
        room = self._room(lane, state)
        if room > 0:
            self._begin(lane, jobs[:room], state)
        return min(len(jobs), max(0, room))

    def _begin(self, lane: Lane, jobs: Sequence[int], state: _LaneState) -> None:
        is_unproved = not state.is_hanging and not state.is_quick
        began = _OpenJob(state.at, state.is_hanging, is_unproved)
        self._open.setdefault(lane, {}).update(dict.fromkeys(jobs, began))
        self._count(lane, began, len(jobs))

    def end(self, lane: Lane, job: int, *, is_timeout: bool | None) -> None:
        """Note that a job has ended; `is_timeout` is None if nothing was sent."""
        jobs = self._open[lane]
        began = jobs.pop(job)
        if not jobs:
            del self._open[lane]
        self._count(lane, began, -1)
        if is_timeout is not None:
            self._speed_of(lane).note(self.clock() - began.at, is_timeout=is_timeout)

    @property
    def free(self) -> int:
        return self.capacity - self._total

    def open_of(self, lane: Lane) -> int:
        return len(self._open.get(lane, ()))

    def open_lanes(self) -> Collection[Lane]:
        return self._open.keys()

    def is_quick(self, lane: Lane) -> bool:
        """Tell whether a lane has answered, and has lately answered within a second."""
        return self._state_of(lane).is_quick

    def limit_of(self, lane: Lane) -> int:
        """Return how much a lane may have open, as far as only the lane counts."""
        return self._limit(lane, self._state_of(lane))

    def may_begin(self, lane: Lane) -> bool:
        """Tell whether a lane may have one more request open now."""
        return self._room(lane, self._state_of(lane)) > 0

    def _limit(self, lane: Lane, state: _LaneState) -> int:
        if state.is_hanging:
            return 1
        most = max(1, most_of_one_lane(self.capacity))
        if not state.is_known:
            return most
        if state.is_quick:
            return self._share_of_quick(lane)
        seconds = state.seconds
        fitting = max(1, self._share if seconds <= _QUICK_SECONDS else int(self._share / seconds))
        return max(fitting, most) if self.free > 7 * (self.capacity // 8) else fitting

    def _room(self, lane: Lane, state: _LaneState) -> int:
        """Return how many more requests a lane may have open now: at most one if it is slow."""
        return self._room_of_quick(lane) if state.is_quick else int(self._may_begin(lane, state))

    def _may_begin(self, lane: Lane, state: _LaneState) -> bool:
        """Tell whether a lane that is not quick may have one more request open now."""
        free, eighth = self.capacity - self._total, self.capacity // 8
        jobs = self._open.get(lane)
        if free <= 0 or (jobs and len(jobs) >= self._limit(lane, state)):
            return False
        if free <= 2 * eighth:
            return False
        if state.is_hanging:
            return self._hanging < max(1, eighth)
        if jobs and free <= (6 if state.is_known else 7) * eighth:
            return False
        return self._unproved[lane[0]] < 5 * eighth

    def _room_of_quick(self, lane: Lane) -> int:
        """Return how many more requests a lane that answers quickly may have open."""
        open_already, free = len(self._open.get(lane, ())), self.capacity - self._total
        room = min(self._share_of_quick(lane) - open_already, free - 4 * (self.capacity // 8))
        return room if open_already else max(room, min(free, 1))

    def _share_of_quick(self, lane: Lane) -> int:
        fewest = self.speeds[lane].fewest_seconds
        if fewest is None or self._share <= _KEEPS_BUSY:
            return self._share
        return min(self._share, max(_KEEPS_BUSY, int(fewest * _BUSY_LANE)))

    def _state_of(self, lane: Lane) -> _LaneState:
        """Return what is known of a lane; it is asked about often, so everything at once."""
        at, speed, jobs = self.clock(), self.speeds.get(lane), self._open.get(lane)
        answered = (speed.seconds if speed is not None else None) or 0.0
        seconds = max(answered, at - next(iter(jobs.values())).at) if jobs else answered
        if speed is None:
            return _LaneState(at, False, False, False, seconds)
        has_answered = speed.seconds is not None and speed.timeouts == 0
        is_hanging = speed.timeouts >= _TIMEOUTS_OF_A_HANGING_LANE
        return _LaneState(at, True, is_hanging, has_answered and seconds <= _QUICK_SECONDS, seconds)

    def _count(self, lane: Lane, began: _OpenJob, by: int) -> None:
        self._total += by
        if began.is_hanging:
            self._hanging += by
        if began.is_unproved:
            self._unproved[lane[0]] += by
            if not self._unproved[lane[0]]:
                del self._unproved[lane[0]]

    def _speed_of(self, lane: Lane) -> Speed:
        if len(self.speeds) >= _MOST_REMEMBERED and lane not in self.speeds:
            self.speeds.clear()
        return self.speeds.setdefault(lane, Speed())


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
