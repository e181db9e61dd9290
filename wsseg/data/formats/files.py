"""Text, JSON and XML files of a data set; each is opened once."""

import io
import json
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wsseg.errors import InputError
from wsseg.safe_io import open_regular

T = TypeVar("T")

HEAD = 4096
"""Number of bytes that tell formats apart."""

_ENCODING = re.compile(rb"""\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_NATIVE_ENCODINGS = {"utf-8", "utf8", "utf-16", "iso-8859-1", "us-ascii"}
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

    Otherwise each file whose format is detected by ``beginning`` would be opened twice. At most 100
    files are kept open.
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
    """Return the first 4096 bytes of a file as text without byte order mark and leading blanks.

    Undecodable bytes are replaced; the text is empty if the file is no regular one.

    Raises:
        InputError: The file may not be read.
    """
    opened = _opened.get()
    files = opened.files if opened else {}
    try:
        file = files.pop(path, None) or open_regular(path)
        file.seek(0)
        head = file.read(HEAD)
    except PermissionError as error:
        raise InputError(path, "a readable file", error.strerror, "allow to read it") from error
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
    """Return the text of a UTF-8 file, or of a UTF-16 file with a byte order mark.

    Raises:
        InputError: The file is missing or of another encoding.
    """
    try:
        with open_file(path) as file:
            is_wide = file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)
            file.seek(0)
            encoding = "utf-16" if is_wide else "utf-8-sig"
            with io.TextIOWrapper(file, encoding=encoding) as text:
                return text.read()
    except UnicodeDecodeError as error:
        got = f"byte {error.start} of another encoding"
        raise InputError(path, "UTF-8 text", got, "save it as UTF-8") from error
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(path, "a readable file", got, "check the path") from error


def read_names(path: Path) -> list[str]:
    """Return the stripped lines of a UTF-8 file that are not empty; ``opening_once`` keeps them."""
    opened = _opened.get() or _Opened()
    if path not in opened.names:
        lines = (line.strip() for line in read_text(path).splitlines())
        opened.names[path] = [line for line in lines if line]
    return opened.names[path]


def read_json(path: Path, rule: str, kind: type[T], remedy: str = "export it again") -> T:
    """Return the outermost value of a JSON file, which is a ``dict`` or ``list``.

    Raises:
        InputError: The file is missing, no JSON, or holds another kind of value.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"readable JSON: {rule}", error, remedy) from error
    if not isinstance(content, kind):
        raise InputError(path, rule, type(content).__name__, remedy)
    return content


def read_xml(
    path: Path,
    rule: str,
    remedy: str,
    name: object = None,
    visit: Callable[[Element], None] | None = None,
) -> Element:
    """Return the root element of an XML file.

    The encoding is the one that the file declares, such as GBK, or UTF-8 if it is not that one.

    Args:
        name: Name of the file in errors; None is its path.
        visit: Receives each child of the root as soon as it is read; then the child is removed.

    Raises:
        InputError: The file is missing, damaged, or holds a DTD.
    """
    try:
        with open_file(path) as file:
            return _parse_xml(*_native_xml(file), visit)
    except InputError:
        raise
    except (expat.ExpatError, ValueError, LookupError, OSError) as error:
        got = " ".join(str(error).split())
        raise InputError(name or path, rule, got, remedy) from error


def _native_xml(file: IO[bytes]) -> tuple[IO[bytes], str | None]:
    """Return an XML file and its encoding; None is the one that the file declares.

    Files that declare an encoding unknown to expat are decoded here.
    """
    declared = _ENCODING.match(file.read(HEAD))
    file.seek(0)
    encoding = declared[1].decode("ascii") if declared else "utf-8"
    if encoding.lower() in _NATIVE_ENCODINGS:
        return file, None
    data = file.read()
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("utf-8")
    return io.BytesIO(text.encode()), "utf-8"


def _parse_xml(
    file: IO[bytes], encoding: str | None, visit: Callable[[Element], None] | None
) -> Element:
    parser = expat.ParserCreate(encoding)
    builder, unclosed = TreeBuilder(), list[Element]()

    def start(tag: str, attributes: dict[str, str]) -> None:
        unclosed.append(builder.start(tag, attributes))

    def end(tag: str) -> None:
        builder.end(tag)
        element = unclosed.pop()
        if visit and len(unclosed) == 1:
            visit(element)
            unclosed[0].remove(element)

    # Only a DTD can declare entities, so that refusing it refuses them too, as defusedxml does.
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.buffer_text = builder.data, True
    parser.ParseFile(file)
    return builder.close()


def _refuse_dtd(*_: object) -> None:
    raise ValueError("it holds a DTD, which could define entities without end")


def child_text(element: Any, path: str) -> str:
    """Return the stripped text of a child of an XML element, empty if there is none."""
    return (element.findtext(path) or "").strip()
