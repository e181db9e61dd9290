"""Open annotation files once, although their beginnings tell formats apart."""

import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from wsseg.errors import InputError
from wsseg.safe_io import open_regular

_HEAD = 4096  # bytes that tell formats apart
_MOST_OPEN = 100  # files: systems allow 256 or more


@dataclass
class _Opened:
    """Files whose beginning was read and that wait to be read, and lists of names."""

    files: dict[Path, IO[bytes]] = field(default_factory=dict)
    names: dict[Path, list[str]] = field(default_factory=dict)


_opened: ContextVar[_Opened | None] = ContextVar("opened", default=None)


@contextmanager
def opening_once() -> Iterator[None]:
    """Keep files whose beginning was read open until they are read; also a decorator.

    Formats are told apart by the beginnings of files. Without this, each annotation file would be
    opened twice: by ``beginning``, and when it is read. At most 100 files are kept open.
    """
    if _opened.get() is not None:
        yield
        return
    opened = _Opened()
    token = _opened.set(opened)
    try:
        yield
    finally:
        _opened.reset(token)
        for file in opened.files.values():
            file.close()


def beginning(path: Path) -> str:
    """Return the first characters of a file, without byte order mark and leading blanks.

    Returns:
        At most 4096 bytes as text, also of UTF-16, with undecodable bytes replaced; empty if the
        file cannot be read.
    """
    opened = _opened.get()
    files = opened.files if opened else {}
    try:
        file = files.pop(path, None) or open_regular(path)
        file.seek(0)
        head = file.read(_HEAD)
    except OSError:
        return ""
    if opened and len(files) < _MOST_OPEN:
        files[path] = file
    else:
        file.close()
    is_wide = head.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return head.decode("utf-16" if is_wide else "utf-8-sig", "replace").lstrip()


def open_file(path: Path) -> IO[bytes]:
    """Return a regular file opened for reading bytes, or the one that ``beginning`` left open.

    Raises:
        OSError: It is missing or no regular file.
    """
    opened = _opened.get()
    file = opened.files.pop(path, None) if opened else None
    if file is None:
        return open_regular(path)
    file.seek(0)
    return file


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark.

    Raises:
        InputError: The file is missing or not UTF-8.
    """
    try:
        with open_file(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as text:
            return text.read()
    except UnicodeDecodeError as error:
        got = f"byte {error.start} of another encoding"
        raise InputError(path, "UTF-8 text", got, "save it as UTF-8") from error
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(path, "a readable file", got, "check the path") from error


def read_names(path: Path) -> list[str]:
    """Return the stripped lines of a UTF-8 file that are not empty.

    Within ``opening_once`` a list of names that many files share is read for the first of them.

    Raises:
        InputError: The file is missing or not UTF-8.
    """
    opened = _opened.get()
    if opened is not None and path in opened.names:
        return opened.names[path]
    lines = (line.strip() for line in read_text(path).splitlines())
    names = [line for line in lines if line]
    if opened is not None:
        opened.names[path] = names
    return names
