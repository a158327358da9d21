"""How much of what a transport has open each lane may take."""

from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from postbacks.delivery.claiming import Lane, LaneQueue, Room
from postbacks.delivery.lanes import (
    HEAVY_BYTES,
    SMALL_BYTES,
    HeavyLanes,
    Rests,
    Shares,
    most_of_one_lane,
)
from postbacks.models import QueueClass
from postbacks.values.outgoing_request import (
    ClaimedPostback,
    Lease,
    OutgoingRequest,
    RenderedPostback,
    Rendering,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Traffic:
    """Begins and ends requests of lanes as `Shares` allows."""

    def __init__(self, capacity: int) -> None:
        self.clock = Clock()
        self.shares = Shares(capacity, clock=self.clock)
        self.jobs: list[tuple[Lane, int]] = []
        self.count = 0

    def begin(self, lane: Lane, most: int = 10_000) -> int:
        """Begin as many as may begin; return how many did."""
        begun = 0
        while begun < most and self.shares.may_begin(lane):
            self.count += 1
            self.shares.begin(lane, self.count)
            self.jobs.append((lane, self.count))
            begun += 1
        return begun

    def end(self, lane: Lane, *, is_timeout: bool = False) -> None:
        """End all requests of a lane."""
        for each, job in [job for job in self.jobs if job[0] == lane]:
            self.shares.end(each, job, is_timeout=is_timeout)
            self.jobs.remove((each, job))

    def answer(
        self, lane: Lane, seconds: float, *, times: int = 12, is_timeout: bool = False
    ) -> None:
        for _ in range(times):
            self.begin(lane, 1)
            self.clock.now += seconds
            self.end(lane, is_timeout=is_timeout)


@pytest.mark.parametrize("capacity", [48, 4_096])
@pytest.mark.parametrize(
    ("seconds", "part"),
    [(None, 1), (0.2, 1), (1.0, 1), (2.0, 2), (5.0, 5), (15.0, 15)],
)
def test_a_lane_has_the_less_open_the_slower_it_answers(
    capacity: int, seconds: float | None, part: int
) -> None:
    traffic, lane = Traffic(capacity), (1, "ads.example.com:443")
    if seconds is not None:
        traffic.answer(lane, seconds, times=40)

    idle = traffic.shares.limit_of(lane)
    for number in range(capacity // 8 + 1):
        traffic.begin((2, f"{number}.example.com:443"), 1)
    busy = traffic.shares.limit_of(lane)

    share = capacity // (2 if capacity == 48 and seconds is not None else 8)
    assert max(1, share // part - 1) <= busy <= max(1, share // part)
    assert idle == max(busy, most_of_one_lane(capacity))


@pytest.mark.parametrize(
    ("capacity", "seconds", "share"),
    [(48, 0.001, 24), (4_096, 0.001, 64), (4_096, 0.05, 250), (4_096, 0.2, 512)],
)
def test_a_near_lane_has_only_as_much_open_as_keeps_it_busy(
    capacity: int, seconds: float, share: int
) -> None:
    traffic, lane = Traffic(capacity), (1, "ads.example.com:443")

    traffic.answer(lane, seconds)

    assert traffic.begin(lane) == share


def test_a_near_lane_that_becomes_distant_soon_has_its_whole_share() -> None:
    traffic, lane = Traffic(4_096), (1, "ads.example.com:443")
    traffic.answer(lane, 0.001)

    assert traffic.begin(lane) == 64
    traffic.clock.now += 0.2  # all of these answer late
    for _ in range(64):
        traffic.end(lane)
    traffic.answer(lane, 0.2, times=32)

    assert traffic.begin(lane) == 512


@pytest.mark.parametrize("capacity", [48, 4_096])
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("tenants", [1, 2, 20])
def test_twenty_lanes_that_begin_to_hang_leave_room(
    capacity: int, is_known: bool, tenants: int
) -> None:
    traffic = Traffic(capacity)
    hanging = [(number % tenants, f"{number}.example.com:443") for number in range(20)]
    good = [(0, f"good-{number}.example.com:443") for number in range(10)]
    for lane in [*good, *(hanging if is_known else [])]:
        traffic.answer(lane, 0.02, times=1)

    for _ in range(30):  # four a second each, and nobody answers
        for lane in hanging:
            traffic.begin(lane, 4)
        for lane in good:
            assert traffic.begin(lane, 1) == 1, lane
            traffic.end(lane)
        traffic.clock.now += 1

    assert {lane for lane, _ in traffic.jobs} == set(hanging)


def test_a_lane_that_timed_out_three_times_has_one_probe_until_it_answers() -> None:
    traffic, lane = Traffic(48), (1, "ads.example.com:443")
    traffic.answer(lane, 15.0, times=3, is_timeout=True)

    assert traffic.begin(lane) == 1

    traffic.clock.now += 0.02
    traffic.end(lane)
    traffic.answer(lane, 0.02, times=30)
    assert traffic.begin(lane) == 24


@pytest.mark.parametrize("capacity", [48, 4_096])
def test_all_lanes_that_hang_hold_an_eighth_together(capacity: int) -> None:
    traffic = Traffic(capacity)
    hanging = [(number, "ads.example.com:443") for number in range(capacity)]
    for lane in hanging:
        traffic.answer(lane, 15.0, times=3, is_timeout=True)

    assert sum(traffic.begin(lane) for lane in hanging) == capacity // 8


def test_many_new_lanes_each_get_their_first_request() -> None:
    traffic = Traffic(48)

    assert [traffic.begin((1, f"{number}.example.com:443")) for number in range(12)] == [
        most_of_one_lane(48),
        *[1] * 11,
    ]


def lease_of(lane: Lane) -> Lease:
    """Return a lease of which only the lane counts."""
    now = datetime.now(UTC)
    postback = ClaimedPostback(
        **dict.fromkeys((field.name for field in fields(ClaimedPostback)), None)  # type: ignore[arg-type]
        | {"organization_id": lane[0], "public_id": uuid4(), "created_at": now}
    )
    return Lease(uuid4(), lane[1], "auto", 0, postback)


def rendered(size: int, seconds: float = 0.0) -> RenderedPostback:
    request = OutgoingRequest("POST", "https://a.com/", {}, b"x" * size)
    return RenderedPostback(rendering=Rendering(request, request), seconds=seconds)


def rooms_for(*lanes: Lane, count: int = 200) -> list[Room]:
    return [
        Room(LaneQueue(*lane, QueueClass.FRESH, 0.0, is_failing=False, is_probe=False), count)
        for lane in lanes
    ]


HOSTILE = [(1, f"{n}.example.com:443") for n in range(40)]
QUIET, LARGE = (2, "quiet.example.com:443"), (3, "large.example.com:443")


def granted(heavy: HeavyLanes) -> Counter[Lane]:
    rooms = heavy.fitting(rooms_for(*HOSTILE, QUIET, LARGE))
    return Counter({room.queue.lane: room.count for room in rooms})


@pytest.mark.parametrize("size", [SMALL_BYTES + 1, 1024 * 1024, HEAVY_BYTES])
def test_large_requests_of_one_organization_leave_room_for_others(size: int) -> None:
    heavy = HeavyLanes()
    for lane in (*HOSTILE, LARGE):  # their sizes become known
        heavy.add(lease := lease_of(lane), rendered(size))
        heavy.release_all([lease])
    heavy.add(lease_of(QUIET), rendered(2_000))
    leases = []

    for _ in range(5):  # claims whose requests hang
        for lane, count in granted(heavy).items():
            if lane in HOSTILE:
                leases += [lease_of(lane) for _ in range(count)]
                for lease in leases[-count:]:
                    heavy.add(lease, rendered(size))

    rooms = granted(heavy)
    assert size * len(leases) <= max(HEAVY_BYTES // 2, size)
    assert rooms[QUIET] == 200
    assert rooms[LARGE] >= 1 if size < HEAVY_BYTES else True
    assert not any(rooms[lane] for lane in HOSTILE)
    assert set(heavy.full_lanes()) >= set(HOSTILE)
    for lease in leases:
        heavy.release_all([lease])
    rooms = granted(heavy)
    assert any(rooms[lane] for lane in HOSTILE)
    assert heavy.full_lanes() == []


def test_what_is_slowly_rendered_gets_a_moment_of_each_claim() -> None:
    heavy = HeavyLanes()
    for lane in HOSTILE:
        heavy.add(lease := lease_of(lane), rendered(100, seconds=0.05))
        heavy.release_all([lease])

    rooms = granted(heavy)

    assert 1 <= sum(rooms[lane] for lane in HOSTILE) <= 5
    assert (rooms[QUIET], rooms[LARGE]) == (200, 200)


def test_a_backlog_has_breaks_while_others_have_something_to_send() -> None:
    now = 100.0
    rests = Rests(clock=lambda: now)
    backlog = [lease_of((1, "ads.example.com"))] * 60
    other = [lease_of((2, "ads.example.net"))]

    def left_after(leases: list[Lease], seconds: float) -> float:
        rests.begin(leases, seconds)
        return round(rests.seconds_left, 3)

    rests.note_claimed(backlog)
    assert left_after(backlog, 0.2) == 0  # alone it has everything
    rests.note_claimed([*other, *backlog])
    assert left_after(backlog, 0.2) == 0.2
    now += 0.2
    assert left_after(backlog, 0.002) == 0  # in so little time nobody waits
    assert left_after([*backlog, *other * 60], 0.2) == 0
    assert left_after(backlog, 7.0) == 0.25  # others of its lanes wait, too
    now += 11.0
    rests.note_claimed(backlog)
    assert left_after(backlog, 0.2) == 0  # the other one has had nothing for long


def test_beside_others_what_is_slowly_rendered_gets_a_tenth_of_its_moment() -> None:
    heavy, slow = HeavyLanes(), (1, "ads.example.com")
    heavy.add(lease_of(slow), rendered(1_000, seconds=0.01))

    alone = heavy.fitting(rooms_for(slow))
    beside = heavy.fitting(rooms_for(slow), has_neighbors=True)

    assert [room.count for room in alone] == [25]
    assert [room.count for room in beside] == [2]
