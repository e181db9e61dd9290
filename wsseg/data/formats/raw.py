"""The intermediate model of all readers: what annotation files say, not yet fitted to images."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from wsseg.data.formats.geometry import Corners, RunLengths
from wsseg.data.model import Classes, Problem, Sample
from wsseg.errors import InputError

Kind = Literal["point", "scribble", "box", "extreme", "polygon", "runs", "mask", "other"]
"""How a mark is drawn; ``RawMark`` says which of its fields belong to each."""

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "test")
"""Names of files and folders that are taken for names of splits."""

_MOST_LINES = 100


@dataclass(frozen=True, slots=True)
class RawMark:
    """One mark of an annotation tool. It describes a part of the image only.

    Args:
        subject: File and place in it, named in problems.
        kind: "point": one of ``points``. "scribble": a line through ``points``. "box": two opposite
            corners. "extreme": the leftmost, topmost, rightmost and bottommost point of an object,
            in any order. "polygon": the corners of a polygon. "runs": pixels as run lengths.
            "mask": a label map. "other": a kind that a plug-in knows.
        name: The class; empty for "mask".
        points: (x, y) in pixels of the upright image; NaN where the file has no number.
        width: Width in pixels of a scribble or point; None if the file does not give it.
        runs: For "runs": run lengths, checked against the image size (``fitted_runs``).
        file: For "mask": the absolute path of a label map.
        values: For "other": the mark as it stands in the file, including "type".
    """

    subject: str
    kind: Kind
    name: str
    points: tuple[tuple[float, float], ...] = ()
    width: float | None = None
    runs: RunLengths | None = None
    file: Path | None = None
    values: Mapping[str, Any] | None = None


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
        flaw: Why its geometry cannot be used; empty if it can. Its class counts anyway.
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
    """What one file says about one image.

    Args:
        subject: File and place in it, named in problems.
        image: File name of the image as it is written there, "/" between folders.
        marks: Marks in drawing order; later marks are in front.
        size: (H, W) of the upright image; None if the file does not give it.
        split: Such as "train"; None if the file does not give it.
        tags: Names of all classes that the image shows; None if it is not tagged.
        unsure: Names of classes that the image may or may not show.
        closed: Whether every class that the image shows has a mark; None if unknown.
        tags_are_remarks: Whether tags may be about anything, such as "reviewed": they count if one
            of them is a class of the data set, and they name classes if nothing else does.
        objects: Every object of the image; None if the objects are not listed.
        relative: Whether coordinates of objects are shares of width and height, not pixels.
        boxes_only: Whether objects never have masks, so that they say nothing about full masks.
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


@dataclass(frozen=True)
class RawFile:
    """What an annotation file says about all its images.

    Args:
        images: A second entry for an image adds to the first.
        names: Class names in the order of their labels; empty if the file does not list them.
        problems: What was left out or repaired.
    """

    images: tuple[RawImage, ...]
    names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


