"""Check one image and its annotations."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from wsseg.data.annotation import Boxes, MaskFile, Tags
from wsseg.data.model import Problem, Sample
from wsseg.data.strokes import Strokes, stroke_map, touches
from wsseg.errors import InputError
from wsseg.images import read_header, read_scaled
from wsseg.labelmaps import IGNORE, zero_255_confusion

_SMALL_SIDE = 9
_MODES = {
    "CMYK": "print colours (CMYK) are converted to RGB",
    "RGBA": "the alpha channel is dropped",
    "LA": "the alpha channel is dropped",
    "PA": "the alpha channel is dropped",
}


def examine(sample: Sample, names: tuple[str, ...], deep: bool) -> tuple[Problem, ...]:
    """Return the problems of one image and its annotations.

    Args:
        names: Class names, background first.
        deep: Decode the image and its mask; otherwise only headers are read.
    """
    try:
        problems = [*_header(sample, deep), *_boxes(sample), *_tags(sample, names)]
        # On an image of another size, the strokes would be drawn elsewhere.
        if not any(problem.fatal for problem in problems):
            problems += _strokes(sample, names)
    except InputError as error:
        return (Problem(sample.id, str(error), fatal=True, kind="unreadable image"),)
    for mask in sample.annotations if deep else ():
        if isinstance(mask, MaskFile):
            problems += _mask(mask, sample, names)
    return tuple(problems)


def _header(sample: Sample, deep: bool) -> Iterator[Problem]:
    header = read_header(sample.image)
    orientation, (height, width) = header.orientation, header.size
    annotated = f"annotated {sample.size[1]}x{sample.size[0]}"
    upright = f"upright it is {width}x{height}"
    if sample.size == (height, width) and orientation != 1:
        message = f"stored turned (EXIF orientation {orientation}); {upright} and is used so"
        yield Problem(sample.id, message, kind="image turned by EXIF")
    elif sample.size == (width, height) and orientation >= 5:
        reason = f"because of its EXIF orientation {orientation}"
        remedy = "draw the annotations on the upright image or strip the tag"
        message = f"{annotated} but {upright} {reason}; {remedy}"
        yield Problem(sample.id, message, fatal=True, kind="annotated before EXIF turned the image")
    elif sample.size != (height, width):
        message = (
            f"{annotated} but the image is {width}x{height}; annotate this image or replace it"
        )
        yield Problem(sample.id, message, fatal=True, kind="image of another size than annotated")
    if note := _MODES.get(header.mode):
        yield Problem(sample.id, note, kind=note)
    if deep or header.dtype != "uint8":
        yield from _scaled(sample, np.dtype(header.dtype), deep)


def _scaled(sample: Sample, dtype: np.dtype[Any], deep: bool) -> Iterator[Problem]:
    """Decode the image if ``deep``, and report how values of more than 8 bits are scaled."""
    name = "float" if dtype.kind == "f" else f"{8 * dtype.itemsize}-bit"
    if not deep:
        note = f"{name} values are scaled to 8 bits"
        yield Problem(sample.id, note, kind=note)
        return
    image, scaling = read_scaled(sample.image, sample.reading)
    if scaling is None:
        return
    first, last = scaling.extent
    message = f"values from {first:g} to {last:g} are scaled from {scaling.source} to 8 bits"
    message = f"{message}, {np.unique(image).size} grey levels"
    if dtype.kind != "f" and last < (most := np.iinfo(dtype).max) / 4:
        levels = math.ceil((last - first) / most * 255) + 1
        message = f"{message} (at most {levels} from 0..{most})"
    if sample.reading.range == "auto":
        low, high = scaling.ranges[0]
        message = f"{message}; set data.range=[{low:g}, {high:g}] to scale all images alike"
    kind = f"{name} values are scaled from {scaling.source} to 8 bits"
    yield Problem(sample.id, message, kind=kind)


def _boxes(sample: Sample) -> Iterator[Problem]:
    for box in sample.boxes:
        width, height = box.right - box.left, box.bottom - box.top
        if min(width, height) < _SMALL_SIDE:
            message = f"box of {width}x{height} pixels; it is filled, not segmented"
            yield Problem(sample.id, message, kind=f"box with a side under {_SMALL_SIDE} pixels")
        if (height, width) == sample.size:
            message = "a box covers the whole image, so no pixel is known to be background"
            yield Problem(sample.id, message, kind="box covers the whole image")


def _tags(sample: Sample, names: tuple[str, ...]) -> Iterator[Problem]:
    boxed = {box.label for box in sample.boxes}
    if sample.tags is None or not _is_boxed(sample):
        return
    if untagged := boxed - _tagged(sample.tags):
        message = f"a box of {_named(untagged, names)}, which its tags call absent; correct either"
        yield Problem(sample.id, message, kind="box of a class that the tags call absent")
    if unboxed := {*sample.tags.present} - boxed:
        message = f"tagged {_named(unboxed, names)}, which no box of the image is; correct either"
        yield Problem(sample.id, message, kind="tag without any box")


def _strokes(sample: Sample, names: tuple[str, ...]) -> Iterator[Problem]:
    boxed = {box.label for box in sample.boxes}
    for strokes in (a for a in sample.annotations if isinstance(a, Strokes)):
        marked = stroke_map(strokes, sample.size)
        visible = set(np.unique(marked).tolist())
        for label in sorted(boxed & visible):
            outside = marked == label
            for box in sample.boxes:
                outside[box.slices] &= box.label != label
            if outside.any():
                message = f"a mark of {names[label]} leaves its boxes; the mark counts, correct one"
                yield Problem(sample.id, message, kind="mark outside the boxes of its class")
        inside = {stroke.label for stroke in strokes.items if touches(stroke, sample.size)}
        if hidden := inside - visible:
            message = f"all marks of {_named(hidden, names)} lie under others; draw them again"
            yield Problem(sample.id, message, kind="mark under another")
    absent = {stroke.label for stroke in sample.strokes} - {0} - _tagged(sample.tags or Tags(()))
    if sample.tags and absent:
        message = f"a mark of {_named(absent, names)}, which its tags call absent; correct either"
        yield Problem(sample.id, message, kind="mark of a class that the tags call absent")


def _is_boxed(sample: Sample) -> bool:
    return any(isinstance(drawn, Boxes) for drawn in sample.annotations)


def _tagged(tags: Tags) -> set[int]:
    return {*tags.present, *tags.unsure}


def _named(labels: Iterable[int], names: tuple[str, ...]) -> str:
    return ", ".join(names[label] for label in sorted(labels))


def _mask(mask: MaskFile, sample: Sample, names: tuple[str, ...]) -> Iterator[Problem]:
    subject = f"{sample.id} ({mask.path.name})"
    try:
        labels = mask.read()
    except InputError as error:
        yield Problem(subject, str(error), fatal=True, kind="unreadable mask, or one of colours")
        return
    if labels.shape != sample.size:
        message = f"mask of {labels.shape[1]}x{labels.shape[0]} pixels on an image of"
        message = f"{message} {sample.size[1]}x{sample.size[0]}; export it again"
        yield Problem(subject, message, fatal=True, kind="mask of another size than its image")
    present = set(np.unique(labels).tolist()) - {IGNORE}
    no_object = (_is_boxed(sample) and not sample.boxes) or sample.tags == Tags(())
    confusion = zero_255_confusion(labels)
    if confusion and not (present and no_object):
        if mask.colours and read_header(mask.path).mode.startswith("RGB"):
            message = "no object has a colour of labelmap.txt; pixels of other colours are ignored"
            yield Problem(subject, message, kind="mask of other colours than labelmap.txt")
            return
        yield Problem(subject, confusion, kind="0/255 confusion in a mask")
    elif unknown := sorted(label for label in present if label >= len(names)):
        message = f"labels {unknown[:8]} but the classes end at {len(names) - 1}"
        remedy = "name the missing classes, or write unlabelled pixels as 255"
        yield Problem(subject, f"{message}; {remedy}", fatal=True, kind="mask with unknown labels")
    else:
        unboxed = present - {0} - {box.label for box in sample.boxes}
        if unboxed and _is_boxed(sample):
            message = f"holds {_named(unboxed, names)}, which no box of the image is; draw the box"
            kind = "mask with classes that no box has"
            yield Problem(subject, f"{message} or correct the mask", kind=kind)
        if sample.tags and (untagged := present - {0} - _tagged(sample.tags)):
            message = f"holds {_named(untagged, names)}, which the image's tags call absent; tag"
            kind = "mask with classes that the tags call absent"
            yield Problem(subject, f"{message} the image or correct the mask", kind=kind)
