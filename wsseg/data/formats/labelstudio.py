"""Label Studio: one JSON of tasks, each an image and its marks, in per cent of its size."""

import math
import re
import reprlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from wsseg.data.formats.brush import brush_runs
from wsseg.data.formats.files import beginning, read_json
from wsseg.data.formats.geometry import number, plausible_size
from wsseg.data.formats.paths import safe_name
from wsseg.data.formats.raw import RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.shapes import box_around, rotated
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError
from wsseg.images import SUFFIXES

_Size = tuple[int, int]
_Value = dict[str, Any]

_KEYS = ('"annotations"', '"data"', '"original_width"', '"annotation_id"')  # two of "JSON-MIN"
_LOCAL, _UPLOAD = "/data/local-files/", "/data/upload/"
_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_OF_A_REGION = {"x", "y", "points", "rle"}  # a choice with one of them is about a part of the image
_ELLIPSE_CORNERS = 64


def read_labelstudio(path: Path) -> RawFile:
    """Return the content of an export of Label Studio in its format "JSON", without class names.

    Of each task, the annotation that was changed last is read; skipped annotations and predictions
    are not. A rotated rectangle gives its bounding box, a key point a click of the size that the
    tool draws (its "width" is the radius in per cent of the image's width), an ellipse a polygon,
    and a brush all pixels that it touches. Choices are the image's tags, so a set of choices about
    something else should not be exported. Tasks and marks that cannot be used are left out.

    The image is the last part of the task's address, without the eight characters that Label Studio
    puts before the name of an uploaded file.

    Raises:
        InputError: The file is missing, damaged, or another of Label Studio's exports.
    """
    images, log = list[RawImage](), ProblemLog()
    for index, task in enumerate(_tasks(path)):
        subject = f"{path.name} [{index}]"
        with log.leaving_out(subject, "task that cannot be read"):
            images.append(_annotated_image(task, subject, log))
    return RawFile(tuple(images), problems=log.problems)


def _tasks(path: Path) -> list[Any]:
    rule, remedy = "a list of tasks with 'data' and 'annotations'", 'export it as "JSON"'
    tasks = read_json(path, rule, list, remedy)
    if tasks and not any(isinstance(task, dict) and "data" in task for task in tasks):
        raise InputError(path, rule, 'others, as in "JSON-MIN"', remedy)
    return tasks


def _annotated_image(task: Any, subject: str, log: ProblemLog) -> RawImage:
    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
        raise InputError("task", "an object with 'data'", reprlib.repr(task), "export it again")
    image = _image(task)
    results = list(_results(task, subject, log))
    sizes = (
        plausible_size(result.get("original_height"), result.get("original_width"))
        for _, result in results
    )
    size = next(filter(None, sizes), None)
    if turned := [result for _, result in results if result.get("image_rotation")]:
        message = f"turned by {reprlib.repr(turned[0]['image_rotation'])} degrees while it was "
        message += "drawn on; the marks are taken as those of the image as it is"
        log.add(subject, message, "image turned in the tool")
    marks, tags, before = list[RawMark](), list[str](), len(log)
    for place, result in results:
        with log.leaving_out(place, "mark that cannot be read"):
            if result.get("type") == "choices":
                tags += _choices(result)
            else:
                marks.append(_mark(result, place, size, log))
    return RawImage(
        *(subject, image, tuple(marks), size),
        tags=tuple(dict.fromkeys(tags)) or None,
        tags_are_remarks=True,
        closed=False if len(log) > before else None,
    )


def _image(task: dict[str, Any]) -> str:
    """Return the file name of a task's image."""
    data, upload = task["data"], task.get("file_upload")
    texts = [value for value in data.values() if isinstance(value, str)]
    images = [text for text in texts if _name(text).lower().endswith(SUFFIXES)]
    found = data.get("image") or (images[0] if len(images) == 1 else upload)
    if not isinstance(found, str) or found.startswith("data:"):
        rule, remedy = "a file's address as 'image'", "keep the images in files"
        raise InputError("data", rule, reprlib.repr(data), remedy)
    name = _name(found)
    is_upload = _UPLOAD in found or found == upload
    return str(safe_name(_PREFIX.sub("", name) if is_upload else name))


def _name(address: str) -> str:
    """Return the last part of an address, where local files stand in its query."""
    path, _, query = address.partition("?")
    local = parse_qs(query).get("d") if path.endswith(_LOCAL) else None
    return re.split(r"[/\\]", local[0] if local else unquote(path))[-1]