class ProblemLog:
    """Collects problems in place of exceptions, so that one bad image never stops the others."""

    def __init__(self) -> None:
        self._problems: list[Problem] = []
        self._lines: Counter[str] = Counter()

    def add(self, subject: str, message: str, kind: str, *, fatal: bool = False) -> None:
        """Record a problem."""
        self._problems.append(Problem(subject, message, fatal, kind))

    def extend(self, problems: Iterable[Problem | None]) -> None:
        """Record the problems that are not None."""
        self._problems += [problem for problem in problems if problem]

    def add_line(self, subject: str, message: str, kind: str) -> None:
        """Record a problem of a line in a file that may be wrong in every line.

        The first 100 of a kind are kept, the others are counted.
        """
        self._lines[kind] += 1
        if self._lines[kind] <= _MOST_LINES:
            self.add(subject, message, kind)

    @contextmanager
    def image(self, subject: str) -> Iterator[None]:
        """Turn an ``InputError`` into a fatal problem; the image is left out."""
        try:
            yield
        except InputError as error:
            kind = f"must be {error.rule}" if error.rule else "unusable image"
            self.add(subject, str(error), kind, fatal=True)

    @contextmanager
    def leaving_out(self, subject: str, kind: str) -> Iterator[None]:
        """Turn an ``InputError`` into a problem; a part of an image, or a line, is left out."""
        try:
            yield
        except InputError as error:
            self.add(subject, f"{error}; left out", kind)

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, then how many of each kind were not kept."""
        more = (
            Problem("more lines", f"{count - _MOST_LINES} like these, not listed", kind=kind)
            for kind, count in self._lines.items()
            if count > _MOST_LINES
        )
        return (*self._problems, *more)


@dataclass(frozen=True, slots=True)
class RawSample:
    """An image of a data set and what its files say about it.

    Args:
        sample: The image, without annotations.
        images: One entry for each file (or line) about the image.
        mask: A full label map that lies beside the image; None if there is none.
    """

    sample: Sample
    images: tuple[RawImage, ...] = ()
    mask: Path | None = None


@dataclass(frozen=True)
class RawDataset:
    """Everything that the annotation files of a data set say, from one pass over them.

    Weak labels and full masks are views of it (``fitting.view``). It holds full masks, so it is
    never handed to code that makes labels; ``Dataset`` is.

    Args:
        root: Folder that mask files must lie in.
        classes: Class names.
        samples: Images that can be used, in order.
        problems: What was left out or repaired, whatever is wanted.
        of_boxes: Problems that matter to those who want boxes.
        of_tags: Problems that matter to those who want tags.
        has_tags: Whether the tags are people's own; otherwise they are the classes of the objects.
        refused: Views that this data set does not have, with the error to raise.
        images: What the files say, also about images that were not located.
        format: Name of the format.
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
    format: str = ""


class SampleList:
    """The samples of a data set while it is read, ids distinct within a split."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], RawSample] = {}

    def add(self, raw: RawSample) -> None:
        """Append a sample.

        Raises:
            InputError: Its split has an image of this id already.
        """
        sample = raw.sample
        first = self._by_place.setdefault((sample.split, sample.id), raw)
        if first is not raw:
            got = f"{first.sample.image.name} and {sample.image.name}"
            rule = "the name of one image, suffix aside"
            raise InputError(f"image id {sample.id!r}", rule, got, "rename or remove one")

    @property
    def samples(self) -> tuple[RawSample, ...]:
        """All samples, in order."""
        return tuple(self._by_place.values())


ReadDataset = Callable[[Path, Sequence[str] | None], RawDataset]


@dataclass(frozen=True)
class Format:
    """How the files of a format are found and read.

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


def classes_of(names: Sequence[str], source: str) -> Classes:
    """Return the classes of a data set, the background first.

    Args:
        names: Object classes in the order of their labels; "background" may be among them.
        source: Named in errors.

    Raises:
        InputError: There is no class, a name occurs twice, or it is empty or unprintable.
    """
    objects = [name for name in names if not is_background(name)]
    for name in objects:
        if not (name.strip() and name.isprintable()):
            raise InputError(f"class in {source}", "a printable name", repr(name), "rename it")
    if not objects:
        raise InputError(f"classes in {source}", "1 to 254 names", "none", "name the classes")
    return Classes(("background", *objects))


def is_background(name: str) -> bool:
    """Return whether a class name is "background" or "__background__", in any case."""
    return name.strip().strip("_").lower() == "background"


def choose_splits(
    root: Path, splits: Sequence[str] | None, known: Iterable[str], rule: str = "", got: str = ""
) -> tuple[str, ...]:
    """Return the splits to read, all of them if none are named.

    Args:
        root: The data set's folder.
        splits: Names of splits; None: all.
        known: Names of all splits.
        rule: What a split must be, for errors; if it is empty, unknown names are not refused here.
        got: What an unknown split is, for errors.

    Raises:
        InputError: There is no split, or one is unknown; the message lists those that are known.
    """
    names = tuple(known)
    chosen = names if splits is None else tuple(splits)
    if not chosen:
        remedy = "list the images of a split, such as train"
        raise InputError(root, "a data set with at least one split", "none", remedy)
    for split in chosen if rule else ():
        if split not in names:
            remedy = f"known: {', '.join(names) or 'none'}"
            raise InputError(f"split {split!r}", rule, got, remedy)
    return chosen
