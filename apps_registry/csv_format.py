"""Rows as files: CSV that is safe to open in a spreadsheet, JSON Lines and Parquet for programs.

A spreadsheet would run a text that begins like a formula, so such a text gets an apostrophe in
front (https://owasp.org/www-community/attacks/CSV_Injection). Spreadsheets drop blanks that begin
a cell and read a sign's wide forms as the sign. Numbers stay numbers.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import TextChoices
from django.utils.text import slugify

BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}".encode()  # without it Excel guesses the encoding
MAX_ROWS = 100_000
CHUNK_SIZE = 1_000  # in memory, and in one transaction

_FORMULA_SIGNS = frozenset("=+-@")
_BLANK_PREFIXES = ("\t", "\r", "\n")
_SEPARATORS = re.compile(r"([;\r\n])")  # of cells and rows, in one or the other country
# Letters and symbols that show as nothing; the other blanks have a category of their own.
_EMPTY_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")


class FileFormat(TextChoices):
    """What a list is written as; the values end the files' names."""

    CSV = "csv", "CSV"
    JSON_LINES = "jsonl", "JSON Lines"
    PARQUET = "parquet", "Parquet"

    @property
    def content_type(self) -> str:
        return _CONTENT_TYPES[self.value]


STREAMED = (FileFormat.CSV, FileFormat.JSON_LINES)  # the others end with what they began with
_CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}


class ColumnType(Enum):
    """What a column holds, in formats that know types."""

    TEXT = "text"  # lists and objects too, as JSON
    TIME = "time"
    MONEY = "money"
    INTEGER = "integer"
    BOOLEAN = "boolean"


def encode_json_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as JSON objects, one a line, by their columns; times are ISO 8601 in UTC."""
    lines = (
        json.dumps(
            {name: _json_value(value) for name, value in zip(columns, row, strict=True)},
            ensure_ascii=False,
            cls=DjangoJSONEncoder,
        )
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "replace")


def encode_rows(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as CSV (RFC 4180) in UTF-8."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(
        # Most cells of events are empty.
        ["" if value is None else format_cell(value) for value in row]
        for row in rows
    )
    return buffer.getvalue().encode("utf-8", "replace")


def format_cell(value: object) -> str:
    """Return a value as the text of a cell that no spreadsheet runs."""
    if isinstance(value, dict | list | tuple):
        return _without_formula(json.dumps(value, ensure_ascii=False, default=str))
    text = format_value(value)
    is_plain = value is None or isinstance(value, bool | datetime | Decimal | int | float)
    return text if is_plain else _without_formula(text)


def format_value(value: object) -> str:
    """Return a value as text; times are ISO 8601 in UTC."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None)
        return utc.isoformat(timespec="milliseconds") + "Z"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def typed_value(type_: ColumnType, value: object) -> object:
    """Return a value as a column of the type has it; times and amounts are texts, as is JSON."""
    if value is None or (value == "" and type_ is not ColumnType.TEXT):
        return None
    if type_ is ColumnType.BOOLEAN:
        return value in (True, 1, "1", "true")  # consent frameworks write 0 and 1
    if type_ is ColumnType.INTEGER:
        return int(str(value))
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return format_value(value)


def file_name(
    kind: str, organization: str, at: datetime, ending: FileFormat = FileFormat.CSV
) -> str:
    """Return a name such as `events-gem-harbor-2026-05-04.csv`, safe in any header and folder."""
    slug = slugify(organization)[:60].strip("-_") or "organization"
    return f"{slugify(kind)}-{slug}-{at.astimezone(UTC):%Y-%m-%d}.{ending}"


def chunks(keys: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the keys in slices of CHUNK_SIZE."""
    for start in range(0, len(keys), CHUNK_SIZE):
        yield keys[start : start + CHUNK_SIZE]


def _json_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | dict | list | tuple):
        return value
    return format_cell(value) if isinstance(value, datetime | Decimal) else str(value)


def _without_formula(text: str) -> str:
    """Put an apostrophe before each place where a formula would begin.

    A spreadsheet whose separator is another one than ours takes no notice of our quotes either:
    for it a cell, or a row, begins within the text.
    """
    if _is_formula(text) or text.startswith(_BLANK_PREFIXES):
        text = f"'{text}"
    if _SEPARATORS.search(text) is None:
        return text
    first, *others = _SEPARATORS.split(text)
    pieces = [first]
    for separator, piece in zip(others[::2], others[1::2], strict=True):
        pieces += [separator, f"'{piece}" if _is_formula(piece.replace('"', "")) else piece]
    return "".join(pieces)


def _is_formula(text: str) -> bool:
    if text[:1].isascii() and text[:1].isalnum():  # most texts
        return False
    first = next((char for char in text if not _is_blank(char)), "")
    return unicodedata.normalize("NFKC", first) in _FORMULA_SIGNS


def _is_blank(char: str) -> bool:
    return unicodedata.category(char) in {"Zs", "Zl", "Zp", "Cc", "Cf"} or char in _EMPTY_LETTERS
