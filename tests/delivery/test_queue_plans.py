"""A backlog that comes after an empty queue was analyzed is found by its index."""

import re

import psycopg
import pytest

from postbacks.delivery import attempt_log, claiming
from tests import database

_BACKLOG = """
INSERT INTO due_postback SELECT filled.* FROM generate_series(1, 5000) AS number,
    jsonb_populate_record(NULL::due_postback, jsonb_build_object(
        'postback_id', number, 'organization_id', 1, 'rule_id', 1, 'event_received_at', now(),
        'due_at', now(), 'host', 'ads.example.com', 'kind', 'auto', 'tries', 0, 'paced', false
    )) AS filled
"""
_READS = re.compile(r"(Scan.*) on due_postback\b[^\n]*\n *(\S[^\n]*)")


_STATEMENTS = pytest.mark.parametrize(
    "statement",
    [claiming._CLAIM_DUE, claiming._CLAIM_PACED, attempt_log._LOG_ATTEMPTS],
    ids=["claim", "claim paced", "log"],
)


def _plan(statement: str, *, analyzed: bool = False) -> str:
    """Return the plan for a backlog, by default one that came after the last statistics."""
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    generic = re.sub(r"%\((\w+)\)s", place, statement).replace("%%", "%")
    with psycopg.connect(
        database.superuser_conninfo(), cursor_factory=psycopg.ClientCursor
    ) as superuser:
        superuser.execute("SET LOCAL session_replication_role = replica")
        superuser.execute(_BACKLOG)
        superuser.execute(
            "ANALYZE due_postback"
            if analyzed
            else "UPDATE pg_class SET reltuples = 0, relpages = 10 WHERE relname = 'due_postback'"
        )
        rows = superuser.execute(f"EXPLAIN (GENERIC_PLAN) {generic}").fetchall()
        superuser.rollback()
    return "\n".join(line for (line,) in rows)


@pytest.mark.django_db
@_STATEMENTS
def test_no_statement_reads_the_whole_queue_for_each_of_its_rows(statement: str) -> None:
    reads = _READS.findall(_plan(statement))
    assert reads
    assert [how for scan, how in reads if not how.startswith("Index Cond")] == []


@pytest.mark.django_db
@_STATEMENTS
def test_no_statement_sorts_its_batch_anew_for_each_of_its_rows(statement: str) -> None:
    conditions = [how for _, how in _READS.findall(_plan(statement, analyzed=True))]
    assert [how for how in conditions if "= ANY" in how and how.count("postback_id = ") > 1] == []
