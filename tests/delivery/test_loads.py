"""While one organization takes much of the pumps' time, others have pumps that it does not take."""

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from postbacks.delivery.loads import Loads

BUSY, BUSY_TOO, QUIET, QUIET_TOO = 1, 2, 3, 4
ORDER = [1, 2, 3, 4]
ALL: set[int] = {BUSY, BUSY_TOO, QUIET, QUIET_TOO}


class Host:
    """The pumps of a host, which share a file, and its clock."""

    def __init__(self, folder: Path, pumps: int = 2) -> None:
        self.now = 100.0
        self.pumps = [
            Loads(slot, pumps, folder / "loads", clock=lambda: self.now) for slot in range(pumps)
        ]

    def work(self, *taken: Mapping[int, float], seconds: float = 5.0) -> None:
        """Have each pump take such a part of some seconds for organizations."""
        ends_at = self.now + seconds
        while self.now < ends_at:
            began_at = self.now
            self.divide()
            for pump, shares in zip(self.pumps, taken, strict=True):
                for organization_id, share in shares.items():
                    pump.note([organization_id], (self.now - began_at) * share)
        self.divide()

    def divide(self) -> None:
        for pump in self.pumps * 2:  # what the first notes, the last has read
            self.now += 0.025
            pump.divide()

    def served(self) -> list[set[int]]:
        return [{each for each in ALL if each in pump.served} for pump in self.pumps]


@pytest.mark.parametrize(
    ("taken", "first", "second"),
    [
        # Alone it has all of them, whoever notes it.
        ([{BUSY: 0.9}, {BUSY: 0.9}], ALL, ALL),
        ([{BUSY: 0.9}, {}], ALL, ALL),
        # A backlog beside another's few, wherever these were served.
        ([{BUSY: 0.9}, {BUSY: 0.9, QUIET: 0.05}], {BUSY}, ALL - {BUSY}),
        ([{BUSY: 0.9, QUIET: 0.05}, {BUSY: 0.9}], {BUSY}, ALL - {BUSY}),
        ([{QUIET: 0.1}, {BUSY: 0.5}], {BUSY}, ALL - {BUSY}),
        ([{BUSY: 0.3}, {QUIET: 0.1, QUIET_TOO: 0.05}], {BUSY}, ALL - {BUSY}),
        # Its parts at two pumps count together.
        ([{BUSY: 0.12, QUIET: 0.01}, {BUSY: 0.12}], {BUSY}, ALL - {BUSY}),
        # Two with much beside one with little.
        ([{BUSY: 0.5}, {BUSY_TOO: 0.6, QUIET: 0.1}], {BUSY, BUSY_TOO}, ALL - {BUSY, BUSY_TOO}),
        # Nobody takes little, or nobody much.
        ([{BUSY: 0.6}, {BUSY_TOO: 0.5}], ALL, ALL),
        ([{BUSY: 0.1}, {QUIET: 0.01}], ALL, ALL),
        ([{}, {}], ALL, ALL),
    ],
)
def test_pumps_are_divided_while_some_take_much_and_others_little(
    taken: list[dict[int, float]], first: set[int], second: set[int], tmp_path: Path
) -> None:
    host = Host(tmp_path)

    host.work(*taken)

    assert host.served() == [first, second]
    assert [pump.are_divided for pump in host.pumps] == [first != ALL] * 2
    assert [pump.serves_busy for pump in host.pumps] == [True, second == ALL]


