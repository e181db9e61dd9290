"""Views of a data set: images with annotations of one kind, in pixels and clipped to the image."""

from dataclasses import replace
from typing import get_args

from wsseg.data.annotation import Annotation, MaskFile, Unknown
from wsseg.data.formats.fitting import Fitter, View
from wsseg.data.formats.paths import inside
from wsseg.data.formats.raw import RawDataset
from wsseg.data.formats.reading import ProblemLog, merged
from wsseg.data.model import Dataset
from wsseg.errors import InputError


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
                annotations.append(
                    MaskFile(inside(entry.mask, raw.root), entry.labels, raw.colours)
                )
            if all(isinstance(annotation, Unknown) for annotation in annotations):
                annotations = []  # says no more than no annotation
            samples.append(replace(entry.sample, annotations=merged(annotations)))
    problems = log.problems
    if kind == "none":
        problems = tuple(problem for problem in problems if problem.fatal)
    return Dataset(raw.classes, tuple(samples), problems, raw.format)
