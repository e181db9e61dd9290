"""CVAT for images 1.1: label maps as a mask for every connected region, or whatever was drawn."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Classes, Sample
from wsseg.data.writers.regions import (
    ConnectedRegion,
    LabelledImages,
    connected_regions,
    run_lengths,
)
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, palette


def write_cvat(folder: Path, classes: Classes, labelled: LabelledImages, split: str) -> None:
    """Write label maps as ``annotations.xml``, atomically.

    Each connected region is a ``<mask>``, the background's too, and IGNORE is what no mask covers:
    read as a partial mask this is exactly the label map. The task that it is imported into needs
    the label "background". Images are expected in ``images``.

    Args:
        folder: The data set's folder.
        classes: The class names.
        labelled: Images and label maps (H, W) uint8, IGNORE where unknown.
        split: The images' "subset".
    """
    shaped = ((sample, masks_of(label_map, classes)) for sample, label_map in labelled)
    write_shapes(folder, classes, shaped, split, task="label maps written by wsseg")


def write_shapes(
    folder: Path,
    classes: Classes,
    shaped: Iterable[tuple[Sample, Iterable[Element]]],
    split: str,
    *,
    task: str,
    attributes: Mapping[str, str] | None = None,
) -> None:
    """Write shapes as ``annotations.xml``, atomically.

    Args:
        folder: The data set's folder.
        classes: The class names.
        shaped: Images and their shapes, such as ``<box>``, as CVAT writes them.
        split: The images' "subset".
        task: The task's name.
        attributes: Input types, "checkbox" or "text", of the attributes of every label by name.
    """
    with atomic_write(folder / "annotations.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write(b"  <version>1.1</version>\n")
        file.write(_text(_meta(classes, split, task, attributes or {})))
        for number, (sample, shapes) in enumerate(shaped):
            image = Element("image", _about(number, sample, split))
            image.extend(shapes)
            file.write(_text(image))
        file.write(b"</annotations>\n")


def masks_of(label_map: NDArray[np.uint8], classes: Classes) -> Iterable[Element]:
    """Yield a ``<mask>`` for every connected region of a label map, the background's too.

    Args:
        label_map: (H, W) uint8; IGNORE is left out.
        classes: The class names.

    Yields:
        The elements.
    """
    for region in connected_regions(label_map):
        if region.label != IGNORE:
            yield Element("mask", mask_values(region, classes.names[region.label]))


def mask_values(region: ConnectedRegion, name: str) -> dict[str, str]:
    """Return the attributes of a ``<mask>``.

    Args:
        region: Its pixels.
        name: Of its class.

    Returns:
        By name.
    """
    return {
        "label": name,
        "source": "auto",
        "occluded": "0",
        "rle": ", ".join(map(str, run_lengths(region.mask))),
        "left": str(region.left),
        "top": str(region.top),
        "width": str(region.width),
        "height": str(region.height),
        "z_order": "0",
    }


def _text(element: Element) -> bytes:
    indent(element, level=1)
    return b"  " + tostring(element, encoding="unicode").encode() + b"\n"


def _about(number: int, sample: Sample, split: str) -> dict[str, str]:
    height, width = sample.size
    name = f"{sample.id}{sample.image.suffix}"
    sides = {"width": str(width), "height": str(height)}
    return {"id": str(number), "name": name, "subset": split, **sides}


def _meta(classes: Classes, split: str, name: str, attributes: Mapping[str, str]) -> Element:
    meta = Element("meta")
    task = SubElement(meta, "task")
    SubElement(task, "name").text = name
    SubElement(task, "mode").text = "annotation"
    SubElement(task, "subset").text = split
    labels = SubElement(task, "labels")
    for class_name, colour in zip(classes, palette().tolist(), strict=False):
        label = SubElement(labels, "label")
        SubElement(label, "name").text = class_name
        SubElement(label, "color").text = "#{:02x}{:02x}{:02x}".format(*colour)
        SubElement(label, "type").text = "any"
        label.append(_declared(attributes))
    return meta


def _declared(attributes: Mapping[str, str]) -> Element:
    declared = Element("attributes")
    for name, kind in attributes.items():
        attribute = SubElement(declared, "attribute")
        SubElement(attribute, "name").text = name
        SubElement(attribute, "mutable").text = "False"
        SubElement(attribute, "input_type").text = kind
        SubElement(attribute, "default_value").text = "false" if kind == "checkbox" else ""
        SubElement(attribute, "values").text = "false" if kind == "checkbox" else ""
    return declared
