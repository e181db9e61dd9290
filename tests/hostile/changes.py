"""What a hostile data set is: the small valid one of its format with one thing changed."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.formats import coco_page, encoded, voc_xml

LINE = '{"classes": ["background", "cow", "sheep"]}\n'
COCO_JSON = "annotations/instances_train.json"
Change = Callable[[Path], None]

OUTCOMES = {0: "used", 1: "set aside, the rest is used", 2: "refused in one line"}
"""What an exit code of ``wsseg check`` means."""


@dataclass(frozen=True)
class Case:
    """One hostile data set.

    Args:
        tried: What is hostile about it, in words.
        format: A key of ``formats.FORMATS``.
        change: Makes it so; the folder beside the data set's is somebody else's.
        code: Exit code of ``wsseg check``.
        says: What is said of it; empty where there is nothing to say.
    """

    tried: str
    format: str
    change: Change
    code: int
    says: str = ""


def replaced(name, old, new, copy=None):
    """Other words in a file, or in a copy of it."""
    return lambda root: write(root / (copy or name), (root / name).read_bytes().replace(old, new))


def moved(name, other):
    """Another name of a file, as bytes."""

    def change(root):
        (root / name).rename(os.fsdecode(os.fsencode(root) + b"/" + other))

    return change


def both(*changes):
    """Several changes, one after the other."""

    def change(root):
        for each in changes:
            each(root)

    return change


def put(name, content):
    """A file with any content."""
    return lambda root: write(root / name, content() if callable(content) else content)


def write(path, content):
    """Write a file in place of whatever is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def fifo(name):
    """A pipe in place of a file."""

    def change(root):
        (root / name).unlink()
        os.mkfifo(root / name)

    return change


def folder(name):
    """A folder in place of a file."""

    def change(root):
        (root / name).unlink()
        (root / name).mkdir()

    return change


def link(name, target):
    """A link in place of a file or folder; the target is named from the data set's folder."""

    def change(root):
        path = root / name
        path.rename(root.parent / "moved")
        path.symlink_to(root / target)

    return change


def coco(**changes):
    """Values of the first image entry (``image_...``), of the first annotation, or of the page."""
    page: dict[str, Any] = coco_page()
    for key, value in changes.items():
        if key.startswith("image_") and key != "image_id":
            page["images"][0][key.removeprefix("image_")] = value
        elif key in {"images", "annotations", "categories"}:
            page[key] = value
        else:
            page["annotations"][0][key] = value
    return put(COCO_JSON, lambda: json.dumps(page))


def voc_box(*corners):
    """Corners of the box of the first image."""
    return put("Annotations/a.xml", voc_xml("a.png", corners=corners))


def saved(image, suffix, name="JPEGImages/a.png", **more):
    """An image in place of that of the first image, whatever its suffix."""
    return put(name, encoded(image, suffix, **more))
