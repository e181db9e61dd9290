"""Classes and splits of a YOLO folder: data.yaml, obj.data of Darknet, or a list of names."""

import math
import os
import re
import reprlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from wsseg.data.formats.files import beginning, read_names, read_text
from wsseg.data.formats.geometry import number
from wsseg.data.formats.paths import folders_in, inside
from wsseg.data.formats.raw import SPLIT_NAMES
from wsseg.data.formats.reading import ProblemLog
from wsseg.errors import InputError

_KEYS = ("train", "val", "valid", "test")
_MOST_CHARACTERS = 2**20  # of data.yaml: YAML takes a thousand times as long to read as JSON
_EMPTY = ("", "~", "null", "None")
_MOST_TRIED = 20  # some label files may be damaged or empty
_NO_LABELS = ("classes.txt", "train.txt", "val.txt", "test.txt")
_NAMES = re.compile(r"^(names|nc)\s*:", re.MULTILINE)
_LABEL = re.compile(r"\d+(\.0*)?(\s+-?[\d.]+(e-?\d+)?){4,}\s*$", re.MULTILINE)


@dataclass(frozen=True)
class YoloFolder:
    """The classes and splits of a YOLO folder.

    Args:
        path: The file that they were read from, named in errors.
        base: Folder that paths start from.
        names: Class names by number.
        splits: Folders and lists of images by split.
        n_pose: Numbers after the box in a line, of key points (``kpt_shape``); 0 for none.
    """

    path: Path
    base: Path
    names: dict[int, str]
    splits: dict[str, list[str]]
    n_pose: int = 0


def settings_file(root: Path) -> Path | None:
    """Return the file that tells the classes of a YOLO folder; None if there is none.

    It is data.yaml, data.yml or dataset.yaml, else the only YAML file with "names", else obj.data
    of Darknet, else classes.txt or obj.names beside label files.
    """
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (root / name).is_file():
            return root / name
    others = [path for path in (*root.glob("*.yaml"), *root.glob("*.yml")) if names_classes(path)]
    if len(others) == 1:
        return others[0]
    names = ("obj.data", "classes.txt", "obj.names")
    found = next((root / name for name in names if (root / name).is_file()), None)
    return found if found and (found.suffix == ".data" or _has_labels(root)) else None


def names_classes(path: Path) -> bool:
    """Return whether a file is a YAML of YOLO, by its suffix and first bytes."""
    return path.suffix.lower() in {".yaml", ".yml"} and bool(_NAMES.search(beginning(path)))


def _has_labels(root: Path) -> bool:
    """Return whether a label file lies in labels/, a folder in it, obj_train_data/ or the root."""
    patterns = ("labels/*.txt", "labels/*/*.txt", "obj_train_data/*.txt", "*.txt")
    for pattern in patterns:
        paths = (path for path in sorted(root.glob(pattern)) if path.name not in _NO_LABELS)
        if any(_LABEL.match(beginning(path)) for path in islice(paths, _MOST_TRIED)):
            return True
    return False


def read_settings(root: Path, log: ProblemLog) -> YoloFolder:
    """Return the settings of a YOLO folder.

    Raises:
        InputError: There are none, or they are damaged.
    """
    path = settings_file(root)
    if path is None:
        remedy = "write one with train, val and names"
        raise InputError(root / "data.yaml", "there", "no such file", remedy)
    path = inside(path, root)
    if path.suffix == ".data":
        return _of_darknet(path, root)
    if path.suffix not in {".txt", ".names"}:
        return _of_yaml(path, root, log)
    return YoloFolder(path, root, dict(enumerate(read_names(path))), _folders(root))


def _of_yaml(path: Path, root: Path, log: ProblemLog) -> YoloFolder:
    content = read_yaml(path)
    names, count = class_names(content.get("names"), path), number(content.get("nc"))
    if "nc" in content and count != len(names):
        got = reprlib.repr(content["nc"])
        message = f"nc is {got} but there are {len(names)} names; names are used"
        log.add(path.name, message, "number of classes contradicts the names")
    listed = {split: _entries(content[split], path) for split in _KEYS if split in content}
    base = _base(root, content.get("path"), path, log)
    splits = {split: entries for split, entries in listed.items() if entries}
    return YoloFolder(path, base, names, splits or _folders(root), n_pose(content))


def n_pose(content: dict[str, Any]) -> int:
    """Return how many numbers of key points follow a box: the product of ``kpt_shape``."""
    shape = content.get("kpt_shape")
    sides = [number(side) for side in shape] if isinstance(shape, list) else []
    product = math.prod(sides) if len(sides) == 2 else 0
    return int(product) if 0 < product < math.inf else 0


def _of_darknet(path: Path, root: Path) -> YoloFolder:
    pairs = (line.partition("=") for line in read_names(path))
    content = {key.strip(): value.strip() for key, _, value in pairs}
    listed = (root / content.get("names", ""), root / "obj.names")
    names = next((file for file in listed if file.is_file()), root / "obj.names")
    splits = {split: [content[split]] for split in _KEYS if content.get(split)}
    return YoloFolder(path, root, dict(enumerate(read_names(inside(names, root)))), splits)


def _folders(root: Path) -> dict[str, list[str]]:
    """Return the folders of splits, else "train" with all images, if no file lists them."""
    for images in ("images", "."):
        folders = folders_in(root / images) if (root / images).is_dir() else []
        if splits := [path for path in folders if path.name.lower() in SPLIT_NAMES]:
            return {path.name: [path.relative_to(root).as_posix()] for path in splits}
    return {"train": ["images" if (root / "images").is_dir() else "."]}


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file, every scalar as text.

    Raises:
        InputError: The file is too long, damaged or no mapping.
    """
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


def class_names(names: Any, path: Path) -> dict[int, str]:
    """Return class names by number, from a list or a mapping.

    Raises:
        InputError: It is neither.
    """
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


def place_of(root: Path, settings: YoloFolder, entry: str, split: str) -> Path:
    """Return a split's folder or list of images, written for this or another folder.

    Some tools write "../train/images" for "train/images", others "data/train.txt" for "train.txt",
    or the path of another machine: the longest end of the path that exists is taken.

    Raises:
        InputError: It does not exist in the data set.
    """
    written = os.path.normpath(entry.replace("\\", "/"))
    parts = [part for part in written.split("/") if part not in {"", ".."}]
    ends = [Path(*parts[first:]) for first in range(len(parts))]
    folders = dict.fromkeys((settings.base, root))
    for candidate in (settings.base / written, *(base / end for end in ends for base in folders)):
        if existing := _existing(candidate, root):
            return plain_path(existing, root)
    rule = f"a folder or list of images inside {root}"
    raise InputError(f"{split} of {settings.path}", rule, repr(entry), "correct it")


def plain_path(path: Path, root: Path) -> Path:
    """Return a path below the root without "..", as ids and label files need it."""
    plain = Path(os.path.normpath(path))
    if plain.is_relative_to(root):
        return plain
    return root / os.path.relpath(os.path.realpath(path), os.path.realpath(root))
