"""A folder that a command makes, goes on in, and works in alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from wsseg.errors import InputError
from wsseg.files import PARTIAL

_LOCK = ".lock"
_OTHERS = "wait for it or choose another"


@contextmanager
def alone_in(folder: Path, argument: str, marker: str, kind: str) -> Iterator[None]:
    """Create or re-open a folder and keep others out of it.

    Args:
        folder: The folder.
        argument: What named it, such as "--out".
        marker: A file that the caller writes first of all, by which the folder is known later.
        kind: What such a folder is, such as "a run".

    Yields:
        Nothing.

    Raises:
        InputError: Another process works in the folder, or it holds something else.
    """
    check_own(folder, argument, marker, kind)
    with locked(folder, f"{argument} {folder}", _OTHERS):
        yield


def check_own(folder: Path, argument: str, marker: str, kind: str) -> None:
    """Refuse a folder that something else has made.

    Args:
        folder: The folder; it need not exist.
        argument: What named it, such as "--out".
        marker: A file that its maker writes first of all.
        kind: What such a folder is, such as "a run".

    Raises:
        InputError: It is a file, or holds something else.
    """
    subject = f"{argument} {folder}"
    if folder.exists() and not folder.is_dir():
        raise InputError(subject, "a folder", "a file", "choose another")
    # In this order: another process may write the marker, and then others, between the two.
    if folder.exists() and any(_foreign(folder)) and not (folder / marker).exists():
        raise InputError(subject, f"new, empty or {kind}", "other files", "choose another")


def check_free(folder: Path, argument: str) -> None:
    """Refuse a folder that another process works in.

    Args:
        folder: The folder; it need not exist.
        argument: What named it, such as "--out".

    Raises:
        InputError: A process works in it.
    """
    if (folder / _LOCK).exists():
        with locked(folder, f"{argument} {folder}", _OTHERS):
            pass


@contextmanager
def locked(folder: Path, subject: str, remedy: str, *, patient: bool = False) -> Iterator[None]:
    """Keep others that do the same out of a folder; the system frees it when this process ends.

    Args:
        folder: Is created.
        subject: What the error names.
        remedy: What the error advises.
        patient: Wait for another process in place of the error.

    Yields:
        Nothing.

    Raises:
        InputError: Another process works in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK, timeout=-1 if patient else 0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(subject, "used by one process", "one at work", remedy) from error
    try:
        yield
    finally:
        lock.release()


def _foreign(folder: Path) -> Iterator[Path]:
    """Files that nothing makes before the marker."""
    for entry in folder.iterdir():
        if entry.name != _LOCK and not entry.name.startswith(PARTIAL):
            yield entry
