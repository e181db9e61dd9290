"""Marks of a page, fitted to its image: annotations for what they are read for."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import EntryPoint
from itertools import chain
from pathlib import Path

from wsseg.annotations.marking import ENTRY_POINTS, MakeMarking, Marking
from wsseg.annotations.model import (
    Annotation,
    Boxes,
    Classes,
    MaskFile,
    Problem,
    Region,
    Regions,
    Tags,
)
from wsseg.annotations.readers.draft import Draft, Use, is_background
from wsseg.annotations.readers.files import inside
from wsseg.annotations.readers.geometry import bounds, fitted_box, fitted_polygon
from wsseg.annotations.readers.pages import Mark, Page
from wsseg.annotations.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.plugins import find_plugin

_BOXED, _DRAWN, _STROKES = ("box", "extreme"), ("polygon", "runs"), ("point", "scribble")


def names_of(pages: Iterable[Page]) -> tuple[str, ...]:
    """Return the object classes that pages name, sorted.

    Args:
        pages: Of one data set.

    Returns:
        Their names without the background.
    """
    named = chain.from_iterable(
        (
            *(mark.name for mark in page.marks if mark.kind != "mask"),
            *(page.tags or ()),
            *page.unsure,
        )
        for page in pages
    )
    return tuple(sorted({name for name in named if name and not is_background(name)}))


def annotations_of(
    page: Page, size: tuple[int, int], classes: Classes, draft: Draft, root: Path
) -> tuple[Annotation, ...]:
    """Return what a page says of its image.

    Args:
        page: Marks and tags by class name.
        size: (H, W) of the image.
        classes: The class names; marks of others are left out and noted.
        draft: Its ``use`` says what is wanted, its problems get what was left out or mended.
        root: The folder that mask files must lie in.

    Returns:
        Annotations; none where the page says nothing of what is wanted.

    Raises:
        InputError: A mask file leads out of the folder.
    """
    fitter = _Fitter(size, classes, draft, root)
    return tuple(fitter.annotations(page, draft.use))


def plugin_of(kind: str) -> EntryPoint | None:
    """Return the plug-in that knows a kind of marks.

    Args:
        kind: The "type" of a mark.

    Returns:
        Its entry point, None where there is none.
    """
    return find_plugin(kind, ENTRY_POINTS)


class _Fitter:
    """Fits the marks of one image and notes what is wrong with them."""

    def __init__(self, size: tuple[int, int], classes: Classes, draft: Draft, root: Path) -> None:
        self.size, self.classes, self.draft, self.root = size, classes, draft, root

    def annotations(self, page: Page, use: Use) -> Iterator[Annotation]:
        marks = [(mark, self.label(mark)) for mark in page.marks]
        known = [(mark, label) for mark, label in marks if label is not None]
        if use == "tags" or (use == "all" and page.tags is not None):
            yield from self.tags(page, known)
        if use in {"boxes", "all"}:
            yield from self.boxes(known)
        if use == "all":
            yield from self.strokes(known, page.closed)
        if use in {"masks", "all"}:
            yield from self.regions(known, page.closed, partial=use == "all")
            yield from self.masks(known)
        if use == "all":
            yield from self.others(known)

    def label(self, mark: Mark) -> int | None:
        if mark.kind == "mask" or is_background(mark.name):
            return 0
        if mark.name in self.classes.names[1:]:
            return self.classes.index(mark.name)
        known = ", ".join(self.classes.names[1:9])
        message = f"{mark.kind} of class {mark.name!r} left out; known classes: {known}"
        self.draft.note_line(mark.subject, message, "mark of an unknown class")
        return None

    def tags(self, page: Page, marks: Sequence[tuple[Mark, int]]) -> Iterator[Tags]:
        if page.tags is None:
            present = {label for mark, label in marks if label}
            if present:
                yield Tags(tuple(sorted(present)))
            return
        present = {label for name in page.tags if (label := self._tag(page, name))}
        unsure = {label for name in page.unsure if (label := self._tag(page, name))}
        yield Tags(tuple(sorted(present)), tuple(sorted(unsure - present)))

    def _tag(self, page: Page, name: str) -> int | None:
        return self.label(Mark(page.subject, "point", name))

    def boxes(self, marks: Sequence[tuple[Mark, int]]) -> Iterator[Boxes]:
        boxed = [(mark, label) for mark, label in marks if mark.kind in _BOXED]
        found = []
        for mark, label in boxed:
            if label == 0:
                message = "a box of the background says nothing; left out"
                self.draft.note_line(mark.subject, message, "box of the background")
                continue
            box, problem = fitted_box(label, bounds(self._flat(mark)), self.size, mark.subject)
            self._note(problem)
            found += [box] if box else []
        if found:
            yield Boxes(tuple(found))

    def strokes(self, marks: Sequence[tuple[Mark, int]], closed: bool | None) -> Iterator[Strokes]:
        drawn = [self._stroke(mark, label) for mark, label in marks if mark.kind in _STROKES]
        if items := tuple(stroke for stroke in drawn if stroke):
            yield Strokes(items, closed is not False)

    def _stroke(self, mark: Mark, label: int) -> Scribble | None:
        try:
            stroke = Scribble(label, mark.points, mark.width)
        except InputError as error:
            self.draft.note_line(mark.subject, f"{error}; left out", "stroke cannot be drawn")
            return None
        if not self._meets(mark):
            message = "lies outside the image; left out, correct it"
            self.draft.note_line(mark.subject, message, "stroke outside the image")
            return None
        return stroke

    def _meets(self, mark: Mark) -> bool:
        """Whether the box around a stroke meets the image."""
        left, top, right, bottom = bounds(self._flat(mark))
        return right >= 0 and bottom >= 0 and left < self.size[1] and top < self.size[0]

    def regions(
        self, marks: Sequence[tuple[Mark, int]], closed: bool | None, *, partial: bool
    ) -> Iterator[Regions]:
        drawn = [self._region(mark, label) for mark, label in marks if mark.kind in _DRAWN]
        if items := tuple(region for region in drawn if region and (partial or region.label)):
            yield Regions(items, partial=partial, closed=closed is not False)

    def _region(self, mark: Mark, label: int) -> Region | None:
        if mark.kind == "runs":
            return Region(label, rle=mark.runs) if mark.runs else None
        flat = self._flat(mark)[0]
        polygon, problem = fitted_polygon(flat, self.size, mark.subject)
        self._note(problem)
        return Region(label, (polygon,)) if polygon else None

    def masks(self, marks: Sequence[tuple[Mark, int]]) -> Iterator[MaskFile]:
        for mark, _ in marks:
            if mark.kind == "mask" and mark.file:
                yield MaskFile(inside(mark.file, self.root))

    def others(self, marks: Sequence[tuple[Mark, int]]) -> Iterator[Marking]:
        for mark, label in marks:
            if mark.kind == "other" and mark.values and (plugin := plugin_of(mark.values["type"])):
                make: MakeMarking = plugin.load()
                try:
                    yield make(label, mark.values)
                except (InputError, KeyError, ValueError, TypeError) as error:
                    message = f"{mark.values['type']} left out: {error!r}"
                    self.draft.note_line(mark.subject, message, "mark of a plug-in")

    def _flat(self, mark: Mark) -> tuple[tuple[float, ...]]:
        return (tuple(value for point in mark.points for value in point),)

    def _note(self, problem: Problem | None) -> None:
        self.draft.problems.extend([problem] if problem else [])


def merged(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Return the annotations of one image from several sources, one of a kind.

    Args:
        annotations: In the order in which they were read.

    Returns:
        All boxes, strokes, tags and partial masks together; later strokes are in front. Files of
        masks and full masks stay as they are.
    """
    found: list[Annotation] = []
    for more in annotations:
        joined = [(index, _joined(one, more)) for index, one in enumerate(found)]
        index, together = next((pair for pair in joined if pair[1]), (-1, None))
        if together:
            found[index] = together
        else:
            found.append(more)
    return tuple(found)


def _joined(one: Annotation, more: Annotation) -> Annotation | None:
    """Two annotations as one, None where they are of different kinds."""
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
