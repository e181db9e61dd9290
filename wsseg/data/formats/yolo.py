"""YOLO: a text file of relative boxes or polygons for each image, and data.yaml."""

import os
import re
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from wsseg.data.formats.files import read_text
from wsseg.data.formats.geometry import bounds, number
from wsseg.data.formats.paths import files_by_id, guard, inside, is_file, shown
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
    is_background,
)
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import SUFFIXES, image_size

_KEYS = ("train", "val", "valid", "test")
_MOST_CHARACTERS = 2**20  # of data.yaml: YAML takes a thousand times as long to read as JSON
_EMPTY = ("", "~", "null", "None")


@dataclass(frozen=True)
class _DataYaml:
    """data.yaml: its path, the folder its paths start from, class names, and split entries."""

    path: Path
    base: Path
    names: dict[int, str]
    splits: dict[str, list[str]]


def read_yolo(root: Path, splits: Sequence[str] | None = None) -> RawDataset:
    """Return the content of a YOLO folder with data.yaml.

    The path of a label file has "labels" in place of the last "images" of the image's path, or is
    beside the image; an image without one has no objects. Sizes come from the images' headers. Ids
    are paths in the folders of data.yaml, or in ``root`` if data.yaml names lists of images.

    Args:
        splits: Its keys "train", "val", "valid" or "test"; None: all.

    Raises:
        InputError: data.yaml is missing or damaged, or a split's folder or list is missing.
    """
    log, samples = ProblemLog(), SampleList()
    settings = _settings(root, log)
    classes = classes_of(tuple(settings.names.values()), str(settings.path))
    rule, is_inside = f"a key of {settings.path}", guard(root)
    for split in choose_splits(root, splits, settings.splits, rule, "no such key"):
        labelled, images = 0, _images(root, split, settings, log)
        for id, image in images:
            with log.image(shown(image, root)):
                label_file = _label_file(is_inside(image), root)
                labelled += label_file is not None
                size, name = image_size(image), shown(label_file or image, root)
                text = read_text(is_inside(label_file)) if label_file else ""
                objects = tuple(_objects(text, name, settings.names, log))
                raw = RawImage(name, id, split=split, size=size, objects=objects, relative=True)
                samples.add(Sample(id, image, size, (), split), raw)
        if images and not labelled:
            message = "no image has a label file, so all count as images without objects; check the"
            log.add(f"split {split}", f"{message} labels folder", "split without labels")
    images_of_all = tuple(entry.images[0] for entry in samples.samples)
    return RawDataset(root, classes, samples.samples, log.problems, images=images_of_all)


def read_yolo_labels(path: Path) -> RawFile:
    """Return the content of the folder "labels" beside a data.yaml, with or without its images.

    Images have the names of their label files; a first folder below "labels" with the usual name of
    a split is their split.

    Raises:
        InputError: data.yaml is missing or damaged.
    """
    root, log = path.parent, ProblemLog()
    names = _names(_yaml(path).get("names"), path)
    is_inside, images = guard(root), list[RawImage]()
    for id, (file, *_) in files_by_id(inside(root / "labels", root), (".txt",)).items():
        first, _, rest = id.partition("/")
        split = first if rest and first.lower() in SPLIT_NAMES else None
        subject = shown(file, root)
        with log.image(subject):
            objects = tuple(_objects(read_text(is_inside(file)), subject, names, log))
            name = rest if split else id
            images.append(RawImage(subject, name, split=split, objects=objects, relative=True))
    return RawFile(tuple(images), classes_of(tuple(names.values()), str(path)).names, log.problems)


def _settings_file(root: Path) -> Path | None:
    """Return data.yaml, data.yml or dataset.yaml, else the only YAML file of the folder."""
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (root / name).is_file():
            return root / name
    others = [*root.glob("*.yaml"), *root.glob("*.yml")]
    return others[0] if len(others) == 1 else None


def _settings(root: Path, log: ProblemLog) -> _DataYaml:
    path = _settings_file(root)
    if path is None:
        remedy = "write one with train, val and names"
        raise InputError(root / "data.yaml", "there", "no such file", remedy)
    content = _yaml(inside(path, root))
    names, count = _names(content.get("names"), path), number(content.get("nc"))
    if "nc" in content and count != len(names):
        got = reprlib.repr(content["nc"])
        message = f"nc is {got} but there are {len(names)} names; names are used"
        log.add(path.name, message, "number of classes contradicts the names")
    listed = {split: _entries(content[split], path) for split in _KEYS if split in content}
    base = _base(root, content.get("path"), path, log)
    splits = {split: entries for split, entries in listed.items() if entries}
    return _DataYaml(path, base, names, splits)


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
    pairs = list(enumerate(names)) if isinstance(names, list) else []
    pairs = list(names.items()) if isinstance(names, dict) else pairs
    if not pairs or not all(str(i).isdecimal() and isinstance(name, str) for i, name in pairs):
        rule = "with 'names', a list or a mapping from class numbers"
        raise InputError(path, rule, type(names).__name__, "name the classes")
    return dict(sorted((int(i), name) for i, name in pairs))


