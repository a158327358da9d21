"""The state of the installation for its operator: each fact with its remedy."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass

import django
from django.db import connection

from postbacks import __version__
from postbacks.infrastructure.database import roles
from postbacks.insights.health import CHECKS, CheckResult, as_role, run_check
from postbacks.models import WorkerHeartbeat
from postbacks.models.heartbeats import CLUSTER, WRITE_PROBE

MOST_COUNTED = 100_000  # counting a longer queue would say no more
_UNDECIDED_SECONDS = 60


# The oldest of each organization is its first, as in the queue's index.
_COUNT_UNDECIDED = """
WITH RECURSIVE first AS (
    (SELECT organization_id, received_at FROM undecided_event
     ORDER BY organization_id, id LIMIT 1)
    UNION ALL
    SELECT next.organization_id, next.received_at
    FROM first CROSS JOIN LATERAL (
        SELECT organization_id, received_at FROM undecided_event
        WHERE organization_id > first.organization_id ORDER BY organization_id, id LIMIT 1
    ) AS next
)
SELECT (SELECT count(*) FROM (
            SELECT FROM undecided_event ORDER BY organization_id, id LIMIT %s
        ) AS counted),
       coalesce(extract(epoch FROM now() - min(received_at)), 0)::int
FROM first
"""


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
    results = [(title, run_check(check), remedy) for title, check, remedy in _CHECKS]
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
        "(SELECT due_at, claim_id FROM due_postback LIMIT %s) AS counted"
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
    (count,) = _counts("SELECT count(*) FROM (SELECT FROM decision_failure LIMIT %s) AS counted")
    if not count:
        return CheckResult(ok=True, detail="Every event could be decided.")
    return CheckResult(
        ok=False, detail=f"Could not be decided and are tried again: {_number(count)}."
    )


def _counts(statement: str) -> tuple[int, ...]:
    with as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.execute(statement, [MOST_COUNTED])
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


_CHECKS = (
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
