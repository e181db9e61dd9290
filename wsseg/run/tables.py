"""The table of statistics that a stage wrote."""

from pathlib import Path

import pandas as pd
from pyarrow import ArrowException

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
    path = folder / "stats.parquet"
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, ArrowException) as error:
        got = (
            "no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        )
        remedy = "delete the folder of its stage to make it again"
        raise InputError(path, "a readable table", got, remedy) from error
