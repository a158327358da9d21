"""A pump dies: what it had claimed is due again, and what it may have sent says so in the log."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread

import psycopg
import pytest
from django.db import connection
from django_q.conf import Conf

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.attempt import begin
from postbacks.delivery.attempt_log import AttemptResult, log_attempts
from postbacks.delivery.claiming import claim_paced
from postbacks.delivery.dead_pumps import (
    BegunRequests,
    ClaimIds,
    delete_old_journals,
    read_begun,
    return_claims_of_dead_pumps,
)
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.pump import Pump
from postbacks.delivery.resend import enqueue_again
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, DeliveryAttempt, DuePostback, Postback, RuleStatus
from postbacks.models.heartbeats import WorkerHeartbeat
from postbacks.rulebook import saving
from postbacks.values.outgoing_request import Lease, RenderedPostback
from postbacks.worker import slots, task_queue, tasks
from postbacks.worker.supervisor import Supervisor
from tests import database
from tests.claims import claim_due
from tests.events import attempts_of, event, postbacks_of, record
from tests.make import Tenant, make_tenant, make_tenant_rule
from tests.pipeline.conftest import Answer, RecordingPartner, Run, pump_for
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

TRY_SLOT = "SELECT pg_try_advisory_lock(hashtext(%s), 0)"
LONG_AGO = "now() - interval '20 seconds'"


@pytest.fixture
def gem(ok_partner: RecordingPartner, settings, tmp_path) -> Tenant:
    settings.DATA_DIR = tmp_path
    gem = make_tenant()
    make_tenant_rule(gem, f"{ok_partner.url}/install", triggers=["purchase"])
    return gem


@pytest.fixture(scope="module")
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def claim(of: Tenant, ids: ClaimIds, count: int = 3) -> list[Lease]:
    record(of, *(event("purchase", install_id=f"device-{n}") for n in range(count)))
    decide_all()
    with database.as_role(roles.WORKER):
        return claim_due(count, claim_id=ids.next())


def beat(ids: ClaimIds, *, host: str, pid: int, at: str = "now()") -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO worker_heartbeat (name, beat_at, stop_requested, pid, claims)"
            f" VALUES (%s, {at}, false, %s, %s)",
            [f"{host}-1:pump:0:{pid}", pid, ids.first],
        )


def return_claims(*, watched_for: float = 0.0) -> int:
    with database.as_role(roles.WORKER):
        return return_claims_of_dead_pumps(watched_for=watched_for)


def interrupted(of: Tenant) -> list[tuple[int, int, str]]:
    with tenant(of.organization.pk):
        rows = DeliveryAttempt.objects.filter(outcome="interrupted").order_by("postback_id")
        return [(row.postback_id, row.number, row.kind) for row in rows]


def due_now(of: Tenant) -> list[tuple[int, int]]:
    """Return the ids of unclaimed due postbacks, each with the tries that it has used up."""
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(
            "SELECT postback_id, tries FROM due_postback"
            " WHERE claim_id IS NULL AND due_at <= now() ORDER BY 1"
        )
        return cursor.fetchall()


def test_claims_of_an_ended_process_are_due_at_once_and_what_was_begun_is_logged(
    gem: Tenant, ended_pid: int, run_pump: Run, ok_partner: RecordingPartner
) -> None:
    ids = ClaimIds.make()
    leases = claim(gem, ids)
    begun = BegunRequests(ids.journal)
    for lease in leases:
        begun.add(lease.postback.id)
    begun.discard(leases[0].postback.id)
    begun.discard(leases[2].postback.id)
    beat(ids, host=socket.gethostname(), pid=ended_pid)

    assert return_claims() == 3

    claimed = sorted(lease.postback.id for lease in leases)
    assert due_now(gem) == [(postback_id, 0) for postback_id in claimed]
    assert interrupted(gem) == [(leases[1].postback.id, 1, "auto")]
    assert not ids.journal.exists()
    assert not WorkerHeartbeat.objects.filter(claims=ids.first).exists()

    run_pump(until=lambda: len(ok_partner.requests) == 3 and not queued(gem))

    sent_again = next(p for p in postbacks_of(gem) if p.pk == leases[1].postback.id)
    with tenant(gem.organization.pk):
        attempts = sent_again.attempts.values_list("number", "outcome", "rule_version")
        assert list(attempts) == [(1, "interrupted", 1), (2, "delivered", 1)]


def queued(of: Tenant) -> int:
    with tenant(of.organization.pk):
        return DuePostback.objects.count()


def test_what_kills_two_pumps_waits_a_minute_before_a_third_begins(
    gem: Tenant, ended_pid: int
) -> None:
    claim(gem, ClaimIds.make(), 1)
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        for _ in range(2):
            ids = ClaimIds.make()
            cursor.execute("UPDATE due_postback SET claim_id = %s", [ids.next()])
            beat(ids, host=socket.gethostname(), pid=ended_pid)
            assert return_claims() == 1
        cursor.execute("SELECT extract(epoch FROM due_at - now())::float8 FROM due_postback")
        (seconds,) = cursor.fetchone()

    assert [number for _, number, _ in interrupted(gem)] == [1, 2]
    assert 50 < seconds <= 60


def test_journals_that_nobody_reads_any_more_are_deleted(gem: Tenant) -> None:
    read, unread, fresh = ClaimIds.make(), ClaimIds.make(), ClaimIds.make()
    for ids in (read, unread, fresh):
        BegunRequests(ids.journal)
    for ids in (read, unread):
        os.utime(ids.journal, (0, 0))
    beat(read, host="elsewhere", pid=1)

    with database.as_role(roles.WORKER):
        delete_old_journals()

    assert [ids.journal.exists() for ids in (read, unread, fresh)] == [True, False, True]


@pytest.mark.parametrize("journal", ["missing", "another boot", "too short", "overflowed"])
def test_without_a_journal_each_claim_may_have_been_sent(
    journal: str, gem: Tenant, ended_pid: int
) -> None:
    ids = ClaimIds.make()
    leases = claim(gem, ids)
    if journal != "missing":
        BegunRequests(ids.journal)
        content = bytearray(ids.journal.read_bytes())
        if journal == "another boot":
            content[:36] = str(uuid.uuid4()).encode()
        if journal == "overflowed":
            content[48] = 1
        ids.journal.write_bytes(content[:20] if journal == "too short" else content)
    beat(ids, host=socket.gethostname(), pid=ended_pid)

    assert return_claims() == 3
    assert len(interrupted(gem)) == len(leases)


def test_a_silent_pump_elsewhere_is_dead_once_its_session_has_ended(gem: Tenant) -> None:
    ids = ClaimIds.make()
    claim(gem, ids)
    beat(ids, host="elsewhere", pid=os.getpid(), at=LONG_AGO)

    with other_session() as session:
        session.execute("SELECT pg_advisory_lock(7001, %s)", [ids.lock_key])
        assert return_claims(watched_for=60) == 0
        with other_session() as superuser:  # and wait until it has ended
            superuser.execute("SELECT pg_terminate_backend(%s, 5000)", [session.info.backend_pid])
    assert return_claims(watched_for=2) == 0  # whoever has just connected gives others a grace
    assert return_claims(watched_for=60) == 3


def test_a_pump_asks_for_its_lock_until_it_holds_it() -> None:
    ids = ClaimIds.make()
    with database.as_role(roles.WORKER), other_session() as session:
        session.execute("SELECT pg_advisory_lock(7001, %s)", [ids.lock_key])
        beat_pump = tasks.PumpBeat("elsewhere-1:pump:0:1", ids)
        beat_pump()
        session.execute("SELECT pg_advisory_unlock(7001, %s)", [ids.lock_key])

        beat_pump()

        row = session.execute("SELECT pg_try_advisory_lock(7001, %s)", [ids.lock_key]).fetchone()
        ids.release_lock()
    assert row == (False,)


def test_a_pump_that_begins_while_its_cluster_stops_is_asked_to_stop() -> None:
    cluster = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo; sleep 60"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert cluster.stdout is not None
    cluster.stdout.readline()
    first, late = ClaimIds.make(), ClaimIds.make()
    beat(first, host="stopping", pid=1)
    asked: list[bool] = []

    def begin_late() -> None:
        with other_session() as session:
            _wait_for_stop(session, first)
            session.execute(
                "INSERT INTO worker_heartbeat (name, beat_at, stop_requested, pid, claims)"
                " VALUES ('stopping-1:pump:0:2', now(), false, 2, %s)",
                [late.first],
            )
            asked.append(_wait_for_stop(session, late))
        os.killpg(cluster.pid, signal.SIGKILL)

    thread = Thread(target=begin_late)
    with database.as_role(roles.WORKER):
        thread.start()
        Supervisor("stopping-1", _cluster=cluster)._stop()
    thread.join()
    cluster.stdout.close()

    assert asked == [True]


def _wait_for_stop(session: psycopg.Connection[tuple[object, ...]], ids: ClaimIds) -> bool:
    """Wait a while until a pump is asked to stop; tell whether it is."""
    asked = "SELECT stop_requested FROM worker_heartbeat WHERE claims = %s"
    ends_at = time.monotonic() + 5
    while time.monotonic() < ends_at:
        if session.execute(asked, [ids.first]).fetchone() == (True,):
            return True
        time.sleep(0.02)
    return False


def test_a_pump_that_beats_or_runs_keeps_its_claims(gem: Tenant) -> None:
    ids = ClaimIds.make()
    claim(gem, ids)
    beat(ids, host=socket.gethostname(), pid=os.getpid())

    assert return_claims(watched_for=60) == 0
    assert due_now(gem) == []


def test_claims_of_another_pump_stay(gem: Tenant, ended_pid: int) -> None:
    dead, alive = ClaimIds.make(), ClaimIds.make()
    claim(gem, dead, 2)
    kept = claim(gem, alive, 2)
    beat(dead, host=socket.gethostname(), pid=ended_pid)

    assert return_claims() == 2
    assert not {lease.postback.id for lease in kept} & {row[0] for row in due_now(gem)}


def test_the_journal_holds_what_was_begun_and_not_logged(tmp_path) -> None:
    path = tmp_path / "pumps" / "journal"
    begun = BegunRequests(path)
    for number in range(1, 100):
        begun.add(number)
    for number in range(1, 100, 2):
        begun.discard(number)
    begun.add(1_000)
    begun.discard(5_000)  # never begun

    assert read_begun(path) == {*range(2, 100, 2), 1_000}
    assert path.stat().st_blocks * 512 >= path.stat().st_size  # a full disk is known at once
    begun.close()
    assert read_begun(path) is None


def other_session() -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(database.superuser_conninfo(), autocommit=True)


def test_a_pump_that_can_not_hand_on_goes_on(gem: Tenant, ok_partner: RecordingPartner) -> None:
    turns: list[int] = []

    def hand_on() -> bool:
        turns.append(len(ok_partner.requests))
        if len(turns) == 1:
            with database.as_role(roles.WEB):
                record(gem, event("purchase"))
        return len(turns) > 1 and bool(ok_partner.requests)

    pump_for(0.3, lambda: True, hand_on=hand_on)

    assert turns[0] == 0
    assert len(ok_partner.requests) == 1


def test_results_are_logged_even_where_heartbeats_fail(
    gem: Tenant, ok_partner: RecordingPartner
) -> None:
    record(gem, event("purchase"))
    failures: list[int] = []

    def fail_at_the_end() -> bool:
        if not ok_partner.requests:
            return True
        if failures and len(failures) < 4:
            failures.append(1)
            raise ValueError("A heartbeat failed")
        failures.append(0)
        return False

    pump_for(20, fail_at_the_end, beat_seconds=0.0)

    assert len(failures) < 4
    assert postbacks_of(gem)[0].attempts_made == 1


def test_a_slot_is_free_before_its_successor_is_asked_for(settings) -> None:
    with database.as_role(roles.WORKER):
        seat = slots.Seat(0)
        assert seat.take()

        assert seat.hand_on()

        with other_session() as session:
            assert session.execute(TRY_SLOT, [settings.WORKER_NAME]).fetchone() == (True,)
        task_queue.drop_waiting_tasks(cluster=settings.WORKER_NAME)


def test_a_pump_keeps_its_slot_while_the_queue_is_away(settings, monkeypatch) -> None:
    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(Conf, "REDIS", "redis://127.0.0.1:1/0")
    with database.as_role(roles.WORKER):
        seat = slots.Seat(0)
        assert seat.take()

        assert not seat.hand_on()

        with other_session() as session:
            assert session.execute(TRY_SLOT, [settings.WORKER_NAME]).fetchone() == (False,)
        seat.release()


def test_a_pump_takes_its_slot_again_after_it_lost_its_connection(settings) -> None:
    with database.as_role(roles.WORKER):
        seat = slots.Seat(0)
        assert seat.take()
        connection.close()
        connection.ensure_connection()

        assert seat.keep()

        with other_session() as session:
            assert session.execute(TRY_SLOT, [settings.WORKER_NAME]).fetchone() == (False,)
        seat.release()
        with other_session() as session:
            assert session.execute(TRY_SLOT, [settings.WORKER_NAME]).fetchone() == (True,)


def test_a_pump_whose_slot_another_one_has_taken_meanwhile_ends(settings, monkeypatch) -> None:
    monkeypatch.setattr(slots, "_SESSION_ENDS_SECONDS", 0.0)
    with database.as_role(roles.WORKER), other_session() as session:
        seat = slots.Seat(0)
        assert seat.take()
        connection.close()
        connection.ensure_connection()
        assert session.execute(TRY_SLOT, [settings.WORKER_NAME]).fetchone() == (True,)

        assert not seat.keep()

        seat.release()


def test_a_postback_that_a_pump_began_twice_is_noted_until_both_have_ended(tmp_path) -> None:
    """The first lease of it has ended, and the same pump has claimed it again."""
    begun = BegunRequests(tmp_path / "journal")
    for postback_id in (7, 7, 8):
        begun.add(postback_id)

    begun.discard(7)
    assert read_begun(tmp_path / "journal") == {7, 8}
    begun.discard(7)
    assert read_begun(tmp_path / "journal") == {8}
    begun.discard(7)
    begun.add(9)
    assert read_begun(tmp_path / "journal") == {8, 9}


@pytest.mark.parametrize("has_begun", [True, False])
@pytest.mark.parametrize("is_paced", [True, False])
def test_whoever_takes_over_a_lapsed_claim_logs_what_may_have_been_sent(
    gem: Tenant, has_begun: bool, is_paced: bool
) -> None:
    if is_paced:
        with tenant(gem.organization.pk):
            rule = CallbackRule.objects.get()
            rule.max_in_flight = 5
            saving.save(rule, by=None)
    ids = ClaimIds.make()
    record(gem, event("purchase"))
    decide_all()
    take = partial(claim_paced, 9) if is_paced else partial(claim_due, 9)
    with database.as_role(roles.WORKER):
        (late,) = take(claim_id=ids.next())
        begun = BegunRequests(ids.journal)
        if has_begun:
            begun.add(late.postback.id)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE due_postback SET due_at = now() - interval '1 second'")
        (lease,) = take(claim_id=ClaimIds.make().next())

    assert interrupted(gem) == ([(late.postback.id, 1, "auto")] if has_begun else [])
    assert lease.postback.attempts_made == int(has_begun)
    assert lease.tries == 0


@dataclass
class SlowPump:
    """A pump whose partner answers when the test says so. The test takes its steps, one by one."""

    pump: Pump
    asked: Event
    may_answer: Event

    def begin(self) -> None:
        self.pump.run_cycle()
        assert self.asked.wait(60)

    def end(self) -> None:
        """Let the partner answer, and log what it said as far as the claim is still ours."""
        self.may_answer.set()
        deadline = time.monotonic() + 60
        while not self.pump.log_finished():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def slow_pump(
    gem: Tenant, partner_answering: Callable[[Answer], RecordingPartner]
) -> Iterator[SlowPump]:
    asked, may_answer = Event(), Event()

    def answer(_path: str, _headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked.set()
        may_answer.wait(60)
        return 200, {}, b"ok"

    with tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.url = partner_answering(answer).url
        saving.save(rule, by=None)
    record(gem, event("purchase"))
    ids = ClaimIds.make()
    with (
        database.as_role(roles.WORKER),
        RequestsTransport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        yield SlowPump(
            Pump(
                transport=transport,
                decide=pipeline.work,
                prepare=rendering.render_postbacks,
                beat=lambda: True,
                claim_ids=ids,
                journal=BegunRequests(ids.journal),
            ),
            asked,
            may_answer,
        )
        may_answer.set()


def lapse() -> None:
    database.superuser().execute("UPDATE due_postback SET due_at = now() - interval '1 second'")


def resend(of: Tenant) -> None:
    with database.as_role(roles.WEB), tenant(of.organization.pk):
        postback = Postback.objects.get()
        lane = postback.rule.url.removeprefix("http://")
        assert enqueue_again(postback, host=lane, is_paced=False)


def outcomes(of: Tenant) -> list[tuple[int, str, str]]:
    attempts = sorted(attempts_of(of), key=lambda attempt: attempt.number)
    return [(attempt.number, attempt.outcome, attempt.kind) for attempt in attempts]


def test_a_request_whose_postback_a_person_resent_after_its_lease_has_a_row(
    gem: Tenant, slow_pump: SlowPump, run_pump: Run
) -> None:
    """Its answer comes too late to be logged, but the partner has received it."""
    slow_pump.begin()
    lapse()
    resend(gem)
    slow_pump.end()
    assert outcomes(gem) == []

    run_pump(lambda: any(outcome == "delivered" for _, outcome, _ in outcomes(gem)))

    assert outcomes(gem) == [(1, "interrupted", "resend"), (2, "delivered", "resend")]


def test_a_request_whose_postback_another_worker_took_over_has_one_row(
    gem: Tenant, slow_pump: SlowPump
) -> None:
    slow_pump.begin()
    lapse()
    with database.as_role(roles.WORKER):
        assert len(claim_due(9)) == 1
    slow_pump.end()
    assert outcomes(gem) == [(1, "interrupted", "auto")]


def test_what_was_claimed_again_and_not_begun_leaves_the_first_request_noted(
    gem: Tenant, slow_pump: SlowPump
) -> None:
    """The same pump holds the second claim while the first one's request is on its way."""
    slow_pump.begin()
    lapse()
    with database.as_role(roles.WEB), tenant(gem.organization.pk):
        rule = CallbackRule.objects.get()
        rule.status = RuleStatus.PAUSED
        saving.save(rule, by=None)
        postback = Postback.objects.get()

    slow_pump.pump.run_cycle()
    assert slow_pump.pump.log_finished() == 1

    assert read_begun(slow_pump.pump.claim_ids.journal) == {postback.pk}


