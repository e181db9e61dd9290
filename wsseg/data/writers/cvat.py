"""Write CVAT for images 1.1: label maps as masks, or annotations as shapes of their own type."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Annotation, Boxes, MaskFile, Region, Regions, Tags, Unknown
from wsseg.data.constraints import label_map_of, region_mask
from wsseg.data.model import Classes, Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.data.writers.regions import (
    ConnectedRegion,
    LabelledImage,
    connected_regions,
    run_lengths,
)
from wsseg.data.writers.voc import add_fields
from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, palette


def write_cvat(folder: Path, classes: Classes, images: Iterable[LabelledImage], split: str) -> None:
    """Write label maps as ``annotations.xml``, atomically.

    Each connected region is a ``<mask>``, also of the background; IGNORE is what no mask covers.
    Read as a partial mask, the result is exactly the label map. The task that imports the file
    needs the label "background". Images are expected in ``images``.
    """
    shapes = ((image.sample, masks_of(image.label_map, classes)) for image in images)
    write_shapes(folder, classes, shapes, split, task="label maps written by wsseg")


def write_shapes(
    folder: Path,
    classes: Classes,
    shapes: Iterable[tuple[Sample, Iterable[Element]]],
    split: str,
    *,
    task: str,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write shapes as ``annotations.xml``, atomically.

    Args:
        shapes: Images and their shapes, such as ``<box>``, in the form that CVAT writes.
        split: Becomes the "subset" of the images.
        task: Name of the task.
        attributes: Attributes of every label: input types "checkbox" or "text" by name.
    """
    with atomic_write(folder / "annotations.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write(b"  <version>1.1</version>\n")
        file.write(_text(_meta(classes, split, task, attributes or {})))
        for number, (sample, elements) in enumerate(shapes):
            height, width = sample.size
            name = f"{sample.id}{sample.image.suffix}"
            size = {"width": str(width), "height": str(height)}
            image = Element("image", {"id": str(number), "name": name, "subset": split, **size})
            image.extend(elements)
            file.write(_text(image))
        file.write(b"</annotations>\n")


def shapes_of(sample: Sample, classes: Classes) -> Iterator[Element]:
    """Yield the annotations of an image as shapes of their own type.

    wsseg reads them back unchanged, with these exceptions: a full mask becomes a partial one that
    labels the same pixels, a crowd a box, an unsure tag is lost; and whether the marks name every
    class is not stored (``data.closed``). An image that was annotated as empty gets the tag
    "background".

    Raises:
        InputError: A mask file is damaged, or an annotation type comes from another package.
    """
    nothing = (Boxes(()), Tags(()))
    if sample.annotations and all(annotation in nothing for annotation in sample.annotations):
        yield tag_shape(classes.names[0])
    for annotation in sample.annotations:
        yield from _shapes(annotation, sample.size, classes)


def _shapes(annotation: Annotation, size: tuple[int, int], classes: Classes) -> Iterator[Element]:
    if isinstance(annotation, Boxes):
        for box in annotation.items:
            corners = (box.left, box.top, box.right, box.bottom)
            yield box_shape(classes.names[box.label], corners)
    elif isinstance(annotation, Tags):
        yield from (tag_shape(classes.names[label]) for label in annotation.present)
    elif isinstance(annotation, Strokes):
        yield from (_stroke_shape(stroke, classes) for stroke in annotation.items)
    elif isinstance(annotation, Regions) and annotation.partial:
        for region in annotation.items:
            yield from _region_shapes(region, size, classes.names[region.label])
    elif isinstance(annotation, MaskFile | Regions):
        yield from masks_of(label_map_of(annotation, size, len(classes)), classes)
    elif not isinstance(annotation, Unknown):
        message = f"Annotations of the type {type(annotation).__name__} cannot be written"
        raise InputError(message, hint="they belong to another package: leave them out")


def box_shape(name: str, corners: tuple[int, int, int, int]) -> Element:
    """Return a ``<box>`` of a class.

    Args:
        corners: Left, top, right, bottom.
    """
    places = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(str, corners), strict=True))
    return Element("box", {**_drawn_by_hand(name), **places})


def tag_shape(name: str) -> Element:
    """Return a ``<tag>`` of a class."""
    return Element("tag", {"label": name, "source": "manual"})


def masks_of(label_map: NDArray[np.uint8], classes: Classes) -> Iterator[Element]:
    """Yield a ``<mask>`` per connected region of a label map (H, W), except of IGNORE."""
    for region in connected_regions(label_map):
        if region.label != IGNORE:
            yield _mask_shape(region, classes.names[region.label])


def mask_shapes(mask: NDArray[np.bool_], name: str) -> Iterator[Element]:
    """Yield a ``<mask>`` of a class per connected region of a mask (H, W)."""
    for region in connected_regions(mask.astype(np.uint8)):
        if region.label:
            yield _mask_shape(region, name)


def with_attributes(shape: Element, **values: str) -> Element:
    """Add attribute values to a shape, and return the same shape."""
    for name, value in values.items():
        SubElement(shape, "attribute", {"name": name}).text = value
    return shape


def _mask_shape(region: ConnectedRegion, name: str) -> Element:
    sides = {key: str(getattr(region, key)) for key in ("left", "top", "width", "height")}
    rle = ", ".join(map(str, run_lengths(region.mask)))
    values = {"label": name, "source": "auto", "occluded": "0", "rle": rle}
    return Element("mask", {**values, **sides, "z_order": "0"})


def _stroke_shape(stroke: Scribble, classes: Classes) -> Element:
    points = {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in stroke.points)}
    kind = "points" if len(stroke.points) == 1 else "polyline"
    shape = Element(kind, {**_drawn_by_hand(classes.names[stroke.label]), **points})
    return shape if stroke.width is None else with_attributes(shape, width=f"{stroke.width:g}")


def _region_shapes(region: Region, size: tuple[int, int], name: str) -> Iterator[Element]:
    if not region.polygons:
        yield from mask_shapes(region_mask(region, size), name)
    for polygon in region.polygons:
        pairs = zip(polygon[::2], polygon[1::2], strict=True)
        points = {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in pairs)}
        yield Element("polygon", {**_drawn_by_hand(name), **points})


def _drawn_by_hand(name: str) -> dict[str, str]:
    return {"label": name, "source": "manual", "occluded": "0", "z_order": "0"}


def _text(element: Element) -> bytes:
    indent(element, level=1)
    return b"  " + tostring(element, encoding="unicode").encode() + b"\n"


def _meta(classes: Classes, split: str, name: str, attributes: Mapping[str, str]) -> Element:
    meta = Element("meta")
    task = SubElement(meta, "task")
    add_fields(task, {"name": name, "mode": "annotation", "subset": split})
    labels = SubElement(task, "labels")
    for class_name, colour in zip(classes, palette().tolist(), strict=False):
        label = SubElement(labels, "label")
        colour_code = "#{:02x}{:02x}{:02x}".format(*colour)
        add_fields(label, {"name": class_name, "color": colour_code, "type": "any"})
        declared = SubElement(label, "attributes")
        for attribute_name, kind in attributes.items():
            default = "false" if kind == "checkbox" else ""
            fields = {"name": attribute_name, "mutable": "False", "input_type": kind}
            fields |= {"default_value": default, "values": default}
            add_fields(SubElement(declared, "attribute"), fields)
    return meta
