"""Rows that our own code has made once, and that are written again with ids and texts of their own.

Making a tenant takes 45 statements, and nearly every test has one. Writing its rows once more takes
one statement, which is many times faster.
"""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

from django.db import models
from django.utils import timezone
from psycopg import sql

from tests.database import superuser

Row = dict[str, Any]
_PLACEHOLDER = re.compile(r"<<[^<>]+>>")
_NOW = "<<now>>"


class RowTemplate:
    """Rows that refer to each other: what must differ in each copy is a placeholder in them.

    These are ids, public UUIDs, times, and the texts that the caller names.
    """

    def __init__(self, rows: Mapping[type[models.Model], list[Row]], texts: Mapping[str, str]):
        self.text, self._ids, self._uuids = _with_placeholders(rows, texts)
        self._next_ids = sql.SQL("SELECT {}").format(
            sql.SQL(", ").join(_next_id(model._meta.db_table) for model in self._ids.values())
        )
        self._statement = sql.SQL("WITH {} SELECT 1").format(
            sql.SQL(", ").join(_insertion(model._meta.db_table) for model in rows)
        )

    def write(self, texts: Mapping[str, str]) -> Mapping[str, list[Row]]:
        """Write the rows with these texts; return them by table."""
        values = {f"<<{name}>>": json.dumps(text)[1:-1] for name, text in texts.items()}
        ids = superuser().execute(self._next_ids).fetchone() or ()
        values |= {mark: str(number) for mark, number in zip(self._ids, ids, strict=True)}
        values |= {mark: str(uuid.uuid4()) for mark in self._uuids}
        values[_NOW] = timezone.now().isoformat()
        text = _PLACEHOLDER.sub(lambda found: values[found[0]], self.text)
        superuser().execute(self._statement, {"rows": text})
        rows: Mapping[str, list[Row]] = json.loads(text)
        return rows


def stored_rows(model: type[models.Model], **where: int) -> list[Row]:
    """Return a model's rows as JSON has them, oldest first."""
    ((column, value),) = where.items()
    statement = sql.SQL("SELECT to_jsonb(row) FROM {} AS row WHERE {} = %s ORDER BY id").format(
        sql.Identifier(model._meta.db_table), sql.Identifier(column)
    )
    return [row for (row,) in superuser().execute(statement, [value])]


def loaded(model: type[models.Model], row: Row) -> Any:
    """Return the object that Django would read from a row of JSON."""
    fields = model._meta.concrete_fields
    values = [field.to_python(row[field.column]) for field in fields]
    return model.from_db("default", [field.attname for field in fields], values)


def _with_placeholders(
    rows: Mapping[type[models.Model], list[Row]], texts: Mapping[str, str]
) -> tuple[str, dict[str, type[models.Model]], list[str]]:
    """Return the rows as a JSON text, and the placeholders of their ids and UUIDs."""
    ids = {
        (model, row["id"]): f"<<{model._meta.db_table} {number}>>"
        for model, stored in rows.items()
        for number, row in enumerate(stored)
    }
    uuids: dict[str, str] = {}
    marked = {
        model._meta.db_table: [_marked_row(model, row, ids, uuids) for row in stored]
        for model, stored in rows.items()
    }
    text = json.dumps(marked)
    # The longest first: one text may be the beginning of another.
    for name, value in sorted(texts.items(), key=lambda item: -len(item[1])):
        text = text.replace(json.dumps(value)[1:-1], f"<<{name}>>")
    for value, mark in uuids.items():
        text = text.replace(value, mark)
    return text, {mark: model for (model, _), mark in ids.items()}, list(uuids.values())


def _marked_row(
    model: type[models.Model],
    row: Row,
    ids: Mapping[tuple[type[models.Model], int], str],
    uuids: dict[str, str],
) -> Row:
    marked = dict(row)
    for field in model._meta.concrete_fields:
        value = row[field.column]
        if field.primary_key or field.is_relation:
            of = model if field.primary_key else field.related_model
            marked[field.column] = ids.get((of, value), value)
        elif value and isinstance(field, models.UUIDField):
            uuids[value] = f"<<uuid {len(uuids)}>>"
        elif value and isinstance(field, models.DateTimeField):
            marked[field.column] = _NOW
    return marked


def _next_id(table: str) -> sql.Composed:
    """Return an expression for an id that is higher than any before, as in a row made anew."""
    return sql.SQL("nextval(pg_get_serial_sequence({}, 'id'))").format(sql.Literal(table))


def _insertion(table: str) -> sql.Composed:
    return sql.SQL(
        "{table} AS (INSERT INTO {table} SELECT * FROM"
        " jsonb_populate_recordset(NULL::{table}, %(rows)s::jsonb -> {name}))"
    ).format(table=sql.Identifier(table), name=sql.Literal(table))
