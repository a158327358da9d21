"""Row 7: what one tenant's load does to another: 20 events a second beside five neighbors.

A round measures the quiet tenant alone and then beside each neighbor. From the moment when an event
is sent to the commit of its delivered attempt, the p99 must stay within twice of that alone, and
nothing may be left undelivered. A neighbor that reports at half of the capacity takes the capacity
from a measurement of this run.
"""

import itertools
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import psycopg

from postbacks.demo.child_processes import free_port
from postbacks.infrastructure.database.embedded import DATABASE
from tests.bench import sample, sink, whole_way
from tests.bench.client import Client
from tests.bench.plan import Plan
from tests.bench.product import Account
from tests.bench.sides import Side
from tests.bench.sink import HOST
from tests.bench.stage import Stage
from tests.bench.sums import AtMostTimes, Row, Spread, percentile

RATE = 20  # events per second of the quiet tenant
ALONE = "alone"
_CONNECTIONS = 24
_PARTNERS = 20
_DUE = 100_000
_ANSWERS_AFTER = 0.2  # seconds, of the slow partner
_MOST_TIMES = 2.0
_WARM_UP_SECONDS = 3.0
_SWITCH_SECONDS = 0.0005  # or the sender of a neighbor, in this process too, holds up the other's
_SETTLE_SECONDS = 120.0
_QUIET_SECONDS = 3.0  # in which a neighbor gets under way, and what it has begun ends
_LONG_TEXT = 30_000  # letters; all parameters of an event have 32 KB
_LONG_TEXTS = 34  # of a body, which has at most 1 MiB
# RE2 gives up its quick automaton over these, and takes the slow one.
_PATTERN = "[xy]*x[xy]{200}"
_TEXT = "".join(random.Random(7).choices("xy", k=4_000))  # noqa: S311  # no secret

_DELIVERED = """
SELECT event.event_id::text, extract(epoch FROM pg_xact_commit_timestamp(attempt.xmin))
FROM delivery_attempt AS attempt JOIN postback ON postback.id = attempt.postback_id
JOIN event ON event.id = postback.event_id
WHERE event.received_at >= %(since)s AND attempt.number = 1 AND postback.status = 'delivered'
  AND event.organization_id = %(organization)s AND attempt.organization_id = %(organization)s
"""


@dataclass(slots=True)
class _Load:
    """A neighbor while it is measured; `stop` ends what it sends."""

    stage: Stage
    account: Account
    side: Side
    capacity: float
    stopped: threading.Event = field(default_factory=threading.Event)

    def report(self, rate: float, make: Callable[[int], dict[str, object]], batch: int) -> None:
        """Send so many events a second until stopped, in batches and on time."""
        starts_at = time.monotonic()
        with Client(self.side) as client:
            for turn in itertools.count():
                wait = starts_at + turn * batch / rate - time.monotonic()
                if self.stopped.wait(max(0.0, wait)):
                    return
                events = [make(turn * batch + number) for number in range(batch)]
                client.send(json.dumps(events).encode(), events=batch)


