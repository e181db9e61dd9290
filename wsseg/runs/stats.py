"""The table of a stage: one row per image and class, with checksums."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wsseg.errors import DamagedError
from wsseg.files import atomic_write

_NAME = "stats.parquet"

Rows = Sequence[dict[str, Any]]
"""Some rows of a table: values by name, each a number, a text, or a list of numbers or dicts."""


def write_stats(folder: Path, groups: Callable[[], Iterable[Rows]]) -> None:
    """Write ``stats.parquet`` atomically, a group of rows at a time.

    Args:
        groups: Called twice: to determine the columns, and to write them. Missing values and NaN
            become null.
    """
    types: dict[str, pa.DataType] = {}
    for rows in groups():
        for name in dict.fromkeys(key for row in rows for key in row):
            found = _column(rows, name).type
            types[name] = _wider(types[name], found) if name in types else found
    schema = pa.schema(list(types.items()))
    with (
        atomic_write(folder / _NAME) as file,
        pq.ParquetWriter(file, schema, write_page_checksum=True) as writer,
    ):
        for rows in groups():
            columns = [_column(rows, field.name, field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def read_stats(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the table of a stage.

    Args:
        columns: Names of columns; None reads all.

    Raises:
        DamagedError: The file is missing or damaged.
    """
    with _whole(folder) as path:
        named = None if columns is None else list(columns)
        return pq.read_table(path, columns=named, page_checksum_verification=True)


def stats_batches(folder: Path, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the table of a stage in parts of at most ``size`` rows.

    Raises:
        DamagedError: The file is missing or damaged.
    """
    with _whole(folder) as path, pq.ParquetFile(path, page_checksum_verification=True) as file:
        yield from file.iter_batches(size)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    path, remedy = folder / _NAME, f"delete {folder} and run the same command again"
    try:
        yield path
    except FileNotFoundError as error:
        raise DamagedError(path, "the table of its stage", "no such file", remedy) from error
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        got = f"a damaged file ({type(error).__name__})"
        raise DamagedError(path, "the table of its stage", got, remedy) from error


def _column(rows: Rows, name: str, type: pa.DataType | None = None) -> pa.Array:
    return pa.array([row.get(name) for row in rows], type, from_pandas=True)


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that holds both; an empty list takes the type of the other."""
    if pa.types.is_null(one) or (pa.types.is_list(one) and pa.types.is_null(one.value_type)):
        return other
    return other if pa.types.is_integer(one) and pa.types.is_floating(other) else one
