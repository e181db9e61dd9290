"""Write label maps as a Pascal VOC folder: palette PNG masks, boxes and the list of a split."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from wsseg.data.model import Classes
from wsseg.data.writers.regions import LabelledImage, connected_regions
from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, palette, write_label_map

_IGNORED = "ignored"  # tools that import masks refuse colours that no line declares
_RESERVED = ("ignored", "ignore", "void", "unlabeled", "unlabelled")


def write_voc(folder: Path, classes: Classes, images: Iterable[LabelledImage], split: str) -> None:
    """Write label maps as a Pascal VOC folder, each file atomically.

    ``SegmentationClass/<id>.png`` holds the label map, ``Annotations/<id>.xml`` a tight box around
    each connected region of an object class, ``ImageSets/Segmentation/<split>.txt`` the ids and
    ``labelmap.txt`` the names and colours. Images are expected in ``JPEGImages``.

    Raises:
        InputError: The name of a class or an image cannot be written in this format.
    """
    lines = _label_map_lines(classes)
    ids = []
    for image in images:
        id = image.sample.id
        if id != id.strip():
            rule, remedy = "without blanks at its ends", "rename it or export another format"
            raise InputError("image id", rule, repr(id), remedy)
        ids.append(id)
        write_label_map(folder / "SegmentationClass" / f"{id}.png", image.label_map)
        with atomic_write(folder / "Annotations" / f"{id}.xml") as file:
            file.write(_annotation(image, classes))
    _write_lines(folder / "ImageSets" / "Segmentation" / f"{split}.txt", ids)
    _write_lines(folder / "labelmap.txt", lines)


def _write_lines(path: Path, lines: list[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(f"{line}\n".encode() for line in lines)


def _label_map_lines(classes: Classes) -> list[str]:
    for name in classes.names:
        if ":" in name or name[0] == "#" or name != name.strip() or name.lower() in _RESERVED:
            rule = f"without ':', '#' or blanks at its ends, and none of {', '.join(_RESERVED)}"
            remedy = "rename it or export another format"
            raise InputError("class in labelmap.txt", rule, repr(name), remedy)
    colours = [",".join(map(str, colour)) for colour in palette()]
    lines = [f"{name}:{colours[label]}::" for label, name in enumerate(classes)]
    return ["# label:color_rgb:parts:actions", *lines, f"{_IGNORED}:{colours[IGNORE]}::"]


def _annotation(image: LabelledImage, classes: Classes) -> bytes:
    root = Element("annotation")
    add_fields(root, {"filename": image.file_name})
    height, width = image.label_map.shape
    add_fields(SubElement(root, "size"), {"width": width, "height": height, "depth": 3})
    add_fields(root, {"segmented": 1})
    for region in connected_regions(image.label_map):
        if region.label in (0, IGNORE):
            continue
        item, name = SubElement(root, "object"), classes.names[region.label]
        add_fields(item, {"name": name, "pose": "Unspecified", "truncated": 0, "difficult": 0})
        # Pascal VOC counts pixels from 1 and includes the last one.
        corners = {
            "xmin": region.left + 1,
            "ymin": region.top + 1,
            "xmax": region.left + region.width,
            "ymax": region.top + region.height,
        }
        add_fields(SubElement(item, "bndbox"), corners)
    indent(root)
    return tostring(root, encoding="unicode").encode() + b"\n"


def add_fields(parent: Element, values: Mapping[str, str | int]) -> None:
    """Append an element with a text for each name and value."""
    for name, value in values.items():
        SubElement(parent, name).text = str(value)
