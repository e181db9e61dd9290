"""Views of a data set: images with annotations of one kind, in pixels and clipped to the image."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar, get_args

from wsseg.data.custom import CustomAnnotation, find_annotation
from wsseg.data.formats.files import inside
from wsseg.data.formats.geometry import bounds, fitted_box, fitted_polygon, fitted_runs
from wsseg.data.formats.raw import RawDataset, RawImage, RawMark, RawObject
from wsseg.data.formats.reading import ProblemLog, is_background, merged
from wsseg.data.model import (
    Annotation,
    Box,
    Boxes,
    Classes,
    Dataset,
    MaskFile,
    Problem,
    Region,
    Regions,
    Tags,
)
from wsseg.data.strokes import Scribble, Strokes, drawing_cost, touches
from wsseg.errors import InputError

T = TypeVar("T")

View = Literal["boxes", "tags", "masks", "all", "none"]
"""Annotations in a view: boxes, tags, full masks, all weak labels, or none."""

_MOST_COST = 2**33  # pixel visits to draw the strokes of an image: about a minute


def view(raw: RawDataset, kind: View) -> Dataset:
    """Return the images of a data set with annotations of one kind.

    Images that cannot be used are left out and reported in the problems.

    Args:
        kind: "boxes" gives each annotated image one ``Boxes``, "tags" one ``Tags``, "masks" one
            full mask, "all" its weak labels of every kind, "none" nothing.

    Raises:
        InputError: The data set has no annotations of this kind.
    """
    if kind not in get_args(View):
        raise InputError("use", "boxes, tags, masks, all or none", repr(kind), "choose one")
    if kind in raw.refused:
        raise raw.refused[kind]
    log, images = ProblemLog(), [image for entry in raw.samples for image in entry.images]
    log.extend(raw.problems)
    # In a data set of tags alone, that an image has no boxes is no problem.
    is_tagged = any(image.tags is not None for image in images)
    has_objects = any(image.objects is not None for image in images)
    if kind == "boxes" or (kind == "all" and (has_objects or not is_tagged)):
        log.extend(raw.of_boxes)
    if kind in {"tags", "all"}:
        log.extend(raw.of_tags)
    samples = []
    for entry in raw.samples:
        with log.image(entry.images[0].subject if entry.images else entry.sample.id):
            annotations: list[Annotation] = []
            for image in entry.images:
                fitter = Fitter(image, entry.sample.size, raw.classes, log, raw.root)
                annotations += fitter.annotations(kind, has_tags=raw.has_tags)
            if kind == "masks" and entry.mask:
                annotations.append(MaskFile(inside(entry.mask, raw.root)))
            samples.append(replace(entry.sample, annotations=merged(annotations)))
    problems = log.problems
    if kind == "none":
        problems = tuple(problem for problem in problems if problem.fatal)
    return Dataset(raw.classes, tuple(samples), problems, raw.format)


class Fitter:
    """Fits what one file says about an image of size (H, W), and records its problems.

    Args:
        classes: Marks of other classes are left out.
        root: Folder that mask files must lie in.
    """

    def __init__(
        self,
        image: RawImage,
        size: tuple[int, int],
        classes: Classes,
        log: ProblemLog,
        root: Path,
    ) -> None:
        self.image, self.size, self.classes, self.log, self.root = image, size, classes, log, root
        self.labels = classes.labels
        self.has_all_marks, self.cost = True, 0.0

    def annotations(self, kind: View, *, has_tags: bool = False) -> tuple[Annotation, ...]:
        """Return the annotations of one kind; see ``view``.

        Args:
            has_tags: Whether the tags of images with listed objects were written by people.

        Raises:
            InputError: A mask file leads out of the folder.
        """
        if self.image.objects is not None and not (has_tags and kind == "tags"):
            annotations = tuple(self._of_objects(kind, self.image.objects))
            with_tags = kind == "all" and self.image.tags is not None
            return (*annotations, *self._tags(drawn=())) if with_tags else annotations
        marks = [(mark, label) for mark in self.image.marks if (label := self._label(mark)) >= 0]
        return tuple(self._of_marks(kind, marks))

    # Formats of boxes and masks list every object of an image.

    def _of_objects(self, kind: View, objects: Sequence[RawObject]) -> Iterator[Annotation]:
        if kind == "tags":
            labels = {self._object_label(item) for item in objects}
            yield Tags(tuple(sorted(labels - {0})))
        elif kind in {"boxes", "all"}:
            boxes = (self._box(item) for item in objects if self._is_usable(item))
            yield Boxes(tuple(box for box in boxes if box))
        elif kind == "masks" and not self.image.boxes_only:
            usable = [item for item in objects if self._is_usable(item)]
            regions = [self._region_of_object(item) for item in usable]
            if usable and not any(regions):
                return
            pairs = zip(regions, usable, strict=True)
            whole = (region or self._unknown_region(item) for region, item in pairs)
            yield Regions(tuple(region for region in whole if region))

    def _object_label(self, item: RawObject) -> int:
        """Return the label of an object, 0 if its class is unknown."""
        if item.name not in self.labels:
            known = ", ".join(self.classes.names[1:9])
            message = f"object of class {item.name!r} left out; known classes: {known}"
            self.log.add(item.subject, message, "object of an unknown class")
        return self.labels.get(item.name, 0)

    def _is_usable(self, item: RawObject) -> bool:
        if item.flaw:
            self.log.add(item.subject, item.flaw, "malformed line")
            return False
        return self._object_label(item) > 0

    def _box(self, item: RawObject) -> Box | None:
        left, top, right, bottom = item.corners
        if self.image.relative:
            height, width = self.size
            left, top, right, bottom = left * width, top * height, right * width, bottom * height
        corners, label = (left, top, right, bottom), self.labels[item.name]
        return self._noted(fitted_box(label, corners, self.size, item.subject, item.crowd))

    def _region_of_object(self, item: RawObject) -> Region | None:
        polygons = item.polygons
        if self.image.relative:
            scales = self.size[::-1]
            polygons = [[v * scales[i % 2] for i, v in enumerate(p)] for p in polygons]  # type: ignore[operator]
        fitted = [self._noted(fitted_polygon(p, self.size, item.subject)) for p in polygons]
        usable = tuple(polygon for polygon in fitted if polygon)
        runs = None
        if item.encoded is not None:
            runs = self._noted(fitted_runs(item.encoded, self.size, item.subject))
        if not usable and runs is None:
            return None
        return Region(self.labels[item.name], usable, None if usable else runs, item.crowd)

    def _unknown_region(self, item: RawObject) -> Region | None:
        """Return the box of an object without polygon as a crowd: its pixels are ignored."""
        message = "object has no polygon; the pixels of its box are ignored, draw its polygon"
        self.log.add(item.subject, message, "object without polygon")
        if (box := self._box(item)) is None:
            return None
        edges = (box.left, box.top, box.right, box.top, box.right, box.bottom, box.left, box.bottom)
        return Region(box.label, (tuple(float(edge) for edge in edges),), crowd=True)

    # Annotation tools give marks, each about a part of the image.

    def _of_marks(self, kind: View, marks: Sequence[tuple[RawMark, int]]) -> Iterator[Annotation]:
        if kind in {"tags", "all"}:
            yield from self._tags(drawn=[n for _, n in marks if n] if kind == "tags" else ())
        if kind in {"boxes", "all"}:
            yield from self._boxes(marks)
        drawn = marks if kind == "all" else ()
        strokes = [self._stroke(*m) for m in drawn if m[0].kind in {"point", "scribble"}]
        drawn = marks if kind in {"masks", "all"} else ()
        regions = [self._region(*m) for m in drawn if m[0].kind in {"polygon", "runs"}]
        items = tuple(region for region in regions if region)
        # A mark that was left out may have been the only one of its class.
        closed = self.image.closed is not False and self.has_all_marks
        if any(strokes):
            yield Strokes(tuple(stroke for stroke in strokes if stroke), closed)
        if kind == "all" and items:
            yield Regions(items, partial=True, closed=closed)
        elif objects := tuple(region for region in items if region.label):
            yield Regions(objects)
        for mark, label in drawn:
            if mark.kind == "mask" and mark.file:
                yield MaskFile(inside(mark.file, self.root))
            elif mark.kind == "other" and kind == "all":
                yield from self._other(mark, label)

    def _label(self, mark: RawMark) -> int:
        """Return the label of a mark, -1 if its class is unknown."""
        if mark.kind == "mask" or is_background(mark.name):
            return 0
        if mark.name not in self.labels:
            known = ", ".join(self.classes.names[1:9])
            message = f"{mark.kind} of class {mark.name!r} left out; known classes: {known}"
            self._leave_out(mark, message, "mark of an unknown class")
        return self.labels.get(mark.name, -1)

    def _leave_out(self, mark: RawMark, message: str, kind: str) -> None:
        self.log.add_line(mark.subject, message, kind)
        self.has_all_marks = False

    def _tags(self, drawn: Iterable[int]) -> Iterator[Tags]:
        image, labels = self.image, self.labels
        written = (*(image.tags or ()), *image.unsure)
        unknown = [name for name in written if name not in labels and not is_background(name)]
        present = {labels[name] for name in image.tags or () if name in labels}
        unsure = {labels[name] for name in image.unsure if name in labels}
        if unknown and not image.tags_are_remarks:
            known = ", ".join(self.classes.names[1:9])
            message = f"tagged {unknown[0]!r}, so its tags are left out; known classes: {known}"
            self.log.add_line(image.subject, message, "tag of an unknown class")
        elif present if image.tags_are_remarks else image.tags is not None:
            present |= {*drawn}
            yield Tags(tuple(sorted(present)), tuple(sorted(unsure - present)))
        elif drawn:
            yield Tags(tuple(sorted({*drawn})))

    def _boxes(self, marks: Sequence[tuple[RawMark, int]]) -> Iterator[Boxes]:
        boxes = []
        for mark, label in marks:
            if mark.kind not in {"box", "extreme"}:
                continue
            if label == 0:
                message = "a box of the background says nothing; left out"
                self.log.add_line(mark.subject, message, "box of the background")
                continue
            corners = bounds([_flat(mark)])
            boxes.append(self._noted(fitted_box(label, corners, self.size, mark.subject)))
        if any(boxes):
            yield Boxes(tuple(box for box in boxes if box))

    def _stroke(self, mark: RawMark, label: int) -> Scribble | None:
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

    def _region(self, mark: RawMark, label: int) -> Region | None:
        if mark.kind == "runs":
            return Region(label, rle=mark.runs) if mark.runs else None
        polygon = self._noted(fitted_polygon(_flat(mark), self.size, mark.subject))
        self.has_all_marks &= polygon is not None
        return Region(label, (polygon,)) if polygon else None

    def _other(self, mark: RawMark, label: int) -> Iterator[CustomAnnotation]:
        values = mark.values or {}
        kind, make = values["type"], find_annotation(values["type"])
        try:
            made = make(label, values) if make else None
        except Exception as error:  # a plug-in may raise anything for a damaged mark
            self.log.add_line(mark.subject, f"{kind} left out: {error!r}", "mark of a plug-in")
            return
        if not isinstance(made, CustomAnnotation):
            rule, got = "a CustomAnnotation", type(made).__name__
            raise InputError(f"what plug-in {kind!r} makes", rule, got, "correct the plug-in")
        yield made

    def _noted(self, fitted: tuple[T | None, Problem | None]) -> T | None:
        value, problem = fitted
        self.log.extend([problem])
        return value


def _flat(mark: RawMark) -> tuple[float, ...]:
    return tuple(value for point in mark.points for value in point)
