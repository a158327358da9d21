"""An event wakes one of a host's sleeping pumps, and nobody waits for one that is busy or dead."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import pytest
from django.db import connection

from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.enqueue import EarlyClaim
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.pump import Pump
from postbacks.delivery.wakeups import SharedNotifications
from postbacks.infrastructure.database import roles
from postbacks.models.heartbeats import Channel, wake_pumps
from tests import database
from tests.events import attempts_of, event, record
from tests.make import make_tenant, make_tenant_rule
from tests.pipeline.conftest import RecordingPartner

_TAKE_AND_DIE = """
import os, pathlib, signal, sys
from postbacks.delivery.wakeups import SharedNotifications
assert SharedNotifications(pathlib.Path(sys.argv[1])).take(sys.argv[2].encode())
os.kill(os.getpid(), signal.SIGKILL)
"""


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass
class SleepingPump:
    """A pump in a thread of its own, which by itself would sleep for a minute."""

    notifications: SharedNotifications
    beat_seconds: float = 60.0
    looks: int = 0
    ahead: float = 0.0
    pump: Pump | None = None
    is_busy: Event = field(default_factory=Event)
    may_go_on: Event = field(default_factory=Event)

    def run(self) -> None:
        try:
            with (
                database.as_role(roles.WORKER),
                RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
            ):
                self.pump = Pump(
                    transport=transport,
                    decide=self.decide,
                    prepare=rendering.render_postbacks,
                    beat=lambda: True,
                    beat_seconds=self.beat_seconds,
                    notifications=self.notifications,
                    clock=lambda: time.monotonic() + self.ahead,
                )
                self.pump.run(300.0)
        finally:
            connection.close()

    def decide(self, *, claim: EarlyClaim) -> int:
        self.looks += 1
        if self.is_busy.is_set():
            self.may_go_on.wait(60)
        return pipeline.work(claim=claim)

    def is_asleep(self) -> bool:
        return self.pump is not None and self.pump.is_asleep


@contextmanager
def asleep(*pumps: SleepingPump) -> Iterator[None]:
    """Have pumps run that sleep, and end them."""
    threads = [Thread(target=pump.run) for pump in pumps]
    try:
        for thread in threads:
            thread.start()
        for pump in pumps:
            wait_until(lambda pump=pump: pump.is_busy.is_set() or pump.is_asleep())
        yield
    finally:
        for pump in pumps:
            pump.may_go_on.set()
            pump.ahead = 1_000.0
        for thread in threads:
            while thread.is_alive():
                wake_pumps()
                thread.join(0.1)


def test_a_call_is_taken_once_on_a_host_and_one_without_a_payload_by_all(tmp_path: Path) -> None:
    pumps = [SharedNotifications(tmp_path / "new" / "calls") for _ in range(3)]
    for number in range(1, 3_000):
        first = number % 3
        answers = [pump.take(b"%d" % number) for pump in pumps[first:] + pumps[:first]]
        assert answers == [True, False, False]
    for payload in (b"", b"all", b"-1", b"9" * 19, "٣".encode()):
        assert [pump.take(payload) for pump in pumps] == [True] * 3
    for pump in pumps:
        pump.close()
        assert pump.take(b"9000")


def test_a_number_that_comes_again_is_another_call(tmp_path: Path) -> None:
    """As after a backup was restored: PostgreSQL counts from where it was, the file remains."""
    seconds = [100.0]
    first, second = (
        SharedNotifications(tmp_path / "calls", clock=lambda: seconds[0]) for _ in range(2)
    )
    assert [first.take(b"7"), second.take(b"7")] == [True, False]
    seconds[0] += 59
    assert not first.take(b"7")
    seconds[0] += 2
    assert [second.take(b"7"), first.take(b"7")] == [True, False]
    seconds[0] -= 3_600  # a clock that was wrong
    assert [first.take(b"7"), second.take(b"7")] == [True, False]

    (tmp_path / "calls").write_bytes(b"\xff" * 4_096)  # garbage, NaN among it
    assert [first.take(b"7"), second.take(b"7")] == [True, False]
    (tmp_path / "calls").write_bytes(b"{")
    assert [first.take(b"8"), second.take(b"8")] == [True, False]


def test_without_a_file_that_can_be_locked_and_written_every_pump_is_called(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    nowhere = SharedNotifications(tmp_path / "file" / "calls")
    assert nowhere.take(b"1")
    assert nowhere.take(b"1")

    first, second = SharedNotifications(tmp_path / "calls"), SharedNotifications(tmp_path / "calls")
    assert first.take(b"1")
    with (tmp_path / "calls").open("rb") as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        assert second.take(b"1")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("count", "is_one_called"), [(1, True), (100, True), (101, False)])
def test_an_event_or_a_batch_calls_one_pump_and_many_events_call_all(
    count: int, is_one_called: bool
) -> None:
    gem = make_tenant()
    with database.superuser().cursor() as cursor:
        cursor.execute(f"LISTEN {Channel.WORK.value}")
        record(gem, *(event(install_id=f"device-{number}") for number in range(count)))
        cursor.execute(f"UNLISTEN {Channel.WORK.value}")
        calls = [call.payload for call in database.superuser().notifies(timeout=0)]

    assert [bool(payload) for payload in calls] == [is_one_called]


@pytest.mark.django_db(transaction=True)
def test_of_two_sleeping_pumps_an_event_wakes_one(
    tmp_path: Path, ok_partner: RecordingPartner
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, ok_partner.url)
    pumps = [SleepingPump(SharedNotifications(tmp_path / "calls")) for _ in range(2)]
    with asleep(*pumps):
        before = [pump.looks for pump in pumps]
        record(gem, event())
        wait_until(lambda: attempts_of(gem))
        wait_until(lambda: all(pump.is_asleep() for pump in pumps))
        woken = [pump.looks > looks for pump, looks in zip(pumps, before, strict=True)]

    assert sorted(woken) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_a_sleeping_pump_takes_what_comes_while_another_is_busy_or_frozen(
    tmp_path: Path, ok_partner: RecordingPartner
) -> None:
    gem = make_tenant()
    make_tenant_rule(gem, ok_partner.url)
    busy, sleeping = (SleepingPump(SharedNotifications(tmp_path / "calls")) for _ in range(2))
    busy.is_busy.set()
    with asleep(busy, sleeping):
        wait_until(lambda: busy.looks)
        for number in range(3):
            record(gem, event(install_id=f"device-{number}"))
            wait_until(lambda number=number: len(attempts_of(gem)) == number + 1)
        assert busy.looks == 1


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_pump_was_called_for_waits_for_no_more_than_the_next_heartbeat(
    tmp_path: Path, ok_partner: RecordingPartner
) -> None:
    """As it does if that pump dies while it decides the event."""
    gem = make_tenant()
    make_tenant_rule(gem, ok_partner.url)
    ((last,),) = database.superuser().execute("SELECT last_value FROM event_key_id_seq").fetchall()
    with asleep(SleepingPump(SharedNotifications(tmp_path / "calls"), beat_seconds=0.5)):
        for number in (last + 1, last + 2):  # nothing was drawn from the sequence yet, or one was
            command = [sys.executable, "-c", _TAKE_AND_DIE, str(tmp_path / "calls"), str(number)]
            assert subprocess.run(command, check=False).returncode == -9
        record(gem, event())
        wait_until(lambda: attempts_of(gem))


@pytest.mark.django_db(transaction=True)
def test_a_pump_that_is_called_as_its_time_ends_calls_the_others(tmp_path: Path) -> None:
    gem = make_tenant()
    ending = SleepingPump(SharedNotifications(tmp_path / "calls"))
    with asleep(ending), database.superuser().cursor() as cursor:
        ending.ahead = 1_000.0
        cursor.execute(f"LISTEN {Channel.WORK.value}")
        record(gem, event())
        calls = [call.payload for call in database.superuser().notifies(timeout=60, stop_after=2)]
        cursor.execute(f"UNLISTEN {Channel.WORK.value}")

    assert [bool(payload) for payload in calls] == [True, False]
    assert ending.looks == 1
