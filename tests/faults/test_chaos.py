"""What may befall an installation with two clusters: each fault alone, then all kills at random.

All tests have one installation (tests/chaos), whose keeper starts again what ends, as systemd does.
The long form is `make chaos`.
"""

import os
import random
import shutil
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.chaos.damage import Damage, FullDisk
from tests.chaos.installation import PUMPS, ROOT, Installation, family, is_alive
from tests.chaos.judge import deaths_in
from tests.chaos.run import SHORT, Run, table
from tests.faults.conftest import copy_database

_DISK_MEGABYTES = 1_000
_CLOCK = ROOT / "tests" / "faults" / "clock.c"
_SECONDS_TO_ATTEMPT = """
    SELECT extract(epoch FROM started_at - event.received_at)::float8
    FROM delivery_attempt AS attempt
    JOIN postback ON postback.id = attempt.postback_id
        AND postback.event_received_at = attempt.event_received_at
    JOIN event ON event.id = postback.event_id AND event.received_at = postback.event_received_at
    WHERE event.event_id = ANY(%s::uuid[])
"""
needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None, reason="no C compiler for a clock that is off"
)


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the clock of the last cluster is off, in seconds; it may be set at any time."""

    file: Path

    def set(self, seconds: int) -> None:
        with self.file.open("r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("<q", seconds))

    def environment(self) -> dict[str, str]:
        """Return what makes a process go by this clock; nothing where there is no compiler."""
        if shutil.which("cc") is None:
            return {}
        library = self.file.with_name("clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, _CLOCK, "-ldl"], check=True)
        return {"LD_PRELOAD": str(library), "CLOCK_FILE": str(self.file)}


@pytest.fixture(scope="module")
def disk(migrated_folder: Path) -> Iterator[FullDisk]:
    disk = FullDisk(migrated_folder.parent / "disk", _DISK_MEGABYTES)
    yield disk
    disk.close()


@pytest.fixture(scope="module")
def clock(migrated_folder: Path) -> Clock:
    clock = Clock(migrated_folder.parent / "clock")
    clock.set(0)
    return clock


@pytest.fixture(scope="module")
def installation(migrated_folder: Path, disk: FullDisk, clock: Clock) -> Iterator[Installation]:
    data = disk.folder / "data"
    copy_database(migrated_folder, data)
    installation = Installation(
        data, migrated_folder.parent / "logs", last_environment=clock.environment()
    )
    try:
        installation.start()
        yield installation
    finally:
        installation.close()


@pytest.fixture
def damage(installation: Installation, disk: FullDisk) -> Damage:
    installation.wait_for(installation.is_whole, "Everything runs", seconds=60)
    return Damage(installation, random.Random(1), disk, fault_seconds=4.0)  # noqa: S311


def processes(installation: Installation) -> set[int]:
    """Return the pumps and the masters of their clusters."""
    masters = [installation.cluster_master(name) for name in installation.workers]
    return {pid for pid, _ in installation.pumps().values()} | {
        master.pid for master in masters if master
    }


def purchases(count: int, name: str = "purchase") -> list[dict[str, object]]:
    return [
        {"event_id": str(uuid.uuid4()), "event_name": name, "install_id": f"faults-{number}"}
        for number in range(count)
    ]


def post(installation: Installation, events: Sequence[dict[str, object]]) -> None:
    """Send events until they are accepted, as an SDK does."""
    installation.wait_for(lambda: installation.post(events) == 202, "They are taken", seconds=60)


def is_idle(installation: Installation) -> bool:
    return installation.query("SELECT count(*) FROM due_postback") == [(0,)]


def await_at_partner(installation: Installation, events: Sequence[dict[str, object]]) -> None:
    """Wait until each event has reached the partner by each rule."""
    ids = {str(event["event_id"]) for event in events}
    paths = {"/ok", "/late", "/unsure"} if events[0]["event_name"] == "purchase" else {"/hang"}

    def has_all() -> bool:
        seen = [each for each in installation.look() if each.is_accepted and each.event in ids]
        return len({(each.event, each.path) for each in seen}) == len(ids) * len(paths)

    installation.wait_for(has_all, "Every postback reaches the partner", seconds=60)


def test_a_database_that_stalls_costs_no_healthy_cluster(
    installation: Installation, damage: Damage
) -> None:
    before, dead = processes(installation), deaths_in(installation.logs).keys()
    events = purchases(20)
    damage.fault_seconds = 10.0  # longer than a pump may be silent

    damage.freeze_postgres()

    post(installation, events)
    await_at_partner(installation, events)
    time.sleep(1.0)  # two looks of the supervisor
    assert all(is_alive(pid) for pid in before)
    assert not deaths_in(installation.logs).keys() - dead


def test_a_database_that_takes_no_writes_ends_no_process(
    installation: Installation, damage: Damage
) -> None:
    before, dead = processes(installation), deaths_in(installation.logs).keys()
    services = {name: service.pid for name, service in installation.services.items()}
    post(installation, events := purchases(20))

    damage.forbid_writes()

    post(installation, more := purchases(20))
    await_at_partner(installation, [*events, *more])
    time.sleep(1.0)  # two looks of the supervisor
    assert {name: each.pid for name, each in installation.services.items()} == services
    assert all(is_alive(pid) for pid in before)
    assert not deaths_in(installation.logs).keys() - dead


def test_pumps_outlive_a_database_that_goes_away_and_a_new_supervisor_waits_for_it(
    installation: Installation, damage: Damage
) -> None:
    first, last = installation.workers
    killed = installation.services[last].pid
    outlive = [
        pid
        for name, (pid, _) in installation.pumps().items()
        if name.startswith(_name(installation.services[first].pid))
    ]
    events = purchases(20)
    installation.is_database_wanted = False

    sessions = installation.postgres()[1:]
    damage.kill_postmaster()
    psutil.wait_procs(sessions, timeout=10)  # one that has not noticed yet may still store events
    refused = installation.post(events)
    psutil.Process(killed).kill()
    time.sleep(4.0)
    waiting = installation.services[last].pid
    installation.is_database_wanted = True

    post(installation, events)
    await_at_partner(installation, events)
    installation.wait_for(installation.is_whole, "Everything runs", seconds=60)
    assert refused == 503
    assert installation.services[last].pid == waiting != killed
    assert len(outlive) == PUMPS
    assert all(is_alive(pid) for pid in outlive)


def test_nothing_is_lost_while_the_disk_is_full(installation: Installation, damage: Damage) -> None:
    if not damage.full_disk.is_mounted:
        pytest.skip("Only who may mount a tmpfs can fill a disk that nothing else needs.")
    events = purchases(50)

    with damage.full_disk.filled():
        statuses = {installation.post(events[:20], timeout=3.0) for _ in range(4)}
        time.sleep(2.0)

    post(installation, events)
    await_at_partner(installation, events)
    installation.wait_for(installation.is_whole, "Everything runs", seconds=60)
    assert statuses <= {0, 202, 503}  # taken for good, or not at all


def test_everything_that_was_promised_holds_when_everything_is_killed(
    installation: Installation, disk: FullDisk
) -> None:
    installation.wait_for(installation.is_whole, "Everything runs", seconds=60)
    run = Run(
        installation, SHORT, seed=1, full_disk=disk, say=lambda text: sys.stdout.write(f"{text}\n")
    )

    verdict = run.do()

    sys.stdout.write(table(verdict, run.wounds))
    assert verdict.broken == []


def test_sigterm_finishes_what_is_in_flight_and_releases_the_rest(
    installation: Installation,
) -> None:
    installation.wait_for(installation.is_whole, "Everything runs", seconds=60)
    worker = installation.services[installation.workers[0]]
    events = purchases(40, "hang")
    post(installation, events)
    installation.wait_for(
        lambda: any(each.path == "/hang" for each in installation.look()), "One hangs", seconds=30
    )
    descendants = family(worker.pid)

    worker.terminate()
    began = time.monotonic()
    assert worker.process is not None
    worker.process.wait(20)

    assert time.monotonic() - began < 20
    await_at_partner(installation, events)
    assert psutil.wait_procs(descendants, timeout=1)[1] == []
    assert installation.query(
        "SELECT count(*) FROM worker_heartbeat WHERE starts_with(name, %s)",
        f"{_name(worker.pid)}pump",
    ) == [(0,)]
    keys = [each.key for each in installation.look() if each.path == "/hang"]
    assert len(keys) == len(set(keys)) == len(events)


@needs_compiler
def test_attempts_and_signatures_go_by_the_clock_of_the_database(
    installation: Installation, clock: Clock
) -> None:
    """The worker that is left has a clock that is off, then right, then off the other way."""
    before = processes(installation)
    for seconds_off in (600, 0, -600):
        events = purchases(5)
        clock.set(seconds_off)

        post(installation, events)

        await_at_partner(installation, events)
        ids = {str(event["event_id"]) for event in events}
        signed = [
            abs(each.signed_at - time.time())
            for each in installation.look()
            if each.event in ids and each.path == "/ok"
        ]
        installation.wait_for(lambda: is_idle(installation), "All are logged", seconds=30)
        started = installation.query(_SECONDS_TO_ATTEMPT, list(ids))
        assert len(signed) == 5
        assert max(signed) < 60
        assert len(started) >= 15
        assert all(0 <= seconds < 60 for (seconds,) in started)
    assert all(is_alive(pid) for pid in before)


def _name(pid: int) -> str:
    return f"{os.uname().nodename}-{pid}:"
