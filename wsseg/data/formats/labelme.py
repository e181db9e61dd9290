"""LabelMe: one JSON for each image, as the tool saves it."""

import base64
import math
import os
import re
import reprlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.formats.files import beginning, read_json, read_names
from wsseg.data.formats.geometry import RunLengths, number, plausible_size
from wsseg.data.formats.paths import inside, is_file, safe_name
from wsseg.data.formats.raw import SPLIT_NAMES, Kind, RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.shapes import (
    Points,
    box_around,
    ellipse,
    known_size,
    placed_runs,
    window_sides,
)
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError
from wsseg.safe_io import DECODER_ERRORS, open_image

_KINDS: dict[str, Kind] = {
    "polygon": "polygon",
    "line": "scribble",
    "linestrip": "scribble",
    **dict.fromkeys(("rectangle", "oriented_rectangle"), "box"),
    **dict.fromkeys(("rotation", "quadrilateral", "cuboid"), "box"),  # of X-AnyLabeling
    "point": "point",
    "points": "point",
    "circle": "polygon",
    "mask": "runs",
}
_IGNORED = "__ignore__"
_PATTERNS = ("**/*.json",)
_LABELME = re.compile(r'"(shapes|imagePath|imageData)"\s*:')
_COCO = re.compile(r'"(images|annotations|categories)"\s*:\s*[\[{]')
_MOST_ABOVE = 5  # folders in which labels.txt is searched
_ROUNDING = 2  # pixels: a mask's corners are rounded, and may be inside it or just outside


def read_labelme(path: Path) -> RawFile:
    """Return the content of a JSON file of LabelMe.

    A rectangle gives its bounding box, as do the rotated rectangles, quadrilaterals and cuboids of
    X-AnyLabeling; a line gives a scribble, a circle a polygon. Flags that are set are classes that
    the image shows. A shape that cannot be used leaves its class unknown, and a shape labelled
    ``__ignore__`` any class in its bounding box. The copy of the image in the file is not decoded.
    ``imagePath`` is relative to the file; a folder named train, val, ... is its split. Classes are
    those of the shapes, unless ``labels.txt`` lies beside the file or in a folder above it.

    Raises:
        InputError: The file is missing, not UTF-8, no JSON of LabelMe, or names no image.
    """
    content = read_json(path, "JSON of LabelMe", dict, "save it again in LabelMe, or remove it")
    image, rule = _image(content, path), "with a list of shapes"
    shapes = expect(content.get("shapes"), list, path, rule, "save it again")
    size = plausible_size(content.get("imageHeight"), content.get("imageWidth"))
    marks, log = list[RawMark](), ProblemLog()
    for index, shape in enumerate(shapes):
        place = f"{path.name} shapes[{index}]"
        name = shape.get("label") if isinstance(shape, dict) else ""
        name = "" if name == _IGNORED else name
        with log.or_unknown(marks, place, "shape that cannot be used", name):
            marks += _marks(shape, place, size)
    flags = content["flags"] if isinstance(content.get("flags"), dict) else {}
    split = path.parent.name if path.parent.name.lower() in SPLIT_NAMES else None
    page = RawImage(
        *(path.name, image, tuple(marks), size, split),
        tags=tuple(flag for flag, is_set in flags.items() if is_set is True) or None,
        tags_are_remarks=True,
    )
    labels = {mark.name for mark in marks} - {""}
    return RawFile((page,), _names(path, labels), log.problems)


def is_labelme(path: Path) -> bool:
    """Return whether a file looks like a JSON of LabelMe; False if it cannot be read.

    Its suffix is ".json", and its first 4096 bytes begin an object and contain a key of LabelMe
    ("shapes", "imagePath" or "imageData") and no list of COCO ("images", "annotations" or
    "categories").
    """
    if path.suffix.lower() != ".json":
        return False
    text = beginning(path)
    return text.startswith("{") and bool(_LABELME.search(text)) and not _COCO.search(text)


def _image(content: dict[str, Any], path: Path) -> str:
    """Return the name of the image, an absolute path if it lies where one expects it."""
    given = content.get("imagePath")
    written = given if isinstance(given, str) else ""
    name = re.split(r"[\\/]", written)[-1]
    try:
        safe_name(name)
    except InputError as error:
        subject = f"imagePath in {path}"
        raise InputError(subject, error.rule, reprlib.repr(given), error.remedy) from error
    places = (Path(os.path.normpath(place)) for place in _places(path.absolute(), written, name))
    found = next((place for place in places if is_file(place)), None)
    return found.as_posix() if found else written


