"""Shared parts of readers: logs of problems, lists of samples, classes, splits, annotations."""

import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from wsseg.data.annotation import Annotation, Boxes, Regions, Tags
from wsseg.data.formats.raw import RawImage, RawMark, RawSample
from wsseg.data.model import Classes, Problem, Sample
from wsseg.data.split_names import matching_split, split_remedy
from wsseg.data.strokes import Strokes
from wsseg.errors import InputError

T = TypeVar("T")

DAMAGED = "damaged file"
"""Kind of the problems of files that cannot be read."""

_MOST_LINES = 100


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
        """Record an ``InputError`` as a fatal problem: the image is left out."""
        try:
            yield
        except InputError as error:
            kind = f"must be {error.rule}" if error.rule else "unusable image"
            self.add(subject, str(error), kind, fatal=True)

    @contextmanager
    def leaving_out(self, subject: str, kind: str) -> Iterator[None]:
        """Record an ``InputError`` as a problem: a part of an image, or a line, is left out."""
        try:
            yield
        except InputError as error:
            self.add(subject, f"{error}; left out", kind)

    @contextmanager
    def or_unknown(
        self, marks: list[RawMark], subject: str, kind: str, name: object = ""
    ) -> Iterator[None]:
        """Record an ``InputError`` as a problem, and append an "unknown" mark in place of the mark.

        Args:
            name: The class of the mark as its file writes it; anything but a name is any class. An
                unusable mark of the background leaves nothing unknown.
        """
        try:
            yield
        except InputError as error:
            self.add(subject, f"{error}; left out", kind)
            name = name.strip() if isinstance(name, str) and name.isprintable() else ""
            if not is_background(name):
                marks.append(RawMark(subject, "unknown", name))

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


class SampleList:
    """The samples of a data set while it is read, ids distinct within a split."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], RawSample] = {}

    def add(self, sample: Sample, *images: RawImage, mask: Path | None = None) -> None:
        """Append a sample, what files say about it, and its mask.

        A second entry of an image file adds to the first.

        Raises:
            InputError: Its split has another image of this id already.
        """
        place = sample.split, sample.id
        first = self._by_place.setdefault(place, RawSample(sample, (), mask))
        if first.sample.image == sample.image:
            self._by_place[place] = replace(first, images=(*first.images, *images))
        else:
            got = f"{first.sample.image.name} and {sample.image.name}"
            rule = "the name of one image, suffix aside"
            raise InputError(f"image id {sample.id!r}", rule, got, "rename or remove one")

    @property
    def samples(self) -> tuple[RawSample, ...]:
        """All samples, in order."""
        return tuple(self._by_place.values())


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


def expect(value: object, kind: type[T], subject: object, rule: str, remedy: str) -> T:
    """Return a value of a file that has a type.

    Raises:
        InputError: It has another type.
    """
    if not isinstance(value, kind):
        raise InputError(subject, rule, reprlib.repr(value), remedy)
    return value


def is_background(name: str) -> bool:
    """Return whether a class name is "background" or "__background__", in any case."""
    return name.strip().strip("_").lower() == "background"


def choose_splits(
    root: Path,
    splits: Sequence[str] | None,
    known: Iterable[str],
    rule: str = "",
    got: str = "none",
) -> tuple[str, ...]:
    """Return the splits to read, all of them if none are named.

    Args:
        rule: What a split must be, for errors; if it is empty, a name that begins as a known split
            does, or the reverse, is not refused here.
        got: What an unknown split is, for errors.

    Returns:
        Names as the data set has them: "valid" where "val" is wanted and only "valid" is known.

    Raises:
        InputError: There is no split, or one is unknown; the message lists those that are known.
    """
    names = tuple(known)
    chosen = names if splits is None else tuple(matching_split(name, names) for name in splits)
    if not chosen:
        remedy = "list the images of a split, such as train"
        raise InputError(root, "a data set with at least one split", "none", remedy)
    for split in chosen:
        # Readers without a rule know further names, such as "trainval" or "train" for "train2017".
        similar = not rule and (not names or any(_begin_alike(split, name) for name in names))
        if split not in names and not similar:
            remedy = split_remedy(split, splits or (), names)
            raise InputError(f"split {split!r}", rule or "a split of the data set", got, remedy)
    return chosen


def _begin_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def merged(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Return the annotations of one image, with its boxes, strokes, tags and partial masks joined.

    Later strokes are in front. Mask files and full masks stay as they are.
    """
    result: list[Annotation] = []
    for more in annotations:
        for index, one in enumerate(result):
            if joined := _joined(one, more):
                result[index] = joined
                break
        else:
            result.append(more)
    return tuple(result)


def _joined(one: Annotation, more: Annotation) -> Annotation | None:
    """Return two annotations as one; None if they are of different kinds."""
    if isinstance(one, Boxes) and isinstance(more, Boxes):
        return Boxes((*one.items, *more.items))
    if isinstance(one, Strokes) and isinstance(more, Strokes):
        return Strokes((*one.items, *more.items), one.closed and more.closed)
    if isinstance(one, Tags) and isinstance(more, Tags):
        present = {*one.present, *more.present}
        unsure = {*one.unsure, *more.unsure} - present
        return Tags(tuple(sorted(present)), tuple(sorted(unsure)))
    if isinstance(one, Regions) and isinstance(more, Regions) and one.partial and more.partial:
        return Regions((*one.items, *more.items), partial=True, closed=one.closed and more.closed)
    return None
