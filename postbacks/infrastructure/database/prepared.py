"""Runs the statements of an event's way, whose plans PostgreSQL keeps for the connection.

Django's cursors put the values into the text, so that every statement is planned anew. With a
partition for each day that takes longer than the work itself.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection


def run(statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a prepared statement in the current transaction and return its rows.

    Raises Django's database errors. Each text is kept: nothing but days may vary in it.
    """
    connection.validate_no_broken_transaction()
    with connection.cursor(), connection.wrap_database_errors:  # opens or renews the connection
        cursor = psycopg.Cursor(connection.connection)
        cursor.execute(statement.encode(), parameters, prepare=True)
        return cursor.fetchall() if cursor.description else []


def plan_anew() -> None:
    """Forget the plans. One that was made for a small table is slow once the table has grown.

    Whoever stays connected calls this about once a second, long before statistics are renewed.
    """
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")
