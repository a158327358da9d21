"""Checks whether everything is there that work needs, for the operator's probes and page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from django.db import InterfaceError, OperationalError, ProgrammingError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

from postbacks.infrastructure.database import partitions, roles
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import BreakerState, RuleStatus, WorkerHeartbeat
from postbacks.models.heartbeats import CLUSTER

MIN_DAYS_AHEAD = 2
HEARTBEAT_SECONDS = 30
# Well above what a burst takes, well below what a partner would notice.
LONGEST_WAIT = timedelta(minutes=10)

# A paced rule makes its own postbacks wait, a suspended one is about to have them held, and an open
# circuit breaker waits for its partner: none of these is a worker's fault.
_OLDEST_DUE = load_sql("postbacks.insights", "find_oldest_due", BreakerState, RuleStatus)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check, with a sentence for the operator."""

    ok: bool
    detail: str


def run_check(check: Callable[[], CheckResult]) -> CheckResult:
    """Run a check; an unreachable or unready database is a result too."""
    try:
        return check()
    except (OperationalError, InterfaceError, psycopg.OperationalError):
        connection.close()
        return CheckResult(ok=False, detail="The database can't be reached.")
    except ProgrammingError:
        return CheckResult(
            ok=False, detail="The database lacks a table or a right; run `manage.py migrate`."
        )


def _database() -> CheckResult:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return CheckResult(ok=True, detail="The database answers.")


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


CHECKS: dict[str, Callable[[], CheckResult]] = {
    "database": _database,
    "migrations": _migrations,
    "roles": _roles,
    "partitions": _partitions,
    "worker": _worker,
    "oldest_due_postback": _oldest_due,
}
