"""Runs the statements of the hot path, whose plans PostgreSQL keeps for the connection.

Django's cursors put the values into the text, so that every statement is planned again. With a
partition for each day that takes longer than the work itself.
"""

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from importlib.resources import files
from typing import Any, TypeVar, cast

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import Format
from psycopg.rows import RowFactory, RowMaker, args_row, kwargs_row, tuple_row

from postbacks.infrastructure.database.stalls import restart_wait

T = TypeVar("T")

_ENUM_WORD = re.compile(r":'(\w+)\.(\w+)'")
_MANY_ROWS = 1_000
_LONGEST_KEPT_SECONDS = 10.0
_PLAIN_WORD = re.compile(r"[a-z0-9_]+")
_TIMESTAMPTZ = psycopg.adapters.types["timestamptz"].oid
# In C, where psycopg has it. Django's is Python, and a postback has eight to load on its way.
_TIMESTAMPTZ_LOADER = psycopg.adapters.get_loader(_TIMESTAMPTZ, Format.TEXT)


def load_sql(package: str, name: str, *enums: type[Enum], **parts: str) -> str:
    """Return the statement in `sql/<name>.sql` of a package.

    Values are parameters. Words of `enums` are written into the text, for PostgreSQL plans better
    with a status that it knows: `:'PostbackStatus.PENDING'` becomes `'pending'`. `parts` are other
    statements of ours that stand in it by their names, as `(:find_queues)`. Raises ValueError for
    a word that no enum holds, and for one that is more than letters, digits and underscores.
    """
    by_name = {enum.__name__: enum for enum in enums}

    def literal(match: re.Match[str]) -> str:
        enum_name, member = match.groups()
        if enum_name not in by_name or member not in by_name[enum_name].__members__:
            raise ValueError(f"{package}/sql/{name}.sql: no enum holds {enum_name}.{member}")
        word = by_name[enum_name][member].value
        if not isinstance(word, str) or not _PLAIN_WORD.fullmatch(word):
            raise ValueError(f"{package}/sql/{name}.sql: {word!r} can't stand in a statement")
        return f"'{word}'"

    text = (files(package) / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    for part_name, statement in parts.items():
        text = text.replace(f"(:{part_name})", f"(\n{statement})")
    return _ENUM_WORD.sub(literal, text)


def within_days(statement: str, first: datetime, last: datetime) -> str:
    """Return a statement with its bounds `'-infinity'` and `'infinity'` narrowed to some days.

    With parameters PostgreSQL would plan for the partitions of days that look short.
    """
    return statement.replace("'-infinity'", f"'{first}'").replace("'infinity'", f"'{last}'")


def run(statement: str, parameters: Mapping[str, object]) -> list[tuple[Any, ...]]:
    """Run a prepared statement in the current transaction and return its rows.

    Raises Django's database errors. Each text is kept: nothing but days may vary in it.
    """
    with _executed(statement, parameters, tuple_row) as cursor:
        return cursor.fetchall() if _has_rows(cursor) else []


def fetch(make_row: Callable[..., T], statement: str, parameters: Mapping[str, object]) -> list[T]:
    """Run a prepared statement that returns rows; `make_row` gets each by column names.

    `make_row` is a class with these fields, or a function with these keyword arguments.
    """
    with _executed(statement, parameters, _row_factory(make_row)) as cursor:
        return cursor.fetchall()


def _row_factory(make_row: Callable[..., T]) -> RowFactory[T]:
    """Have rows made by position where the columns are a dataclass's first fields, else by name."""
    fields = getattr(make_row, "__match_args__", ())

    def factory(cursor: psycopg.Cursor[Any]) -> RowMaker[T]:
        names = _column_names(cursor)
        is_in_order = bool(names) and fields[: len(names)] == names
        return (args_row if is_in_order else kwargs_row)(make_row)(cursor)

    return factory


# Not by `description`, which makes an object of each column and looks its type up: an eighth of
# what a pump takes for a single event.
def _column_names(cursor: psycopg.Cursor[Any]) -> tuple[str, ...]:
    result = cursor.pgresult
    if result is None:
        return ()
    return tuple((result.fname(place) or b"").decode() for place in range(result.nfields))


def _has_rows(cursor: psycopg.Cursor[Any]) -> bool:
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


def array_of(values: Iterable[int | datetime | None]) -> str:
    """Return numbers or moments as PostgreSQL writes an array of them.

    psycopg looks up how to write each single value, which for a batch's takes long.
    """
    return f"{{{','.join('NULL' if value is None else str(value) for value in values)}}}"


@contextmanager
def _executed(
    statement: str, parameters: Mapping[str, object], row_factory: RowFactory[T]
) -> Iterator[psycopg.Cursor[T]]:
    database = connections[DEFAULT_DB_ALIAS]  # once: `connection` looks it up for each attribute
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        yield _execute(_open(database), statement, parameters, row_factory)


Parameters = Sequence[object] | Mapping[str, object]
Execute = Callable[[str, Parameters], psycopg.Cursor[tuple[Any, ...]]]


@contextmanager
def one_round_trip() -> Iterator[Execute]:
    """Open a transaction whose statements go to PostgreSQL at once, and are committed with that.

    Gives a function that adds a statement; the rows of its cursor are there when the block has
    ended. Within an open transaction it is a savepoint. Raises Django's database errors at the
    block's end; nothing was stored then, unless the connection was lost on the way of the commit.
    """
    connection.validate_no_broken_transaction()
    is_nested = connection.in_atomic_block
    with connection.wrap_database_errors:
        session = _open(connections[DEFAULT_DB_ALIAS])

        def execute(statement: str, parameters: Parameters = ()) -> psycopg.Cursor[tuple[Any, ...]]:
            return _execute(session, statement, parameters, tuple_row)

        # What a pipeline holds is one transaction, where none is open: its end commits.
        with session.pipeline():
            if is_nested:
                execute("SAVEPOINT together")
            yield execute
            if is_nested:
                execute("RELEASE SAVEPOINT together")


def _execute(
    session: psycopg.Connection, statement: str, parameters: Parameters, row_factory: RowFactory[T]
) -> psycopg.Cursor[T]:
    restart_wait()
    # Of psycopg's own kind: Django's puts values into the text, which can't be prepared.
    cursor = psycopg.Cursor(session, row_factory=row_factory)
    if _TIMESTAMPTZ_LOADER is not None:
        cursor.adapters.register_loader(_TIMESTAMPTZ, _TIMESTAMPTZ_LOADER)
    return cursor.execute(statement.encode(), parameters, prepare=True)


def _open(database: BaseDatabaseWrapper) -> psycopg.Connection:
    """Return Django's connection, opened or renewed as Django's own cursors do it."""
    database.close_if_health_check_failed()
    database.ensure_connection()
    return cast(psycopg.Connection, database.connection)


def replan() -> None:
    """Forget the plans. One that was made for a small table is slow once the table has grown."""
    with connection.cursor() as cursor:
        cursor.execute("DISCARD PLANS")


@dataclass(slots=True)
class PlanAge:
    """Tells when the plans of a long-lived connection may be those of much smaller tables.

    That is once many rows have passed through it, or after ten seconds, long before statistics are
    renewed. Not more often: to plan all statements of a pump anew takes about ten milliseconds, and
    whatever comes next waits for that.
    """

    clock: Callable[[], float] = time.monotonic
    _began_at: float = -math.inf
    _rows: int = 0

    def add_rows(self, count: int) -> None:
        self._rows += count

    def replan_if_old(self) -> bool:
        """Forget the plans if they are old; tell whether they were."""
        if self._rows < _MANY_ROWS and self.clock() < self._began_at + _LONGEST_KEPT_SECONDS:
            return False
        replan()
        self._began_at, self._rows = self.clock(), 0
        return True
