"""wsseg's own format: JSON Lines, an image a line; see docs/annotations.md."""

import json
import reprlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from wsseg.data.custom import find_annotation
from wsseg.data.formats.files import read_text
from wsseg.data.formats.geometry import RunLengths, fitted_runs, number, plausible_size
from wsseg.data.formats.paths import safe_name
from wsseg.data.formats.raw import Kind, RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError

_KINDS = tuple(kind for kind in get_args(Kind) if kind != "other")
_MARK_KEYS = {"type", "class", "points", "width", "size", "counts", "file"}
_IMAGE_KEYS = {"image", "size", "split", "tags", "unsure", "closed", "marks"}
_LEAST = {"box": 2, "extreme": 4, "point": 1, "scribble": 1, "polygon": 3, "unknown": 2}
_MOST = {"box": 2, "extreme": 4, "point": 1, "unknown": 2}


def read_jsonl(path: Path) -> RawFile:
    """Return the content of a file of wsseg's own format.

    A line with "classes" lists their names in the order of their labels, every other line is an
    image. Lines and marks that cannot be used are left out.

    Raises:
        InputError: The file is missing, not UTF-8, or a list of classes is damaged.
    """
    images, names, log = list[RawImage](), tuple[str, ...](), ProblemLog()
    for number_of_line, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        subject, listed = f"{path.name} line {number_of_line}", None
        with log.leaving_out(subject, "line that cannot be read"):
            content = _object(line)
            listed = content["classes"] if content.keys() == {"classes"} else None
            if not listed:
                images.append(_image(content, subject, path, log))
        names = _names(listed, subject) if listed else names
    return RawFile(tuple(images), names, log.problems)


def _object(line: str) -> dict[str, Any]:
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("line", "JSON", error, "correct it") from error
    return expect(content, dict, "line", "a JSON object", "correct it")


def _names(value: Any, subject: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        got = reprlib.repr(value)
        raise InputError(f"classes in {subject}", "a list of names", got, "correct it")
    return tuple(value)


def _image(content: dict[str, Any], subject: str, path: Path, log: ProblemLog) -> RawImage:
    if unknown := sorted(content.keys() - _IMAGE_KEYS):
        rule = f"made of {', '.join(sorted(_IMAGE_KEYS))}"
        raise InputError("line", rule, repr(unknown[0]), "correct the key")
    image = expect(content.get("image"), str, "image", "a file name", "name the image")
    safe_name(image)
    size, marks = _size(content.get("size")), list[RawMark]()
    listed = expect(content.get("marks", []), list, "marks", "a list", "correct it")
    for index, mark in enumerate(listed):
        place = f"{subject} marks[{index}]"
        name = mark.get("class") if isinstance(mark, dict) else ""
        with log.or_unknown(marks, place, "mark that cannot be read", name):
            marks.append(_mark(mark, place, path.parent, size))
    if content.get("unsure") and content.get("tags") is None:
        raise InputError("unsure", "beside 'tags'", "no 'tags'", "write the tags, [] for none")
    tags = None if content.get("tags") is None else _names(content["tags"], subject)
    unsure = _names(content.get("unsure", []), subject)
    split, closed = content.get("split"), content.get("closed")
    if not isinstance(split, str | None) or split == "":
        raise InputError("split", "a name", reprlib.repr(split), "correct it")
    if not isinstance(closed, bool | None):
        raise InputError("closed", "true or false", reprlib.repr(closed), "correct it")
    return RawImage(subject, image, tuple(marks), size, split, tags, unsure, closed)


def _mark(mark: Any, subject: str, folder: Path, size: tuple[int, int] | None) -> RawMark:
    values = mark if isinstance(mark, dict) else {}
    kind = str(values.get("type", ""))
    if kind not in _KINDS:
        if isinstance(values.get("class"), str) and find_annotation(kind):
            return RawMark(subject, "other", mark["class"], values=mark)
        rule = f"an object with a 'type' of {', '.join(_KINDS)} or of a plug-in, and a 'class'"
        raise InputError("mark", rule, reprlib.repr(mark), "correct it")
    if unknown := sorted(mark.keys() - _MARK_KEYS):
        raise InputError(
            "mark", f"made of {', '.join(sorted(_MARK_KEYS))}", unknown[0], "correct it"
        )
    make = partial(RawMark, subject, cast("Kind", kind))
    if kind == "mask":
        file = expect(mark.get("file"), str, "file", "a file name", "name the mask")
        return make("", file=folder / safe_name(file))
    name = expect(mark.get("class"), str, "class", "a name", "name the class")
    if kind == "runs":
        return make(name, runs=_runs(mark, size, subject))
    if kind == "unknown" and mark.get("points") is None:
        return make(name)
    width = number(mark["width"]) if mark.get("width") is not None else None
    return make(name, tuple(_points(mark.get("points"), kind)), width=width)


def _runs(mark: dict[str, Any], size: tuple[int, int] | None, subject: str) -> RunLengths:
    if size is None:
        raise InputError("runs", "of an image whose line has a 'size'", "none", "write [H, W]")
    runs, problem = fitted_runs(mark, size, subject)
    if runs is None:
        raise InputError("runs", "COCO run lengths of the image's size", "others", str(problem))
    return runs


def _points(value: Any, kind: str) -> Iterator[tuple[float, float]]:
    points = expect(value, list, "points", "a list", "correct it")
    if not _LEAST[kind] <= len(points) <= _MOST.get(kind, len(points)):
        least, most = _LEAST[kind], _MOST.get(kind)
        rule = f"{least}" if least == most else f"{least} or more"
        raise InputError(f"points of a {kind}", f"{rule} [x, y]", len(points), "correct them")
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise InputError("points", "[x, y] each", reprlib.repr(point), "correct them")
        yield number(point[0]), number(point[1])


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    pair = expect(value, list, "size", "a list", "correct it")
    size = plausible_size(*pair) if len(pair) == 2 else None
    if size is None:
        raise InputError("size", "[height, width] in pixels", reprlib.repr(value), "correct it")
    return size


def _is_jsonl(path: Path) -> bool:
    return path.suffix.lower() == ".jsonl"


JSONL = tool_format("jsonl", "*.jsonl", ("*.jsonl", "annotations/*.jsonl"), _is_jsonl, read_jsonl)
"""One file for each split, or several with a "split" in each line."""
