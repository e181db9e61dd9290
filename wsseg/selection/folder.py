"""The folder of a selection: whose it is, who works in it, and the lists in it."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from wsseg.errors import InputError
from wsseg.labels import PARTIAL
from wsseg.run.stage import write_json, write_text

SETTINGS = "settings.json"
CACHE = "cache.json"
_RESULTS = ("selected.txt", "selected.csv", "index.html")
_LOCK = ".lock"


@contextmanager
def opened(out: Path, cache: Path, settings: Mapping[str, Any]) -> Iterator[None]:
    """Keep others out of the folder of a selection and of its cache while working in them.

    Results of other settings are removed, so that the folder never holds what does not belong
    together.

    Args:
        out: A new or empty folder, or one of an earlier selection.
        cache: Another one, may lie inside.
        settings: Written to ``settings.json``.

    Yields:
        Nothing.

    Raises:
        InputError: A folder holds something else, or another process works in it.
    """
    with ExitStack() as stack:
        for subject, folder, marker in (("--out", out, SETTINGS), ("--cache", cache, CACHE)):
            _check_owned(subject, folder, marker)
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(subject, folder))
        if _read(out / SETTINGS) != settings:
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


@contextmanager
def _alone(subject: str, folder: Path) -> Iterator[None]:
    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout as error:
        remedy = "wait for it or choose another folder"
        raise InputError(f"{subject} {folder}", "used by one process", "two", remedy) from error


def _check_owned(subject: str, folder: Path, marker: str) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{subject} {folder}", "a folder", "a file", "choose another")
    is_ours = _read(folder / marker).get("made_by") == "wsseg select"
    if folder.is_dir() and not is_ours and any(_foreign(folder.iterdir())):
        rule, got = "new, empty or of an earlier selection", "one with other files"
        raise InputError(f"{subject} {folder}", rule, got, "choose another folder")


def _foreign(entries: Iterable[Path]) -> Iterator[Path]:
    for entry in entries:
        if entry.name != _LOCK and not entry.name.startswith(PARTIAL):
            yield entry


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
