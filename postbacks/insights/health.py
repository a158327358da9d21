"""Checks whether everything is there that work needs, for the operator's probes and page."""

import platform
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Lock

import django
import psycopg
from django.db import Error as DatabaseError
from django.db import ProgrammingError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from postbacks import __version__
from postbacks.infrastructure.database import partitions, roles
from postbacks.infrastructure.database.outages import is_outage, outage_sentence
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import BreakerState, RuleStatus, WorkerHeartbeat
from postbacks.models.heartbeats import CLUSTER, HEARTBEAT_SECONDS, WRITE_PROBE

LONGEST_CHECKS = 3.5  # seconds; a PostgreSQL that says nothing is waited for a little longer, once
MIN_DAYS_AHEAD = 2
MOST_COUNTED = 100_000  # counting a longer queue would say no more
_UNDECIDED_SECONDS = 60
# Well above what a burst takes, well below what a partner would notice.
LONGEST_WAIT = timedelta(minutes=10)

FIND_QUEUES = load_sql("postbacks.insights", "find_queues")
# A paced rule makes its own postbacks wait, a suspended one is about to have them held, and an open
# circuit breaker waits for its partner: none of these is a worker's fault.
_OLDEST_DUE = load_sql(
    "postbacks.insights", "find_oldest_due", BreakerState, RuleStatus, find_queues=FIND_QUEUES
)
_COUNT_UNDECIDED = load_sql("postbacks.insights", "count_undecided_events")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check, with a sentence for the operator."""

    ok: bool
    detail: str


def run_check(check: Callable[[], CheckResult]) -> CheckResult:
    """Run a check; an unreachable, full or unready database is a result too."""
    try:
        return check()
    except ProgrammingError:
        return CheckResult(
            ok=False, detail="The database lacks a table or a right; run `manage.py migrate`."
        )
    except (DatabaseError, psycopg.OperationalError) as error:
        if not (isinstance(error, psycopg.Error) or is_outage(error)):
            raise
        connection.close()
        return CheckResult(ok=False, detail=outage_sentence(error))


@dataclass(slots=True)
class WriteProbe:
    """Tries whether the database stores anything: as often as it is asked, within a bound.

    Probes beyond `most` in `seconds` get the last result, so that nobody can make a process write
    without end by asking. The row alone would not notice a full disk, for it has its place; the
    sort that follows needs new blocks, and leaves nothing behind.
    """

    most: int = 10
    seconds: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _tries: deque[float] = field(default_factory=deque)
    _last: CheckResult = CheckResult(ok=True, detail="")
    _lock: Lock = field(default_factory=Lock)

    def run(self) -> CheckResult:
        """Return the result of a write, or the last one."""
        with self._lock:
            now = self.clock()
            while self._tries and now - self._tries[0] >= self.seconds:
                self._tries.popleft()
            if len(self._tries) < self.most:
                self._tries.append(now)
                self._last = run_check(_write)
            return self._last


_write_probe = WriteProbe()


def _database() -> CheckResult:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return _write_probe.run()


def _write() -> CheckResult:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64kB'")
        cursor.execute("SET LOCAL statement_timeout = '5s'")  # a disk that hangs is full for us
        cursor.execute(
            "INSERT INTO worker_heartbeat (name, beat_at, stop_requested, pid)"
            " VALUES (%s, now(), false, 0) ON CONFLICT (name) DO UPDATE SET beat_at = now()",
            [WRITE_PROBE],
        )
        cursor.execute("SELECT count(*) FROM generate_series(1, 10000)")
    return CheckResult(ok=True, detail="The database answers. It takes writes.")


def _migrations() -> CheckResult:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return CheckResult(
            ok=False, detail=f"{len(missing)} migrations are not applied; run `manage.py migrate`."
        )
    return CheckResult(ok=True, detail="All migrations are applied.")


def _roles() -> CheckResult:
    connection.ensure_connection()
    problems = roles.problems(connection.connection)
    if problems:
        sentences = (f"{problem.message} {problem.hint}" for problem in problems)
        return CheckResult(ok=False, detail=" ".join(sentences))
    return CheckResult(ok=True, detail="No role passes row-level security.")


def _partitions() -> CheckResult:
    days = partitions.days_ahead()
    return CheckResult(
        ok=days >= MIN_DAYS_AHEAD, detail=f"The logs have partitions for {days} days after today."
    )


def _worker() -> CheckResult:
    seconds = WorkerHeartbeat.ages(CLUSTER).get(CLUSTER)
    if seconds is None:
        return CheckResult(ok=False, detail="No worker has run yet; start `manage.py worker`.")
    return CheckResult(
        ok=seconds <= HEARTBEAT_SECONDS,
        detail=f"The last sign of life of a worker is {seconds:.0f} s old.",
    )


def oldest_due_wait() -> timedelta:
    """Return how long the oldest due postback waits. The role must see every organization's."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST_DUE)
        row = cursor.fetchone()
    return max(row[0] if row else timedelta(0), timedelta(0))


