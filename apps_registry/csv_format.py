"""Rows as CSV that spreadsheets read as plain data.

A text that begins like a formula would be run by the spreadsheet that opens it, so it gets an
apostrophe in front (https://owasp.org/www-community/attacks/CSV_Injection). Numbers are numbers.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from django.utils.text import slugify

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()  # without it Excel guesses the encoding
MOST_ROWS = 100_000
ROWS_AT_ONCE = 1_000  # in memory, and in one transaction

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as lines of CSV (RFC 4180), in UTF-8."""
    written = io.StringIO()
    csv.writer(written).writerows([cell(value) for value in row] for row in rows)
    return written.getvalue().encode("utf-8", "replace")


def cell(value: object) -> str:
    """Return a value as a cell holds it; times are ISO 8601 in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        shown = value.astimezone(UTC).replace(tzinfo=None)
        return shown.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, dict | list | tuple):
        return _harmless(json.dumps(value, ensure_ascii=False, default=str))
    return _harmless(str(value))


def file_name(kind: str, organization: str, at: datetime) -> str:
    """Return a name such as `events-gem-harbor-2026-05-04.csv`, safe in any header and folder."""
    whose = slugify(organization)[:60].strip("-_") or "organization"
    return f"{slugify(kind)}-{whose}-{at.astimezone(UTC):%Y-%m-%d}.csv"


def chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield keys in portions that are read at once."""
    for start in range(0, len(keys), ROWS_AT_ONCE):
        yield keys[start : start + ROWS_AT_ONCE]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
