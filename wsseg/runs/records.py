"""Intermediate results of a stage, one line per image, which survive a kill."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from wsseg.files import atomic_write, name_in_errors

Record = tuple[str, list[dict[str, Any]]]
"""An image's id and its rows of statistics."""

_GROUP = 1000  # images whose rows are in memory at a time


def recorded_ids(path: Path) -> list[str]:
    """Return the ids of the images with a complete line; a missing file has none."""
    return [identity for _, (identity, _) in _whole_lines(path)]


def record_results(path: Path, results: Iterable[Record]) -> None:
    """Append a line for each result as it arrives; damaged lines are removed first."""
    with atomic_write(path) as file:
        file.writelines(_line(each) for _, each in _whole_lines(path))
    for result in results:
        with name_in_errors(path), path.open("ab") as file:
            file.write(_line(result))


def rows_by_image(path: Path) -> Callable[[], Iterator[list[dict[str, Any]]]]:
    """Return a function that yields the rows of all images in the order of their ids.

    It yields the rows of many images at a time. Of several lines of an image, the last one counts.
    """
    places = {identity: place for place, (identity, _) in _whole_lines(path)}
    order = [places[identity] for identity in sorted(places)]

    def groups() -> Iterator[list[dict[str, Any]]]:
        with path.open("rb") as file:
            for start in range(0, len(order), _GROUP):
                yield [row for at in order[start : start + _GROUP] for row in _rows(file, at)]

    return groups


def _rows(file: Any, place: int) -> list[dict[str, Any]]:
    file.seek(place)
    rows: list[dict[str, Any]] = json.loads(file.readline())[1]
    return rows


def _whole_lines(path: Path) -> Iterator[tuple[int, Record]]:
    """Yield the offset of each complete line in bytes, and its record."""
    if not path.exists():
        return
    with path.open("rb") as file:
        place = 0
        for line in file:
            if record := _parsed(line):
                yield place, record
            place += len(line)


def _parsed(line: bytes) -> Record | None:
    try:
        identity, rows = json.loads(line)
    except (ValueError, TypeError):
        return None
    return (identity, rows) if isinstance(identity, str) and isinstance(rows, list) else None


def _line(result: Record) -> bytes:
    return json.dumps(result).encode() + b"\n"
