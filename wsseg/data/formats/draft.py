"""A data set while it is read: samples, and problems in place of exceptions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from wsseg.data.formats.geometry import (
    Corners,
    Polygon,
    RunLengths,
    fitted_box,
    fitted_polygon,
)
from wsseg.data.model import (
    Annotation,
    Box,
    Boxes,
    Classes,
    Dataset,
    Problem,
    Region,
    Regions,
    Sample,
    Tags,
)
from wsseg.errors import InputError

T = TypeVar("T")

Use = Literal["boxes", "masks", "tags", "all", "none"]
"""What a data set is read for: boxes, full masks, tags, all weak labels, or the images alone."""

_MOST_LINES = 100


@dataclass(frozen=True)
class Drawn:
    """One object as a file describes it, not yet checked against its image.

    Args:
        subject: File and place in it.
        label: The class, 1 to 254.
        corners: Edges of its box in pixels.
        polygons: Its outlines in pixels.
        runs: Its checked run lengths, where there are no outlines.
        crowd: True for a crowd.
    """

    subject: str
    label: int
    corners: Corners
    polygons: tuple[Polygon, ...] = ()
    runs: RunLengths | None = None
    crowd: bool = False


@dataclass
class Draft:
    """Collects samples and problems; one bad image never stops the others.

    Args:
        use: Which annotations the samples get.
    """

    use: Use
    samples: list[Sample] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    _known: dict[tuple[str, str], Sample] = field(default_factory=dict)
    _lines: Counter[str] = field(default_factory=Counter)

    def note(self, subject: str, message: str, kind: str) -> None:
        """Record something that was mended.

        Args:
            subject: File and place in it.
            message: What is wrong and what to do.
            kind: What it is counted under.
        """
        self.problems.append(Problem(subject, message, kind=kind))

    def note_line(self, subject: str, message: str, kind: str) -> None:
        """Record a line that was mended, in a file that may be wrong in every line.

        Args:
            subject: File and line.
            message: What is wrong and what to do.
            kind: What it is counted under; of many problems of a kind the first are kept.
        """
        self._lines[kind] += 1
        if self._lines[kind] <= _MOST_LINES:
            self.note(subject, message, kind)

    @contextmanager
    def image(self, subject: str) -> Iterator[None]:
        """Turn an ``InputError`` into a fatal problem: the image is left out.

        Args:
            subject: File and place in it.
        """
        try:
            yield
        except InputError as error:
            kind = f"must be {error.rule}"
            self.problems.append(Problem(subject, str(error), fatal=True, kind=kind))

    def add(self, sample: Sample) -> None:
        """Take a sample in.

        Args:
            sample: The sample.

        Raises:
            InputError: Its split has an image of this id already.
        """
        first = self._known.setdefault((sample.split, sample.id), sample)
        if first is not sample:
            got = f"{first.image.name} and {sample.image.name}"
            rule = "the name of one image, suffix aside"
            raise InputError(f"image id {sample.id!r}", rule, got, "rename or remove one")
        self.samples.append(sample)

    def annotations(self, drawn: Sequence[Drawn], size: tuple[int, int]) -> tuple[Annotation, ...]:
        """Return the annotation of an image all of whose objects are described.

        Args:
            drawn: Its objects.
            size: (H, W) of the image.

        Returns:
            ``Boxes``; or ``Tags``; or ``Regions``, none where no object has an outline.
        """
        if self.use == "tags":
            return (Tags(tuple(sorted({item.label for item in drawn}))),)
        if self.use == "boxes":
            boxes = (self._box(item, size) for item in drawn)
            return (Boxes(tuple(box for box in boxes if box)),)
        regions = [self._region(item, size) for item in drawn]
        if drawn and not any(regions):
            return ()
        pairs = zip(regions, drawn, strict=True)
        whole = (region or self._unknown_region(item, size) for region, item in pairs)
        return (Regions(tuple(region for region in whole if region)),)

    def dataset(self, classes: Classes) -> Dataset:
        """Return what was collected.

        Args:
            classes: The class names.

        Returns:
            The data set.
        """
        more = (
            Problem("more lines", f"{count - _MOST_LINES} like these, not listed", kind=kind)
            for kind, count in self._lines.items()
            if count > _MOST_LINES
        )
        return Dataset(classes, tuple(self.samples), (*self.problems, *more))

    def _box(self, item: Drawn, size: tuple[int, int]) -> Box | None:
        return self._noted(fitted_box(item.label, item.corners, size, item.subject, item.crowd))

    def _region(self, item: Drawn, size: tuple[int, int]) -> Region | None:
        fitted = [self._noted(fitted_polygon(p, size, item.subject)) for p in item.polygons]
        polygons = tuple(polygon for polygon in fitted if polygon)
        if not polygons and item.runs is None:
            return None
        return Region(item.label, polygons, None if polygons else item.runs, item.crowd)

    def _unknown_region(self, item: Drawn, size: tuple[int, int]) -> Region | None:
        """Return the box of an object without outline as a crowd: its pixels count for nothing."""
        message = "object has no outline; the pixels of its box are ignored, outline it"
        self.note(item.subject, message, "object without outline")
        if (box := self._box(item, size)) is None:
            return None
        outline = (box.left, box.top, box.right, box.top, box.right, box.bottom)
        polygon = tuple(float(edge) for edge in (*outline, box.left, box.bottom))
        return Region(item.label, (polygon,), crowd=True)

    def _noted(self, found: tuple[T | None, Problem | None]) -> T | None:
        value, problem = found
        if problem:
            self.problems.append(problem)
        return value


def classes_of(names: Sequence[str], source: str) -> Classes:
    """Return the classes of a data set, the background first.

    Args:
        names: The object classes in the order of their labels; a "background" among them is the
            background.
        source: Named in errors.

    Returns:
        The classes.

    Raises:
        InputError: There is no class, a name stands twice, or it is empty or unprintable.
    """
    objects = [name for name in names if not is_background(name)]
    for name in objects:
        if not (name.strip() and name.isprintable()):
            raise InputError(f"class in {source}", "a printable name", repr(name), "rename it")
    if not objects:
        raise InputError(f"classes in {source}", "1 to 254 names", "none", "name the classes")
    return Classes(("background", *objects))


def is_background(name: str) -> bool:
    """Return whether a class name means the background.

    Args:
        name: A class name.

    Returns:
        True for "background" and "__background__" in any case.
    """
    return name.strip().strip("_").lower() == "background"
