"""COCO: one JSON for each split, with boxes, polygons and run lengths."""

import math
import re
import reprlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wsseg.data.formats.datumaro import is_datumaro
from wsseg.data.formats.files import HEAD, beginning, read_json
from wsseg.data.formats.geometry import bounds, number, plausible_size
from wsseg.data.formats.labelme import is_labelme
from wsseg.data.formats.labelstudio import is_labelstudio
from wsseg.data.formats.paths import ImageIndex, inside, matching_files, shown
from wsseg.data.formats.raw import (
    SPLIT_NAMES,
    Format,
    RawDataset,
    RawFile,
    RawImage,
    RawObject,
)
from wsseg.data.formats.reading import (
    ProblemLog,
    SampleList,
    choose_splits,
    classes_of,
)
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import image_size

_OTHER_TASKS = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_SPLIT = re.compile(rf"instances_.*|({'|'.join(SPLIT_NAMES)})[-_]?(\d{{4}})?")
_PATTERNS = ("*.json", "annotations/*.json", "*/*.json")
_MOST_FILES = 20  # a folder of more JSON files belongs to a tool that writes one for each image
_YEAR = re.compile(r"[-_]?(19|20)\d\d$")
_LIST = re.compile(r'"(images|annotations|categories|licenses)"\s*:\s*\[')
_TRUE = ("1", "1.0", "true")


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
        root: Contains JSON files with "images" and "annotations", whatever their names, in it, in
            annotations/ or in folders of splits; images in images/<split>, <split>, images, data,
            beside the JSON, or where their names say.
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
    log, samples, index = ProblemLog(), SampleList(), ImageIndex(root)
    images: list[RawImage] = []
    for split, page in pages.items():
        folders = _image_folders(root, split, paths[split])
        for subject, entry in _images(page, log):
            images.append(entry)
            with log.image(subject):
                (id, path), size = index.find(entry.image, folders), entry.size
                if not size:
                    message = "no plausible 'height' and 'width'; read from the image"
                    log.add(entry.subject, message, "image entry without size")
                    size = image_size(path)
                sample = Sample(id, path, size, (), split)
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

    Splits are named as the files without "instances_", and without a year if they stay distinct; as
    the folder of the only file in a folder; and "train" if there is only one file, of another name.
    """
    by_folder: dict[Path, list[Path]] = defaultdict(list)
    for path in matching_files(root, _PATTERNS, _may_be_instances):
        by_folder[path.parent].append(path)
    named: dict[str, Path] = {}
    candidates = [path for paths in by_folder.values() for path in paths]
    are_usual = any(map(_is_named_so, candidates))
    for folder, in_folder in by_folder.items():
        paths = _instances(in_folder, are_usual)
        for path in paths:
            is_of_split = len(paths) == 1 and folder.name != "annotations" and folder != root
            named[folder.name if is_of_split else path.stem.removeprefix("instances_")] = path
    if len(named) == 1 and not _SPLIT.fullmatch(name := next(iter(named))):
        named = {"train": named[name]}
    short = [_YEAR.sub("", name) for name in named]
    splits = {
        name if short.count(brief) > 1 or not brief else brief: path
        for brief, (name, path) in zip(short, named.items(), strict=True)
    }
    return dict(sorted(splits.items()))


def _instances(paths: Sequence[Path], are_usual: bool) -> list[Path]:
    """Return the files of a folder that are COCO's, by their names or else by their content."""
    # Damaged files are found by their names, so that they are refused with a reason.
    if are_usual:
        return [path for path in paths if _is_named_so(path)]
    return [path for path in paths if _fits(path)] if len(paths) <= _MOST_FILES else []


def _may_be_instances(path: Path) -> bool:
    return not path.name.startswith(_OTHER_TASKS)


def _is_named_so(path: Path) -> bool:
    is_usual = path.parent.name == "annotations" or _SPLIT.fullmatch(path.stem) is not None
    if path.name != "_annotations.coco.json" and not is_usual:
        return False
    return not (is_labelme(path) or is_labelstudio(path) or is_datumaro(path))


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
    names = (*(f"images/{name}" for name in called), *called, "images", "data", ".")
    beside = (path.parent / "data", path.parent / "images", path.parent)
    return tuple(dict.fromkeys((*(root / name for name in names), *beside)))


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
        id = _id(entry.get("id")) if isinstance(entry, dict) else None
        if not isinstance(id, int) or id in names:
            rule = "categories each with a whole number of its own as 'id'"
            raise InputError(path, rule, reprlib.repr(entry), "correct it")
        names[id] = str(entry.get("name", ""))
    return dict(sorted(names.items()))


def _id(value: object) -> int | str | None:
    """Return an id as files mean it: 1, 1.0 and "1" are the same; None if it is none.

    Example:
        >>> _id("1"), _id(1.0), _id("a1"), _id(True)
        (1, 1, 'a1', None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    whole = number(value)
    if whole.is_integer() and (not isinstance(value, str) or value.strip() == str(int(whole))):
        return int(whole)
    return value if isinstance(value, str) else None


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
    if (id := _id(entry.get("id"))) is None:
        got = reprlib.repr(entry.get("id"))
        raise InputError("image id", "a whole number or text", got, "export it again")
    return id


def _objects(page: _Page, log: ProblemLog) -> dict[int | str, list[RawObject]]:
    """Return the objects of each image, by the id of the image."""
    grouped: dict[int | str, list[RawObject]] = defaultdict(list)
    if page.annotations is None:
        message = "no list 'annotations'; its images count as not annotated"
        log.add(page.subject, message, "split without annotations")
    for index, entry in enumerate(page.annotations or []):
        subject = f"{page.subject} annotations[{index}]"
        image = _id(entry.get("image_id")) if isinstance(entry, dict) else None
        if image is None:
            log.add(subject, "no 'image_id'; left out", "annotation without image")
            continue
        category = _id(entry.get("category_id"))
        name = page.categories.get(category) if isinstance(category, int) else None
        unknown = f"category {reprlib.repr(entry.get('category_id'))}"
        grouped[image].append(_object(subject, unknown if name is None else name, entry))
    return dict(grouped)


def _object(subject: str, name: str, entry: dict[str, Any]) -> RawObject:
    segmentation = entry.get("segmentation")
    lists = segmentation if isinstance(segmentation, list) else []
    polygons = [polygon if isinstance(polygon, list) else () for polygon in lists]
    encoded = segmentation if isinstance(segmentation, dict) else None
    corners = bounds([[number(value) for value in polygon] for polygon in polygons])
    box = entry.get("bbox")
    four = box if isinstance(box, list) and len(box) == 4 else [None] * 4
    left, top, width, height = map(number, four)
    if not polygons or math.isfinite(left + top + width + height):
        corners = left, top, left + width, top + height
    is_crowd = str(entry.get("iscrowd", 0)).strip().lower() in _TRUE
    return RawObject(subject, name, corners, polygons, encoded, is_crowd)


def _is_coco(root: Path) -> bool:
    return bool(coco_splits(root))


def _fits(path: Path) -> bool:
    text = beginning(path) if path.suffix.lower() == ".json" else ""
    if not (text.startswith("{") and _LIST.search(text)):
        return False
    # notes.json of Label Studio has categories too, but no images.
    return '"images"' in text or len(text.encode()) >= HEAD


COCO = Format(
    "coco",
    'a JSON file with lists "images" and "annotations"',
    _is_coco,
    read_coco,
    files=lambda root: matching_files(root, ("*.json", "annotations/*.json"), _fits),
    fits=_fits,
    read_file=read_coco_file,
)
"""A folder of images, or JSON files that are laid over another data set."""