def _entries(value: Any, path: Path) -> list[str]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) for entry in values):
        got = type(values[0]).__name__
        raise InputError(path, "made of folders and lists of images", got, "correct it")
    return [entry for entry in values if entry not in _EMPTY]


def _base(root: Path, named: Any, path: Path, log: ProblemLog) -> Path:
    """Return where paths start: ``path`` of data.yaml is mostly that of another machine."""
    if not isinstance(named, str) or named in _EMPTY:
        return root
    if (existing := _existing(root / named, root)) and existing.is_dir():
        return existing
    message = f"path {named!r} is no folder of this data set; its own folder is used"
    log.add(path.name, message, "path of data.yaml leads elsewhere")
    return root


def _existing(path: Path, root: Path) -> Path | None:
    try:
        return inside(path, root) if path.exists() else None
    except (InputError, ValueError, OSError):
        return None


def _images(root: Path, split: str, settings: _DataYaml, log: ProblemLog) -> list[tuple[str, Path]]:
    places = [_place(root, settings, entry, split) for entry in settings.splits[split]]
    folders = [place for place in places if place.is_dir()]
    named_from = Path(os.path.commonpath(folders)) if folders == places else root
    images: list[Path] = []
    for place in places:
        if place.is_dir():
            images += (path for paths in files_by_id(place, SUFFIXES).values() for path in paths)
            continue
        searched = (place.parent, settings.base, root)
        for row, line in enumerate(read_text(place).splitlines(), 1):
            if name := line.strip():
                with log.image(f"{shown(place, root)}:{row}"):
                    images.append(_listed_image(name, root, searched))
    unique = dict.fromkeys(images)
    return [(image.relative_to(named_from).with_suffix("").as_posix(), image) for image in unique]


def _place(root: Path, settings: _DataYaml, entry: str, split: str) -> Path:
    """Return a split's folder or list; some tools write "../train/images" for "train/images"."""
    base, stripped = settings.base, re.sub(r"^(\.\./)+", "", entry)
    for candidate in (base / entry, root / entry, base / stripped, root / stripped):
        if existing := _existing(candidate, root):
            return _plain(existing, root)
    rule = f"a folder or list of images inside {root}"
    raise InputError(f"{split} of {settings.path}", rule, repr(entry), "correct it")


def _plain(path: Path, root: Path) -> Path:
    """Return a path below the root without "..", as ids and label files need it."""
    plain = Path(os.path.normpath(path))
    if plain.is_relative_to(root):
        return plain
    return root / os.path.relpath(os.path.realpath(path), os.path.realpath(root))


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
            return path
    return beside if beside.is_file() else None


def _objects(
    text: str, name: str, names: Mapping[int, str], log: ProblemLog
) -> Iterator[RawObject]:
    for row, line in enumerate(text.splitlines(), 1):
        fields, subject = [number(field) for field in line.split()], f"{name}:{row}"
        if not fields:
            continue
        form = "is not 'class x y width height' nor 'class x1 y1 x2 y2 x3 y3 ...'"
        flaw = f"{line!r:.80} {form}; line left out"
        if not fields[0].is_integer():
            log.add(subject, flaw, "malformed line")
        elif names.get(int(fields[0])) is None or is_background(names[int(fields[0])]):
            message = f"class {fields[0]:g} is not in 'names'; object left out"
            log.add(subject, message, "object of an unknown class")
        else:
            class_name, values = names[int(fields[0])], fields[1:]
            if len(values) == 4:
                x, y, w, h = values
                box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
                yield RawObject(subject, class_name, box)
            elif len(values) > 4 and len(values) % 2 == 0:
                yield RawObject(subject, class_name, bounds([values]), (values,))
            else:
                yield RawObject(subject, class_name, bounds(()), flaw=flaw)


YOLO = Format(
    "yolo",
    "data.yaml",
    lambda root: _settings_file(root) is not None,
    read_yolo,
    files=lambda root: [path] if (path := _settings_file(root)) else [],
    fits=lambda path: path.suffix.lower() in {".yaml", ".yml"} and path.is_file(),
    read_file=read_yolo_labels,
)
"""A folder of images, or data.yaml and its label files that are laid over another data set."""
