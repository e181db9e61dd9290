"""Regions of Label Studio, whose coordinates are per cent of the image's size, as marks."""

import base64
import math
import reprlib
from collections.abc import Callable, Iterable
from functools import partial
from io import BytesIO
from typing import Any, Protocol

import numpy as np

from wsseg.data.formats.brush import brush_runs
from wsseg.data.formats.geometry import number
from wsseg.data.formats.raw import RawMark
from wsseg.data.formats.reading import ProblemLog
from wsseg.data.formats.shapes import box_around, placed_runs, rotated
from wsseg.errors import InputError
from wsseg.safe_io import DECODER_ERRORS, open_image

_Size = tuple[int, int]
_Value = dict[str, Any]

Result = tuple[str, dict[str, Any]]
"""A result of an annotation and its place in the file, for problems."""

ABOUT_IMAGES = ("choices", "taxonomy")
"""Types of results that name classes of an image, or of a region that has no label of its own."""

_ELLIPSE_CORNERS = 64


def regions_of(results: Iterable[Result]) -> list[list[Result]]:
    """Return the results by region: those of one id, each of another control.

    A rectangle that was drawn without a label has its label, choices or remarks in further results.
    """
    regions: list[list[Result]] = []
    latest: dict[object, list[Result]] = {}
    for place, result in results:
        id, control = result.get("id"), result.get("from_name")
        region = latest.get(id) if isinstance(id, str) else None
        if region is None or any(control == other.get("from_name") for _, other in region):
            region = []
            regions.append(region)
            if isinstance(id, str):
                latest[id] = region
        region.append((place, result))
    return regions


def value_of(region: Iterable[Result]) -> _Value:
    """Return what all results of a region say, the first result first."""
    value: _Value = {}
    for _, result in region:
        if isinstance(more := result.get("value"), dict):
            value = {**more, **value}
    return value


def names_of(value: _Value) -> list[str]:
    """Return the labels of a region; without labels, its choices.

    Raises:
        InputError: There are none, or they are no names.
    """
    keys = [key for key in value if key.endswith("labels")]
    key = (*keys, *(key for key in ABOUT_IMAGES if key in value), "label")[0]
    names = value.get(key)
    if key == "taxonomy" and isinstance(names, list):
        names = [path[-1] if isinstance(path, list) and path else path for path in names]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise InputError(key, "one or more names", reprlib.repr(names), "label it")
    return names


def is_region(value: _Value) -> bool:
    """Return whether a value is about a part of an image."""
    return any(key in value for key in (*_SHAPES, "y"))


def mark_of(region: list[Result], size: _Size | None, log: ProblemLog) -> RawMark:
    """Return the mark of a region.

    Args:
        size: (H, W) of the image, if the results give it.

    Raises:
        InputError: Its shape, label or image size cannot be used.
    """
    (subject, result), value = region[0], value_of(region)
    shape = next((shape for key, shape in _SHAPES.items() if key in value), None)
    if shape is None or all(other.get("type") in ABOUT_IMAGES for _, other in region):
        rule = "a rectangle, ellipse, polygon, vector, key point, brush or bitmask, with a label"
        raise InputError("region", rule, reprlib.repr(result.get("type")), "draw one of these")
    if any(other.get("is_positive") is False for _, other in region):
        rule, remedy = "a mark of its class", "delete it"
        raise InputError("key point", rule, "a hint where the class is not", remedy)
    if size is None:
        rule, remedy = "with original_width and original_height", "open and save the task once more"
        raise InputError("result", rule, "no plausible ones", remedy)
    names = names_of(value)
    if len(names) > 1:
        message = f"{', '.join(names)} all label one mark; the first is used, choose one"
        log.add(subject, message, "mark of several classes")
    return shape(partial(RawMark, subject, name=names[0]), value, size)


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


def _vector(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    """Return a path of straight lines: a polygon if it is closed, otherwise a scribble."""
    listed = value.get("vertices")
    corners = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    if not corners or corners != listed or any(c.get("isBezier") for c in corners):
        rule, got = "of straight lines between vertices", reprlib.repr(listed)
        raise InputError("vector", rule, got, "draw a polygon")
    points = tuple(_pixels(corner, "x", "y", size) for corner in corners)
    return make(kind="polygon" if value.get("closed") else "scribble", points=points)


def _point(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    if "height" in value:
        return _box(make, value, size)
    radius = number(value.get("width")) / 100 * size[1]
    width = 2 * radius if 0 < radius < math.inf else None
    return make(kind="point", points=(_pixels(value, "x", "y", size),), width=width)


def _brush(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    if value.get("format") != "rle":
        remedy = "export it again"
        raise InputError("format", "rle", reprlib.repr(value.get("format")), remedy)
    return make(kind="runs", runs=brush_runs(value.get("rle"), size))


def _bitmask(make: _MakeMark, value: _Value, size: _Size) -> RawMark:
    """Return the pixels of a PNG in a data URL that are not transparent, or else not black."""
    rule, remedy = f"a PNG of {size[1]}x{size[0]} pixels in base64", "export it again"
    try:
        data = base64.b64decode(str(value["imageDataURL"]).partition("base64,")[2], validate=True)
        with open_image(BytesIO(data), ("PNG",)) as image:
            if (image.height, image.width) != size:
                got = f"{image.width}x{image.height}"
                raise InputError("imageDataURL", rule, got, remedy)
            has_alpha = image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info
            pixels = np.asarray(image.convert("RGBA"))
    except InputError:
        raise
    except DECODER_ERRORS as error:
        raise InputError("imageDataURL", rule, error, remedy) from error
    drawn = pixels[..., 3:] if has_alpha else pixels[..., :3]
    mask = np.asarray(drawn.any(axis=-1), bool)
    return make(kind="runs", runs=placed_runs(mask, (0, 0), size, "imageDataURL"))


def _pixels(value: _Value, x: str, y: str, size: _Size) -> tuple[float, float]:
    return number(value.get(x)) / 100 * size[1], number(value.get(y)) / 100 * size[0]


def _degrees(value: _Value) -> float:
    return number(value.get("rotation") or 0)


_SHAPES: dict[str, Callable[[_MakeMark, _Value, _Size], RawMark]] = {
    "rle": _brush,
    "imageDataURL": _bitmask,
    "vertices": _vector,
    "points": _polygon,
    "radiusX": _ellipse,
    "x": _point,
}
"""Shapes by a key that tells them from those below; types differ between controls and exports."""
