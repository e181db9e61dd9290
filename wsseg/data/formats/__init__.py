"""Data sets on disk: one reader a format, all giving the same ``Dataset``."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

from wsseg.data.formats.clicks import CLICKS
from wsseg.data.formats.coco import coco_files, coco_splits, read_coco
from wsseg.data.formats.csv_tags import csv_splits, read_csv
from wsseg.data.formats.cvat import CVAT
from wsseg.data.formats.draft import Use
from wsseg.data.formats.folders import folder_splits, has_class_folders, read_folders
from wsseg.data.formats.jsonl import JSONL
from wsseg.data.formats.labelme import LABELME
from wsseg.data.formats.labelstudio import LABELSTUDIO
from wsseg.data.formats.paged import paged_splits, read_paged
from wsseg.data.formats.pages import PageFormat
from wsseg.data.formats.scribblesup import SCRIBBLES
from wsseg.data.formats.voc import read_voc, tagged_splits
from wsseg.data.formats.voc_lists import voc_splits
from wsseg.data.formats.yolo import read_yolo, yolo_settings, yolo_splits
from wsseg.data.model import Dataset
from wsseg.errors import InputError
from wsseg.synthetic.scenes import write_scenes

_DEMO_TRAIN, _DEMO_VAL = 120, 40


def read_scenes(root: Path, splits: Sequence[str], use: Use = "boxes") -> Dataset:
    """Return the demo scenes, generated at the first call.

    Args:
        root: The folder they are kept in.
        splits: Of "train" and "val".
        use: "boxes", "tags" or "masks".

    Returns:
        The data set.

    Raises:
        InputError: The folder holds other files.
    """
    write_scenes(root, train=_DEMO_TRAIN, val=_DEMO_VAL, seed=0)
    return read_voc(root, splits, use)


PAGED: dict[str, PageFormat] = {
    format.name: format for format in (JSONL, CVAT, LABELME, LABELSTUDIO)
}
"""Formats of annotation tools, whose files can also be laid over another data set."""

OVERLAYS: dict[str, PageFormat] = PAGED | {format.name: format for format in (CLICKS, SCRIBBLES)}
"""Formats whose files can be laid over a data set."""

Reader = Callable[[Path, Sequence[str], Use], Dataset]

READERS: dict[str, Reader] = {
    "voc": read_voc,
    "coco": read_coco,
    "yolo": read_yolo,
    "csv": read_csv,
    "folders": read_folders,
    "scenes": read_scenes,
    **{name: partial(read_paged, format) for name, format in PAGED.items()},
}
"""Folder, splits and use -> data set, by the format's name."""

SPLITS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "voc": voc_splits,
    "coco": coco_splits,
    "yolo": yolo_splits,
    "csv": csv_splits,
    "folders": folder_splits,
    "scenes": lambda _: ("train", "val"),
    **{name: partial(paged_splits, format) for name, format in PAGED.items()},
}
"""Folder -> names of its splits, by the format's name."""

TAGGED: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "voc": tagged_splits,
    "csv": csv_splits,
    "folders": folder_splits,
    "scenes": lambda _: ("train", "val"),
}
"""Folder -> splits with tags of their own, by the name of a format whose tags are no boxes' too."""

WITHOUT_BOXES = ("csv", "folders")
"""Formats of tags alone."""

_LOOKED_FOR = (
    "JPEGImages with Annotations or ImageSets (voc)",
    "annotations/*.json or <split>/_annotations.coco.json (coco)",
    "data.yaml (yolo)",
    "*.jsonl (jsonl)",
    "annotations.xml of CVAT for images (cvat)",
    "*.json of LabelMe (labelme)",
    "*.json of Label Studio (labelstudio)",
    "<split>.csv (csv)",
    "<split>/<class>/*.jpg or <class>/*.jpg (folders)",
)