def measure(stage: Stage, plan: Plan, say: Callable[[str], None], *, letters: str = "abcde") -> Row:
    """Measure the neighbors of these letters in every round."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    quiet = Account(stage.server, stage.sink.url, name="Quiet Cove")
    side = _side_of(stage, quiet)
    capacity = whole_way.measure(stage, len(stage.sides) - 1, plan.whole[-1])
    seconds = plan.neighbor_seconds
    neighbors = {name: _NEIGHBORS[name] for name in _NEIGHBORS if name[1] in letters}
    figures: dict[str, list[float]] = {name: [] for name in (ALONE, *neighbors)}
    _p99(stage, quiet, side, _WARM_UP_SECONDS)
    for round_number in range(plan.neighbor_rounds):
        alone = _p99(stage, quiet, side, seconds)
        figures[ALONE].append(alone)
        say(f"Round {round_number + 1} of {plan.neighbor_rounds}, {ALONE}: p99 {alone:,.1f} ms")
        for name, begin in neighbors.items():
            account = Account(stage.server, stage.sink.url, name=f"Neighbor {name}")
            with begin(_Load(stage, account, _side_of(stage, account), capacity)):
                time.sleep(_QUIET_SECONDS)  # it is well under way
                beside = _p99(stage, quiet, side, seconds)
            _forget(stage, account)
            figures[name].append(beside)
            say(
                f"Round {round_number + 1} of {plan.neighbor_rounds}, beside {name}: "
                f"p99 {beside:,.1f} ms, {beside / alone:.2f} times"
            )
    return Row(
        name=f"A tenant with {RATE} events/s, beside one with …: event sent → attempt committed",
        unit="ms p99",
        figures={name: Spread(tuple(values)) for name, values in figures.items()},
        compared_with=(ALONE,),
        goals=tuple(AtMostTimes(_MOST_TIMES, name, ALONE) for name in neighbors),
        notes=(f"{seconds:.0f} s each; the capacity was {capacity:,.0f} events/s.",),
    )


def _side_of(stage: Stage, account: Account) -> Side:
    return replace(stage.sides[-1], key=account.key)


def _p99(stage: Stage, account: Account, side: Side, seconds: float) -> float:
    """Report for so long, wait until all of it is delivered, and return the p99 in ms."""
    return percentile(_latencies(stage, account, side, seconds), 0.99)


def _latencies(stage: Stage, account: Account, side: Side, seconds: float) -> list[float]:
    began_at = datetime.now(UTC) - timedelta(seconds=1)
    events = [sample.event(number) for number in range(round(RATE * seconds))]
    bodies = [json.dumps(event).encode() for event in events]
    sent_at: dict[str, float] = {}
    turns = itertools.count()
    starts_at = time.time() + 0.1

    def send() -> None:
        with Client(side) as client:
            for turn in turns:  # `next` of a count is one step, which threads can't share
                if turn >= len(bodies):
                    return
                time.sleep(max(0.0, starts_at + turn / RATE - time.time()))
                sent_at[str(events[turn]["event_id"])] = time.time()
                client.send(bodies[turn], events=1)

    with ThreadPoolExecutor(_CONNECTIONS) as threads:
        for sender in [threads.submit(send) for _ in range(_CONNECTIONS)]:
            sender.result()
    parameters = {"since": began_at, "organization": account.organization.pk}
    with psycopg.connect(stage.server.admin_conninfo(DATABASE), autocommit=True) as looking:
        delivered: dict[str, float] = {}

        def is_all_delivered() -> bool:
            delivered.update(
                (event_id, float(at))
                for event_id, at in looking.execute(_DELIVERED, parameters).fetchall()
                if event_id in sent_at
            )
            return len(delivered) >= len(events)

        what = "The quiet tenant has delivered"
        stage.children.wait_until(is_all_delivered, what, seconds=_SETTLE_SECONDS, pause=0.5)
    return [1000 * (delivered[id_] - sent_at[id_]) for id_ in delivered]


def _forget(stage: Stage, account: Account) -> None:
    """Drop what a neighbor has left in the queues, so that the next one is measured alone."""
    with psycopg.connect(stage.server.admin_conninfo(DATABASE), autocommit=True) as superuser:
        for _ in range(2):  # what was in flight may be due again
            for table in ("undecided_event", "due_postback"):
                superuser.execute(
                    f"DELETE FROM {table} WHERE organization_id = %s", [account.organization.pk]
                )
            time.sleep(_QUIET_SECONDS)
        superuser.execute("VACUUM ANALYZE undecided_event, due_postback")


@contextmanager
def _running(load: _Load, *work: Callable[[], None]) -> Iterator[None]:
    with ThreadPoolExecutor(len(work)) as threads:
        begun = [threads.submit(each) for each in work]
        try:
            yield
        finally:
            load.stopped.set()
            for each in begun:
                each.result()


@contextmanager
def _partners(load: _Load, count: int, *options: str) -> Iterator[list[str]]:
    """Run partners that answer late or never, in a process of their own; give their addresses."""
    ports = [free_port() for _ in range(count)]
    command = [sys.executable, "-m", "tests.bench.slow_partners", *map(str, ports), *options]
    children = load.stage.children
    children.start("partners", command, {})
    try:
        children.wait_until(
            lambda: all(sink.listens(port) for port in ports), "The partners listen", seconds=10
        )
        yield [f"http://{HOST}:{port}" for port in ports]
    finally:
        children.end("partners")


@contextmanager
def _hanging(load: _Load) -> Iterator[None]:
    with _partners(load, _PARTNERS) as urls:
        for url in urls:
            load.account.add_rule(url=url + sample.PATH)
        with _running(load, lambda: load.report(RATE, sample.event, 1)):
            yield


@contextmanager
def _slow(load: _Load) -> Iterator[None]:
    with _partners(load, 1, f"--after={_ANSWERS_AFTER}") as [url]:
        load.account.send_to(url)
        load.account.record(1)
        load.account.owe(_DUE)
        yield


@contextmanager
def _expensive(load: _Load) -> Iterator[None]:
    lines = [
        {"field": "params.text", "operator": "matches", "value": f"{_PATTERN}{number}"}
        for number in range(50)
    ]
    for _ in range(6):
        load.account.add_rule(conditions={"any": lines})

    def event(number: int) -> dict[str, object]:
        return {**sample.event(number), "params": {"text": _TEXT}}

    with _running(load, lambda: load.report(100, event, 20)):
        yield


@contextmanager
def _half(load: _Load) -> Iterator[None]:
    with _running(load, lambda: load.report(load.capacity / 2, sample.event, sample.BATCH)):
        yield


@contextmanager
def _large(load: _Load) -> Iterator[None]:
    body = json.dumps({f"k{number}": "{{params.text}}" for number in range(_LONG_TEXTS)})
    for _ in range(4):
        load.account.add_rule(method="POST", body_type="json", body=body)

    def event(number: int) -> dict[str, object]:
        return {**sample.event(number), "params": {"text": "x" * _LONG_TEXT}}

    with _running(load, lambda: load.report(RATE, event, 4)):
        yield


_NEIGHBORS = {
    f"(a) {_PARTNERS} partners that hang": _hanging,
    f"(b) {_DUE:,} due postbacks to a partner of 200 ms": _slow,
    "(c) the most expensive rules": _expensive,
    "(d) half of the capacity": _half,
    "(e) the largest bodies": _large,
}
