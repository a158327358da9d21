"""Runs statements that are planned for their values: figures of some days, the rows of a device.

The values are written into the text. A plan that is kept would be the same for a device with few
rows and one with very many, and for one day and for a month.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from django.db import connection

from apps_registry.tenancy import current_organization

T = TypeVar("T")


def rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def run(statement: str, values: Mapping[str, Any] | Sequence[Any]) -> int:
    """Run a statement and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def fetch_rows(row_type: type[T], statement: str, **parameters: Any) -> list[T]:
    """Return the rows, each as a `row_type` by column names; `organization` is a parameter too."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {"organization": current_organization(), **parameters})
        names = [column.name for column in cursor.description]
        return [row_type(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def fetch_row(row_type: type[T], statement: str, **parameters: Any) -> T:
    (row,) = fetch_rows(row_type, statement, **parameters)
    return row
