"""The intermediate model of all readers: the contents of files, not yet fitted to images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wsseg.data.formats.geometry import Corners, RunLengths
from wsseg.data.model import Classes, Problem, Sample
from wsseg.errors import InputError

Kind = Literal["point", "scribble", "box", "extreme", "polygon", "runs", "mask", "unknown", "other"]
"""Geometry of a mark; ``RawMark`` lists the fields that belong to each."""

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test")
"""Names of files and folders that are taken for names of splits."""


def split_in(words: Iterable[str]) -> str:
    """Return the first of some words that is the name of a split, empty if none is."""
    return next((word for word in words if word.lower() in SPLIT_NAMES), "")


@dataclass(frozen=True, slots=True)
class RawMark:
    """One mark of an annotation tool. It describes a part of the image only.

    Args:
        subject: File and place in it, named in problems.
        kind: "point": one of ``points``. "scribble": a line through ``points``. "box": two opposite
            corners. "extreme": the leftmost, topmost, rightmost and bottommost point of an object,
            in any order. "polygon": the corners of a polygon. "runs": pixels as run lengths.
            "mask": a label map. "unknown": something that cannot be read, so that its class may be
            at ``points`` (two opposite corners, or none: anywhere). "other": a kind that a plug-in
            knows.
        name: The class; empty for "mask", and for "unknown" of any class.
        points: (x, y) in pixels of the upright image; NaN where the file has no number.
        width: Width in pixels of a scribble or point; None if the file does not give it.
        runs: For "runs": run lengths, checked against the image size (``fitted_runs``).
        file: For "mask": the absolute path of a label map.
        values: For "other": the mark as it stands in the file, including "type".
        labels: For "mask": the label of each value of the file; None if they are the same.
    """

    subject: str
    kind: Kind
    name: str
    points: tuple[tuple[float, float], ...] = ()
    width: float | None = None
    runs: RunLengths | None = None
    file: Path | None = None
    values: Mapping[str, Any] | None = None
    labels: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class RawObject:
    """One object of an image whose objects are all listed: a box, a mask, or both.

    Args:
        subject: File and place in it, named in problems.
        name: The class.
        corners: Edges of its box, in the unit of its ``RawImage``.
        polygons: Corners x0, y0, x1, y1, ... of its polygons, unchecked.
        encoded: COCO run lengths, unchecked; used if there are no polygons.
        crowd: Whether it is a group of objects.
        flaw: Why its geometry cannot be used; empty if it can. Its class may then be anywhere.
    """

    subject: str
    name: str
    corners: Corners
    polygons: Sequence[Sequence[object]] = ()
    encoded: Mapping[str, Any] | None = None
    crowd: bool = False
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class RawImage:
    """The content of one file about one image.

    Args:
        subject: File and place in it, named in problems.
        image: File name of the image as it is written there.
        other_names: Names that the image may have instead, tried in this order.
        marks: Later marks are in front.
        size: (H, W) of the upright image; None if the file does not give it.
        split: None if the file does not give it.
        tags: Names of all classes that the image shows; None if it is not tagged.
        unsure: Names of classes that the image may or may not show.
        closed: Whether every class that the image shows has a mark; None if unknown.
        tags_are_remarks: Whether tags may mean anything, such as "reviewed": they count if one of
            them is a class of the data set, and they name classes if nothing else does.
        objects: Every object of the image; None if the objects are not listed.
        relative: Whether coordinates of objects are shares of width and height, not pixels.
        boxes_only: Whether objects never have masks, so that they imply nothing for full masks.
    """

    subject: str
    image: str
    marks: tuple[RawMark, ...] = ()
    size: tuple[int, int] | None = None
    split: str | None = None
    tags: tuple[str, ...] | None = None
    unsure: tuple[str, ...] = ()
    closed: bool | None = None
    tags_are_remarks: bool = False
    objects: tuple[RawObject, ...] | None = None
    relative: bool = False
    boxes_only: bool = False
    other_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class RawFile:
    """The content of an annotation file.

    Args:
        images: A second entry for an image adds to the first.
        names: Class names in the order of their labels; empty if the file does not list them.
        problems: Everything that was left out or repaired.
    """

    images: tuple[RawImage, ...]
    names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class RawSample:
    """An image without annotations, the entries of files about it, and its full label map.

    Args:
        labels: The label of each value of the mask file; None if they are the same.
    """

    sample: Sample
    images: tuple[RawImage, ...] = ()
    mask: Path | None = None
    labels: tuple[int, ...] | None = None


@dataclass(frozen=True)
class RawDataset:
    """The content of all annotation files of a data set, from one pass over them.

    Weak labels and full masks are views of it (``view``). As it contains full masks, code that
    makes labels never receives it, but a ``Dataset``.

    Args:
        root: Folder that mask files must lie in.
        classes: Class names.
        colours: RGB colour of each class in mask files of colours; None if nothing tells them.
        samples: Images that can be used, in order.
        problems: Everything that was left out or repaired in any view.
        of_boxes: Problems of boxes.
        of_tags: Problems of tags.
        has_tags: Whether people wrote the tags; otherwise they are the classes of the objects.
        refused: Views that this data set does not have, with the error to raise.
        images: Also those that were not located.
        files_classes: Class names in the files, where ``data.classes`` changed them.
    """

    root: Path
    classes: Classes
    samples: tuple[RawSample, ...]
    problems: tuple[Problem, ...] = ()
    of_boxes: tuple[Problem, ...] = ()
    of_tags: tuple[Problem, ...] = ()
    has_tags: bool = False
    refused: Mapping[str, InputError] = field(default_factory=dict)
    images: tuple[RawImage, ...] = ()
    colours: tuple[tuple[int, int, int], ...] | None = None
    format: str = ""
    files_classes: Classes | None = None


ReadDataset = Callable[[Path, Sequence[str] | None], RawDataset]


@dataclass(frozen=True)
class Format:
    """Functions that find and read the files of a format.

    Args:
        name: Such as "cvat".
        sign: How a data set folder of this format is recognised, for messages.
        detect: Folder -> whether it is a data set of this format. Reads no more than the beginnings
            of files. None: never detected.
        read: Folder and names of splits (None: all) -> the data set. None: its files can only be
            laid over other data sets.
        last_resort: Detected only where no other format fits.
        files: Folder -> its annotation files, found by their names and first bytes. None: its files
            cannot be laid over another data set.
        fits: File -> whether it is of this format, by its name and first bytes.
        read_file: File -> what it says. Raises ``InputError`` if the whole file cannot be read.
        image_per_file: Whether a damaged file costs one image only, so that the others are read.
    """

    name: str
    sign: str = ""
    detect: Callable[[Path], bool] | None = None
    read: ReadDataset | None = None
    last_resort: bool = False
    files: Callable[[Path], Iterable[Path]] | None = None
    fits: Callable[[Path], bool] | None = None
    read_file: Callable[[Path], RawFile] | None = None
    image_per_file: bool = False
