"""What a claim takes of the queues beside other organizations, and of a pump's memory and time."""

from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from postbacks.delivery.claim_turns import HEAVY_BYTES, SMALL_BYTES, HeavyLanes, Rests
from postbacks.delivery.claiming import Lane, LaneQueue, Room
from postbacks.models import QueueClass
from postbacks.values.outgoing_request import (
    ClaimedPostback,
    Lease,
    OutgoingRequest,
    RenderedPostback,
    Rendering,
)


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
