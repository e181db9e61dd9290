"""CVAT: one XML for all images, exported as "CVAT for images 1.1"."""

import math
import os
import reprlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wsseg.data.formats.files import beginning, read_xml
from wsseg.data.formats.geometry import RunLengths, number, plausible_size
from wsseg.data.formats.paths import safe_name
from wsseg.data.formats.raw import Kind, RawFile, RawImage, RawMark
from wsseg.data.formats.reading import ProblemLog
from wsseg.data.formats.shapes import (
    Points,
    box_around,
    ellipse,
    known_size,
    placed_runs,
    rotated,
    window_sides,
)
from wsseg.data.formats.tools import tool_format
from wsseg.errors import InputError

_EXPORT = "export it as 'CVAT for images 1.1'"
_TRUE = ("true", "1", "yes")
_OPEN_SUGGESTION = "still a suggestion; left out, untick 'suggestion' or delete it"


def read_cvat(path: Path) -> RawFile:
    """Return the content of an XML file of "CVAT for images 1.1", with the task's labels as names.

    A ``points`` shape is a click for each point; if its attribute "extreme" is true, its four
    points are the extreme points of one object. An attribute "width" of a ``polyline`` or
    ``points`` is its width in pixels. A rotated box and a cuboid give their bounding boxes, a
    skeleton a click for each joint that is visible, since its object is larger than a box around
    them. Coordinates are CVAT's: the image spans 0 to its width. The subset of an image is its
    split, in lower case. A shape that cannot be used leaves its class unknown. Shapes and tags
    whose attribute "suggestion" is true are left out: a program made them and nobody accepted them.

    Raises:
        InputError: The file is missing, damaged, holds a DTD, or is of "CVAT for video".
    """
    images, names, log = list[RawImage](), list[str](), ProblemLog()

    def visit(element: Any) -> None:
        if element.tag == "meta":
            names[:] = _names(element)
        elif element.tag == "image":
            subject = f"{path.name} image {reprlib.repr(element.get('name'))}"
            with log.leaving_out(subject, "image that cannot be read"):
                images.append(_image(element, subject, path, log))
        elif element.tag == "track":
            raise InputError(path, "of CVAT for images", "CVAT for video", _EXPORT)

    rule = "XML of CVAT for images, without DTD"
    root = read_xml(path, rule, "export it again", visit=visit)
    if root.tag != "annotations" or "xmlns" in root.attrib:
        got = f"<{reprlib.repr(root.tag)[1:-1]}> of another format"
        raise InputError(path, "XML of CVAT, <annotations>", got, _EXPORT)
    return RawFile(tuple(images), tuple(names), log.problems)


def _names(meta: Any) -> Iterator[str]:
    for source in ("task", "job", "project"):
        for label in meta.findall(f"{source}/labels/label"):
            # Labels with a parent are the points of a skeleton.
            if (name := label.findtext("name")) and label.find("parent") is None:
                yield name


def _image(image: Any, subject: str, path: Path, log: ProblemLog) -> RawImage:
    name, subset = image.get("name", ""), image.get("subset", "").strip()
    safe_name(name)
    split = None if subset.lower() in {"", "default"} else safe_name(subset.lower()).as_posix()
    if subset and subset != split and _has_images(path, safe_name(subset).as_posix()):
        name = f"{subset}/{name}"
    size = plausible_size(image.get("height"), image.get("width"))
    marks, tags = list[RawMark](), list[str]()
    for index, shape in sorted(enumerate(image), key=lambda item: _order(item[1])):
        place = f"{subject} {shape.tag} {index + 1}"
        if _attribute(shape, "suggestion").lower() in _TRUE:
            log.add(place, _OPEN_SUGGESTION, "suggestion that nobody accepted")
            continue
        with log.or_unknown(marks, place, "shape that cannot be used", shape.get("label")):
            if shape.tag == "tag":
                tags.append(_label(shape))
            else:
                marks += _marks(shape, place, size)
    shown = tuple(dict.fromkeys(tags)) or None
    return RawImage(subject, name, tuple(marks), size, split, shown)


def _has_images(path: Path, subset: str) -> bool:
    """Return whether images lie in images/<subset>, as CVAT exports projects."""
    folders = (folder / "images" / subset for folder in path.parents[:2])
    return any(os.path.isdir(folder) for folder in folders)  # noqa: PTH112 - as in files.is_file


def _order(shape: Any) -> float:
    order = number(shape.get("z_order", 0))
    return order if math.isfinite(order) else 0


