"""The plans of the hot path: kept for the connection, made anew when asked."""

import pytest
from django.db import DatabaseError, connection, transaction

from postbacks.infrastructure.database import prepared

_STATEMENT = "SELECT %(value)s::integer + 1"
_PLAN_COUNTS = """
SELECT generic_plans + custom_plans FROM pg_prepared_statements
WHERE statement = 'SELECT $1::integer + 1'
"""

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_statement_is_prepared_once_for_all_values() -> None:
    results = [prepared.run(_STATEMENT, {"value": value}) for value in (1, 2, 3)]

    assert results == [[(2,)], [(3,)], [(4,)]]
    assert _plan_counts() == [(3,)]


def test_a_statement_still_works_after_its_plan_was_forgotten() -> None:
    prepared.run(_STATEMENT, {"value": 1})

    prepared.replan()

    assert prepared.run(_STATEMENT, {"value": 2}) == [(3,)]


def test_a_refused_statement_raises_djangos_error_and_leaves_the_connection_usable() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        prepared.run("SELECT %(value)s::integer / 0", {"value": 1})

    assert prepared.run(_STATEMENT, {"value": 1}) == [(2,)]


def test_a_lost_connection_is_renewed_and_the_statement_prepared_again() -> None:
    prepared.run(_STATEMENT, {"value": 1})
    connection.close()

    assert prepared.run(_STATEMENT, {"value": 1}) == [(2,)]
    assert _plan_counts() == [(1,)]


def _plan_counts() -> list[tuple[int]]:
    with connection.cursor() as cursor:
        cursor.execute(_PLAN_COUNTS)
        return list(cursor.fetchall())
