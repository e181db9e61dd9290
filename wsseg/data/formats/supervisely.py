"""Supervisely: one JSON for each image, in the folder "ann" beside the folder "img"."""

import base64
import reprlib
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.formats.files import beginning, read_json
from wsseg.data.formats.geometry import RunLengths, number, plausible_size
from wsseg.data.formats.raw import SPLIT_NAMES, Kind, RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog, expect
from wsseg.data.formats.shapes import Points, box_around, known_size, placed_runs, window_sides
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError
from wsseg.safe_io import DECODER_ERRORS, MAX_PIXELS, open_image

_KINDS: dict[str, Kind] = {
    "rectangle": "box",
    "polygon": "polygon",
    "line": "scribble",
    "polyline": "scribble",
    "point": "point",
}
_Size = tuple[int, int]


def read_supervisely(path: Path) -> RawFile:
    """Return the content of a JSON file of Supervisely, the objects and tags of one image.

    A rectangle gives a box, a line a scribble, a bitmap its pixels; a polygon with holes gives its
    pixels without them. A folder named train, val, ... is the split of its images. Objects that
    cannot be used leave their class unknown.

    Raises:
        InputError: The file is missing, damaged, or of another tool.
    """
    content = read_json(path, "JSON of Supervisely", dict)
    rule = "with a list of objects"
    objects = expect(content.get("objects"), list, path, rule, "export it again")
    written = content["size"] if isinstance(content.get("size"), dict) else {}
    size = plausible_size(written.get("height"), written.get("width"))
    marks, log = list[RawMark](), ProblemLog()
    for index, shape in enumerate(objects):
        place = f"{path.name} objects[{index}]"
        name = shape.get("classTitle") if isinstance(shape, dict) else None
        with log.or_unknown(marks, place, "object that cannot be used", name):
            values = expect(shape, dict, "object", "an object", "draw it again")
            marks += _marks(values, place, size)
    folder = path.parent.parent
    split = folder.name if folder.name.lower() in SPLIT_NAMES else None
    tags = content["tags"] if isinstance(content.get("tags"), list) else []
    names = tuple(tag["name"] for tag in tags if isinstance(tag, dict) and "name" in tag)
    image = RawImage(
        *(path.name, f"{folder.name}/img/{path.stem}", tuple(marks), size, split),
        tags=names or None,
        tags_are_remarks=True,
    )
    return RawFile((image,), (), log.problems)


def _marks(shape: dict[str, Any], subject: str, size: _Size | None) -> list[RawMark]:
    name = expect(shape.get("classTitle"), str, "classTitle", "a class name", "label it")
    make, kind = partial(RawMark, subject, name=name), shape.get("geometryType")
    if kind == "bitmap":
        return [make("runs", runs=_bitmap(shape.get("bitmap"), known_size(size), subject))]
    points = shape["points"] if isinstance(shape.get("points"), dict) else {}
    outer, holes = _points(points.get("exterior")), points.get("interior") or []
    if kind == "polygon" and holes:
        runs = _without_holes(outer, [_points(hole) for hole in holes], known_size(size), subject)
        return [make("runs", runs=runs)]
    if not isinstance(kind, str) or kind not in _KINDS:
        rule, got = f"one of bitmap, {', '.join(_KINDS)}", reprlib.repr(kind)
        raise InputError("geometryType", rule, got, "draw it as one of these")
    if kind == "point":
        return [make("point", points=(point,)) for point in outer]
    return [make(_KINDS[kind], points=box_around(outer) if kind == "rectangle" else outer)]


def _points(value: Any) -> Points:
    pairs = expect(value, list, "points", "[[x, y], ...]", "draw it again")
    if not pairs or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise InputError("points", "[[x, y], ...]", reprlib.repr(value), "draw it again")
    return tuple((number(x), number(y)) for x, y in pairs)


def _without_holes(outer: Points, holes: list[Points], size: _Size, subject: str) -> RunLengths:
    mask = np.zeros(size, np.uint8)
    for value, points in ((1, outer), *((0, hole) for hole in holes)):
        corners = np.array(points, np.float64)
        if len(points) < 3 or not (np.abs(corners) < MAX_PIXELS).all():
            got = reprlib.repr(points)
            raise InputError("polygon", "three or more points", got, "draw it again")
        cv2.fillPoly(mask, [np.floor(corners).astype(np.int32)], value)
    return placed_runs(mask.astype(bool), (0, 0), size, subject)


def _bitmap(value: Any, size: _Size, subject: str) -> RunLengths:
    bitmap = expect(value, dict, "bitmap", "an object", "draw it again")
    (left, top), *_ = _points([bitmap.get("origin")])
    if not (left.is_integer() and top.is_integer()):
        raise InputError("origin", "whole pixels", reprlib.repr(bitmap), "draw it again")
    return placed_runs(_pixels(bitmap.get("data"), size), (int(left), int(top)), size, subject)


def _pixels(data: Any, size: _Size) -> NDArray[np.bool_]:
    """Return a mask (h, w) from a compressed PNG, whose size is checked before it is decoded."""
    try:
        packed = base64.b64decode(data, validate=True)
        png = zlib.decompressobj().decompress(packed, 4 * size[0] * size[1] + 4096)
        with open_image(BytesIO(png), ("PNG",)) as image:
            window_sides(image.height, image.width, size)
            pixels = np.asarray(image)
    except InputError:
        raise
    except (*DECODER_ERRORS, zlib.error) as error:
        raise InputError("bitmap", "a compressed PNG in base64", error, "draw it again") from error
    return pixels.reshape(*pixels.shape[:2], -1)[..., -1] > 0


def is_supervisely(path: Path) -> bool:
    """Return whether a file is a JSON of Supervisely, by its folder and first bytes."""
    return path.parent.name == "ann" and '"objects"' in beginning(path)


SUPERVISELY = tool_format(
    *("supervisely", "ann/*.json of Supervisely beside img/"),
    ("ann/*.json", "*/ann/*.json", "*/*/ann/*.json"),
    is_supervisely,
    read_supervisely,
    image_per_file=True,
)
"""A project of data sets, or one data set."""
