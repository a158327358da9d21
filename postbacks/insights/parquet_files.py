"""Parquet out of the typed lines that a worker has written, a block after the other.

pyarrow is an extra of some 150 MB, so only the worker that writes such a file imports it.
"""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from apps_registry.csv_format import ColumnType

IS_MISSING = (
    "Parquet needs pyarrow, which is not installed here. Take CSV or JSON Lines, or ask the "
    "operator to install it: pip install postbacks[parquet]."
)
_MODULE = "pyarrow"
_BLOCK_BYTES = 4 * 1024 * 1024  # longer than any line
_DIGITS, _PLACES = 38, 12  # as revenue is stored; what DuckDB and BigQuery read as a decimal


def is_available() -> bool:
    """Tell whether Parquet can be written here."""
    return find_spec(_MODULE) is not None


def write(
    lines: Path, target: Path, types: Mapping[str, ColumnType], show_life: Callable[[], None]
) -> int:
    """Write a file of typed lines (`csv_format.encode_typed_lines`) as Parquet; return its size."""
    import pyarrow
    from pyarrow import json, parquet

    schema = _schema(types)
    with parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        if lines.stat().st_size:
            for block in json.open_json(
                lines,
                read_options=json.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES),
                parse_options=json.ParseOptions(
                    explicit_schema=schema, unexpected_field_behavior="error"
                ),
                memory_pool=pyarrow.system_memory_pool(),  # which gives back what it had
            ):
                writer.write_batch(block)
                show_life()
    return target.stat().st_size


def _schema(types: Mapping[str, ColumnType]) -> Any:
    import pyarrow

    arrow_types = {
        ColumnType.TEXT: pyarrow.string(),
        ColumnType.TIME: pyarrow.timestamp("ms", tz="UTC"),
        ColumnType.MONEY: pyarrow.decimal128(_DIGITS, _PLACES),
        ColumnType.INTEGER: pyarrow.int64(),
        ColumnType.BOOLEAN: pyarrow.bool_(),
    }
    return pyarrow.schema([(name, arrow_types[type_]) for name, type_ in types.items()])
