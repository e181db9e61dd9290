"""Write label maps as predictions of Label Studio, which a person accepts and corrects."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from wsseg.data.formats.brush import packed_brush
from wsseg.data.model import Classes
from wsseg.data.writers.regions import DIGITS, LabelledImage, connected_regions
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, palette

_IMAGE, _CONTROL = "image", "label"


def write_labelstudio(
    folder: Path, classes: Classes, images: Iterable[LabelledImage], split: str
) -> None:
    """Write label maps as ``<split>.json``, tasks with predictions, and ``labels.xml``, atomically.

    Each connected region is a brush, those of the background first, so that whatever is painted on
    an object is in front; IGNORE is what no brush covers. ``labels.xml`` is the labelling interface
    of the project. Images are expected in ``images`` and are addressed as local files below the
    folder; an image that is not there is addressed below the root of the file system.
    """
    with atomic_write(folder / "labels.xml") as file:
        file.write(_interface(classes))
    with atomic_write(folder / f"{split}.json") as file:
        file.write(b"[")
        for number, image in enumerate(images):
            file.write(b",\n" if number else b"\n")
            file.write(json.dumps(_task(folder, image, classes), ensure_ascii=False).encode())
        file.write(b"\n]\n")


def _task(folder: Path, image: LabelledImage, classes: Classes) -> dict[str, Any]:
    copy, original = Path("images", image.file_name), image.sample.image.resolve()
    place = copy if (folder / copy).exists() else original.relative_to(original.anchor)
    prediction: dict[str, Any] = {"model_version": "wsseg", "result": [*_brushes(image, classes)]}
    if image.quality is not None:
        prediction["score"] = image.quality
    address = f"/data/local-files/?d={quote(place.as_posix())}"
    return {"data": {_IMAGE: address}, "predictions": [prediction]}


def _brushes(image: LabelledImage, classes: Classes) -> Iterator[dict[str, Any]]:
    height, width = image.label_map.shape
    regions = [r for r in connected_regions(image.label_map) if r.label != IGNORE]
    for number, region in enumerate(sorted(regions, key=lambda region: region.label > 0)):
        mask = np.zeros((height, width), bool)
        rows = slice(region.top, region.top + region.height)
        mask[rows, region.left : region.left + region.width] = region.mask
        brush: dict[str, Any] = {
            "id": f"wsseg-{number}",
            "type": "brushlabels",
            "from_name": _CONTROL,
            "to_name": _IMAGE,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": [*packed_brush(mask)],
                "brushlabels": [classes.names[region.label]],
            },
        }
        if region.label in image.estimates:
            brush["score"] = round(image.estimates[region.label], DIGITS)
        yield brush


def _interface(classes: Classes) -> bytes:
    view = Element("View")
    SubElement(view, "Image", {"name": _IMAGE, "value": f"${_IMAGE}", "zoom": "true"})
    labels = SubElement(view, "BrushLabels", {"name": _CONTROL, "toName": _IMAGE})
    for name, colour in zip(classes, palette().tolist(), strict=False):
        colour_code = "#{:02x}{:02x}{:02x}".format(*colour)
        SubElement(labels, "Label", {"value": name, "background": colour_code})
    indent(view)
    return tostring(view, encoding="unicode").encode() + b"\n"