def read_dataset(
    root: Path, format: str = "auto", splits: Sequence[str] | None = None, use: Use = "boxes"
) -> Dataset:
    """Return the samples of a data set on disk, no pixel decoded.

    Args:
        root: The data set's folder.
        format: A key of ``READERS``, or "auto" to find out.
        splits: Their names; None reads all there are.
        use: "boxes" gives each annotated image one ``Boxes``, "tags" one ``Tags``, "masks" one full
            mask, "all" whatever weak labels there are, and "none" nothing.

    Returns:
        The data set. Images that cannot be used are left out and stand in its problems, as does
        all that was mended.

    Raises:
        InputError: The folder is of no known format, or a file that describes it is missing or
            damaged.
    """
    format = detect_format(root) if format == "auto" else format
    if format not in READERS:
        remedy = f"choose one of auto, {', '.join(READERS)}"
        raise InputError("data.format", "a known format", repr(format), remedy)
    if format != "scenes":  # these are generated
        _check_folder(root)
    if use not in get_args(Use):
        raise InputError("use", "boxes, tags, masks, all or none", repr(use), "choose one")
    chosen = SPLITS[format](root) if splits is None else tuple(dict.fromkeys(splits))
    if not chosen:
        rule = f"a {format} data set with at least one split"
        raise InputError(root, rule, "none", "list the images of a split, such as train")
    if use == "none":
        bare = READERS[format](root, chosen, "tags" if format in WITHOUT_BOXES else "boxes")
        fatal = tuple(problem for problem in bare.problems if problem.fatal)
        samples = tuple(replace(sample, annotations=()) for sample in bare.samples)
        return Dataset(bare.classes, samples, fatal)
    if use == "all" and format not in PAGED:
        return _boxes_and_tags(root, format, chosen)
    return READERS[format](root, chosen, use)


def _boxes_and_tags(root: Path, format: str, splits: Sequence[str]) -> Dataset:
    """Return the images with their boxes and those tags that are more than the boxes' classes."""
    tagged = [split for split in splits if format in TAGGED and split in TAGGED[format](root)]
    tags = READERS[format](root, tagged, "tags") if tagged else None
    if tags and format in WITHOUT_BOXES:
        return tags
    boxes = READERS[format](root, splits, "boxes")
    if tags and not any(sample.annotations for sample in boxes.samples):
        # that no image has a box is no problem of each image where people wrote tags
        fatal = tuple(problem for problem in boxes.problems if problem.fatal)
        boxes = replace(boxes, problems=fatal)
    return joined(boxes, tags) if tags else boxes


def joined(one: Dataset, other: Dataset) -> Dataset:
    """Return the images of one reading of a data set with the annotations of both.

    Args:
        one: Its images and classes are taken.
        other: Another reading of the same folder.

    Returns:
        The data set, with the problems of both, each once.
    """
    found = {(sample.split, sample.id): sample.annotations for sample in other.samples}
    samples = tuple(
        replace(s, annotations=(*s.annotations, *found.get((s.split, s.id), ())))
        for s in one.samples
    )
    return Dataset(one.classes, samples, tuple(dict.fromkeys((*one.problems, *other.problems))))


def detect_format(root: Path) -> str:
    """Return the format of a data set.

    Args:
        root: The data set's folder.

    Returns:
        A key of ``READERS``; "csv", and then "folders", only where no other format fits.

    Raises:
        InputError: There is no such folder, or no or more than one format fits.
    """
    _check_folder(root)
    voc = [root / "Annotations", root / "ImageSets"]
    paged = {name: format.files(root) for name, format in PAGED.items()}
    of_tools = {path for files in paged.values() for path in files}
    fits = {
        "voc": (root / "JPEGImages").is_dir() and any(path.is_dir() for path in voc),
        "coco": bool(coco_files(root) - of_tools),
        "yolo": yolo_settings(root) is not None,
        **{name: bool(files) for name, files in paged.items()},
    }
    found = [name for name, fit in fits.items() if fit]
    if not found:
        found = ["csv"] if csv_splits(root) else ["folders"] * has_class_folders(root)
    if len(found) != 1:
        rule = f"a data set with one of {'; '.join(_LOOKED_FOR)}"
        got = " and ".join(found) if found else "none of these"
        choose = "set data.format (wsseg check: --format)"
        raise InputError(f"data.root {root}", rule, got, choose if found else "check the path")
    return found[0]


def _check_folder(root: Path) -> None:
    if not root.is_dir():
        got = "a file" if root.exists() else "no such folder"
        raise InputError(f"data.root {root}", "a folder", got, "check the path")
