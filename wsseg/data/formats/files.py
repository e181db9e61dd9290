"""Files of a data set: each opened once, text in UTF-8, and nothing outside the folder."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from xml.etree.ElementTree import TreeBuilder
from xml.parsers import expat

from wsseg.data.formats.opening import open_file, read_text
from wsseg.errors import InputError

T = TypeVar("T")


def read_ids(path: Path) -> tuple[str, ...]:
    """Return the image ids that a file lists, such as ``selected.txt``.

    Args:
        path: UTF-8, an id a line; empty lines are skipped.

    Returns:
        The ids in the file's order, each once.

    Raises:
        InputError: The file is missing or not UTF-8.
    """
    return tuple(dict.fromkeys(line for line in read_text(path).split("\n") if line.strip()))


def read_json(path: Path, rule: str, kind: type[T], remedy: str = "export it again") -> T:
    """Return what a JSON file holds.

    Args:
        path: UTF-8.
        rule: What it must hold, for errors.
        kind: Type of its outermost value, ``dict`` or ``list``.
        remedy: What to do, for errors.

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


def read_xml(path: Path, rule: str, remedy: str, name: object = None) -> Any:
    """Return the root element of an XML file.

    Args:
        path: XML in any encoding that it declares.
        rule: What it must be, for errors.
        remedy: What to do, for errors.
        name: How the file is named in errors; None is its path.

    Raises:
        InputError: The file is missing, damaged, or holds a DTD.
    """
    # As defusedxml does, but without its layer of Python for each element: half the time.
    builder, parser = TreeBuilder(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_dtd
    parser.StartElementHandler, parser.EndElementHandler = builder.start, builder.end
    parser.CharacterDataHandler = builder.data
    try:
        with open_file(path) as file:
            parser.Parse(file.read(), True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError, OSError) as error:
        got = " ".join(str(error).split())
        raise InputError(name or path, rule, got, remedy) from error


def _refuse_dtd(*_: object) -> None:
    raise ValueError("it holds a DTD, which could define entities without end")


def child_text(element: Any, path: str) -> str:
    """Return the stripped text of a child of an XML element, empty if there is none."""
    return (element.findtext(path) or "").strip()


def files_by_id(folder: Path, suffixes: Iterable[str]) -> dict[str, list[Path]]:
    """Return the files below a folder by their path in it without suffix.

    Args:
        folder: Listed once; a missing one holds no files.
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
        folder: Where patterns begin.
        patterns: Such as "*.json" and "annotations/*.json".
        fits: File -> whether it is of the format; called as late as possible.
    """
    candidates = sorted(path for pattern in patterns for path in folder.glob(pattern))
    yield from (path for path in candidates if path.is_file() and fits(path))


def inside(path: Path, root: Path) -> Path:
    """Return a path that lies in the data set, symbolic links followed.

    Returns:
        ``path`` unchanged.

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

    Args:
        name: Relative, with "/" between folders.

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

    Args:
        name: Relative, with "/" between folders.
        folders: Searched in this order.
        root: The data set's folder.

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
    """Return whether a file exists, also for names that ``Path.is_file`` raises for.

    Such names are too long or hold NUL; they come from annotations.
    """
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such names


def shown(path: Path, root: Path) -> str:
    """Return a path below the root of a data set as it is named to a person."""
    return path.as_posix().removeprefix(f"{root.as_posix()}/")


def some_of(names: Sequence[str]) -> str:
    """Return the first names of many, such as "a, b, c and 4 more"."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(f'{name:.80}' for name in names[:3])}{more}"