def _places(path: Path, written: str, name: str) -> Iterator[Path]:
    """Yield where an image may lie: as written, beside the file, or in a folder "images"."""
    yield path.parent / written.replace("\\", "/")
    yield path.parent / name
    for above in list(path.parents)[1:4]:
        # annotations/west/a.json is about images/west/a.jpg.
        yield above / "images" / Path(*path.parent.relative_to(above).parts[1:]) / name


def _names(path: Path, labels: set[str]) -> tuple[str, ...]:
    """Return the names in labels.txt beside the file, or above it up to the data set's folder.

    Args:
        labels: Of the file. Where the data set's folder may be below, labels.txt lists them all.
    """
    may_be_beyond = False
    for folder in list(path.parents)[:_MOST_ABOVE]:
        if is_file(listed := folder / "labels.txt"):
            names = tuple(n for n in read_names(inside(listed, folder)) if n != _IGNORED)
            if not may_be_beyond or labels <= {*names}:
                return names
        may_be_beyond |= folder.name.lower() not in {*SPLIT_NAMES, "images", "annotations"}
    return ()


def _marks(shape: Any, subject: str, size: tuple[int, int] | None) -> list[RawMark]:
    shape = expect(shape, dict, "shape", "an object", "draw it again")
    make = partial(RawMark, subject, name=_label(shape))
    drawn, points = shape.get("shape_type") or "polygon", tuple(_points(shape.get("points")))
    if shape["label"] == _IGNORED:
        return [RawMark(subject, "unknown", "", box_around(points))]
    if not isinstance(drawn, str) or drawn not in _KINDS:
        rule, got = f"one of {', '.join(_KINDS)}", reprlib.repr(drawn)
        raise InputError("shape_type", rule, got, "draw it as one of these")
    if drawn in {"point", "points"}:
        return [make("point", points=(point,)) for point in points]
    if drawn == "mask":
        return [make("runs", runs=_runs(shape, points, known_size(size), subject))]
    if drawn == "circle":
        centre, edge = _two(points, drawn)
        radius = math.dist(centre, edge)
        points = ellipse(centre, (radius, radius), 0)
    return [make(_KINDS[drawn], points=box_around(points) if _KINDS[drawn] == "box" else points)]


def _label(shape: dict[str, Any]) -> str:
    label = shape.get("label")
    if not isinstance(label, str) or not label.strip():
        raise InputError("label", "a class name", reprlib.repr(label), "label it")
    return label


def _points(value: Any) -> Iterator[tuple[float, float]]:
    for point in value if isinstance(value, list) and value else [None]:
        if not isinstance(point, list) or len(point) != 2:
            raise InputError("points", "[[x, y], ...]", reprlib.repr(value), "draw it again")
        yield number(point[0]), number(point[1])


def _two(points: Points, drawn: str) -> Points:
    if len(points) != 2:
        raise InputError(f"points of a {drawn}", "two", len(points), "draw it again")
    return points


def _runs(shape: dict[str, Any], points: Points, size: tuple[int, int], subject: str) -> RunLengths:
    (left, top), (right, bottom) = box_around(_two(points, "mask"))
    if not all(math.isfinite(edge) for edge in (left, top, right, bottom)):
        raise InputError("points of a mask", "finite", points, "draw it again")
    window = _decoded(shape.get("mask"), (bottom - top, right - left), size)
    return placed_runs(window, (round(left), round(top)), size, subject)


def _decoded(value: Any, extent: tuple[float, float], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return a mask (h, w) bool; before it is decoded, its size is compared with its corners."""
    rule = "a PNG of one channel in base64"
    try:
        with open_image(BytesIO(base64.b64decode(value, validate=True)), ("PNG",)) as image:
            sides = window_sides(image.height, image.width, size)
            if any(abs(a - b) > _ROUNDING for a, b in zip(sides, extent, strict=True)):
                got = f"{sides[1]}x{sides[0]}"
                raise InputError("mask", "as large as its corners say", got, "draw it again")
            pixels = np.asarray(image).astype(bool)
    except InputError:
        raise
    except DECODER_ERRORS as error:
        raise InputError("mask", rule, error, "draw it again") from error
    if pixels.shape != sides:
        raise InputError("mask", rule, f"an array of {pixels.shape}", "draw it again")
    return pixels


LABELME = tool_format(
    *("labelme", "*.json of LabelMe", _PATTERNS, is_labelme, read_labelme), image_per_file=True
)
"""One file for each image, in any folder of the data set."""
