"""Parquet out of the portions that a worker has stored, each a stream of Arrow with its own schema.

A Parquet file can't be written on after a stop, and streams can: one just follows the other.
pyarrow is an extra of some 150 MB, so only the worker that writes such a file imports it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from apps_registry.csv_format import ColumnType, typed_value

IS_MISSING = (
    "Parquet needs pyarrow, which is not installed here. Take CSV or JSON Lines, or ask the "
    "operator to install it: pip install postbacks[parquet]."
)
GROUP_ROWS = 10_000  # in memory at once; the file ends with a note of each group's columns
_MODULE = "pyarrow"
_DIGITS, _PLACES = 38, 12  # as revenue is stored; what DuckDB and BigQuery read as a decimal


def is_available() -> bool:
    """Tell whether Parquet can be written here."""
    return find_spec(_MODULE) is not None


def encode(types: Mapping[str, ColumnType], rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as a stream of Arrow, empty if there are none."""
    pyarrow = _pyarrow()
    columns = list(zip(*rows, strict=True))
    if not columns:
        return b""
    schema = _schema(types)
    arrays = [
        _array(type_, field.type, values)
        for type_, field, values in zip(types.values(), schema, columns, strict=True)
    ]
    stored = pyarrow.BufferOutputStream()
    options = pyarrow.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pyarrow.ipc.new_stream(stored, schema, options=options) as stream:
        stream.write_batch(pyarrow.record_batch(arrays, schema=schema))
    return bytes(stored.getvalue())


def write(
    stored: Path, target: Path, types: Mapping[str, ColumnType], show_life: Callable[[], None]
) -> int:
    """Write a file of streams (`encode`) as Parquet; return its size."""
    from pyarrow import parquet

    schema = _schema(types)
    groups = _groups(stored)
    first = next(groups, schema.empty_table())
    repeating = _repeating_columns(first)
    with parquet.ParquetWriter(
        target, schema, compression="zstd", use_dictionary=repeating
    ) as writer:
        for group in chain([first], groups):
            writer.write_table(group, row_group_size=2 * GROUP_ROWS)
            show_life()
    return target.stat().st_size


def _groups(stored: Path) -> Iterator[Any]:
    """Yield the rows of a file of streams as tables of about GROUP_ROWS."""
    pyarrow = _pyarrow()
    batches: list[Any] = []
    with pyarrow.OSFile(str(stored)) as file:
        while file.tell() < file.size():
            batches += pyarrow.ipc.open_stream(file)
            if sum(batch.num_rows for batch in batches) >= GROUP_ROWS:
                yield pyarrow.Table.from_batches(batches)
                batches.clear()
    if batches:
        yield pyarrow.Table.from_batches(batches)


def _repeating_columns(table: Any) -> list[str]:
    """Return the columns of texts that a dictionary makes shorter: IDs, say, are all different."""
    pyarrow = _pyarrow()
    return [
        field.name
        for field, column in zip(table.schema, table.columns, strict=True)
        if field.type == pyarrow.string()
        and 2 * len(column.unique()) <= len(column) - column.null_count
    ]


def _array(type_: ColumnType, arrow_type: Any, values: Sequence[object]) -> Any:
    """Return a column's values as its type is stored."""
    pyarrow = _pyarrow()
    if values.count(None) == len(values):
        return pyarrow.nulls(len(values), arrow_type)
    if type_ is ColumnType.TEXT:
        try:
            return pyarrow.array(values, arrow_type)
        except (pyarrow.ArrowException, UnicodeEncodeError):
            pass  # some are no texts, or are none that UTF-8 can hold
    typed = [typed_value(type_, value) for value in values]
    if type_ in {ColumnType.INTEGER, ColumnType.BOOLEAN}:
        return pyarrow.array(typed, arrow_type)
    texts = [text if text is None else str(text).encode("utf-8", "replace") for text in typed]
    return pyarrow.array(texts, pyarrow.string()).cast(arrow_type)


def _schema(types: Mapping[str, ColumnType]) -> Any:
    pyarrow = _pyarrow()
    arrow_types = {
        ColumnType.TEXT: pyarrow.string(),
        ColumnType.TIME: pyarrow.timestamp("ms", tz="UTC"),
        ColumnType.MONEY: pyarrow.decimal128(_DIGITS, _PLACES),
        ColumnType.INTEGER: pyarrow.int64(),
        ColumnType.BOOLEAN: pyarrow.bool_(),
    }
    return pyarrow.schema([(name, arrow_types[type_]) for name, type_ in types.items()])


def _pyarrow() -> Any:
    import pyarrow

    pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # which gives back what it had
    return pyarrow
