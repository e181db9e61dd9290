"""Datumaro: one JSON for each subset, with labels and items."""

import reprlib
from functools import partial
from pathlib import Path
from typing import Any

from wsseg.data.formats.files import beginning, read_json
from wsseg.data.formats.geometry import fitted_runs, number, plausible_size
from wsseg.data.formats.raw import Kind, RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.shapes import Points, box_around, ellipse, known_size
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError

_KINDS: dict[str, Kind] = {"polygon": "polygon", "polyline": "scribble"}
_KEYS = ('"dm_format_version"', '"media_type"', '"infos"')


def read_datumaro(path: Path) -> RawFile:
    """Return the content of a JSON file of Datumaro, with its labels as class names.

    The name of the file, such as train.json, is the split of its images. A label of an image is its
    tag, a point a click, a polyline a scribble, an ellipse a polygon. Annotations that cannot be
    used leave their class unknown.

    Raises:
        InputError: The file is missing, damaged, or of another tool.
    """
    content = read_json(path, "JSON of Datumaro", dict)
    names, images, log = _names(content, path), list[RawImage](), ProblemLog()
    items = expect(content.get("items"), list, path, "with a list of items", "export it again")
    for index, item in enumerate(items):
        subject = f"{path.name} items[{index}]"
        with log.leaving_out(subject, "item that cannot be read"):
            images.append(_image(item, subject, names, log))
    return RawFile(tuple(images), names, log.problems)


def _names(content: dict[str, Any], path: Path) -> tuple[str, ...]:
    rule = "with categories.label.labels, a list of objects with a 'name'"
    try:
        return tuple(str(label["name"]) for label in content["categories"]["label"]["labels"])
    except (KeyError, TypeError) as error:
        got = f"none ({error!r})"
        raise InputError(path, rule, got, "export it again") from error


def _image(item: Any, subject: str, names: tuple[str, ...], log: ProblemLog) -> RawImage:
    item = expect(item, dict, "item", "an object", "export it again")
    image = item["image"] if isinstance(item.get("image"), dict) else {}
    written = image.get("path") or item.get("id")
    name = expect(written, str, "item", "an object with 'id'", "export it again")
    sides = image["size"] if isinstance(image.get("size"), list) else []
    size = plausible_size(*sides) if len(sides) == 2 else None
    marks, tags = list[RawMark](), list[str]()
    listed = expect(item.get("annotations", []), list, "annotations", "a list", "export it again")
    for index, annotation in enumerate(listed):
        place = f"{subject} annotations[{index}]"
        values = annotation if isinstance(annotation, dict) else {}
        label = _label(values, names)
        with log.or_unknown(marks, place, "annotation that cannot be used", label):
            if values.get("type") == "label":
                tags.append(label)
            else:
                marks += _marks(values, place, label, size)
    return RawImage(subject, name, tuple(marks), size, tags=tuple(dict.fromkeys(tags)) or None)


def _label(values: dict[str, Any], names: tuple[str, ...]) -> str:
    """Return the class of an annotation, empty if its number is none of a label."""
    index = number(values.get("label_id"))
    return names[int(index)] if index.is_integer() and 0 <= index < len(names) else ""


def _marks(
    values: dict[str, Any], subject: str, label: str, size: tuple[int, int] | None
) -> list[RawMark]:
    make, kind = partial(RawMark, subject, name=label), values.get("type")
    if kind == "bbox":
        left, top, width, height = _numbers(values.get("bbox"), 4)
        return [make("box", points=box_around(((left, top), (left + width, top + height))))]
    if kind == "mask":
        encoded = expect(values.get("rle"), dict, "rle", "an object", "export it again")
        runs, problem = fitted_runs(encoded, known_size(size), subject)
        if problem:
            raise InputError("rle", "run lengths of the image's size", "others", str(problem))
        return [make("runs", runs=runs)]
    if kind == "ellipse":
        left, top, right, bottom = _numbers(values.get("points"), 4)
        centre, radii = ((left + right) / 2, (top + bottom) / 2), (right - left, bottom - top)
        return [make("polygon", points=ellipse(centre, (radii[0] / 2, radii[1] / 2), 0))]
    if kind == "points":
        return [make("point", points=(point,)) for point in _points(values.get("points"))]
    if not isinstance(kind, str) or kind not in _KINDS:
        rule = f"one of label, bbox, mask, ellipse, points, {', '.join(_KINDS)}"
        raise InputError("type", rule, reprlib.repr(kind), "leave it out of the export")
    return [make(_KINDS[kind], points=_points(values.get("points")))]


def _numbers(value: Any, count: int | None = None) -> list[float]:
    numbers = value if isinstance(value, list) else []
    if not numbers or len(numbers) != (count or len(numbers)) or len(numbers) % 2:
        rule = f"{count or 'x, y, x, y, ...'} numbers"
        raise InputError("coordinates", rule, reprlib.repr(value), "export it again")
    return [number(one) for one in numbers]


def _points(value: Any) -> Points:
    numbers = _numbers(value)
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def is_datumaro(path: Path) -> bool:
    """Return whether a file is a JSON of Datumaro, by its name and first bytes."""
    text = beginning(path) if path.suffix.lower() == ".json" else ""
    return text.startswith("{") and '"categories"' in text and any(key in text for key in _KEYS)


DATUMARO = tool_format(
    *("datumaro", "annotations/*.json of Datumaro"),
    ("annotations/*.json", "*.json"),
    is_datumaro,
    read_datumaro,
)
"""One file for each subset, images in images/ and below."""
