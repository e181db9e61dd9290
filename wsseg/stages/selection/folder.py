"""The folder of a selection: whose it is, who works in it, and the lists in it."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from wsseg.files import read_record, write_json, write_text
from wsseg.runs.folder import exclusive_folder

SETTINGS = "selection.json"
CACHE = "selection_cache.json"
_RESULTS = ("selected.txt", "selected.csv", "index.html")


@contextmanager
def opened(out: Path, cache: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Keep others out of the folder of a selection and of its cache while working in them.

    Results of other settings are removed, so that the folder never holds what does not belong
    together.

    Args:
        out: A new or empty folder, or one of an earlier selection.
        cache: Another one, may lie inside.
        settings: Written to ``selection.json``.

    Yields:
        Nothing.

    Raises:
        InputError: A folder holds something else, or another process works in it.
    """
    with ExitStack() as stack:
        stack.enter_context(exclusive_folder(out, "--out", SETTINGS, "a selection"))
        stack.enter_context(exclusive_folder(cache, "--cache", CACHE, "the cache of one"))
        if read_record(out / SETTINGS) != settings:
            for name in _RESULTS:
                (out / name).unlink(missing_ok=True)
            write_json(out / SETTINGS, settings)
        write_json(cache / CACHE, {"made_by": "wsseg select"})
        yield


def write_lists(out: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``selected.txt``, an id a line, and ``selected.csv`` with what is known of each.

    Args:
        out: The folder.
        rows: One a chosen image, in order: "rank", "id", "path", "classes", "distance" and
            perhaps "uncertainty"; an infinite number becomes empty.
    """
    write_text(out / "selected.txt", "".join(f"{row['id']}\n" for row in rows))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows([_cell(value) for value in row.values()] for row in rows)
    write_text(out / "selected.csv", table.getvalue())


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6f}" if math.isfinite(value) else ""
    return value
