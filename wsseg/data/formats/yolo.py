"""YOLO: a text file of relative boxes or outlines an image, and data.yaml."""

import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wsseg.data.formats.draft import Draft, Drawn, Use, classes_of, is_background
from wsseg.data.formats.files import files_by_id, inside, is_file, read_text, shown
from wsseg.data.formats.geometry import bounds, number
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

_SPLITS = ("train", "val", "valid", "test")
_FIELDS_OF_BOX = 5
_MOST_CHARACTERS = 2**20  # of data.yaml: YAML takes a thousand times as long to read as JSON
_EMPTY = ("", "~", "null", "None")


@dataclass(frozen=True)
class _Page:
    """data.yaml: its path, the folder its paths start from, class numbers, and split entries."""

    path: Path
    base: Path
    names: dict[int, str]
    splits: dict[str, list[str]]


def read_yolo(root: Path, splits: Sequence[str], use: Use = "boxes") -> Dataset:
    """Return the samples of a YOLO folder.

    The label file of an image is found by putting "labels" for the last "images" of its path, or
    beside it; an image without one has no objects. Sizes come from the images' headers.

    Args:
        root: Holds data.yaml.
        splits: Its keys "train", "val", "valid" or "test".
        use: "boxes" (outlines become the boxes around them), "tags" from the class numbers alone,
            or "masks" from outlines.

    Returns:
        The data set; images that data.yaml gives as a folder are named by their place in it,
        others by their place in ``root``.

    Raises:
        InputError: data.yaml is missing or damaged, or a split's folder or list is missing.
    """
    draft = Draft(use)
    page = _page(root, draft)
    classes, labels = _classes(page)
    for split in splits:
        _read_split(root, split, page, labels, draft)
    return draft.dataset(classes)


def yolo_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a YOLO folder.

    Args:
        root: The data set's folder.

    Returns:
        Those of data.yaml's keys "train", "val", "valid", "test" that name something.

    Raises:
        InputError: data.yaml is missing or damaged.
    """
    return tuple(_page(root, Draft("boxes")).splits)


def yolo_settings(root: Path) -> Path | None:
    """Return the YAML file that describes a YOLO folder.

    Args:
        root: The data set's folder.

    Returns:
        data.yaml, data.yml or dataset.yaml, else the only YAML file there is; None without one.
    """
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (root / name).is_file():
            return root / name
    others = [*root.glob("*.yaml"), *root.glob("*.yml")]
    return others[0] if len(others) == 1 else None


def _page(root: Path, draft: Draft) -> _Page:
    path = yolo_settings(root)
    if path is None:
        remedy = "write one with train, val and names"
        raise InputError(root / "data.yaml", "there", "no such file", remedy)
    content = _yaml(inside(path, root))
    names, count = _names(content.get("names"), path), number(content.get("nc"))
    if "nc" in content and count != len(names):
        message = (
            f"nc is {reprlib.repr(content['nc'])} but there are {len(names)} names; names are used"
        )
        draft.note(path.name, message, "number of classes contradicts the names")
    listed = {split: _entries(content[split], path) for split in _SPLITS if split in content}
    base = _base(root, content.get("path"), path, draft)
    return _Page(path, base, names, {split: found for split, found in listed.items() if found})


def _yaml(path: Path) -> dict[str, Any]:
    text = read_text(path)
    if len(text) > _MOST_CHARACTERS:
        rule = f"a YAML file of at most {_MOST_CHARACTERS:,} characters"
        remedy = "list images in text files of their own"
        raise InputError(path, rule, f"{len(text):,}", remedy)
    try:
        # Every scalar stays text: a class may be called "no" or "1".
        content = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        got = " ".join(str(error).split())
        raise InputError(path, "readable YAML", got, "correct it") from error
    if not isinstance(content, dict):
        got = type(content).__name__
        raise InputError(path, "a YAML mapping with 'names' and 'train'", got, "correct it")
    return content


def _names(names: Any, path: Path) -> dict[int, str]:
    pairs = list(enumerate(names) if isinstance(names, list) else _items(names))
    if not pairs or not all(str(i).isdecimal() and isinstance(name, str) for i, name in pairs):
        rule = "with 'names', a list or a mapping from class numbers"
        raise InputError(path, rule, type(names).__name__, "name the classes")
    return dict(sorted((int(i), name) for i, name in pairs))


def _items(names: Any) -> list[tuple[Any, Any]]:
    return list(names.items()) if isinstance(names, dict) else []


def _entries(value: Any, path: Path) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) for entry in values):
        got = type(values[0]).__name__
        raise InputError(path, "made of folders and lists of images", got, "correct it")
    return [entry for entry in values if entry not in _EMPTY]


def _base(root: Path, named: Any, path: Path, draft: Draft) -> Path:
    """Return where paths start: ``path`` of data.yaml is mostly that of another machine."""
    if not isinstance(named, str) or named in _EMPTY:
        return root
    if (found := _existing(root / named, root)) and found.is_dir():
        return found
    message = f"path {named!r} is no folder of this data set; its own folder is used"
    draft.note(path.name, message, "path of data.yaml leads elsewhere")
    return root


def _existing(path: Path, root: Path) -> Path | None:
    try:
        return inside(path, root) if path.exists() else None
    except (InputError, ValueError, OSError):
        return None


def _classes(page: _Page) -> tuple[Classes, dict[int, int]]:
    numbers = [i for i, name in page.names.items() if not is_background(name)]
    classes = classes_of(tuple(page.names.values()), str(page.path))
    return classes, {i: label for label, i in enumerate(numbers, 1)}


def _read_split(
    root: Path, split: str, page: _Page, labels: Mapping[int, int], draft: Draft
) -> None:
    if split not in page.splits:
        remedy = f"known: {', '.join(page.splits) or 'none'}"
        raise InputError(f"split {split!r}", f"a key of {page.path}", "no such key", remedy)
    labelled = 0
    images = _images(root, split, page, draft)
    for id, image in images:
        with draft.image(shown(image, root)):
            label_file = _label_file(inside(image, root), root)
            labelled += label_file is not None
            size = image_size(image)
            drawn = _drawn(label_file, root, size, labels, draft) if label_file else []
            draft.add(Sample(id, image, size, draft.annotations(drawn, size), split))
    if images and not labelled:
        message = "no image has a label file, so all count as images without objects"
        draft.note(f"split {split}", f"{message}; check the labels folder", "split without labels")


def _images(root: Path, split: str, page: _Page, draft: Draft) -> list[tuple[str, Path]]:
    places = [_place(root, page, entry, split) for entry in page.splits[split]]
    folders = [place for place in places if place.is_dir()]
    named_from = Path(os.path.commonpath(folders)) if folders == places else root
    images: list[Path] = []
    for place in places:
        if place.is_dir():
            images += (path for found in files_by_id(place, SUFFIXES).values() for path in found)
        else:
            images += _listed(root, place, page, draft)
    unique = dict.fromkeys(images)
    return [(image.relative_to(named_from).with_suffix("").as_posix(), image) for image in unique]


def _place(root: Path, page: _Page, entry: str, split: str) -> Path:
    """Return a split's folder or list; some tools write "../train/images" for "train/images"."""
    stripped = entry
    while stripped.startswith("../"):
        stripped = stripped.removeprefix("../")
    for candidate in (page.base / entry, root / entry, page.base / stripped, root / stripped):
        if found := _existing(candidate, root):
            return _plain(found, root)
    rule = f"a folder or list of images inside {root}"
    raise InputError(f"{split} of {page.path}", rule, repr(entry), "correct it")


