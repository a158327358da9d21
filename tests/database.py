"""The tests' database: made as owner, used as web, emptied as superuser."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TypeVar, cast

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg import sql
from psycopg.pq import TransactionStatus

from postbacks.callbacks.rules import compiled
from postbacks.infrastructure import known_configuration
from postbacks.infrastructure.database import partitions, roles
from postbacks.insights import device_identifiers, live

T = TypeVar("T")

# Each process of a run that is shared out has a database of its own.
NAME = f"test_postbacks{os.environ.get('PYTEST_XDIST_WORKER', '')}"
# The first of them migrates, and the others copy what it made; the run is the template's comment.
_TEMPLATE = "test_postbacks_template"
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
_TAKING_TURNS = 0x7E57  # roles are the whole server's
# Today and two days: PostgreSQL plans for each day's table, and no test needs the whole week.
_DAYS_AHEAD = 3
# From tables that were ever written to: TRUNCATE makes a new file for each of a hundred tables,
# which took longer than most tests. `replica` leaves triggers and references alone.
_EMPTY = """
DO $$
DECLARE
    written record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR written IN
        SELECT relname, pg_relation_size(oid) > 1000000 AS is_large FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
          AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
    LOOP
        IF written.is_large THEN
            EXECUTE format('TRUNCATE %I CASCADE', written.relname);
        ELSE
            EXECUTE format('DELETE FROM %I', written.relname);
        END IF;
    END LOOP;
END $$
"""
# The rows of a table that has any, into a table of the same name in a schema of their own.
_COPY = """
DO $$
DECLARE
    written record;
    is_filled boolean;
BEGIN
    CREATE SCHEMA {kept};
    FOR written IN
        SELECT relname FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
          AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', written.relname) INTO is_filled;
        IF is_filled THEN
            EXECUTE format('CREATE TABLE {kept}.%1$I AS TABLE public.%1$I', written.relname);
        END IF;
    END LOOP;
END $$
"""
# Every time in them is moved by what has passed since, within the day that their partition is for.
_COPY_BACK = """
DO $$
DECLARE
    kept record;
    passed interval := date_trunc('second', now() - '{made_at}'::timestamptz);
BEGIN
    SET LOCAL session_replication_role = replica;
    IF (now() AT TIME ZONE 'UTC')::date <> ('{made_at}'::timestamptz AT TIME ZONE 'UTC')::date THEN
        passed := '0';
    END IF;
    FOR kept IN
        SELECT relname, string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns,
            string_agg(
                quote_ident(attname) || CASE atttypid WHEN 'timestamptz'::regtype
                    THEN format(' + %L::interval', passed) ELSE '' END,
                ', ' ORDER BY attnum) AS "values"
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
        WHERE relnamespace = '{kept}'::regnamespace AND relkind = 'r' AND NOT EXISTS (
            SELECT FROM pg_attribute AS generated
            WHERE generated.attrelid = format('public.%I', relname)::regclass
              AND generated.attname = pg_attribute.attname AND generated.attgenerated <> ''
        )
        GROUP BY relname
    LOOP
        EXECUTE format('INSERT INTO public.%1$I (%2$s) SELECT %3$s FROM {kept}.%1$I',
            kept.relname, kept.columns, kept."values");
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True)
class _Kept:
    schema: str  # where the rows are
    made_at: datetime
    made: object


_made_once: dict[Callable[[], object], _Kept] = {}


def create() -> None:
    """Make a fresh database and migrate it as owner, then turn this connection to web."""
    admin = superuser_conninfo("postgres")
    with psycopg.connect(admin, autocommit=True) as superuser:
        superuser.execute("SELECT pg_advisory_lock(%s)", [_TAKING_TURNS])
        superuser.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        is_copied = bool(_RUN) and _run_of_template(superuser) == _RUN
        superuser.execute(
            f"CREATE DATABASE {NAME} TEMPLATE {_TEMPLATE if is_copied else 'template1'}"
        )
        roles.ensure_roles(
            psycopg.conninfo.make_conninfo(admin, dbname=NAME),
            login=connection.settings_dict["USER"],
        )
        connection.close()
        settings.DATABASES["default"]["NAME"] = connection.settings_dict["NAME"] = NAME
        if not is_copied:
            _migrate()
        if _RUN and not is_copied:
            superuser.execute(f"DROP DATABASE IF EXISTS {_TEMPLATE} WITH (FORCE)")
            superuser.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE {NAME}")
            superuser.execute(f"COMMENT ON DATABASE {_TEMPLATE} IS '{_RUN}'")
    connection.settings_dict["OPTIONS"]["assume_role"] = roles.WEB


def _run_of_template(superuser: psycopg.Connection) -> str:
    row = superuser.execute(
        "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s",
        [_TEMPLATE],
    ).fetchone()
    return row[0] if row else ""


def _migrate() -> None:
    connection.settings_dict["OPTIONS"]["assume_role"] = roles.OWNER
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partitions, "DAYS_AHEAD", _DAYS_AHEAD)
        call_command("migrate", verbosity=0)
    connection.close()


def must_reconnect() -> bool:
    """Tell whether a test has left more behind in its connection than an open session.

    Django would open a connection for each test. In a new one PostgreSQL reads its catalog again
    for every table, which took longer than the statements.
    """
    session = connection.connection
    if session is None or not connection.get_autocommit() or connection.in_atomic_block:
        return True
    if session.closed or session.info.transaction_status != TransactionStatus.IDLE:
        return True
    try:
        return bool(session.execute(_IS_CHANGED).fetchone()[0])
    except psycopg.OperationalError:  # the server has ended it
        return True


