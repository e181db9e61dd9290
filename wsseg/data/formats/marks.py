"""Marks of a page, fitted to its image: annotations for what they are read for."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wsseg.data.custom import CustomAnnotation, find_annotation
from wsseg.data.formats.draft import Draft, Use, is_background
from wsseg.data.formats.files import inside
from wsseg.data.formats.geometry import bounds, fitted_box, fitted_polygon
from wsseg.data.formats.pages import Mark, Page
from wsseg.data.model import (
    Annotation,
    Boxes,
    Classes,
    MaskFile,
    Problem,
    Region,
    Regions,
    Tags,
)
from wsseg.data.strokes import Scribble, Strokes, drawing_cost, touches
from wsseg.errors import InputError

_BOXED, _DRAWN, _STROKES = ("box", "extreme"), ("polygon", "runs"), ("point", "scribble")

_MOST_COST = 2**33  # pixels to look at for the strokes of an image: about a minute


def names_of(pages: Iterable[Page]) -> tuple[str, ...]:
    """Return the object classes that pages name, sorted.

    Args:
        pages: Of one data set.

    Returns:
        Their names without the background. Remarks count only where nothing else is a name.
    """
    listed = list(pages)
    drawn = {mark.name for page in listed for mark in page.marks if mark.kind != "mask"}
    tagged = {name for page in listed if not page.tags_are_remarks for name in _tagged(page)}
    remarks = {name for page in listed for name in _tagged(page)}
    found = drawn | tagged
    objects = {name for name in found if name and not is_background(name)}
    return tuple(sorted(objects or remarks - {""}))


def _tagged(page: Page) -> tuple[str, ...]:
    return (*(page.tags or ()), *page.unsure)


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


class _Fitter:
    """Fits the marks of one image and notes what is wrong with them."""

    def __init__(self, size: tuple[int, int], classes: Classes, draft: Draft, root: Path) -> None:
        self.size, self.classes, self.draft, self.root = size, classes, draft, root
        self.is_whole, self.cost = True, 0.0

    def annotations(self, page: Page, use: Use) -> Iterator[Annotation]:
        marks = [(mark, self.label(mark)) for mark in page.marks]
        known = [(mark, label) for mark, label in marks if label is not None]
        if use in {"tags", "all"}:
            yield from self.tags(page, known, drawn_too=use == "tags")
        if use in {"boxes", "all"}:
            yield from self.boxes(known)
        strokes = self.strokes(known) if use == "all" else ()
        regions = self.regions(known) if use in {"masks", "all"} else ()
        # a mark that was left out may have been all there was of its class
        closed = page.closed is not False and self.is_whole
        if strokes:
            yield Strokes(strokes, closed)
        if use == "all" and regions:
            yield Regions(regions, partial=True, closed=closed)
        elif objects := tuple(region for region in regions if region.label):
            yield Regions(objects)
        if use in {"masks", "all"}:
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
        self._leave_out(mark, message, "mark of an unknown class")
        return None

    def tags(
        self, page: Page, marks: Sequence[tuple[Mark, int]], *, drawn_too: bool
    ) -> Iterator[Tags]:
        names = self.classes.names[1:]
        unknown = [name for name in _tagged(page) if name not in names and not is_background(name)]
        drawn = {label for _, label in marks if label}
        present = {names.index(name) + 1 for name in page.tags or () if name in names}
        unsure = {names.index(name) + 1 for name in page.unsure if name in names}
        if unknown and not page.tags_are_remarks:
            known = ", ".join(names[:8])
            message = f"tagged {unknown[0]!r}, so its tags are left out; known classes: {known}"
            self.draft.note_line(page.subject, message, "tag of an unknown class")
        elif present if page.tags_are_remarks else page.tags is not None:
            present |= drawn if drawn_too else set()
            yield Tags(tuple(sorted(present)), tuple(sorted(unsure - present)))
        elif drawn_too and drawn:
            yield Tags(tuple(sorted(drawn)))

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

    def strokes(self, marks: Sequence[tuple[Mark, int]]) -> tuple[Scribble, ...]:
        drawn = [self._stroke(mark, label) for mark, label in marks if mark.kind in _STROKES]
        return tuple(stroke for stroke in drawn if stroke)

    def _stroke(self, mark: Mark, label: int) -> Scribble | None:
        try:
            stroke = Scribble(label, mark.points, mark.width)
        except InputError as error:
            self._leave_out(mark, f"{error}; left out", "stroke cannot be drawn")
            return None
        self.cost += drawing_cost(stroke, self.size)
        if self.cost > _MOST_COST:
            message = "takes too long to draw, alone or with those before it; left out, simplify it"
            self._leave_out(mark, message, "stroke too long or too wide")
            return None
        if not touches(stroke, self.size):
            message = "lies outside the image; left out, correct it"
            self._leave_out(mark, message, "stroke outside the image")
            return None
        return stroke

    def _leave_out(self, mark: Mark, message: str, kind: str) -> None:
        self.draft.note_line(mark.subject, message, kind)
        self.is_whole = False

    def regions(self, marks: Sequence[tuple[Mark, int]]) -> tuple[Region, ...]:
        drawn = [self._region(mark, label) for mark, label in marks if mark.kind in _DRAWN]
        return tuple(region for region in drawn if region)

    def _region(self, mark: Mark, label: int) -> Region | None:
        if mark.kind == "runs":
            return Region(label, rle=mark.runs) if mark.runs else None
        polygon, problem = fitted_polygon(self._flat(mark)[0], self.size, mark.subject)
        self._note(problem)
        self.is_whole &= polygon is not None
        return Region(label, (polygon,)) if polygon else None

    def masks(self, marks: Sequence[tuple[Mark, int]]) -> Iterator[MaskFile]:
        for mark, _ in marks:
            if mark.kind == "mask" and mark.file:
                yield MaskFile(inside(mark.file, self.root))

    def others(self, marks: Sequence[tuple[Mark, int]]) -> Iterator[CustomAnnotation]:
        for mark, label in marks:
            if mark.kind != "other" or mark.values is None:
                continue
            kind, make = mark.values["type"], find_annotation(mark.values["type"])
            try:
                made = make(label, mark.values) if make else None
            except Exception as error:  # whatever another package makes of a damaged mark
                self.draft.note_line(
                    mark.subject, f"{kind} left out: {error!r}", "mark of a plug-in"
                )
                continue
            if not isinstance(made, CustomAnnotation):
                rule, got = "a CustomAnnotation", type(made).__name__
                raise InputError(f"what plug-in {kind!r} makes", rule, got, "correct the plug-in")
            yield made

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
