"""The ids of images and categories in the COCO files that a data set was read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from wsseg.data.formats.coco import coco_splits
from wsseg.data.formats.files import read_json
from wsseg.data.model import Classes, Sample

K = TypeVar("K")


@dataclass(frozen=True)
class CocoIds:
    """Ids to write again.

    Attributes:
        images: Ids of images by the id of their sample.
        categories: Ids of categories by label.
    """

    images: Mapping[str, int] = field(default_factory=dict)
    categories: Mapping[int, int] = field(default_factory=dict)


def read_coco_ids(root: Path, split: str, samples: Sequence[Sample], classes: Classes) -> CocoIds:
    """Return the ids that the images and classes of a COCO folder have in its files.

    Images are found by the end of their path, classes by their names. Ids are kept if they are
    distinct numbers: images of a split that was drawn from several files may have the same.

    Args:
        samples: Images of the split, as they were read from ``root``.

    Raises:
        InputError: A file is missing or damaged.
    """
    files = coco_splits(root)
    paths = [files[split]] if split in files else [*files.values()]
    pages = [read_json(path, "a JSON object in COCO's format", dict) for path in paths]
    by_name = {
        PurePosixPath(str(entry.get("file_name")).replace("\\", "/")): entry.get("id")
        for page in pages
        for entry in _entries(page, "images")
    }
    images = {
        sample.id: number
        for sample in samples
        if (number := _id_of(sample.image, by_name)) is not None
    }
    labels = {name: label for label, name in enumerate(classes.names) if label}
    categories = {
        labels[entry["name"]]: entry["id"]
        for entry in _entries(pages[0], "categories")
        if entry.get("name") in labels and type(entry.get("id")) is int
    }
    return CocoIds(_if_distinct(images), _if_distinct(categories))


def _entries(page: dict[str, Any], name: str) -> list[dict[str, Any]]:
    entries = page.get(name)
    items = entries if isinstance(entries, list) else []
    return [entry for entry in items if isinstance(entry, dict)]


def _id_of(image: Path, by_name: Mapping[PurePosixPath, Any]) -> int | None:
    """Return the id of the image with the longest name that ends the path of a file."""
    parts = image.parts
    for start in range(len(parts)):
        number = by_name.get(PurePosixPath(*parts[start:]))
        if isinstance(number, int | str) and str(number).isdecimal():
            return int(number)
    return None


def _if_distinct(ids: dict[K, int]) -> dict[K, int]:
    return ids if len({*ids.values()}) == len(ids) else {}
