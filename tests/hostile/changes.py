"""Hostile data sets: a small valid data set of a format with one change."""

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

OUTCOMES = {0: "used", 1: "skipped, the rest is used", 2: "refused in one line"}
"""The meaning of the exit codes of ``wsseg check``."""


@dataclass(frozen=True)
class Case:
    """One hostile data set.

    Args:
        tried: The change in words.
        format: A key of ``formats.FORMATS``.
        change: Applies the change; the folder beside the data set belongs to somebody else.
        code: The exit code of ``wsseg check``.
        says: A part of the message; empty if there is none.
    """

    tried: str
    format: str
    change: Change
    code: int
    says: str = ""


def replaced(name, old, new, copy=None):
    """Replace words in a file, or in a copy of it."""
    return lambda root: write(root / (copy or name), (root / name).read_bytes().replace(old, new))


def moved(name, other):
    """Rename a file to a name in bytes."""

    def change(root):
        (root / name).rename(os.fsdecode(os.fsencode(root) + b"/" + other))

    return change


def both(*changes):
    """Make several changes, one after the other."""

    def change(root):
        for each in changes:
            each(root)

    return change


def put(name, content):
    """Write a file with any content."""
    return lambda root: write(root / name, content() if callable(content) else content)


def write(path, content):
    """Replace a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def fifo(name):
    """Replace a file by a pipe."""

    def change(root):
        (root / name).unlink()
        os.mkfifo(root / name)

    return change


def folder(name):
    """Replace a file by a folder."""

    def change(root):
        (root / name).unlink()
        (root / name).mkdir()

    return change


def link(name, target):
    """Replace a file or folder by a link to a path relative to the data set."""

    def change(root):
        path = root / name
        path.rename(root.parent / "moved")
        path.symlink_to(root / target)

    return change


def coco(**changes):
    """Set values of the first image (``image_...``), the first annotation, or the whole page."""
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
    """Set the corners of the box of the first image."""
    return put("Annotations/a.xml", voc_xml("a.png", corners=corners))


def saved(image, suffix, name="JPEGImages/a.png", **more):
    """Replace the first image, whatever its suffix."""
    return put(name, encoded(image, suffix, **more))
