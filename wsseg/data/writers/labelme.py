"""Write label maps as JSON files of LabelMe, one for each image."""

import base64
import json
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wsseg.data.model import Classes
from wsseg.data.writers.regions import LabelledImage, connected_regions
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE

_BACKGROUND = "_background_"  # as LabelMe calls it
_VERSION = "5.4.1"  # of the file format: the first with shapes of the type "mask"


def write_labelme(
    folder: Path, classes: Classes, images: Iterable[LabelledImage], split: str
) -> None:
    """Write label maps as ``<split>/<id>.json`` and ``labels.txt``, each file atomically.

    Each connected region is a shape of the type "mask", also of the background; IGNORE is what no
    shape covers. Images are expected in ``<split>``, beside their JSON; an image that is not there
    is named by its absolute path.
    """
    with atomic_write(folder / "labels.txt") as file:
        lines = ["__ignore__", _BACKGROUND, *classes.names[1:]]
        file.write("".join(f"{line}\n" for line in lines).encode())
    for image in images:
        path = folder / split / f"{image.sample.id}.json"
        copy = path.with_name(Path(image.file_name).name)
        name = copy.name if copy.exists() else image.sample.image.resolve().as_posix()
        height, width = image.label_map.shape
        content = {
            "version": _VERSION,
            "flags": {},
            "shapes": [*_shapes(image, classes)],
            "imagePath": name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        with atomic_write(path) as file:
            file.write(json.dumps(content, ensure_ascii=False, indent=2).encode())


def _shapes(image: LabelledImage, classes: Classes) -> Iterator[dict[str, Any]]:
    for region in connected_regions(image.label_map):
        if region.label == IGNORE:
            continue
        right, bottom = region.left + region.width - 1, region.top + region.height - 1
        yield {
            "label": classes.names[region.label] if region.label else _BACKGROUND,
            "points": [[region.left, region.top], [right, bottom]],
            "group_id": None,
            "description": "",
            "shape_type": "mask",
            "flags": {},
            "mask": _png(region.mask),
        }


def _png(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    file = BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode("ascii")
