"""The plans of the hot path: kept for the connection, made anew when asked."""

from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction

from postbacks.infrastructure.database import prepared
from tests.clock import Clock

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


def test_plans_are_made_anew_after_ten_seconds_or_many_rows_and_not_more_often() -> None:
    clock = Clock()
    plans = prepared.PlanAge(clock)
    first = plans.replan_if_old()  # the connection may have been another pump's

    clock.now = 9.0
    plans.add_rows(999)
    too_early = plans.replan_if_old()
    plans.add_rows(1)
    after_many_rows = plans.replan_if_old()
    clock.now = 18.9
    again_too_early = plans.replan_if_old()
    clock.now = 19.0

    assert (first, too_early, after_many_rows, again_too_early) == (True, False, True, False)
    assert plans.replan_if_old()


def test_a_refused_statement_raises_djangos_error_and_leaves_the_connection_usable() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        prepared.run("SELECT %(value)s::integer / 0", {"value": 1})

    assert prepared.run(_STATEMENT, {"value": 1}) == [(2,)]


def test_a_lost_connection_is_renewed_and_the_statement_prepared_again() -> None:
    prepared.run(_STATEMENT, {"value": 1})
    connection.close()

    assert prepared.run(_STATEMENT, {"value": 1}) == [(2,)]
    assert _plan_counts() == [(1,)]


@pytest.mark.parametrize("time_zone", ["UTC", "Europe/Kyiv", "America/St_Johns"])
def test_moments_are_loaded_as_django_loads_them(time_zone: str) -> None:
    moments = [
        datetime(2026, 11, 30, 8, 41, 17, 123456, tzinfo=UTC),
        datetime(2026, 11, 30, 8, 41, 17, 120000, tzinfo=UTC),
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),  # an hour that clocks of some zones show twice
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1883, 11, 18, 12, 3, 58, tzinfo=UTC),  # offsets had seconds
        datetime(9999, 12, 30, tzinfo=UTC),
        None,
    ]
    statement = "SELECT unnest(%(moments)s::timestamptz[])"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('TimeZone', %s, true)", [time_zone])
        cursor.execute("SELECT unnest(%s::timestamptz[])", [moments])
        by_django = [moment for (moment,) in cursor.fetchall()]
        loaded = [moment for (moment,) in prepared.run(statement, {"moments": moments})]
        with prepared.one_round_trip() as execute:
            together = execute(statement, {"moments": moments})
        assert [moment for (moment,) in together.fetchall()] == loaded
    assert [moment and moment.astimezone(UTC) for moment in loaded] == moments
    if time_zone == "UTC":  # as it is of every session of ours
        assert loaded == by_django
        assert [str(moment) for moment in loaded] == [str(moment) for moment in by_django]


def _plan_counts() -> list[tuple[int]]:
    with connection.cursor() as cursor:
        cursor.execute(_PLAN_COUNTS)
        return list(cursor.fetchall())
