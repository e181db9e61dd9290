"""The table of a stage: a row an image and class, with checksums."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wsseg.errors import DamagedError
from wsseg.labels import atomic_write

_NAME = "stats.parquet"


def write_stats(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``stats.parquet``, atomically.

    Args:
        folder: Of the stage.
        rows: Of every image.
    """
    with atomic_write(folder / _NAME) as file:
        pd.DataFrame(rows).to_parquet(file, index=False, write_page_checksum=True)


def read_stats(folder: Path) -> pa.Table:
    """Return what ``write_stats`` wrote.

    Args:
        folder: Of a complete stage.

    Returns:
        The table.

    Raises:
        DamagedError: The file is missing or damaged.
    """
    path, remedy = folder / _NAME, f"delete {folder} and run the same command again"
    try:
        return pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError as error:
        raise DamagedError(path, "the table of its stage", "no such file", remedy) from error
    except Exception as error:  # pyarrow raises many kinds for a damaged file
        got = f"a damaged file ({type(error).__name__})"
        raise DamagedError(path, "the table of its stage", got, remedy) from error
