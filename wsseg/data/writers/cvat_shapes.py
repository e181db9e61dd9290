"""Annotations as shapes of CVAT: boxes, tags, points, polylines, polygons and masks."""

from collections.abc import Iterator
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import label_map_of, region_mask
from wsseg.data.model import (
    Annotation,
    Boxes,
    Classes,
    MaskFile,
    Region,
    Regions,
    Sample,
    Tags,
)
from wsseg.data.strokes import Scribble, Strokes
from wsseg.data.writers.cvat import mask_values, masks_of
from wsseg.data.writers.regions import connected_regions
from wsseg.errors import InputError

Place = tuple[int, int, int, int]


def shapes_of(sample: Sample, classes: Classes) -> Iterator[Element]:
    """Yield what was drawn on an image as CVAT's shapes.

    wsseg reads them as what they were, with these exceptions: a full mask comes back as a partial
    one that labels the same pixels, a crowd as a box, an unsure tag not at all; and whether marks
    name every class is not said (``data.closed``). Where somebody said that an image shows
    nothing, it is tagged "background".

    Args:
        sample: The image; the files of its masks are read.
        classes: The class names.

    Yields:
        Elements ``box``, ``tag``, ``points``, ``polyline``, ``polygon`` and ``mask``.

    Raises:
        InputError: A mask is damaged, or an annotation is of another package.
    """
    if _says_nothing_is_there(sample):
        yield tag_shape(classes.names[0])
    for drawn in sample.annotations:
        yield from _shapes(drawn, sample.size, classes)


def box_shape(name: str, place: Place) -> Element:
    """Return a ``<box>``.

    Args:
        name: Of its class.
        place: Left, top, right, bottom.

    Returns:
        The element.
    """
    corners = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(str, place), strict=True))
    return Element("box", {**_drawn(name), **corners})


def tag_shape(name: str) -> Element:
    """Return a ``<tag>``.

    Args:
        name: Of its class.

    Returns:
        The element.
    """
    return Element("tag", {"label": name, "source": "manual"})


def mask_shapes(mask: NDArray[np.bool_], name: str) -> Iterator[Element]:
    """Yield a ``<mask>`` for every connected region of a mask.

    Args:
        mask: (H, W) bool.
        name: Of their class.

    Yields:
        The elements.
    """
    for region in connected_regions(mask.astype(np.uint8)):
        if region.label:
            yield Element("mask", mask_values(region, name))


def with_attributes(shape: Element, **values: str) -> Element:
    """Return a shape with values of its label's attributes.

    Args:
        shape: The shape, which is changed.
        **values: By name.

    Returns:
        The same shape.
    """
    for name, value in values.items():
        SubElement(shape, "attribute", {"name": name}).text = value
    return shape


def _says_nothing_is_there(sample: Sample) -> bool:
    empty = [d for d in sample.annotations if isinstance(d, Boxes | Tags)]
    nothing = not any(d.items if isinstance(d, Boxes) else (d.present or d.unsure) for d in empty)
    return bool(empty) and nothing and len(empty) == len(sample.annotations)


def _shapes(drawn: Annotation, size: tuple[int, int], classes: Classes) -> Iterator[Element]:
    if isinstance(drawn, Boxes):
        for box in drawn.items:
            place = (box.left, box.top, box.right, box.bottom)
            yield box_shape(classes.names[box.label], place)
    elif isinstance(drawn, Tags):
        yield from (tag_shape(classes.names[label]) for label in drawn.present)
    elif isinstance(drawn, Strokes):
        yield from (_stroke(stroke, classes) for stroke in drawn.items)
    elif isinstance(drawn, Regions) and drawn.partial:
        for region in drawn.items:
            yield from _region(region, size, classes.names[region.label])
    elif isinstance(drawn, MaskFile | Regions):
        yield from masks_of(label_map_of(drawn, size, len(classes)), classes)
    else:
        got, remedy = type(drawn).__name__, "leave it out"
        raise InputError("annotation", "of a kind of this package", got, remedy)


def _stroke(stroke: Scribble, classes: Classes) -> Element:
    points = {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in stroke.points)}
    kind = "points" if len(stroke.points) == 1 else "polyline"
    shape = Element(kind, {**_drawn(classes.names[stroke.label]), **points})
    return shape if stroke.width is None else with_attributes(shape, width=f"{stroke.width:g}")


def _region(region: Region, size: tuple[int, int], name: str) -> Iterator[Element]:
    if not region.polygons:
        yield from mask_shapes(region_mask(region, size), name)
    for polygon in region.polygons:
        pairs = zip(polygon[::2], polygon[1::2], strict=True)
        points = {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in pairs)}
        yield Element("polygon", {**_drawn(name), **points})


def _drawn(name: str) -> dict[str, str]:
    return {"label": name, "source": "manual", "occluded": "0", "z_order": "0"}
