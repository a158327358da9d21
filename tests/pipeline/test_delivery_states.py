"""Whatever happens to postbacks, in whatever order: a state machine over the real delivery.

Pumps, the dead pumps' heirs, resends, replays, held postbacks and rules are the product's own, on
the real database, one step at a time. Only the wire is a stand-in: it notes each request and
answers when the machine says so. The database's clock is moved by functions that stand before
PostgreSQL's own, and the pumps' clock with it.

`STATE_EXAMPLES=500` in the environment plays so many stories by chance instead of the usual few.
"""

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import wraps

import hypothesis
import pytest
from django.db import connection
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from apps_registry.tenancy import tenant
from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.dead_pumps import BegunRequests, ClaimIds, return_claims_of_dead_pumps
from postbacks.delivery.http.response import Reply, TransportFailure
from postbacks.delivery.http.transport import Done, Transport
from postbacks.delivery.pump import Pump
from postbacks.infrastructure.database import database_clock, roles
from postbacks.models import CallbackRule, JobAction, Postback, Replay, RuleStatus
from postbacks.models.heartbeats import WorkerHeartbeat
from postbacks.rulebook import held_postbacks, replaying, replays, saving
from postbacks.rulebook.held_postbacks import NotReleasableError
from postbacks.rulebook.replays import (
    ReplayFilter,
    ReplayOverError,
    ReplayRefusedError,
    ReplayRequest,
)
from postbacks.rulebook.resending import NotResendableError, resend
from postbacks.values.outgoing_request import OutgoingRequest
from tests import database, make
from tests.events import event, record

pytestmark = pytest.mark.django_db(transaction=True)

_EXAMPLES = int(os.environ.get("STATE_EXAMPLES", "0"))
_FEW_EXAMPLES = 16
_STEPS = 40
_MANY = 20  # postbacks
_MOST_ROUNDS = 15  # until all has ended
_PUMP_LOCK = 7_001  # as `dead_pumps` has it
_HOSTS = ("a.example.com", "b.example.com")
_ANSWERS = {
    "ok": Reply(status_code=200),
    "no": Reply(status_code=404),
    "busy": Reply(status_code=503),
    "timeout": Reply(error=TransportFailure.TIMEOUT, detail="No answer in time."),
    "gone": Reply(status_code=410),
}
_usual_answers = st.sampled_from(["ok", "ok", "ok", "no", "busy", "busy", "timeout"])
_number = st.integers(0, 11)
_seconds = st.sampled_from([1, 6, 6, 31, 65, 130, 400])

_Step = Callable[..., None]

_MOVE_CLOCK = """
CREATE SCHEMA moved_clock;
CREATE FUNCTION moved_clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS
    $$ SELECT pg_catalog.now() + current_setting('moved_clock.by')::interval $$;
CREATE FUNCTION moved_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
    $$ SELECT pg_catalog.clock_timestamp() + current_setting('moved_clock.by')::interval $$;
GRANT USAGE ON SCHEMA moved_clock TO PUBLIC;
"""
_POSTBACKS = """
SELECT postback.id, postback.public_id, postback.status, postback.reason,
       postback.attempts_made, postback.delivered_at, postback.next_attempt_at,
       due.claim_id, due.postback_id IS NOT NULL AS is_queued,
       held.postback_id IS NOT NULL AS is_held
FROM postback
LEFT JOIN due_postback AS due ON due.postback_id = postback.id
LEFT JOIN held_postback AS held ON held.postback_id = postback.id
ORDER BY postback.id
"""
_ATTEMPTS = """
SELECT postback_id, number, outcome, started_at FROM delivery_attempt ORDER BY postback_id, number
"""
_PARTS = """
SELECT part.id, part.queued, part.retrying, part.held,
       count(*) FILTER (WHERE replayed.state = 'queued'),
       count(*) FILTER (WHERE replayed.state = 'retrying'),
       count(*) FILTER (WHERE replayed.state = 'held')
FROM replay_part AS part LEFT JOIN replayed_postback AS replayed ON replayed.part_id = part.id
GROUP BY part.id ORDER BY part.id
"""
_UNFINISHED_REPLAYS = """
SELECT replay.id, replay.count, part.* FROM replay JOIN replay_part AS part
    ON part.replay_id = replay.id
WHERE replay.finished_at IS NULL OR part.finished_at IS NULL
   OR part.queued + part.retrying + part.held > 0
"""
_AT_REQUEST = """
SELECT postback.delivered_at IS NOT NULL, due.kind, due.claim_id, rule.status
FROM postback
LEFT JOIN due_postback AS due ON due.postback_id = postback.id
JOIN callback_rule AS rule ON rule.id = postback.rule_id
WHERE postback.public_id = %s
"""


