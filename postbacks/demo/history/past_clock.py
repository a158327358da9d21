"""Lets the demo's own connection live in the past. Nothing but the demo's history uses it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
from django.db import connection

from postbacks.infrastructure.database import database_clock, roles

# PostgreSQL's own `now` is looked for last: the statements of intake, decisions and log stay as
# they are, and so do their triggers.
_CREATE = """
DROP SCHEMA IF EXISTS demo_clock CASCADE;
CREATE SCHEMA demo_clock;
CREATE FUNCTION demo_clock.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS $$ SELECT current_setting('demo.now')::timestamptz $$;
GRANT USAGE ON SCHEMA demo_clock TO postbacks_worker;
"""


@contextmanager
def past_clock(superuser: str) -> Iterator[Callable[[datetime], None]]:
    """Yield a function that sets this connection's time; `superuser` says how it connects.

    The connection is a worker's, which may write any tenant's logs, and is closed at the end.
    """
    with psycopg.connect(superuser, autocommit=True) as creating:
        creating.execute(_CREATE)
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {roles.WORKER}")
        cursor.execute("SET search_path = demo_clock, public, pg_catalog")
        cursor.execute("SET synchronous_commit = off")  # what is lost is written again

    def set_time(at: datetime) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('demo.now', %s, false)", [at.isoformat()])
        asked = time.monotonic()
        database_clock.note(at, asked_at=asked, answered_at=asked)

    try:
        yield set_time
    finally:
        connection.close()
        database_clock.ask()
        with psycopg.connect(superuser, autocommit=True) as removing:
            removing.execute("DROP SCHEMA demo_clock CASCADE")
