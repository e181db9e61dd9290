"""Fits the content of annotation files to an image: in pixels, clipped, with labels."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from wsseg.data.annotation import Annotation, Box, Boxes, MaskFile, Region, Regions, Tags, Unknown
from wsseg.data.custom import CustomAnnotation, find_annotation
from wsseg.data.formats.geometry import Corners, bounds, fitted_box, fitted_polygon, fitted_runs
from wsseg.data.formats.paths import inside
from wsseg.data.formats.raw import RawImage, RawMark, RawObject
from wsseg.data.formats.reading import ProblemLog, is_background
from wsseg.data.model import Classes, Problem
from wsseg.data.strokes import Scribble, Strokes, drawing_cost, touches
from wsseg.errors import InputError

T = TypeVar("T")

View = Literal["boxes", "tags", "masks", "all", "none"]
"""Annotations in a view: boxes, tags, full masks, all weak labels, or none."""

_MOST_COST = 2**33  # pixel visits to draw the strokes of an image: about a minute


class Fitter:
    """Fits what one file says about an image of size (H, W), and records its problems.

    What cannot be used never makes a class absent: it becomes an ``Unknown``.

    Args:
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
        self.unknown, self.cost = dict[Unknown, None](), 0.0

    def annotations(self, kind: View, *, has_tags: bool = False) -> tuple[Annotation, ...]:
        """Return the annotations of one kind; see ``view``.

        Args:
            has_tags: Whether the tags of images with listed objects were written by people.

        Raises:
            InputError: A mask file leads out of the folder.
        """
        if kind == "none":
            return ()
        if self.image.objects is not None and not (has_tags and kind == "tags"):
            annotations = list(self._of_objects(kind, self.image.objects))
            if kind == "all" and self.image.tags is not None:
                annotations += self._tags(drawn=())
        else:
            marks = [(mark, n) for mark in self.image.marks if (n := self._label(mark)) >= 0]
            annotations = list(self._of_marks(kind, marks))
        return tuple(annotations) if kind == "masks" else (*annotations, *self.unknown)

    # Formats of boxes and masks list every object of an image.

    def _of_objects(self, kind: View, objects: Sequence[RawObject]) -> Iterator[Annotation]:
        objects = [item for item in objects if not self._is_of_background(item)]
        labels = [self._label_of(item.name, item.subject, "object") for item in objects]
        pairs = list(zip(objects, labels, strict=True))
        if kind == "tags":
            present = {*labels} - {0}
            unsure = {*self.labels.values()} - present if 0 in labels else set()
            yield Tags(tuple(sorted(present)), tuple(sorted(unsure)))
        elif kind in {"boxes", "all"}:
            boxes = [self._box(item, label) for item, label in pairs]
            yield Boxes(tuple(box for box in boxes if box))
        elif kind == "masks" and not self.image.boxes_only:
            regions = [
                self._region_of_object(item, label) if label else None for item, label in pairs
            ]
            if objects and not any(regions):
                return
            whole = [
                region or self._ignored_box(item)
                for region, (item, _) in zip(regions, pairs, strict=True)
            ]
            # The pixels of an object without any place may be anywhere outside the others.
            is_partial = not all(whole)
            items = tuple(region for region in whole if region)
            yield Regions(items, partial=is_partial, closed=not is_partial)

    def _is_of_background(self, item: RawObject) -> bool:
        if is_background(item.name):
            message = "an object of the background says nothing; left out"
            self.log.add_line(item.subject, message, "object of the background")
            return True
        return False

    def _label_of(self, name: str, subject: str, what: str) -> int:
        """Return the label of a class, 0 if it is unknown; case and blanks may differ."""
        if name in self.labels:
            return self.labels[name]
        alike = [known for known in self.labels if known.casefold() == name.strip().casefold()]
        if len(alike) == 1:
            message = f"{what} of class {name!r} is taken for {alike[0]!r}; write it the same way"
            self.log.add_line(subject, message, "class name in another case")
            return self.labels[alike[0]]
        known = ", ".join(self.classes.names[1:9])
        message = f"{what} of class {name!r}; known classes: {known}; its pixels count as unknown"
        self.log.add_line(subject, message, f"{what} of an unknown class")
        return 0

    def _corners(self, item: RawObject) -> Corners:
        if not self.image.relative:
            return item.corners
        (left, top, right, bottom), (height, width) = item.corners, self.size
        return left * width, top * height, right * width, bottom * height

    def _box(self, item: RawObject, label: int) -> Box | None:
        if item.flaw:
            self.log.add_line(item.subject, item.flaw, "malformed line")
            box = None
        else:
            corners = self._corners(item)
            fitted = fitted_box(label or 1, corners, self.size, item.subject, item.crowd)
            box = self._noted(fitted)
        if box is None or not label:
            self._add_unknown(label, box)
        return box if label else None

    def _add_unknown(self, label: int, box: Box | None = None) -> None:
        """Record that a class, any if the label is 0, may be in a box or anywhere."""
        area = (box.left, box.top, box.right, box.bottom) if box else None
        self.unknown[Unknown((label,) if label > 0 else (), area)] = None

    def _region_of_object(self, item: RawObject, label: int) -> Region | None:
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
        return Region(label, usable, None if usable else runs, item.crowd)

    def _ignored_box(self, item: RawObject) -> Region | None:
        """Return the box of an object without polygon or class; its pixels are ignored."""
        message = "object has no usable polygon or class; the pixels of its box are ignored"
        self.log.add(item.subject, message, "object without polygon")
        box, _ = fitted_box(1, self._corners(item), self.size, item.subject)
        if box is None:
            return None
        edges = (box.left, box.top, box.right, box.top, box.right, box.bottom, box.left, box.bottom)
        return Region(0, (tuple(float(edge) for edge in edges),), crowd=True)

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
        closed = self.image.closed is not False
        if any(strokes):
            yield Strokes(tuple(stroke for stroke in strokes if stroke), closed)
        if items and (kind == "all" or self.unknown):
            yield Regions(items, partial=True, closed=closed and kind == "all")
        elif objects := tuple(region for region in items if region.label):
            yield Regions(objects)
        for mark, label in drawn:
            if mark.kind == "mask" and mark.file:
                yield MaskFile(inside(mark.file, self.root), mark.labels)
            elif mark.kind == "other" and kind == "all":
                yield from self._other(mark, label)

    def _label(self, mark: RawMark) -> int:
        """Return the label of a mark, -1 if it cannot be used."""
        if mark.kind == "mask" or is_background(mark.name):
            return -1 if mark.kind == "unknown" else 0  # background is possible anyway
        is_any = mark.kind == "unknown" and not mark.name
        label = 0 if is_any else self._label_of(mark.name, mark.subject, "mark")
        if mark.kind == "unknown" or not label:
            box, _ = fitted_box(1, bounds([_flat(mark)]), self.size, mark.subject)
            self._add_unknown(label, box)
            return -1
        return label

    def _leave_out(self, mark: RawMark, label: int, message: str, kind: str) -> None:
        self.log.add_line(mark.subject, message, kind)
        if label:
            self._add_unknown(label)

    def _tags(self, drawn: Iterable[int]) -> Iterator[Tags]:
        image, labels = self.image, self.labels
        written = (*(image.tags or ()), *image.unsure)
        if image.tags_are_remarks:
            present = {labels[name] for name in image.tags or () if name in labels}
            unsure = {labels[name] for name in image.unsure if name in labels}
        else:
            named = {
                name: self._label_of(name, image.subject, "tag")
                for name in dict.fromkeys(written)
                if not is_background(name)
            }
            present = {n for name in image.tags or () if (n := named.get(name, 0))} - {0}
            unsure = {n for name in image.unsure if (n := named.get(name, 0))} - {0}
            if 0 in named.values():  # the unknown tag may mean any class
                unsure = {*labels.values()} - present
        if present if image.tags_are_remarks else image.tags is not None:
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
            if boxes[-1] is None:
                self._add_unknown(label)
        if any(boxes):
            yield Boxes(tuple(box for box in boxes if box))

    def _stroke(self, mark: RawMark, label: int) -> Scribble | None:
        try:
            stroke = Scribble(label, mark.points, mark.width)
        except InputError as error:
            self._leave_out(mark, label, f"{error}; left out", "stroke cannot be drawn")
            return None
        self.cost += drawing_cost(stroke, self.size)
        if self.cost > _MOST_COST:
            message = "takes too long to draw, alone or with those before it; left out, simplify it"
            self._leave_out(mark, label, message, "stroke too long or too wide")
            return None
        if not touches(stroke, self.size):
            message = "lies outside the image; left out, correct it"
            self._leave_out(mark, label, message, "stroke outside the image")
            return None
        return stroke

    def _region(self, mark: RawMark, label: int) -> Region | None:
        if mark.kind == "runs":
            return Region(label, rle=mark.runs) if mark.runs else None
        polygon = self._noted(fitted_polygon(_flat(mark), self.size, mark.subject))
        if polygon is None and label:
            self._add_unknown(label)
        return Region(label, (polygon,)) if polygon else None

    def _other(self, mark: RawMark, label: int) -> Iterator[CustomAnnotation]:
        values = mark.values or {}
        kind, make = values["type"], find_annotation(values["type"])
        try:
            made = make(label, values) if make else None
        except Exception as error:  # a plug-in may raise anything for a damaged mark
            message = f"{kind} left out: {error!r}"
            self._leave_out(mark, label, message, "mark of a plug-in")
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
