"""COCO: one JSON a split with boxes, polygons and run lengths."""

import re
import reprlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsseg.data.formats.draft import Draft, Drawn, Use, classes_of, is_background
from wsseg.data.formats.files import inside, locate, read_json, safe_name, shown
from wsseg.data.formats.geometry import (
    Corners,
    Polygon,
    RunLengths,
    bounds,
    fitted_runs,
    number,
    plausible_size,
)
from wsseg.data.model import Annotation, Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.images import image_size

_OTHER_TASKS = ("captions_", "person_keypoints_", "image_info_", "stuff_", "panoptic_")
_IN_ROOT = re.compile(r"instances_.*|(train|val|valid|validation|test)[-_]?(\d{4})?")
_Entry = tuple[str, dict[str, Any]]  # an annotation and how its place is shown
_YEAR = re.compile(r"[-_]?(19|20)\d\d$")


@dataclass(frozen=True)
class _Page:
    """One JSON: its split, its path as shown, its lists, and where its images are looked for."""

    root: Path
    split: str
    subject: str
    images: list[Any]
    annotations: list[Any] | None
    categories: dict[int, str]
    folders: tuple[Path, ...]


def read_coco(root: Path, splits: Sequence[str], use: Use = "boxes") -> Dataset:
    """Return the samples of a COCO folder.

    Category ids become labels 1, 2, ... in their order. Sizes come from the JSON.

    Args:
        root: Holds annotations/instances_<split>.json, annotations/<split>.json, <split>.json or
            <split>/_annotations.coco.json; images in images/<split>, <split>, images or root.
        splits: Their names; a year at the end of the file's name may be left out.
        use: "boxes", "tags" from the categories of all annotations, or "masks" from polygons and
            run lengths.

    Returns:
        The data set.

    Raises:
        InputError: A split's file is missing or damaged, or the splits' categories differ.
    """
    files = _files(root)
    pages = {split: _page(root, split, files) for split in splits}
    classes, labels = _classes(root, pages)
    draft = Draft(use)
    for page in pages.values():
        _read_split(page, labels, draft)
    return draft.dataset(classes)


