"""Files of a data set: text in UTF-8, images by name, and nothing outside its folder."""

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from wsseg.errors import InputError
from wsseg.safe_io import open_regular

T = TypeVar("T")


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file, with or without a byte order mark.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        InputError: The file is missing or not UTF-8.
    """
    try:
        with open_regular(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as text:
            return text.read()
    except UnicodeDecodeError as error:
        got = f"byte {error.start} of another encoding"
        raise InputError(path, "UTF-8 text", got, "save it as UTF-8") from error
    except OSError as error:
        got = error.strerror or str(error)
        raise InputError(path, "a readable file", got, "check the path") from error


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Args:
        path: The file.

    Returns:
        Its bytes.

    Raises:
        OSError: It is missing or no regular file.
    """
    with open_regular(path) as file:
        return file.read()


def read_ids(path: Path) -> tuple[str, ...]:
    """Return the images that a file lists, such as ``selected.txt``.

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
        kind: Of its outermost value, ``dict`` or ``list``.
        remedy: For errors.

    Returns:
        The value.

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


def inside(path: Path, root: Path) -> Path:
    """Return a path that lies in the data set, symbolic links followed.

    Args:
        path: A file or folder.
        root: The data set's folder.

    Returns:
        ``path`` as it was given.

    Raises:
        InputError: The path leads out of the data set.
    """
    target = os.path.realpath(path)
    if not Path(target).is_relative_to(os.path.realpath(root)):
        rule = f"inside the data set {root}"
        raise InputError(path, rule, target, "move it into the data set")
    return path


def safe_name(name: str) -> PurePosixPath:
    """Return a file name from an annotation, refused where it could lead elsewhere.

    Args:
        name: Relative, with "/" between folders.

    Returns:
        The name.

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

    Returns:
        The file.

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
    """Return whether a file is there, whatever its name.

    Args:
        path: From an annotation.

    Returns:
        False also where the name is too long or holds NUL, which ``Path.is_file`` raises for.
    """
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for such names


def shown(path: Path, root: Path) -> str:
    """Return a path as it is named to a person.

    Args:
        path: A file of the data set.
        root: The data set's folder.

    Returns:
        The part below the root, with "/" between folders.
    """
    return path.as_posix().removeprefix(f"{root.as_posix()}/")
