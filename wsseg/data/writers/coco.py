"""Write label maps as COCO instances: one JSON file per split with exact run lengths."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

from wsseg.data.model import Classes
from wsseg.data.writers.coco_ids import CocoIds
from wsseg.data.writers.regions import DIGITS, LabelledImage, coco_counts, connected_regions
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE


def write_coco(
    folder: Path,
    classes: Classes,
    images: Iterable[LabelledImage],
    split: str,
    known: CocoIds = CocoIds(),
) -> None:
    """Write label maps as ``annotations/instances_<split>.json``, atomically.

    Each connected region of an object class is an annotation with ``iscrowd`` 0, stored as run
    lengths, which keep holes, unlike the polygons of COCO. COCO has no label for unknown pixels:
    each connected region of IGNORE is a crowd with ``attributes: {"ignore": true}`` and, since it
    needs a category, the first one; readers of masks leave crowds out. Pixels without an annotation
    are background. Images are expected in ``images/<split>``. If estimates are known, an image has
    a "quality", and an annotation the estimate of its class as "score".

    Args:
        known: Ids of images and categories that stay; others get new ones. Without it images are
            numbered, and the id of a category is the label.
    """
    entries: list[dict[str, Any]] = []
    new = count(max(known.categories.values(), default=0) + 1)
    ids = {
        label: known.categories[label] if label in known.categories else next(new)
        for label in range(1, len(classes))
    }
    names = [(ids[label], name) for label, name in enumerate(classes) if label]
    with atomic_write(folder / "annotations" / f"instances_{split}.json") as file:
        file.write(b'{"info": {"description": "label maps written by wsseg"}, "licenses": []')
        _write_list(file, "categories", ({"id": id, "name": name} for id, name in names))
        _write_list(file, "annotations", _annotations(images, entries, ids, known.images))
        _write_list(file, "images", entries)  # known once all annotations are written
        file.write(b"}\n")


def _write_list(file: IO[bytes], name: str, entries: Iterable[dict[str, Any]]) -> None:
    file.write(f',\n"{name}": ['.encode())
    for index, entry in enumerate(entries):
        file.write(b",\n" if index else b"\n")
        file.write(json.dumps(entry, ensure_ascii=False).encode())
    file.write(b"]")


def _annotations(
    images: Iterable[LabelledImage],
    entries: list[dict[str, Any]],
    categories: Mapping[int, int],
    known: Mapping[str, int],
) -> Iterator[dict[str, Any]]:
    """Yield the annotations of all images, and append the entry of each image."""
    ids, new = count(1), count(max(known.values(), default=0) + 1)
    for image in images:
        number = known[image.sample.id] if image.sample.id in known else next(new)
        height, width = image.sample.size
        entry = {"id": number, "file_name": image.file_name, "width": width, "height": height}
        entries.append(entry if image.quality is None else entry | {"quality": image.quality})
        for region in _regions(image, categories):
            yield {"id": next(ids), "image_id": number, **region}


def _regions(image: LabelledImage, categories: Mapping[int, int]) -> Iterator[dict[str, Any]]:
    height, width = image.label_map.shape
    for region in connected_regions(image.label_map):
        if region.label == 0:
            continue
        ignored = region.label == IGNORE
        entry: dict[str, Any] = {
            "category_id": categories[1 if ignored else region.label],
            "bbox": [region.left, region.top, region.width, region.height],
            "area": region.area,
            "iscrowd": int(ignored),
            "segmentation": {
                "size": [height, width],
                "counts": coco_counts(region, (height, width)),
            },
        }
        if ignored:
            entry["attributes"] = {"ignore": True}
        if region.label in image.estimates:
            entry["score"] = round(image.estimates[region.label], DIGITS)
        yield entry
