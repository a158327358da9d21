"""⑦ Says how much each lane may have open: one that hangs takes no more than its share."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from postbacks.delivery.claiming import Lane

_MOST_REMEMBERED = 10_000
_MANY_OPEN = 512  # a transport without a thread for each request
_QUICK_SECONDS = 1.0
_BUSY_LANE = 5_000  # requests of one lane that a pump sends in a second, and a few more
_KEEPS_BUSY = 64  # requests that a lane has open at least, however quickly it answers
_TIMEOUTS_OF_A_HANGING_LANE = 3
_CLAIMED_TOGETHER = 64
_MANY_CLAIMED_TOGETHER = 256  # where a look at the lanes and a claim pay for more


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