def _only_if(condition: Callable[["Deliveries"], object]) -> Callable[[_Step], _Step]:
    """Have a step do nothing otherwise.

    Not a precondition: the same story need not go the same way twice, for ids and waits are drawn
    anew, and which steps there are must not hang on it.
    """

    def decorate(step: _Step) -> _Step:
        @wraps(step)
        def guarded(self: "Deliveries", **arguments: object) -> None:
            if condition(self):
                step(self, **arguments)

        return guarded

    return decorate


@dataclass(slots=True)
class _OpenRequest:
    """A request that a partner has received, and that a pump waits for."""

    postback: str
    done: Done
    began: float


@dataclass(slots=True)
class _Wire(Transport):
    """Notes requests instead of sending them; the machine answers."""

    note: Callable[[str], None]
    clock: Callable[[], float]
    capacity: int = 64
    open: list[_OpenRequest] = field(default_factory=list)

    def start(self, request: OutgoingRequest, *, timeout: float, done: Done) -> None:
        postback = request.headers["Idempotency-Key"]
        self.open.append(_OpenRequest(postback, done, self.clock()))
        self.note(postback)

    def send(self, request: OutgoingRequest, *, timeout: float = 15.0) -> Reply:
        raise NotImplementedError

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _LivePump:
    """A pump, its heartbeat's name, and whether it runs on this host."""

    pump: Pump
    wire: _Wire
    name: str
    is_here: bool


@pytest.fixture(scope="module")
def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def moved_clock() -> Iterator[None]:
    """Let a setting of the session say how far ahead the database's clock is."""
    database.superuser().execute(_MOVE_CLOCK)
    with connection.cursor() as cursor:
        cursor.execute("SET moved_clock.by = '0 seconds'")
        cursor.execute("SET search_path = moved_clock, pg_catalog, public")
    try:
        yield
    finally:
        connection.close()  # and with it what it had set
        database.superuser().execute("DROP SCHEMA moved_clock CASCADE")
        database.superuser().execute("SELECT pg_advisory_unlock_all()")
        database_clock.ask()


