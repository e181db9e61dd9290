"""XML files of Pascal VOC, each the boxes of one image, and class names of such data sets."""

import math
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from wsseg.data.formats.files import beginning, child_text, read_names, read_xml
from wsseg.data.formats.geometry import Corners, bounds, number, plausible_size
from wsseg.data.formats.paths import inside, matching_files
from wsseg.data.formats.raw import RawImage, RawObject
from wsseg.data.formats.reading import classes_of, is_background
from wsseg.data.formats.shapes import rotated
from wsseg.data.model import Classes
from wsseg.errors import InputError

VOC_NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)
"""The classes of Pascal VOC in the order of their labels, 1 to 20."""

_VOC_ID = re.compile(r"\d{4}_\d{6}|\d{6}")
_COLOUR = re.compile(r"[^:]*:\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)")
_NO_CLASS = ("ignored", "ignore", "void", "unlabeled", "unlabelled")


def voc_classes(
    root: Path, images: Iterable[RawImage], tagged: Collection[str], ids: Iterable[str]
) -> Classes:
    """Return the classes in ``labelmap.txt``, else of all objects, else of tag files.

    They are all twenty of VOC, in its order, if an image has an id of the challenge.

    Args:
        images: Read only if there is no ``labelmap.txt``.
        tagged: Names of tag files.

    Raises:
        InputError: There is no class, or ``labelmap.txt`` is damaged.
    """
    path = root / "labelmap.txt"
    if path.is_file():
        return classes_of(label_map_names(path, root), str(path))
    objects = {item.name for image in images for item in image.objects or ()}
    names = {name for name in objects if not is_background(name)} or {*tagged}
    if not names:
        remedy = "write labelmap.txt with a line 'name:::' for each class, background first"
        rule = "there, or objects in Annotations/*.xml, or class files in ImageSets/Main"
        raise InputError(path, rule, "none of them", remedy)
    is_challenge = names <= {*VOC_NAMES} and any(_VOC_ID.fullmatch(id) for id in ids)
    return classes_of(VOC_NAMES if is_challenge else sorted(names), str(root))


def label_colours(root: Path) -> tuple[tuple[int, int, int], ...] | None:
    """Return the RGB colours of the classes that ``labelmap.txt`` gives, background first.

    They are None if there is no such file, or a class has no colour.
    """
    path = root / "labelmap.txt"
    if not path.is_file():
        return None
    entries = {line.split(":")[0].strip(): _COLOUR.match(line) for line in _entries(path, root)}
    names = label_map_names(path, root)
    if not is_background(names[0]):
        names = ["background", *names]
    matches = [entries.get(name) for name in names]
    values = [[min(int(value), 255) for value in match.groups()] for match in matches if match]
    colours = tuple((red, green, blue) for red, green, blue in values)
    return colours if len(colours) == len(names) else None


def _entries(path: Path, root: Path) -> list[str]:
    return [line for line in read_names(inside(path, root)) if not line.startswith("#")]


def label_map_names(path: Path, root: Path) -> list[str]:
    """Return the object classes; masks number the lines, so background is first, void last."""
    names = [line.split(":")[0].strip() for line in _entries(path, root)]
    named = [name for name in names if name.lower() not in _NO_CLASS]
    if names[: len(named)] != named:
        raise InputError(path, f"ended by {_NO_CLASS}", "a class after it", "move it to the end")
    if any(is_background(name) for name in named[1:]):
        raise InputError(path, "begun by background", f"{named[0]!r} first", "put it first")
    return named


def xml_files(root: Path) -> Iterator[Path]:
    """Yield the XML files of VOC's form in a folder and up to two levels below."""
    return matching_files(root, ("*.xml", "*/*.xml", "*/*/*.xml"), is_voc_file)


def is_voc_file(path: Path) -> bool:
    """Return whether a file is an XML of one image, by its name and first bytes."""
    if path.suffix.lower() != ".xml":
        return False
    head = beginning(path)
    # CVAT writes <annotations>, and scribbles are polygons in no object.
    return re.search(r"<annotation[\s>]", head) is not None and "<polygon>" not in head


def read_page(path: Path, subject: str, name: str) -> RawImage:
    """Return the content of one XML file, its image named as the file says, else as the file.

    Args:
        subject: Names the file in problems.
        name: Names the file in errors.

    Raises:
        InputError: The file is missing, damaged, or holds a DTD.
    """
    tree = read_xml(path, "an XML file of boxes without DTD", "export it again", name)
    size = plausible_size(child_text(tree, "size/height"), child_text(tree, "size/width"))
    objects = (
        RawObject(subject, child_text(item, "name"), _corners(item))
        for item in tree.findall("object")
    )
    image = child_text(tree, "filename") or path.stem
    return RawImage(subject, image, size=size, objects=tuple(objects), boxes_only=True)


def _corners(item: Any) -> Corners:
    """Return edges from VOC's corners, which count pixels from 1 and lie inside the box."""
    box, turned = item.find("bndbox"), item.find("robndbox")
    if box is None and turned is not None:
        return _corners_around(turned)
    if box is None:
        return math.nan, math.nan, math.nan, math.nan
    read = (number(box.findtext(key)) for key in ("xmin", "ymin", "xmax", "ymax"))
    left, top, right, bottom = (round(n) if math.isfinite(n) else n for n in read)
    # Swapped corners stay swapped, the smaller one being the first pixel inside.
    left, right = (left - 1, right) if left <= right else (left, right - 1)
    top, bottom = (top - 1, bottom) if top <= bottom else (top, bottom - 1)
    return left, top, right, bottom


def _corners_around(turned: Any) -> Corners:
    """Return the edges around a rotated box of roLabelImg, whose angle is in radians."""
    keys = ("cx", "cy", "w", "h", "angle")
    x, y, width, height, angle = (number(turned.findtext(key)) for key in keys)
    corners = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    points = tuple((x + a * width / 2, y + b * height / 2) for a, b in corners)
    return bounds([[v for point in rotated(points, (x, y), math.degrees(angle)) for v in point]])