def coco_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a COCO folder.

    Args:
        root: The data set's folder.

    Returns:
        Their names, without "instances_" and without a year where that leaves them distinct.
    """
    return tuple(sorted(_files(root)))


def coco_files(root: Path) -> frozenset[Path]:
    """Return the files of a COCO folder.

    Args:
        root: The data set's folder.

    Returns:
        Those whose names are those of COCO's files, unread: annotation tools use such names too.
    """
    return frozenset(_files(root).values())


def _files(root: Path) -> dict[str, Path]:
    beside = [path for path in root.glob("*.json") if _IN_ROOT.fullmatch(path.stem)]
    named = {
        path.stem.removeprefix("instances_"): path
        for path in sorted([*beside, *root.glob("annotations/*.json")])
        if not path.name.startswith(_OTHER_TASKS)
    }
    named |= {path.parent.name: path for path in root.glob("*/_annotations.coco.json")}
    short = [_YEAR.sub("", name) for name in named]
    return {
        name if short.count(brief) > 1 or not brief else brief: path
        for brief, (name, path) in zip(short, named.items(), strict=True)
    }


def _page(root: Path, split: str, files: Mapping[str, Path]) -> _Page:
    path = files.get(split) or files.get(_YEAR.sub("", split))
    if path is None or split not in (_YEAR.sub("", split), path.stem.removeprefix("instances_")):
        remedy = f"known: {', '.join(sorted(files)) or 'none'}"
        rule = f"a file such as {root / 'annotations' / f'instances_{split}.json'}"
        raise InputError(f"split {split!r}", rule, "no such file", remedy)
    content = read_json(inside(path, root), "a JSON object in COCO's format", dict)
    images, drawn = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(drawn, list | None):
        rule, got = "an object with lists 'images' and 'annotations'", "other values"
        raise InputError(path, rule, got, "export it as COCO instances")
    full = path.stem.removeprefix("instances_")
    called = dict.fromkeys((split, full, _YEAR.sub("", full)))
    names = (*(f"images/{name}" for name in called), *called, "images", ".")
    folders = (*dict.fromkeys(root / name for name in names), path.parent)
    return _Page(root, split, shown(path, root), images, drawn, _categories(content, path), folders)


def _categories(content: dict[str, Any], path: Path) -> dict[int, str]:
    found: dict[int, str] = {}
    entries = content.get("categories")
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or type(entry.get("id")) is not int or entry["id"] in found:
            rule = "categories each with a whole number of its own as 'id'"
            raise InputError(path, rule, reprlib.repr(entry), "correct it")
        found[entry["id"]] = str(entry.get("name", ""))
    return dict(sorted(found.items()))


def _classes(root: Path, pages: Mapping[str, _Page]) -> tuple[Classes, dict[int, int]]:
    first, *others = pages.values() if pages else [_page(root, "", {})]
    for other in others:
        if other.categories != first.categories:
            rule = f"of the categories of {first.subject}"
            differing = dict(other.categories.items() ^ first.categories.items())
            remedy = "export all splits together"
            raise InputError(other.subject, rule, f"differences in {differing!r:.200}", remedy)
    classes = classes_of(tuple(first.categories.values()), first.subject)
    objects = [id for id, name in first.categories.items() if not is_background(name)]
    return classes, {id: label for label, id in enumerate(objects, 1)}


def _read_split(page: _Page, labels: Mapping[int, int], draft: Draft) -> None:
    entries, ids = _by_image(page, draft), set()
    for index, entry in enumerate(page.images):
        subject = f"{page.subject} images[{index}]"
        with draft.image(subject):
            id = _image_id(entry)
            if id in ids:
                remedy = "give each image an id of its own"
                raise InputError(subject, "an image of its own id", f"{id!r} again", remedy)
            ids.add(id)
            draft.add(_sample(page, entry, entries.get(id, []), labels, draft))
    for id in (id for id in entries if id not in ids):
        message = f"{len(entries[id])} annotations of image id {id!r}, which is not in 'images'"
        draft.note(page.subject, message, "annotation without image")


def _image_id(entry: Any) -> int | str:
    if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str):
        rule, remedy = "an object with 'id' and 'file_name'", "export it again"
        raise InputError("image entry", rule, reprlib.repr(entry), remedy)
    id = entry.get("id")
    if not isinstance(id, int | str):
        raise InputError("image id", "a number or text", reprlib.repr(id), "export it again")
    return id


def _by_image(page: _Page, draft: Draft) -> dict[int | str, list[_Entry]]:
    grouped: dict[int | str, list[_Entry]] = defaultdict(list)
    if page.annotations is None:
        message = "no list 'annotations'; its images count as not annotated"
        draft.note(page.subject, message, "split without annotations")
    for index, entry in enumerate(page.annotations or []):
        subject = f"{page.subject} annotations[{index}]"
        if isinstance(entry, dict) and isinstance(entry.get("image_id"), int | str):
            grouped[entry["image_id"]].append((subject, entry))
        else:
            draft.note(subject, "no 'image_id'; left out", "annotation without image")
    return dict(grouped)


def _sample(
    page: _Page,
    entry: dict[str, Any],
    annotations: list[_Entry],
    labels: Mapping[int, int],
    draft: Draft,
) -> Sample:
    name = entry["file_name"]
    image = locate(name, page.folders, page.root)
    size = plausible_size(entry.get("height"), entry.get("width"))
    if not size:
        message = "no plausible 'height' and 'width'; read from the image"
        draft.note(f"{page.subject} {name!r}", message, "image entry without size")
        size = image_size(image)
    made: tuple[Annotation, ...] = ()
    if page.annotations is not None:
        drawn = [_drawn(item, size, labels, draft) for item in annotations]
        made = draft.annotations([item for item in drawn if item], size)
    return Sample(safe_name(name).with_suffix("").as_posix(), image, size, made, page.split)


def _drawn(
    item: _Entry, size: tuple[int, int], labels: Mapping[int, int], draft: Draft
) -> Drawn | None:
    subject, entry = item
    category = entry.get("category_id")
    label = labels.get(category) if isinstance(category, int) else None
    if label is None:
        message = f"category {reprlib.repr(category)} is not in 'categories'; object left out"
        draft.note(subject, message, "object of an unknown class")
        return None
    if draft.use == "tags":
        return Drawn(subject, label, bounds(()))
    polygons: tuple[Polygon, ...] = ()
    runs = None
    if draft.use == "masks" or "bbox" not in entry:
        polygons, runs = _outlines(subject, entry.get("segmentation"), size, draft)
    corners = _corners(entry["bbox"]) if "bbox" in entry else bounds(polygons)
    crowd = bool(entry.get("iscrowd", 0))
    return Drawn(subject, label, corners, polygons, runs, crowd)


def _corners(bbox: Any) -> Corners:
    numbers = [number(value) for value in bbox] if isinstance(bbox, list) else []
    left, top, width, height = numbers if len(numbers) == 4 else [number(None)] * 4
    return left, top, left + width, top + height


def _outlines(
    subject: str, segmentation: Any, size: tuple[int, int], draft: Draft
) -> tuple[tuple[Polygon, ...], RunLengths | None]:
    if isinstance(segmentation, dict):
        runs, problem = fitted_runs(segmentation, size, subject)
        draft.problems.extend([problem] if problem else [])
        return (), runs
    lists = segmentation if isinstance(segmentation, list) else []
    polygons = [tuple(map(number, item)) if isinstance(item, list) else () for item in lists]
    return tuple(polygons), None
