"""Atomic writes, JSON records and fingerprints of files."""

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

PARTIAL = ".partial-"
"""How the name of a file begins that is still being written; a kill can leave one behind."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces ``path`` only when everything has been written.

    Args:
        path: The file to write; its folder is created.

    Yields:
        A binary file open for writing. After an error or a kill ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    partial = Path(name)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            yield file
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file in errors of writing it; a full disk does not say where.

    Args:
        path: The file.

    Yields:
        Nothing.
    """
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def discard_partial(folder: Path, pattern: str = "**") -> None:
    """Remove files that a kill cut off while they were written.

    Args:
        folder: Where they lie.
        pattern: "**" with the folders in it, "." without.
    """
    for cut_off in folder.glob(f"{pattern}/{PARTIAL}*"):
        cut_off.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically.

    Args:
        path: The file.
        text: Its content.
    """
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any, default: Callable[[Any], Any] = str) -> None:
    """Write a value as readable JSON, atomically.

    Args:
        path: The file.
        value: Anything JSON can hold.
        default: Converts what it cannot.
    """
    write_text(path, json.dumps(value, indent=2, default=default) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """Return what ``write_json`` wrote.

    Args:
        path: The file.

    Returns:
        The record; empty where the file is missing or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def fingerprint(path: Path) -> tuple[str, int, int]:
    """Return what changes when a file changes, without reading it.

    Args:
        path: The file.

    Returns:
        Name, size in bytes and modification time in ns; -1, -1 where there is no such file.
    """
    try:
        found = path.stat()
    except OSError:
        return path.name, -1, -1
    if not stat.S_ISREG(found.st_mode):  # a folder's time changes with any file in it
        return path.name, -1, -1
    return path.name, found.st_size, found.st_mtime_ns


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