def test_an_organization_counts_by_its_part_of_the_rows_of_a_step(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for _ in range(50):
        host.pumps[0].note([BUSY] * 99 + [QUIET], 0.05)
    host.divide()

    assert host.served() == [{BUSY}, ALL - {BUSY}]


def test_whoever_takes_much_is_served_by_all_again_once_others_have_nothing(
    tmp_path: Path,
) -> None:
    host = Host(tmp_path)
    host.work({BUSY: 0.9}, {BUSY: 0.5, QUIET: 0.05})
    assert host.served() == [{BUSY}, ALL - {BUSY}]

    host.work({BUSY: 0.9}, {}, seconds=31.0)

    assert host.served() == [ALL, ALL]


def test_one_that_is_near_the_bound_does_not_come_and_go(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.work({BUSY: 0.5}, {QUIET: 0.02})

    for share in (0.1, 0.16, 0.12, 0.2):
        host.work({BUSY: share}, {QUIET: 0.02}, seconds=2.0)
        assert host.served() == [{BUSY}, ALL - {BUSY}]


def test_each_organization_is_served_by_a_pump_however_loads_change(tmp_path: Path) -> None:
    """With views of their own, two pumps that remember differently left one to each other."""
    host = Host(tmp_path)
    choose = random.Random(7)  # noqa: S311  # no secret
    for _ in range(300):
        taken = [
            {each: choose.choice((0.0, 0.02, 0.1, 0.2, 0.4)) for each in choose.sample(ORDER, 3)}
            for _ in host.pumps
        ]
        host.now += choose.choice((0.0, 0.0, 0.5))  # a pump reads late what another has noted
        for pump, shares in zip(host.pumps, taken, strict=True):
            for organization_id, share in shares.items():
                pump.note([organization_id], share)
        host.divide()

        assert set.union(*host.served()) == ALL


@pytest.mark.parametrize("dead", [0, 1])
def test_a_pump_that_lives_alone_serves_all(dead: int, tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.work({BUSY: 0.9}, {BUSY: 0.5, QUIET: 0.05})

    alive = host.pumps[1 - dead]
    for _ in range(30):
        host.now += 0.1
        alive.note([BUSY, QUIET], 0.09)
        alive.divide()

    assert {each for each in ALL if each in alive.served} == ALL


@pytest.mark.parametrize("slot", [0, 1])
def test_a_pump_that_takes_anothers_place_keeps_the_division(slot: int, tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.work({BUSY: 0.9}, {QUIET: 0.05})

    host.pumps[slot] = Loads(slot, 2, tmp_path / "loads", clock=lambda: host.now)
    host.pumps[slot].divide()
    assert host.served() == [{BUSY}, ALL - {BUSY}]

    host.work({BUSY: 0.5}, {QUIET: 0.05}, seconds=0.5)  # nor does it go once both have looked
    assert host.served() == [{BUSY}, ALL - {BUSY}]


def test_a_pump_is_relieved_by_the_note_of_its_successor(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.work({BUSY: 0.9}, {QUIET: 0.05})
    leaving = host.pumps[0]

    leaving.leave()
    host.now += 0.1
    leaving.divide()  # which notes nothing any more
    assert not leaving.is_relieved
    assert {each for each in ALL if each in leaving.served} == {BUSY}

    Loads(0, 2, tmp_path / "loads", clock=lambda: host.now).divide()
    assert leaving.is_relieved
    assert Loads().is_relieved


def test_a_pump_with_a_backlog_gives_way_while_another_works_for_others(tmp_path: Path) -> None:
    host = Host(tmp_path)
    first, second = host.pumps
    second.begin_work()
    assert not first.must_give_way()  # all serve all

    host.work({BUSY: 0.9}, {QUIET: 0.05})
    for begins, ends in ((first, second), (second, first)):  # one with a backlog stops nobody
        begins.begin_work()
        assert (first.must_give_way(), second.must_give_way()) == (begins is second, False)
        begins.end_work()
        assert not ends.must_give_way()

    second.begin_work()
    host.now += 0.05
    second.divide()  # its note keeps it
    assert first.must_give_way()
    host.now += 0.2  # it has died, or takes long: nobody waits for ever
    assert not first.must_give_way()


def test_of_four_pumps_two_stay_for_others(tmp_path: Path) -> None:
    host = Host(tmp_path, pumps=4)

    host.work({BUSY: 0.9}, {BUSY: 0.9}, {BUSY: 0.9}, {QUIET: 0.1})

    assert host.served() == [{BUSY}, {BUSY}, ALL - {BUSY}, ALL - {BUSY}]


def test_many_organizations_do_not_hide_who_takes_much(tmp_path: Path) -> None:
    host = Host(tmp_path)
    few = dict.fromkeys(range(100, 300), 0.0002)

    host.work({BUSY: 0.9}, few)

    assert [BUSY in pump.served for pump in host.pumps] == [True, False]
    assert [200 in pump.served for pump in host.pumps] == [False, True]


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 5_000, b"\0" * 100])
def test_without_a_file_or_with_another_content_each_pump_serves_all(
    content: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "loads"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    now = 100.0
    loads = Loads(0, 2, path, clock=lambda: now)

    for _ in range(50):
        loads.note([BUSY] * 9 + [QUIET], 0.1)
        now += 0.1
        loads.divide()

    assert {each for each in ALL if each in loads.served} == ALL
    loads.close()


@pytest.mark.parametrize("pumps", [1, 65])
def test_one_pump_and_more_than_are_noted_serve_all(pumps: int, tmp_path: Path) -> None:
    host = Host(tmp_path, pumps=pumps)

    host.work({BUSY: 0.9, QUIET: 0.05}, *([{}] * (pumps - 1)))

    assert host.served() == [ALL] * pumps
