"""Label maps as CVAT for images 1.1: one XML with a mask for every connected region."""

from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from wsseg.annotations.model import Classes, Sample
from wsseg.annotations.writers.regions import (
    ConnectedRegion,
    LabelledImages,
    connected_regions,
    run_lengths,
)
from wsseg.labels import IGNORE, atomic_write, palette


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
    with atomic_write(folder / "annotations.xml") as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write(b"  <version>1.1</version>\n")
        file.write(_text(_meta(classes, split)))
        for number, (sample, label_map) in enumerate(labelled):
            about = {"id": str(number), "name": f"{sample.id}{sample.image.suffix}"}
            file.write(_text(_image(about, split, sample, label_map, classes)))
        file.write(b"</annotations>\n")


def _text(element: Element) -> bytes:
    indent(element, level=1)
    return b"  " + tostring(element, encoding="unicode").encode() + b"\n"


def _meta(classes: Classes, split: str) -> Element:
    meta = Element("meta")
    task = SubElement(meta, "task")
    SubElement(task, "name").text = "label maps written by wsseg"
    SubElement(task, "mode").text = "annotation"
    SubElement(task, "subset").text = split
    labels = SubElement(task, "labels")
    for name, colour in zip(classes, palette().tolist(), strict=False):
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "color").text = "#{:02x}{:02x}{:02x}".format(*colour)
        SubElement(label, "type").text = "any"
        SubElement(label, "attributes")
    return meta


def _image(
    about: dict[str, str],
    split: str,
    sample: Sample,
    label_map: NDArray[np.uint8],
    classes: Classes,
) -> Element:
    height, width = sample.size
    sides = {"width": str(width), "height": str(height)}
    image = Element("image", {**about, "subset": split, **sides})
    for region in connected_regions(label_map):
        if region.label != IGNORE:
            SubElement(image, "mask", _mask(region, classes.names[region.label]))
    return image


def _mask(region: ConnectedRegion, name: str) -> dict[str, str]:
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