def _results(
    task: dict[str, Any], subject: str, log: ProblemLog
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each mark and its place in the file."""
    annotations = task.get("annotations")
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        raise InputError("annotations", "a list", reprlib.repr(annotations), 'export as "JSON"')
    kept = [(i, made) for i, made in enumerate(annotations) if not made.get("was_cancelled")]
    if not kept:
        if task.get("predictions"):
            message = "no annotation by a person; its predictions are not used, accept them"
            log.add(subject, message, "predictions alone")
        return
    index, last = max(kept, key=lambda pair: (str(pair[1].get("updated_at") or ""), pair[0]))
    if len(kept) > 1:
        message = f"{len(kept)} annotations of an image; the one that was changed last is used"
        log.add(subject, message, "several annotations of an image")
    results = expect(last.get("result"), list, "result", "a list", "export it again")
    for position, result in enumerate(results):
        place = f"{subject} annotations[{index}].result[{position}]"
        if isinstance(result, dict):
            yield place, result
        else:
            message = f"{reprlib.repr(result)} is no object; left out"
            log.add(place, message, "mark that cannot be read")


def _choices(result: dict[str, Any]) -> list[str]:
    value = result.get("value")
    if not isinstance(value, dict) or value.keys() & _OF_A_REGION:
        rule, remedy = "about the image", "draw with labels in place of choices of a region"
        raise InputError("choices", rule, reprlib.repr(value), remedy)
    return _names(value, "choices")


def _mark(result: dict[str, Any], subject: str, size: _Size | None, log: ProblemLog) -> RawMark:
    kind, value = result.get("type"), result.get("value")
    if not isinstance(kind, str) or kind not in _SHAPES or not isinstance(value, dict):
        rule = f"one of choices, {', '.join(_SHAPES)}"
        raise InputError("type", rule, reprlib.repr(kind), "draw it with one of these")
    if result.get("is_positive") is False:
        rule, remedy = "a mark of its class", "delete it"
        raise InputError("key point", rule, "a hint where the class is not", remedy)
    if size is None:
        rule, remedy = "with original_width and original_height", "open and save the task once more"
        raise InputError("result", rule, "no plausible ones", remedy)
    names = _names(value, kind)
    if len(names) > 1:
        message = f"{', '.join(names)} all label one mark; the first is used, choose one"
        log.add(subject, message, "mark of several classes")
    return _SHAPES[kind](partial(RawMark, subject, name=names[0]), value, size)


def _names(value: _Value, key: str) -> list[str]:
    names = value.get(key)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InputError(key, "one or more names", reprlib.repr(names), "label it")
    return names


class _MakeMark(Protocol):
    def __call__(self, *, kind: Any, **more: Any) -> RawMark: ...


def _box(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    x, y = _pixels(value, "x", "y", size)
    width, height = _pixels(value, "width", "height", size)
    corners = rotated(((0, 0), (width, 0), (0, height), (width, height)), (0, 0), _degrees(value))
    return make(kind="box", points=box_around(tuple((x + dx, y + dy) for dx, dy in corners)))


def _ellipse(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    x, y = _pixels(value, "x", "y", size)
    across, down = _pixels(value, "radiusX", "radiusY", size)
    angles = (2 * math.pi * step / _ELLIPSE_CORNERS for step in range(_ELLIPSE_CORNERS))
    around = tuple((across * math.cos(angle), down * math.sin(angle)) for angle in angles)
    points = rotated(around, (0, 0), _degrees(value))
    return make(kind="polygon", points=tuple((x + dx, y + dy) for dx, dy in points))


def _polygon(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    points = value.get("points")
    if not isinstance(points, list) or not all(isinstance(p, list) and len(p) == 2 for p in points):
        raise InputError("points", "a list of [x, y]", reprlib.repr(points), "export it again")
    pairs = (dict(zip("xy", point, strict=True)) for point in points)
    return make(kind="polygon", points=tuple(_pixels(pair, "x", "y", size) for pair in pairs))


def _point(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    radius = number(value.get("width")) / 100 * size[1]
    width = 2 * radius if 0 < radius < math.inf else None
    return make(kind="point", points=(_pixels(value, "x", "y", size),), width=width)


def _brush(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    if value.get("format") != "rle":
        remedy = "export it again"
        raise InputError("format", "rle", reprlib.repr(value.get("format")), remedy)
    return make(kind="runs", runs=brush_runs(value.get("rle"), size))


def _pixels(value: _Value, x: str, y: str, size: _Size) -> tuple[float, float]:
    return number(value.get(x)) / 100 * size[1], number(value.get(y)) / 100 * size[0]


def _degrees(value: _Value) -> float:
    return number(value.get("rotation") or 0)


_SHAPES: dict[str, Callable[[_MakeMark, _Value, _Size], RawMark]] = {
    "rectanglelabels": _box,
    "polygonlabels": _polygon,
    "keypointlabels": _point,
    "ellipselabels": _ellipse,
    "brushlabels": _brush,
}


def is_labelstudio(path: Path) -> bool:
    """Return whether a file is a JSON export of Label Studio, by its name and first bytes."""
    if path.suffix.lower() != ".json":
        return False
    text = beginning(path)
    return text.startswith("[") and any(key in text for key in _KEYS)


LABELSTUDIO = tool_format(
    "labelstudio",
    "*.json of Label Studio",
    ("*.json", "annotations/*.json"),
    is_labelstudio,
    read_labelstudio,
)
"""One file for a project, or one for each split."""
