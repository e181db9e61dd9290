"""Label maps as a Pascal VOC folder: palette PNG masks, boxes and the list of a split."""

from collections.abc import Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Classes, Sample
from wsseg.data.writers.regions import ConnectedRegion, LabelledImages, connected_regions
from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, palette, write_label_map

_IGNORED = "ignored"  # a tool that imports the masks refuses colours that no line declares
_NO_CLASS = ("ignored", "ignore", "void", "unlabeled", "unlabelled")


def write_voc(folder: Path, classes: Classes, labelled: LabelledImages, split: str) -> None:
    """Write label maps as a Pascal VOC folder, each file atomically.

    ``SegmentationClass/<id>.png`` holds the label map, ``Annotations/<id>.xml`` a tight box around
    each connected region of an object class, ``ImageSets/Segmentation/<split>.txt`` the ids and
    ``labelmap.txt`` the names and colours. Images are expected in ``JPEGImages``.

    Args:
        folder: The data set's folder.
        classes: The class names.
        labelled: Images and label maps (H, W) uint8, IGNORE where unknown.
        split: Name of the list.

    Raises:
        InputError: A class or an image has a name that the format cannot hold.
    """
    lines = _label_map_lines(classes)
    ids = []
    for sample, label_map in labelled:
        ids.append(_listed(sample.id))
        write_label_map(folder / "SegmentationClass" / f"{sample.id}.png", label_map)
        with atomic_write(folder / "Annotations" / f"{sample.id}.xml") as file:
            file.write(_page(sample, label_map, classes))
    _write_lines(folder / "ImageSets" / "Segmentation" / f"{split}.txt", ids)
    _write_lines(folder / "labelmap.txt", lines)


def _write_lines(path: Path, lines: list[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(f"{line}\n".encode() for line in lines)


def _listed(id: str) -> str:
    if id != id.strip():
        rule, remedy = "without blanks at its ends", "rename it or export another format"
        raise InputError("image id", rule, repr(id), remedy)
    return id


def _label_map_lines(classes: Classes) -> list[str]:
    for name in classes.names:
        if ":" in name or name[0] == "#" or name != name.strip() or name.lower() in _NO_CLASS:
            rule = f"without ':', '#' or blanks at its ends, and none of {', '.join(_NO_CLASS)}"
            remedy = "rename it or export another format"
            raise InputError("class in labelmap.txt", rule, repr(name), remedy)
    colours = [",".join(map(str, colour)) for colour in palette()]
    lines = [f"{name}:{colours[label]}::" for label, name in enumerate(classes)]
    return ["# label:color_rgb:parts:actions", *lines, f"{_IGNORED}:{colours[IGNORE]}::"]


def _page(sample: Sample, label_map: NDArray[np.uint8], classes: Classes) -> bytes:
    root = Element("annotation")
    SubElement(root, "filename").text = f"{sample.id}{sample.image.suffix}"
    height, width = label_map.shape
    _fields(SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    SubElement(root, "segmented").text = "1"
    for region in connected_regions(label_map):
        if region.label not in (0, IGNORE):
            root.append(_object(region, classes.names[region.label]))
    indent(root)
    return tostring(root, encoding="unicode").encode() + b"\n"


def _object(region: ConnectedRegion, name: str) -> Element:
    item = Element("object")
    _fields(item, {"name": name, "pose": "Unspecified", "truncated": 0, "difficult": 0})
    # Pascal VOC counts pixels from 1 and includes the last one.
    corners = {
        "xmin": region.left + 1,
        "ymin": region.top + 1,
        "xmax": region.left + region.width,
        "ymax": region.top + region.height,
    }
    _fields(SubElement(item, "bndbox"), corners)
    return item


def _fields(parent: Element, values: Mapping[str, str | int]) -> None:
    for name, value in values.items():
        SubElement(parent, name).text = str(value)
