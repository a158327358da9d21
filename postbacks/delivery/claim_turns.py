"""⑦ Says what a claim takes of the queues: each lane in its turn, no more than there is memory for.

It rests from one organization's backlog while others have something to send.
"""

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

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
_MOST_REMEMBERED = 10_000
_FEWEST = 8  # claimed together of a queue: fewer cost as much
SMALL_BYTES = 16 * 1024  # a request with which a pump may be full
HEAVY_BYTES = 32 * 1024 * 1024  # of larger ones in a pump's hands
_RENDERING_SECONDS = 0.25  # in one claim, of postbacks that are slowly rendered
_RENDERING_SECONDS_BESIDE_OTHERS = 0.025
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