# What a test has set in the session, locked or made there and left: the next is to see none of it.
_IS_CHANGED = f"""
SELECT current_user <> '{roles.WEB}' OR coalesce(current_setting('pb.org', true), '') <> ''
    OR EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
    OR EXISTS (SELECT FROM pg_class WHERE relnamespace = pg_my_temp_schema())
"""


def empty() -> None:
    """Remove every row that a test wrote.

    Raises AssertionError if the test has left this connection in a role that is not web.
    """
    superuser().execute(_EMPTY)
    options = connection.settings_dict["OPTIONS"]
    left_in, options["assume_role"] = options["assume_role"], roles.WEB
    if left_in != roles.WEB:
        connection.close()  # the next test is not to fail for this one
        raise AssertionError(f"The test has left its connection in the role {left_in}.")


def made_once(make: Callable[[], T]) -> T:
    """Return what a function makes in the empty database, where its rows are then.

    It runs once in a process. Later calls put its rows back, which is many times faster, so that
    the ids in them are those of the first call, and times are later by what has passed since.
    """
    if make in _made_once:
        kept = _made_once[make]
        superuser().execute(_COPY_BACK.format(kept=kept.schema, made_at=kept.made_at))
        _forget_rows_of_same_ids()
    else:
        made = make()
        kept = _Kept(f"kept_{len(_made_once)}", datetime.now(UTC), made)
        superuser().execute(_COPY.format(kept=kept.schema))
        _made_once[make] = kept
    return cast(T, deepcopy(kept.made))


def _forget_rows_of_same_ids() -> None:
    """Empty what this process keeps in memory: another test may have changed rows of these ids."""
    known_configuration._version._read_at = -known_configuration.SECONDS
    compiled._requests = compiled._WeightedCache(compiled._KEPT_REQUESTS)
    compiled._marked_at.clear()
    live.rings._rings.clear()
    device_identifiers.remembered.clear()


def is_kept(make: Callable[[], object]) -> bool:
    """Tell whether a function's rows can be put back."""
    return make in _made_once


def is_empty() -> bool:
    """Tell whether no table has a row."""
    written = superuser().execute(_WRITTEN).fetchall()
    exists = sql.SQL("SELECT EXISTS (SELECT FROM public.{})")
    return not any(
        superuser().execute(exists.format(sql.Identifier(table))).fetchone() == (True,)
        for (table,) in written
    )


_WRITTEN = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0
  AND relname NOT IN ('django_migrations', 'django_content_type', 'auth_permission')
"""


@cache
def superuser() -> psycopg.Connection:
    """Return the superuser's connection, which stays open for all tests."""
    return psycopg.connect(superuser_conninfo(), autocommit=True)


def environment() -> dict[str, str]:
    """Return the environment of one of our processes that works on the tests' database."""
    login, host = connection.settings_dict["USER"], connection.settings_dict["HOST"]
    keys = settings.FIELD_ENCRYPTION_KEYS.items()
    return {
        **os.environ,
        "DATABASE_URL": f"postgresql://{login}@/{NAME}?host={host}",
        "SECRET_KEY": settings.SECRET_KEY,  # with which tasks are signed
        "FIELD_ENCRYPTION_KEYS": ",".join(f"{name}:{key}" for name, key in keys),
    }


@contextmanager
def as_role(role: str) -> Iterator[None]:
    """Let this thread's connection be another role, as another process of ours would be.

    All threads' connections share one dictionary of settings. It is replaced, not changed: of two
    threads that each put back what they found, the later put back the other's role for good.
    """
    before = connection.settings_dict
    _set_role(role)
    connection.settings_dict = {**before, "OPTIONS": {**before["OPTIONS"], "assume_role": role}}
    try:
        yield
    finally:
        connection.settings_dict = before
        _set_role(before["OPTIONS"]["assume_role"])


def _set_role(role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


def wait_for_a_lock(*, waiters: int = 1) -> None:
    """Wait until somebody, or so many, wait for a lock."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks LEFT JOIN pg_database ON pg_database.oid = database"
                " WHERE NOT granted AND coalesce(datname, current_database()) = current_database()"
            )
            if cursor.fetchone()[0] >= waiters:
                return
        time.sleep(0.01)
    raise AssertionError("Nobody waits for a lock.")


def has_open_transaction(seconds: float = 10.0) -> bool:
    """Tell whether one of the transactions that are open now stays open for so long.

    A moment between two statements looks the same as a transaction that waits for something.
    """
    with psycopg.connect(superuser_conninfo(), autocommit=True) as superuser:
        row = superuser.execute("SELECT now()").fetchone()
        deadline = time.monotonic() + seconds
        while superuser.execute(_STILL_OPEN, row).fetchone() != (0,):
            if time.monotonic() > deadline:
                return True
            time.sleep(0.05)
    return False


_STILL_OPEN = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < %s
"""


def superuser_conninfo(name: str = NAME) -> str:
    """Return how the tests' superuser connects to a database."""
    given = os.environ.get("DATABASE_ADMIN_URL")
    host = connection.settings_dict["HOST"]
    return psycopg.conninfo.make_conninfo(given or f"host={host} user=postgres", dbname=name)
