"""Files of a data set: each opened once, text in UTF-8, and nothing outside the folder."""

import io
import json
import os
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wsseg.errors import InputError
from wsseg.safe_io import open_regular

T = TypeVar("T")

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

    Undecodable bytes are replaced; the text is empty if the file cannot be read.
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

    Args:
        name: Name of the file in errors; None is its path.
        visit: Receives each child of the root as soon as it is read; then the child is removed.

    Raises:
        InputError: The file is missing, damaged, or holds a DTD.
    """
    builder, parser, unclosed = TreeBuilder(), expat.ParserCreate(), list[Element]()

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
    try:
        with open_file(path) as file:
            parser.ParseFile(file)
        return builder.close()
    except InputError:
        raise
    except (expat.ExpatError, ValueError, LookupError, OSError) as error:
        got = " ".join(str(error).split())
        raise InputError(name or path, rule, got, remedy) from error


def _refuse_dtd(*_: object) -> None:
    raise ValueError("it holds a DTD, which could define entities without end")


def child_text(element: Any, path: str) -> str:
    """Return the stripped text of a child of an XML element, empty if there is none."""
    return (element.findtext(path) or "").strip()


def files_by_id(folder: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """Return the files below a folder, none if it is missing, by their path in it without suffix.

    Args:
        suffixes: Such as ".png", in lower case; files in upper case are found too.

    Returns:
        Ids and their files, sorted; several where names differ only in their suffix.
    """
    wanted, found = tuple(suffixes), dict[str, list[Path]]()
    for parent, _, names in sorted(os.walk(folder)):
        below = Path(parent).relative_to(folder)
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 (Path is 5 times slower)
            if suffix.lower() in wanted:
                found.setdefault((below / stem).as_posix(), []).append(Path(parent, name))
    return found


def matching_files(
    folder: Path, patterns: Iterable[str], fits: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield the files of a folder that match a pattern and are of a format, sorted.

    Args:
        patterns: Such as "annotations/*.json".
        fits: Called as late as possible.
    """
    candidates = sorted(path for pattern in patterns for path in folder.glob(pattern))
    yield from (path for path in candidates if path.is_file() and fits(path))


def inside(path: Path, root: Path) -> Path:
    """Return a path unchanged if it lies in the data set, symbolic links followed.

    Raises:
        InputError: The path leads out of the data set.
    """
    return guard(root)(path)


def guard(root: Path) -> Callable[[Path], Path]:
    """Return ``inside`` for many files of a data set: it resolves each of their folders once."""
    real_root, folders = os.path.realpath(root), set[Path]()

    def inside_root(path: Path) -> Path:
        folder = path.parent
        if folder in folders and not os.path.islink(path):  # noqa: PTH114 (Path is slower)
            return path
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(real_root):
            rule = f"inside the data set {root}"
            raise InputError(path, rule, target, "move it into the data set")
        if Path(os.path.realpath(folder)).is_relative_to(real_root):
            folders.add(folder)
        return path

    return inside_root


def safe_name(name: str) -> PurePosixPath:
    """Return a file name from an annotation, refused if it could lead out of a folder.

    Raises:
        InputError: The name is empty, absolute, or holds "..", a backslash or control characters.
    """
    path = PurePosixPath(name)
    if not path.parts or ".." in path.parts or path.is_absolute():
        rule, remedy = "a relative name without '..'", "write it relative to the images' folder"
        raise InputError("file name", rule, repr(name), remedy)
    if "\\" in name or not name.isprintable():
        rule = "printable, with '/' between folders"
        raise InputError("file name", rule, repr(name), "rename the file and export again")
    return path


def locate(name: str, folders: Iterable[Path], root: Path) -> Path:
    """Return the file of a name in the first folder that has it.

    Raises:
        InputError: No folder has it, or it leads out of the data set.
    """
    relative, searched = safe_name(name), list(folders)
    for folder in searched:
        if is_file(path := folder / relative):
            return inside(path, root)
    places = ", ".join(shown(folder, root) for folder in searched)
    remedy = "add the file or remove its entry"
    raise InputError(f"image {name!r}", "a file of the data set", f"none in {places}", remedy)


def is_file(path: Path) -> bool:
    """Return whether a file exists, also for names that are too long or hold NUL."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such names


def image_id(name: str) -> str:
    """Return the id of an image, its relative file name without suffix.

    Raises:
        InputError: As ``safe_name``.
    """
    return safe_name(name).with_suffix("").as_posix()


def shown(path: Path, root: Path) -> str:
    """Return a path below the root of a data set as it is named to a person."""
    return path.as_posix().removeprefix(f"{root.as_posix()}/")


def some_of(names: Sequence[str]) -> str:
    """Return the first names of many, such as "a, b, c and 4 more"."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(f'{name:.80}' for name in names[:3])}{more}"
