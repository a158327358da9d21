"""How much of what a transport has open each lane may take."""

import pytest

from postbacks.delivery.claiming import Lane
from postbacks.delivery.shares import Shares, most_of_one_lane
from tests.clock import Clock


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