class Deliveries(RuleBasedStateMachine):
    """An organization with three rules and two partners, pumps, and people who interfere."""

    ended_pid = 0

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0  # seconds that the clocks are moved on
        self.pumps: list[_LivePump] = []
        self.dead: list[ClaimIds] = []
        self.sent: Counter[str] = Counter()  # requests on the wire, by postback
        self.repeats: Counter[str] = Counter()  # asked for after it was delivered
        self.known = self.held = self.replays = 0
        self.devices = 0

    @initialize()
    def set_up(self) -> None:
        self.move_clock(0)
        self.gem = make.make_tenant()
        with tenant(self.gem.organization.pk):
            self.rules = [
                make.make_rule(f"https://{_HOSTS[0]}/p", retry_delays=[5, 30, 60]),
                make.make_rule(
                    f"https://{_HOSTS[0]}/paced",
                    rate_limit_per_second=20,
                    max_in_flight=2,
                    retry_delays=[5],
                ),
                make.make_rule(
                    f"https://{_HOSTS[1]}/p",
                    triggers=["level"],
                    frequency="first",
                    delay_seconds=5,
                    retry_delays=[5, 5],
                ),
            ]
        self.start_pump(is_here=True)
        self.report_events(name="purchase", count=2)

    def teardown(self) -> None:
        try:
            if hasattr(self, "gem") and sys.exc_info()[0] is None:
                self.settle()
        finally:
            database.superuser().execute("SELECT pg_advisory_unlock_all()")
            database.empty()

    # What happens at the clock and to pumps

    def clock(self) -> float:
        return time.monotonic() + self.ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    def move_clock(self, seconds: float) -> None:
        self.ahead += seconds
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('moved_clock.by', %s, false)", [f"{self.ahead} s"])
        database_clock.ask()

    @rule(seconds=_seconds)
    def time_passes(self, seconds: int) -> None:
        self.move_clock(seconds)

    @rule(is_here=st.booleans())
    @_only_if(lambda self: len(self.pumps) < 3)
    def start_pump(self, is_here: bool) -> None:
        ids = ClaimIds.make()
        host = socket.gethostname() if is_here else "elsewhere"
        wire = _Wire(self.note_request, self.clock)
        pump = Pump(
            transport=wire,
            decide=pipeline.work,
            prepare=rendering.render_postbacks,
            beat=lambda: True,
            clock=self.clock,
            claim_ids=ids,
            journal=BegunRequests(ids.journal if is_here else None),
        )
        live = _LivePump(pump, wire, f"{host}-1:pump:0:{ids.first.hex[:8]}", is_here)
        self.pumps.append(live)
        database.superuser().execute("SELECT pg_advisory_lock(%s, %s)", [_PUMP_LOCK, ids.lock_key])
        with database.as_role(roles.WORKER):
            WorkerHeartbeat.beat(live.name, ids.first)

    @rule(number=_number)
    @_only_if(lambda self: self.pumps)
    def run_cycle(self, number: int) -> None:
        """Have a pump decide, claim and send."""
        self.cycle(self.pumps[number % len(self.pumps)])

    def cycle(self, live: _LivePump) -> None:
        with database.as_role(roles.WORKER):
            WorkerHeartbeat.beat(live.name, live.pump.claim_ids.first)
            live.pump.run_cycle()

    @rule(seconds=_seconds, answer=_usual_answers)
    @_only_if(lambda self: self.pumps)
    def deliver(self, seconds: int, answer: str) -> None:
        """Have time pass, and a pump send what is due; all is answered alike and logged."""
        self.move_clock(seconds)
        live = self.pumps[-1]
        self.cycle(live)
        for request in list(live.wire.open):
            self.answer(live, request, answer)
        self.log(live)

    @rule(number=_number, answer=_usual_answers)
    @_only_if(lambda self: any(live.wire.open for live in self.pumps))
    def answer_one(self, number: int, answer: str) -> None:
        waiting = [(live, each) for live in self.pumps for each in live.wire.open]
        self.answer(*waiting[number % len(waiting)], answer)

    @rule(answer=_usual_answers)
    @_only_if(lambda self: any(live.wire.open for live in self.pumps))
    def answer_all(self, answer: str) -> None:
        for live in self.pumps:
            for request in list(live.wire.open):
                self.answer(live, request, answer)

    @rule()
    @_only_if(lambda self: any(live.wire.open for live in self.pumps))
    def answer_that_it_is_gone(self) -> None:
        """A 410 suspends the rule."""
        live = next(live for live in self.pumps if live.wire.open)
        self.answer(live, live.wire.open[0], "gone")
        self.log(live)

    def answer(self, live: _LivePump, request: _OpenRequest, answer: str) -> None:
        live.wire.open.remove(request)
        with database.as_role(roles.WORKER):
            request.done(_ANSWERS[answer])
            live.wire.after_replies()

    @rule(number=_number)
    @_only_if(lambda self: self.pumps)
    def log_finished(self, number: int) -> None:
        self.log(self.pumps[number % len(self.pumps)])

    def log(self, live: _LivePump) -> None:
        with database.as_role(roles.WORKER):
            live.pump.log_finished()

    @rule(number=_number)
    @_only_if(lambda self: self.pumps)
    def kill_pump(self, number: int) -> None:
        """Kill a process on this host, or have all signs of life of another host's end."""
        live = self.pumps.pop(number % len(self.pumps))
        ids = live.pump.claim_ids
        self.dead.append(ids)
        database.superuser().execute(
            "SELECT pg_advisory_unlock(%s, %s)", [_PUMP_LOCK, ids.lock_key]
        )
        if live.is_here:
            with database.as_role(roles.WORKER), connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE worker_heartbeat SET pid = %s WHERE name = %s",
                    [self.ended_pid, live.name],
                )

    @rule()
    def return_claims(self) -> None:
        """A living pump looks for dead ones, after their grace."""
        self.move_clock(5)
        with database.as_role(roles.WORKER):
            for live in self.pumps:
                WorkerHeartbeat.beat(live.name, live.pump.claim_ids.first)
            return_claims_of_dead_pumps(watched_for=60)
        self.check_no_dead_claims()

    def check_no_dead_claims(self) -> None:
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            for ids in self.dead:
                cursor.execute(
                    "SELECT count(*) FROM due_postback WHERE claim_id BETWEEN %s AND %s",
                    [ids.first, ids.last],
                )
                assert cursor.fetchone() == (0,)
        self.dead.clear()

    def note_request(self, postback: str) -> None:
        """Check a request as it goes out."""
        with connection.cursor() as cursor:
            cursor.execute(_AT_REQUEST, [postback])
            is_delivered, kind, claim_id, status = cursor.fetchone()
        self.sent[postback] += 1
        assert status == RuleStatus.ACTIVE, f"sent although its rule is {status}"
        assert claim_id is not None, "sent without a claim"
        assert not is_delivered or kind in {"resend", "replay"}, "sent after it was delivered"

    # What people do

    @rule(name=st.sampled_from(["purchase", "level"]), count=st.integers(1, 4))
    @_only_if(lambda self: self.known < _MANY)
    def report_events(self, name: str, count: int) -> None:
        self.devices += 1
        record(
            self.gem,
            *(event(name, install_id=f"device-{self.devices}-{n // 2}") for n in range(count)),
        )
        with database.as_role(roles.WORKER):
            pipeline.decide_events()

    @rule(number=_number, as_decided=st.booleans())
    @_only_if(lambda self: self.known)
    def resend_one(self, number: int, as_decided: bool) -> None:
        with tenant(self.gem.organization.pk):
            postback = Postback.objects.order_by("id")[number % self.known]
            with suppress(NotResendableError):
                resend(postback, as_decided=as_decided)
                self.repeats[str(postback.public_id)] += 1

    @rule(
        status=st.sampled_from(["failed", "delivered", "skipped", None]),
        include_delivered=st.booleans(),
        as_decided=st.booleans(),
    )
    @_only_if(lambda self: self.known)
    def start_replay(self, status: str | None, include_delivered: bool, as_decided: bool) -> None:
        request = ReplayRequest(
            filter=ReplayFilter(status=status),
            include_delivered=include_delivered,
            as_decided=as_decided,
        )
        with tenant(self.gem.organization.pk), suppress(ReplayRefusedError):
            expected = replays.estimate(request, now=self.now())
            replays.start(request, now=self.now(), confirm=expected.count)
            self.replays += 1
            if include_delivered:
                ids = Postback.objects.values_list("public_id", flat=True)
                self.repeats.update(str(public_id) for public_id in ids)

    @rule()
    @_only_if(lambda self: self.replays)
    def cancel_replay(self) -> None:
        with tenant(self.gem.organization.pk):
            replay = Replay.objects.filter(finished_at=None).order_by("id").first()
            if replay is not None:
                with suppress(ReplayOverError):
                    replays.cancel(replay, now=self.now())

    @rule(number=st.integers(0, 2), host=st.sampled_from(_HOSTS), limit=st.sampled_from([None, 1]))
    def correct_rule(self, number: int, host: str, limit: int | None) -> None:
        self.save_rule(number, url=f"https://{host}/corrected", max_in_flight=limit)

    @rule(
        number=st.integers(0, 2),
        status=st.sampled_from([RuleStatus.PAUSED, RuleStatus.ACTIVE, RuleStatus.ACTIVE]),
    )
    def switch_rule(self, number: int, status: RuleStatus) -> None:
        self.save_rule(number, status=status)

    @rule(chance=st.integers(0, 9))
    def archive_rule(self, chance: int) -> None:
        """Archive the last rule, now and then: it is for ever."""
        if chance == 0:
            self.save_rule(2, status=RuleStatus.ARCHIVED)

    def save_rule(self, number: int, **fields: object) -> None:
        with tenant(self.gem.organization.pk):
            saved = CallbackRule.objects.get(pk=self.rules[number].pk)
            if saved.status == RuleStatus.ARCHIVED:
                return
            for name, value in fields.items():
                setattr(saved, name, value)
            saving.save(saved, by=None)

    @rule(number=st.integers(0, 2), action=st.sampled_from(list(JobAction)))
    @_only_if(lambda self: self.held)
    def start_job(self, number: int, action: JobAction) -> None:
        with tenant(self.gem.organization.pk), suppress(NotReleasableError):
            held_postbacks.start_job(CallbackRule.objects.get(pk=self.rules[number].pk), action)

    @rule()
    def work(self) -> None:
        """Run the tasks of held postbacks, replays and saved rules."""
        with database.as_role(roles.WORKER):
            held_postbacks.sweep_queue(60)
            held_postbacks.work(60, now=self.now)
            replaying.work(60, now=self.now)
            saving.move_queued(60)

    @rule(host=st.sampled_from(_HOSTS))
    def fail_until_the_breaker_almost_opens(self, host: str) -> None:
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO circuit_breaker (organization_id, host, state, reason, failures,"
                " window_started_at, window_requests, window_failures, probe_wait_seconds)"
                " VALUES (%s, %s, 'closed', 'http_503', 9, now(), 9, 9, 0)"
                " ON CONFLICT DO NOTHING",
                [self.gem.organization.pk, f"{host}:443"],
            )

    # What always holds

    @invariant()
    def every_postback_is_in_one_place(self) -> None:
        for row in self.rows(_POSTBACKS):
            _, _, status, _, _, delivered_at, next_attempt_at, _, is_queued, is_held = row
            assert not (is_queued and is_held), row
            assert (status == "delivered") == (delivered_at is not None), row
            assert status != "pending" or is_queued or is_held, row
            assert not (is_queued or is_held) or status in {"pending", "delivered"}, row
            assert is_queued or next_attempt_at is None, row

    @invariant()
    def attempts_are_in_order(self) -> None:
        attempts: dict[int, list[tuple[int, str, datetime]]] = {}
        for postback_id, *attempt in self.rows(_ATTEMPTS):
            attempts.setdefault(postback_id, []).append(tuple(attempt))
        postbacks = self.rows(_POSTBACKS)
        self.known, self.held = len(postbacks), sum(row[-1] for row in postbacks)
        for postback_id, public_id, _, _, attempts_made, delivered_at, *_ in postbacks:
            made = attempts.get(postback_id, [])
            assert [number for number, *_ in made] == list(range(1, attempts_made + 1)), made
            starts = [started_at for *_, started_at in made]
            assert starts == sorted(starts), made
            successes = sum(outcome == "delivered" for _, outcome, _ in made)
            assert (successes > 0) == (delivered_at is not None), made
            assert successes <= 1 + self.repeats[str(public_id)], made

    @invariant()
    def replays_count_what_there_is(self) -> None:
        for part_id, *counts in self.rows(_PARTS):
            assert counts[:3] == counts[3:], (part_id, counts)

    def rows(self, statement: str) -> list[tuple]:  # type: ignore[type-arg]
        with database.as_role(roles.WORKER), connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    # How each story ends

    def settle(self) -> None:
        """Let all end well: nothing stays behind, and every request has left a row."""
        for live in self.pumps:
            self.finish(live)
        self.return_claims()
        for number in range(3):
            self.save_rule(number, status=RuleStatus.ACTIVE)
        self.pumps.clear()
        self.start_pump(is_here=True)
        self.deliver_the_rest()
        self.check_all_invariants()
        rows = Counter(postback_id for postback_id, *_ in self.rows(_ATTEMPTS))
        for postback_id, public_id, status, *_, is_queued, is_held in self.rows(_POSTBACKS):
            assert (is_queued, is_held) == (False, False)
            assert status in {"delivered", "failed", "skipped"}
            assert rows[postback_id] >= self.sent[str(public_id)], "a request left no row"
        assert self.rows(_UNFINISHED_REPLAYS) == []

    def deliver_the_rest(self) -> None:
        for _ in range(_MOST_ROUNDS):
            self.move_clock(400)
            for number in range(3):
                self.start_job(number=number, action=JobAction.SEND)
            self.work()
            for _ in range(4):
                self.cycle(self.pumps[-1])
                self.finish(self.pumps[-1])
            if not any(row[-1] or row[-2] for row in self.rows(_POSTBACKS)):
                break
        for _ in range(2):  # the replays learn how it ended
            self.move_clock(400)
            self.work()

    def finish(self, live: _LivePump) -> None:
        """Have all that a pump has begun answered well, and logged."""
        while live.wire.open:
            self.answer(live, live.wire.open[0], "ok")
        self.log(live)

    def check_all_invariants(self) -> None:
        self.every_postback_is_in_one_place()
        self.attempts_are_in_order()
        self.replays_count_what_there_is()


def test_no_order_of_events_loses_doubles_or_forgets_a_postback(
    moved_clock: None, ended_pid: int, settings, tmp_path
) -> None:
    settings.DATA_DIR = tmp_path
    Deliveries.ended_pid = ended_pid
    run_state_machine_as_test(
        Deliveries,
        settings=hypothesis.settings(
            max_examples=_EXAMPLES or _FEW_EXAMPLES,
            stateful_step_count=_STEPS,
            derandomize=not _EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
            phases=[hypothesis.Phase.generate],  # to shrink a story takes minutes
        ),
    )
