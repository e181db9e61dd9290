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
"""Prefix of files that are being written; a killed process may leave one behind."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file that replaces ``path`` only when everything has been written.

    The folder is created. After an error or a kill ``path`` is unchanged.

    Yields:
        A binary file open for writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    partial = Path(name)
    try:
        with name_in_errors(path), os.fdopen(handle, "wb") as file:
            yield file
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def name_in_errors(path: Path) -> Iterator[None]:
    """Name a file in errors of writing it; the error of a full disk does not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def discard_partial(folder: Path, pattern: str = "**") -> None:
    """Remove partial files that a killed process left in a folder.

    Args:
        pattern: "**" includes subfolders, "." does not.
    """
    for partial in folder.glob(f"{pattern}/{PARTIAL}*"):
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any, default: Callable[[Any], Any] = str) -> None:
    """Write a value as readable JSON, atomically.

    Args:
        default: Converts values that JSON cannot represent.
    """
    write_text(path, json.dumps(value, indent=2, default=default) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file; empty if the file is missing or contains anything else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def fingerprint(path: Path) -> tuple[str, int, int]:
    """Return name, size in bytes and modification time in ns of a file, without reading it.

    Size and time are -1 if there is no such regular file.
    """
    try:
        status = path.stat()
    except OSError:
        return path.name, -1, -1
    if not stat.S_ISREG(status.st_mode):  # a folder's time changes with any file in it
        return path.name, -1, -1
    return path.name, status.st_size, status.st_mtime_ns


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