def _plain(path: Path, root: Path) -> Path:
    """Return a path below the root without "..", as ids and label files need it."""
    plain = Path(os.path.normpath(path))
    if plain.is_relative_to(root):
        return plain
    return root / os.path.relpath(os.path.realpath(path), os.path.realpath(root))


def _listed(root: Path, place: Path, page: _Page, draft: Draft) -> list[Path]:
    images = []
    for row, line in enumerate(read_text(place).splitlines(), 1):
        if not (name := line.strip()):
            continue
        with draft.image(f"{shown(place, root)}:{row}"):
            images.append(_listed_image(name, root, (place.parent, page.base, root)))
    return images


def _listed_image(name: str, root: Path, folders: Sequence[Path]) -> Path:
    for folder in folders:
        path = folder / name
        if name.isprintable() and is_file(path):
            return _plain(inside(path, root), root)
    raise InputError(f"image {name!r}", "a file of the data set", "no such file", "correct it")


def _label_file(image: Path, root: Path) -> Path | None:
    parts = list(image.relative_to(root).with_suffix(".txt").parts)
    beside = root.joinpath(*parts)
    if "images" in parts[:-1]:
        last = len(parts) - 1 - parts[::-1].index("images")
        if (path := root.joinpath(*parts[:last], "labels", *parts[last + 1 :])).is_file():
            return inside(path, root)
    return inside(beside, root) if beside.is_file() else None


def _drawn(
    path: Path, root: Path, size: tuple[int, int], labels: Mapping[int, int], draft: Draft
) -> list[Drawn]:
    drawn, name = [], shown(path, root)
    for row, line in enumerate(read_text(path).splitlines(), 1):
        fields, subject = [number(text) for text in line.split()], f"{name}:{row}"
        if not fields:
            continue
        if flaw := _flaw(fields, draft.use):
            draft.note(subject, f"{line!r:.80} {flaw}; line left out", "malformed line")
        elif fields[0] not in labels:
            message = f"class {fields[0]:g} is not in 'names'; object left out"
            draft.note(subject, message, "object of an unknown class")
        elif draft.use == "tags":
            drawn.append(Drawn(subject, labels[int(fields[0])], bounds(())))
        else:
            drawn.append(_object(subject, labels[int(fields[0])], fields[1:], size))
    return drawn


def _flaw(fields: Sequence[float], use: Use) -> str:
    if use == "tags":
        return "" if fields[0].is_integer() else "begins with no class number"
    if len(fields) < _FIELDS_OF_BOX or len(fields) % 2 == 0 or not fields[0].is_integer():
        return "is not 'class x y width height' nor 'class x1 y1 x2 y2 x3 y3 ...'"
    return ""


def _object(subject: str, label: int, values: Sequence[float], size: tuple[int, int]) -> Drawn:
    height, width = size
    if len(values) > 4:
        scales = (width, height) * (len(values) // 2)
        polygon = tuple(value * scale for value, scale in zip(values, scales, strict=True))
        return Drawn(subject, label, bounds([polygon]), (polygon,))
    x, y, w, h = values
    corners = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
    return Drawn(subject, label, corners)