def _marks(shape: Any, subject: str, size: tuple[int, int] | None) -> list[RawMark]:
    make = partial(RawMark, subject, name=_label(shape))
    if shape.tag == "mask":
        return [make("runs", runs=_runs(shape, known_size(size), subject))]
    if shape.tag == "points" and _attribute(shape, "extreme").lower() not in _TRUE:
        return [make("point", points=(p,), width=_width(shape)) for p in _points(shape)]
    if shape.tag == "skeleton":
        joints = [p for joint in shape.iterfind("points") for p in _visible(joint)]
        return [make("point", points=(p,)) for p in _some(joints)]
    if shape.tag not in _DRAWN:
        rule, got = f"mask, {', '.join(_DRAWN)}, skeleton or tag", reprlib.repr(shape.tag)
        raise InputError("shape", rule, got, "draw it as one of these")
    kind, points = _DRAWN[shape.tag]
    width = _width(shape) if kind == "scribble" else None
    return [make(kind, points=points(shape), width=width)]


def _visible(joint: Any) -> Points:
    is_hidden = joint.get("outside") == "1" or joint.get("occluded") == "1"
    return () if is_hidden else _points(joint)


def _some(joints: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if not joints:
        raise InputError("skeleton", "with a visible joint", "none", "draw a box")
    return joints


def _label(shape: Any) -> str:
    label = shape.get("label", "")
    if not label.strip():
        raise InputError("label", "a class name", repr(label), "label it")
    return str(label)


def _numbers(shape: Any, keys: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(number(shape.get(key, "0" if key == "rotation" else "")) for key in keys)


def _box(shape: Any) -> Points:
    left, top, right, bottom, turn = _numbers(shape, ("xtl", "ytl", "xbr", "ybr", "rotation"))
    corners: Points = ((left, top), (right, top), (right, bottom), (left, bottom))
    if turn:
        corners = rotated(corners, ((left + right) / 2, (top + bottom) / 2), turn)
    return box_around(corners)


def _points(shape: Any) -> Points:
    text = shape.get("points", "")
    pairs = [pair.split(",") for pair in text.strip().rstrip(";").split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError("points", "x,y;x,y;...", reprlib.repr(text), "draw it again")
    return tuple((number(x), number(y)) for x, y in pairs)


def _cuboid(shape: Any) -> Points:
    """Return the box around a cuboid, whose edges are named l and r, t and b, 1 (front) and 2."""
    corners = [side + depth for depth in "12" for side in ("tl", "bl", "tr", "br")]
    xs, ys = (_numbers(shape, tuple(axis + corner for corner in corners)) for axis in "xy")
    if not all(map(math.isfinite, (*xs, *ys))):
        raise InputError("cuboid", "eight corners", "fewer", "draw it again")
    return box_around(tuple(zip(xs, ys, strict=True)))


def _extremes(shape: Any) -> Points:
    points = _points(shape)
    if len(points) != 4:
        raise InputError("extreme points", "four", len(points), "draw them again")
    return points


def _ellipse(shape: Any) -> Points:
    x, y, across, down, turn = _numbers(shape, ("cx", "cy", "rx", "ry", "rotation"))
    return ellipse((x, y), (across, down), turn)


_DRAWN: dict[str, tuple[Kind, Callable[[Any], Points]]] = {
    "box": ("box", _box),
    "cuboid": ("box", _cuboid),
    "ellipse": ("polygon", _ellipse),
    "polygon": ("polygon", _points),
    "polyline": ("scribble", _points),
    "points": ("extreme", _extremes),
}


def _attribute(shape: Any, name: str) -> str:
    for attribute in shape.iterfind("attribute"):
        if attribute.get("name", "").strip().lower() == name:
            return (attribute.text or "").strip()
    return ""


def _width(shape: Any) -> float | None:
    text = _attribute(shape, "width")
    return number(text) if text else None


def _runs(shape: Any, size: tuple[int, int], subject: str) -> RunLengths:
    """Return the run lengths of the image from those of a mask's window, row by row."""
    sides = window_sides(shape.get("height"), shape.get("width"), size)
    left, top = _numbers(shape, ("left", "top"))
    if not (left.is_integer() and top.is_integer()):
        rule, got = "at a whole pixel", f"left {left:g}, top {top:g}"
        raise InputError("mask", rule, got, "draw it again")
    counts = [number(count) for count in shape.get("rle", "").split(",")]
    whole = all(count >= 0 and count.is_integer() for count in counts)
    if not whole or sum(counts) != math.prod(sides):
        rule = f"run lengths of {sides[1]}x{sides[0]} pixels"
        raise InputError("rle", rule, reprlib.repr(shape.get("rle")), "draw it again")
    drawn = np.repeat(np.arange(len(counts)) % 2 == 1, np.array(counts, np.int64))
    return placed_runs(drawn.reshape(sides), (int(left), int(top)), size, subject)


def _is_cvat(path: Path) -> bool:
    return path.suffix.lower() == ".xml" and "<annotations" in beginning(path)


CVAT = tool_format(
    "cvat",
    "annotations.xml of CVAT for images",
    ("*.xml", "annotations/*.xml"),
    _is_cvat,
    read_cvat,
)
"""One file for each task or project: annotations.xml beside images/."""