def test_two_results_of_one_postback_in_a_batch_are_one_attempt(gem: Tenant) -> None:
    """The same pump claimed it again after its first lease had ended; both were answered."""
    ids = ClaimIds.make()
    BegunRequests(ids.journal)
    (late,) = claim(gem, ids, count=1)
    with database.as_role(roles.WORKER):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE due_postback SET due_at = now()")
        (lease,) = claim_due(1, claim_id=ids.next())
        results = [
            begin(each, RenderedPostback(error="test", refusal="Not sent.", rule_version=1))
            for each in (late, lease)
        ]
        log_attempts([result for result in results if isinstance(result, AttemptResult)])

    assert [each.number for each in attempts_of(gem)] == [1]


def test_a_deadlock_costs_a_pump_neither_its_connection_nor_a_second(
    gem: Tenant, ok_partner: RecordingPartner
) -> None:
    record(gem, event("purchase"))
    sessions: list[int] = []

    def beat_once() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            sessions.append(cursor.fetchone()[0])
            if len(sessions) == 1:
                cursor.execute("DO $$ BEGIN RAISE deadlock_detected; END $$")
            if len(sessions) == 2:
                cursor.execute("DO $$ BEGIN RAISE serialization_failure; END $$")
        return not ok_partner.requests

    pump_for(20, beat_once, beat_seconds=0.0)

    assert len(ok_partner.requests) == 1
    assert len(set(sessions)) == 1


def test_slots_end_at_different_times(settings) -> None:
    moments = [(time.monotonic() + tasks.seconds_until_turn(slot)) % 60 for slot in range(2)]

    assert 29 < abs(moments[0] - moments[1]) < 31
    assert all(15 <= tasks.seconds_until_turn(slot) <= 75 for slot in range(2))
