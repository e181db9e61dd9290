"""Label maps as COCO instances: a JSON a split with exact run lengths."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Classes, Sample
from wsseg.data.writers.estimates import DIGITS, Estimates, quality_of
from wsseg.data.writers.regions import (
    ConnectedRegion,
    LabelledImages,
    coco_counts,
    connected_regions,
)
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE

_IGNORED_AS = 1  # category of crowds of IGNORE


def write_coco(
    folder: Path,
    classes: Classes,
    labelled: LabelledImages,
    split: str,
    estimates: Estimates | None = None,
) -> None:
    """Write label maps as ``annotations/instances_<split>.json``, atomically.

    Each connected region of an object class is an annotation with ``iscrowd`` 0, and its pixels are
    run lengths: they keep holes, which COCO's polygons cannot, and readers tell them from polygons
    by their type, although COCO itself uses them for crowds. COCO has no label for unknown pixels:
    each connected region of IGNORE is a crowd, which counts for nothing where masks are read, with
    ``attributes: {"ignore": true}``; its category is the first, as it has to have one. What no
    annotation covers is background. Images are expected in ``images/<split>``. Where estimates are
    known, an image has its "quality", and an annotation the one of its class as "score".

    Args:
        folder: The data set's folder.
        classes: The class names; a category's id is the label.
        labelled: Images and label maps (H, W) uint8, IGNORE where unknown.
        split: Part of the file's name.
        estimates: Of the labels.
    """
    images: list[dict[str, Any]] = []
    names = list(enumerate(classes))[1:]
    with atomic_write(folder / "annotations" / f"instances_{split}.json") as file:
        file.write(b'{"info": {"description": "label maps written by wsseg"}, "licenses": []')
        _write_list(file, "categories", ({"id": label, "name": name} for label, name in names))
        _write_list(file, "annotations", _annotations(labelled, images, estimates or {}))
        _write_list(file, "images", images)  # last: images are known once they are labelled
        file.write(b"}\n")


def _write_list(file: IO[bytes], name: str, entries: Iterable[dict[str, Any]]) -> None:
    file.write(f',\n"{name}": ['.encode())
    for index, entry in enumerate(entries):
        file.write(b",\n" if index else b"\n")
        file.write(json.dumps(entry, ensure_ascii=False).encode())
    file.write(b"]")


def _annotations(
    labelled: LabelledImages, images: list[dict[str, Any]], estimates: Estimates
) -> Iterator[dict[str, Any]]:
    """Yield the annotations of all images, and list each image."""
    ids = count(1)
    for sample, label_map in labelled:
        known = estimates.get(sample.id, {})
        images.append(_image(sample, len(images) + 1, quality_of(known)))
        for entry in _regions(label_map, known):
            yield {"id": next(ids), "image_id": len(images), **entry}


def _image(sample: Sample, id: int, quality: float | None) -> dict[str, Any]:
    height, width = sample.size
    name = f"{sample.id}{sample.image.suffix}"
    more = {} if quality is None else {"quality": quality}
    return {"id": id, "file_name": name, "width": width, "height": height, **more}


def _regions(label_map: NDArray[np.uint8], known: Mapping[int, float]) -> Iterator[dict[str, Any]]:
    height, width = label_map.shape
    for region in connected_regions(label_map):
        if region.label != 0:
            score = {"score": round(known[region.label], DIGITS)} if region.label in known else {}
            yield _region(region, (height, width)) | score


def _region(region: ConnectedRegion, size: tuple[int, int]) -> dict[str, Any]:
    ignored = region.label == IGNORE
    return {
        "category_id": _IGNORED_AS if ignored else region.label,
        "bbox": [region.left, region.top, region.width, region.height],
        "area": region.area,
        "iscrowd": int(ignored),
        "segmentation": {"size": list(size), "counts": coco_counts(region, size)},
        **({"attributes": {"ignore": True}} if ignored else {}),
    }
