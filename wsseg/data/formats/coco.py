"""COCO: one JSON for each split, with boxes, polygons and run lengths."""

import re
import reprlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsseg.data.formats.files import beginning, read_json
from wsseg.data.formats.geometry import bounds, number, plausible_size
from wsseg.data.formats.labelme import is_labelme
from wsseg.data.formats.labelstudio import is_labelstudio
from wsseg.data.formats.paths import image_id, inside, locate, matching_files, shown
from wsseg.data.formats.raw import Format, RawDataset, RawFile, RawImage, RawObject
from wsseg.data.formats.reading import (
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
    is_background,
)
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import image_size

_OTHER_TASKS = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_IN_ROOT = re.compile(r"instances_.*|(train|val|valid|validation|test)[-_]?(\d{4})?")
_YEAR = re.compile(r"[-_]?(19|20)\d\d$")
_FIRST_KEY = re.compile(r'\{\s*"(info|licenses|images|annotations|categories)"\s*:\s*[\[{]')


@dataclass(frozen=True)
class _Page:
    """The lists of one JSON file, its name in problems, and class names by category id."""

    subject: str
    images: list[Any]
    annotations: list[Any] | None
    categories: dict[int, str]


def read_coco(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the content of a COCO folder.

    Category ids become labels 1, 2, ... in their order. Sizes come from the JSON.

    Args:
        root: Contains annotations/instances_<split>.json, annotations/<split>.json, <split>.json or
            <split>/_annotations.coco.json; images in images/<split>, <split>, images or root.
        splits: Names of splits, with or without the year at the end of the file's name; None: all.

    Raises:
        InputError: A split's file is missing or damaged, or the splits' categories differ.
    """
    files = coco_splits(root)
    chosen = choose_splits(root, splits, files)
    paths = {split: _path(root, split, files) for split in chosen}
    pages = {split: _page(inside(path, root), shown(path, root)) for split, path in paths.items()}
    first, *others = pages.values()
    for other in others:
        if other.categories != first.categories:
            rule = f"of the categories of {first.subject}"
            differing = dict(other.categories.items() ^ first.categories.items())
            remedy = "export all splits together"
            raise InputError(other.subject, rule, f"differences in {differing!r:.200}", remedy)
    classes = classes_of(tuple(first.categories.values()), first.subject)
    log, samples = ProblemLog(), SampleList()
    images: list[RawImage] = []
    for split, page in pages.items():
        folders = _image_folders(root, split, paths[split])
        for subject, entry in _images(page, log):
            images.append(entry)
            with log.image(subject):
                path, size = locate(entry.image, folders, root), entry.size
                if not size:
                    message = "no plausible 'height' and 'width'; read from the image"
                    log.add(entry.subject, message, "image entry without size")
                    size = image_size(path)
                sample = Sample(image_id(entry.image), path, size, (), split)
                samples.add(sample, replace(entry, split=split))
    return RawDataset(root, classes, samples.samples, log.problems, images=tuple(images))


def read_coco_file(path: Path) -> RawFile:
    """Return the content of one JSON file.

    Raises:
        InputError: The file is missing, damaged, or names no class.
    """
    page, log = _page(path, path.name), ProblemLog()
    classes = classes_of(tuple(page.categories.values()), str(path))
    images = tuple(image for _, image in _images(page, log))
    return RawFile(images, classes.names, log.problems)


def coco_splits(root: Path) -> dict[str, Path]:
    """Return the files of a COCO folder by split.

    Splits are named as the files without "instances_", and without a year if they stay distinct.
    """
    beside = [path for path in root.glob("*.json") if _IN_ROOT.fullmatch(path.stem)]
    named = {
        path.stem.removeprefix("instances_"): path
        for path in sorted([*beside, *root.glob("annotations/*.json")])
        if not path.name.startswith(_OTHER_TASKS)
    }
    named |= {path.parent.name: path for path in root.glob("*/_annotations.coco.json")}
    short = [_YEAR.sub("", name) for name in named]
    splits = {
        name if short.count(brief) > 1 or not brief else brief: path
        for brief, (name, path) in zip(short, named.items(), strict=True)
    }
    return dict(sorted(splits.items()))


def _path(root: Path, split: str, files: Mapping[str, Path]) -> Path:
    path = files.get(split) or files.get(_YEAR.sub("", split))
    if path is None or split not in (_YEAR.sub("", split), path.stem.removeprefix("instances_")):
        remedy = f"known: {', '.join(files) or 'none'}"
        rule = f"a file such as {root / 'annotations' / f'instances_{split}.json'}"
        raise InputError(f"split {split!r}", rule, "no such file", remedy)
    return path


def _image_folders(root: Path, split: str, path: Path) -> tuple[Path, ...]:
    full = path.stem.removeprefix("instances_")
    called = dict.fromkeys((split, full, _YEAR.sub("", full)))
    names = (*(f"images/{name}" for name in called), *called, "images", ".")
    return (*dict.fromkeys(root / name for name in names), path.parent)


def _page(path: Path, subject: str) -> _Page:
    content = read_json(path, "a JSON object in COCO's format", dict)
    images, annotations = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(annotations, list | None):
        rule, got = "an object with lists 'images' and 'annotations'", "other values"
        raise InputError(path, rule, got, "export it as COCO instances")
    return _Page(subject, images, annotations, _categories(content, path))


def _categories(content: dict[str, Any], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    entries = content.get("categories")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or type(entry.get("id")) is not int or entry["id"] in names:
            rule = "categories each with a whole number of its own as 'id'"
            raise InputError(path, rule, reprlib.repr(entry), "correct it")
        names[entry["id"]] = str(entry.get("name", ""))
    return dict(sorted(names.items()))


def _images(page: _Page, log: ProblemLog) -> list[tuple[str, RawImage]]:
    """Return the entries of the list of images with their objects, each with its place."""
    objects, images = _objects(page, log), dict[int | str, tuple[str, RawImage]]()
    for index, entry in enumerate(page.images):
        subject = f"{page.subject} images[{index}]"
        with log.image(subject):
            id = _image_id(entry)
            if id in images:
                remedy = "give each image an id of its own"
                raise InputError(subject, "an image of its own id", f"{id!r} again", remedy)
            size = plausible_size(entry.get("height"), entry.get("width"))
            listed = None if page.annotations is None else tuple(objects.get(id, ()))
            name = f"{page.subject} {entry['file_name']!r}"
            image = RawImage(name, entry["file_name"], size=size, objects=listed)
            images[id] = subject, image
    for id in (id for id in objects if id not in images):
        message = f"{len(objects[id])} annotations of image id {id!r}, which is not in 'images'"
        log.add(page.subject, message, "annotation without image")
    return list(images.values())


def _image_id(entry: Any) -> int | str:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        rule, remedy = "an object with 'id' and 'file_name'", "export it again"
        raise InputError("image entry", rule, reprlib.repr(entry), remedy)
    id = entry.get("id")
    if not isinstance(id, int | str):
        raise InputError("image id", "a number or text", reprlib.repr(id), "export it again")
    return id


def _objects(page: _Page, log: ProblemLog) -> dict[int | str, list[RawObject]]:
    """Return the objects of each image, by the id of the image."""
    grouped: dict[int | str, list[RawObject]] = defaultdict(list)
    if page.annotations is None:
        message = "no list 'annotations'; its images count as not annotated"
        log.add(page.subject, message, "split without annotations")
    for index, entry in enumerate(page.annotations or []):
        subject = f"{page.subject} annotations[{index}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("image_id"), int | str):
            log.add(subject, "no 'image_id'; left out", "annotation without image")
            continue
        objects, category = grouped[entry["image_id"]], entry.get("category_id")
        name = page.categories.get(category) if isinstance(category, int) else None
        if name is None or is_background(name):
            message = f"category {reprlib.repr(category)} is no object class of 'categories'"
            log.add(subject, f"{message}; object left out", "object of an unknown class")
        else:
            objects.append(_object(subject, name, entry))
    return dict(grouped)


def _object(subject: str, name: str, entry: dict[str, Any]) -> RawObject:
    segmentation = entry.get("segmentation")
    lists = segmentation if isinstance(segmentation, list) else []
    polygons = [polygon if isinstance(polygon, list) else () for polygon in lists]
    encoded = segmentation if isinstance(segmentation, dict) else None
    corners = bounds([[number(value) for value in polygon] for polygon in polygons])
    if "bbox" in entry:
        box = entry["bbox"] if isinstance(entry["bbox"], list) else ()
        left, top, width, height = map(number, box if len(box) == 4 else [None] * 4)
        corners = left, top, left + width, top + height
    return RawObject(subject, name, corners, polygons, encoded, bool(entry.get("iscrowd", 0)))


def _is_coco(root: Path) -> bool:
    # Annotation tools use such names too. Damaged files are COCO's, to be refused with a reason.
    paths = coco_splits(root).values()
    return any(not is_labelme(path) and not is_labelstudio(path) for path in paths)


def _fits(path: Path) -> bool:
    return path.suffix.lower() == ".json" and bool(_FIRST_KEY.match(beginning(path)))


COCO = Format(
    "coco",
    "annotations/*.json or <split>/_annotations.coco.json",
    _is_coco,
    read_coco,
    files=lambda root: matching_files(root, ("*.json", "annotations/*.json"), _fits),
    fits=_fits,
    read_file=read_coco_file,
)
"""A folder of images, or JSON files that are laid over another data set."""
