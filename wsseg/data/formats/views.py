"""Views of a data set: images with annotations of one kind, made from what its files say."""

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

from wsseg.data.formats.files import inside
from wsseg.data.formats.fitting import Fitter, View
from wsseg.data.formats.raw import RawDataset, RawSample
from wsseg.data.formats.reading import ProblemLog
from wsseg.data.model import Annotation, Boxes, Dataset, MaskFile, Regions, Tags
from wsseg.data.strokes import Strokes
from wsseg.errors import InputError


def view(raw: RawDataset, kind: View) -> Dataset:
    """Return the images of a data set with annotations of one kind.

    Args:
        raw: What the files of the data set say.
        kind: "boxes" gives each annotated image one ``Boxes``, "tags" one ``Tags``, "masks" one
            full mask, "all" its weak labels of every kind, "none" nothing.

    Returns:
        The data set. Images that cannot be used are left out and stand in its problems.

    Raises:
        InputError: The data set has no annotations of this kind.
    """
    if kind not in get_args(View):
        raise InputError("use", "boxes, tags, masks, all or none", repr(kind), "choose one")
    if kind in raw.refused:
        raise raw.refused[kind]
    log = ProblemLog()
    log.extend(raw.problems)
    if kind == "boxes" or (kind == "all" and not _is_only_tagged(raw)):
        log.extend(raw.of_boxes)
    if kind in {"tags", "all"}:
        log.extend(raw.of_tags)
    samples = []
    for entry in raw.samples:
        with log.image(entry.images[0].subject if entry.images else entry.sample.id):
            annotations = _annotations(entry, raw, kind, log)
            samples.append(replace(entry.sample, annotations=annotations))
    problems = log.problems
    if kind == "none":
        problems = tuple(problem for problem in problems if problem.fatal)
    return Dataset(raw.classes, tuple(samples), problems, raw.format)


def _is_only_tagged(raw: RawDataset) -> bool:
    """Return whether images are tagged but none has objects, which is no problem of each image."""
    images = [image for entry in raw.samples for image in entry.images]
    return any(image.tags is not None for image in images) and not any(
        image.objects is not None for image in images
    )


def _annotations(
    entry: RawSample, raw: RawDataset, kind: View, log: ProblemLog
) -> tuple[Annotation, ...]:
    made: list[Annotation] = []
    for image in entry.images:
        fitter = Fitter(image, entry.sample.size, raw.classes, log, raw.root)
        made += fitter.annotations(kind, has_tags=raw.has_tags)
    if kind == "masks" and entry.mask:
        made.append(MaskFile(inside(entry.mask, raw.root)))
    return merged(made) if len(made) > 1 else tuple(made)


def merged(annotations: Iterable[Annotation]) -> tuple[Annotation, ...]:
    """Return the annotations of one image from several sources, one of each kind.

    Args:
        annotations: In the order in which they were read.

    Returns:
        All boxes, strokes, tags and partial masks, joined by kind; later strokes are in front.
        Mask files and full masks stay as they are.
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
