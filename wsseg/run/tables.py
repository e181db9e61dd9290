"""The table of statistics that a stage wrote."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wsseg.errors import InputError


def read_table(folder: Path) -> pd.DataFrame:
    """Return the statistics of a complete stage.

    Args:
        folder: The stage's, where ``stats.parquet`` lies.

    Returns:
        A row an image, or an image and class; without columns where there was nothing to tell.

    Raises:
        InputError: The file is missing or damaged.
    """
    with _told(folder / "stats.parquet") as path:
        return pd.read_parquet(path)


def read_columns(folder: Path) -> pa.Table:
    """Return the statistics of a complete stage as they are stored: lists stay lists.

    Args:
        folder: The stage's, where ``stats.parquet`` lies.

    Returns:
        As ``read_table``.

    Raises:
        InputError: The file is missing or damaged.
    """
    with _told(folder / "stats.parquet") as path:
        return pq.read_table(path)


@contextmanager
def _told(path: Path) -> Iterator[Path]:
    try:
        yield path
    except (OSError, ValueError, pa.ArrowException) as error:
        missing = isinstance(error, FileNotFoundError)
        got = "no such file" if missing else " ".join(str(error).split())
        remedy = "delete the folder of its stage to make it again"
        raise InputError(path, "a readable table", got, remedy) from error