def _oldest_due() -> CheckResult:
    with as_role(roles.WORKER):  # it sees every organization's
        waited = oldest_due_wait()
    return CheckResult(
        ok=waited <= LONGEST_WAIT,
        detail=f"The oldest due postback has waited for {waited.total_seconds():.0f} s.",
    )


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """Take another database role for one transaction; the login has all three."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        yield


def run_checks() -> dict[str, CheckResult]:
    """Run every check, unless the ones before took so long that the database says nothing."""
    began_at = time.monotonic()
    results = {}
    for name, check in CHECKS.items():
        if time.monotonic() - began_at < LONGEST_CHECKS:
            results[name] = run_check(check)
        else:
            results[name] = CheckResult(ok=False, detail="The checks before took too long.")
    return results


CHECKS: dict[str, Callable[[], CheckResult]] = {
    "database": _database,
    "migrations": _migrations,
    "roles": _roles,
    "partitions": _partitions,
    "worker": _worker,
    "oldest_due_postback": _oldest_due,
}


@dataclass(frozen=True, slots=True)
class InstallationFact:
    """One fact about the installation, and what to do if it is bad."""

    title: str
    ok: bool
    detail: str
    remedy: str


@dataclass(frozen=True, slots=True)
class WorkerPart:
    """A part of a worker, and the seconds since its last heartbeat."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class InstallationStatus:
    """All facts, the parts of the workers, and the versions of the software."""

    facts: tuple[InstallationFact, ...]
    parts: tuple[WorkerPart, ...]
    versions: Mapping[str, str]

    @property
    def is_well(self) -> bool:
        return all(fact.ok for fact in self.facts)


def read_installation() -> InstallationStatus:
    """Return the current state: only counts, over all organizations."""
    results = [(title, run_check(check), remedy) for title, check, remedy in _FACTS]
    facts = tuple(
        InstallationFact(title, result.ok, result.detail, remedy)
        for title, result, remedy in results
    )
    ages = WorkerHeartbeat.ages("")
    parts = sorted(
        (WorkerPart(name, age) for name, age in ages.items() if name not in {CLUSTER, WRITE_PROBE}),
        key=lambda part: part.name,
    )
    return InstallationStatus(facts, tuple(parts), _versions())


def _due() -> CheckResult:
    queued, due = _counts(
        "SELECT count(*), count(*) FILTER (WHERE due_at <= now() AND claim_id IS NULL) FROM "
        "(SELECT due_at, claim_id FROM due_postback LIMIT %(most)s) AS counted"
    )
    detail = f"In the queue: {_number(queued)}. Due now: {_number(due)}."
    return CheckResult(ok=due < MOST_COUNTED, detail=detail)


def _undecided() -> CheckResult:
    count, seconds = _counts(_COUNT_UNDECIDED)
    if not count:
        return CheckResult(ok=True, detail="No event waits for a decision.")
    return CheckResult(
        ok=seconds <= _UNDECIDED_SECONDS,
        detail=f"Waiting for a decision: {_number(count)}, the oldest for {seconds:,} s.",
    )


def _failures() -> CheckResult:
    (count,) = _counts(
        "SELECT count(*) FROM (SELECT FROM decision_failure LIMIT %(most)s) AS counted"
    )
    if not count:
        return CheckResult(ok=True, detail="Every event could be decided.")
    return CheckResult(
        ok=False, detail=f"Could not be decided and are tried again: {_number(count)}."
    )


def _counts(statement: str) -> tuple[int, ...]:
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(statement, {"most": MOST_COUNTED})
        row: tuple[int, ...] = cursor.fetchone()
    return row


def _number(count: int) -> str:
    return f"{count:,}" + (" or more" if count == MOST_COUNTED else "")


def _versions() -> dict[str, str]:
    connection.ensure_connection()
    server = connection.connection.info.server_version
    return {
        "Postbacks": __version__,
        "Django": django.get_version(),
        "Python": platform.python_version(),
        "PostgreSQL": f"{server // 10_000}.{server % 10_000}",
    }


_FACTS = (
    (
        "Database",
        CHECKS["database"],
        "Is PostgreSQL up, and does DATABASE_URL lead to it?",
    ),
    ("Migrations", CHECKS["migrations"], "Run manage.py migrate, then restart web and workers."),
    ("Database roles", CHECKS["roles"], "Run manage.py setup_roles as a superuser."),
    (
        "Days ahead",
        CHECKS["partitions"],
        "A worker makes a day's tables each day. Start one with manage.py worker, or run "
        "manage.py migrate once.",
    ),
    ("Workers", CHECKS["worker"], "Start manage.py worker; its log says why it ended."),
    (
        "Oldest due postback",
        CHECKS["oldest_due_postback"],
        "Start more workers, or raise PUMPS. If only one partner hangs, nobody else waits.",
    ),
    (
        "Postbacks in the queue",
        _due,
        "Start more workers, or raise PUMPS to one per core.",
    ),
    ("Events to decide", _undecided, "Is a worker running? Its log says what it does."),
    (
        "Decisions that failed",
        _failures,
        "The workers' log has the error. Each event is tried again, at the latest every hour; "
        "update Postbacks if it is a known mistake.",
    ),
)
