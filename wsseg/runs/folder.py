"""Folders that one process at a time works in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from wsseg.errors import InputError
from wsseg.files import PARTIAL

_LOCK = ".lock"


@contextmanager
def exclusive_folder(folder: Path, argument: str, marker: str, kind: str) -> Iterator[None]:
    """Create or re-open a folder and keep other processes out of it.

    Args:
        argument: Option or setting that named the folder, such as "--out".
        marker: File that the caller writes first, by which the folder is recognised later.
        kind: Expected content of the folder in words, such as "a run".

    Raises:
        InputError: Another process works in the folder, or it holds other files.
    """
    check_folder(folder, argument, marker, kind)
    with folder_lock(folder, f"{argument} {folder}"):
        yield


def check_folder(folder: Path, argument: str, marker: str, kind: str) -> None:
    """Refuse a folder with files of something else; see ``exclusive_folder``.

    Raises:
        InputError: The folder is a file or holds other files.
    """
    subject = f"{argument} {folder}"
    if folder.exists() and not folder.is_dir():
        raise InputError(subject, "a folder", "a file", "choose another")
    # In this order: another process may write the marker, and then other files, in between.
    if folder.exists() and any(_foreign(folder)) and not (folder / marker).exists():
        raise InputError(subject, f"new, empty or {kind}", "other files", "choose another")


def check_unused(folder: Path, argument: str) -> None:
    """Refuse a folder that another process works in, without making it.

    Raises:
        InputError: Another process works in the folder.
    """
    if (folder / _LOCK).exists():
        with folder_lock(folder, f"{argument} {folder}"):
            pass


@contextmanager
def folder_lock(folder: Path, subject: str, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder, which is created; the system releases it when a process ends.

    Args:
        subject: The folder or option, as named in the error.
        wait: Wait for another process instead of raising an error.

    Raises:
        InputError: Another process holds the lock.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, timeout=-1 if wait else 0)
    try:
        lock.acquire()
    except Timeout as error:
        hint = "wait for it or choose another"
        raise InputError(f"{subject} is in use by another process", hint=hint) from error
    try:
        yield
    finally:
        lock.release()


def _foreign(folder: Path) -> Iterator[Path]:
    """Yield files that nothing writes before the marker."""
    for entry in folder.iterdir():
        if entry.name != _LOCK and not entry.name.startswith(PARTIAL):
            yield entry
