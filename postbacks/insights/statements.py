"""Runs the statements of figures for the current organization, rows by column names.

Their values are written into the text, so that PostgreSQL plans for the days that they name.
"""

from typing import Any, TypeVar

from django.db import connection

from apps_registry.tenancy import current_organization

T = TypeVar("T")


def fetch_rows(row_type: type[T], statement: str, **parameters: Any) -> list[T]:
    """Return the rows, each as a `row_type` by column names; `organization` is a parameter too."""
    with connection.cursor() as cursor:
        cursor.execute(statement, {"organization": current_organization(), **parameters})
        names = [column.name for column in cursor.description]
        return [row_type(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def fetch_row(row_type: type[T], statement: str, **parameters: Any) -> T:
    (row,) = fetch_rows(row_type, statement, **parameters)
    return row
