"""What is wrong with one image, its boxes and its mask."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from wsseg.annotations.model import Boxes, MaskFile, Problem, Sample
from wsseg.errors import InputError
from wsseg.images import exif_orientation, image_size, read_image
from wsseg.labels import IGNORE, read_label_map

_SMALL_SIDE = 9
_MODES = {
    "CMYK": "print colours (CMYK) are converted to RGB",
    "RGBA": "the alpha channel is dropped",
    "LA": "the alpha channel is dropped",
    "PA": "the alpha channel is dropped",
    "I": "16-bit values are scaled to 8 bits",
    "I;16": "16-bit values are scaled to 8 bits",
    "I;16B": "16-bit values are scaled to 8 bits",
    "I;16L": "16-bit values are scaled to 8 bits",
    "F": "float values from 0 to 1 are scaled to 8 bits",
}


def examine(sample: Sample, names: tuple[str, ...], deep: bool) -> tuple[Problem, ...]:
    """Return what is wrong with one image.

    Args:
        sample: The image with its boxes and mask file.
        names: The class names, background first.
        deep: Decode the image and its mask; otherwise only headers are read.

    Returns:
        Its problems.
    """
    try:
        found = [*_header(sample), *_boxes(sample)]
        if deep:
            read_image(sample.image)
    except InputError as error:
        return (Problem(sample.id, str(error), fatal=True, kind="unreadable image"),)
    masks = [drawn for drawn in sample.annotations if isinstance(drawn, MaskFile)]
    if deep:
        found += (problem for mask in masks for problem in _mask(mask, sample, names))
    return tuple(found)


def _header(sample: Sample) -> Iterator[Problem]:
    turned, (height, width) = exif_orientation(sample.image), image_size(sample.image)
    given = f"annotated {sample.size[1]}x{sample.size[0]}"
    upright = f"upright it is {width}x{height}"
    if sample.size == (height, width) and turned != 1:
        message = f"stored turned (EXIF orientation {turned}); {upright} and is used so"
        yield Problem(sample.id, message, kind="image turned by EXIF")
    elif sample.size == (width, height) and turned >= 5:
        reason = f"because of its EXIF orientation {turned}"
        remedy = "draw the annotations on the upright image or strip the tag"
        message = f"{given} but {upright} {reason}; {remedy}"
        yield Problem(sample.id, message, fatal=True, kind="annotated before EXIF turned the image")
    elif sample.size != (height, width):
        message = f"{given} but the image is {width}x{height}; annotate this image or replace it"
        yield Problem(sample.id, message, fatal=True, kind="image of another size than annotated")
    if note := _MODES.get(_mode(sample.image)):
        yield Problem(sample.id, note, kind=note)


def _mode(path: Path) -> str:
    with Image.open(path) as image:
        return image.mode


def _boxes(sample: Sample) -> Iterator[Problem]:
    for box in sample.boxes:
        width, height = box.right - box.left, box.bottom - box.top
        if min(width, height) < _SMALL_SIDE:
            message = f"box of {width}x{height} pixels; it is filled, not segmented"
            yield Problem(sample.id, message, kind=f"box with a side under {_SMALL_SIDE} pixels")
        if (height, width) == sample.size:
            message = "a box covers the whole image, so nothing is known to be background"
            yield Problem(sample.id, message, kind="box covers the whole image")


def _mask(mask: MaskFile, sample: Sample, names: tuple[str, ...]) -> Iterator[Problem]:
    subject = f"{sample.id} ({mask.path.name})"
    try:
        labels = read_label_map(mask.path)
    except InputError as error:
        yield Problem(subject, str(error), fatal=True, kind="unreadable mask, or one of colours")
        return
    if labels.shape != sample.size:
        message = f"mask of {labels.shape[1]}x{labels.shape[0]} pixels on an image of"
        message = f"{message} {sample.size[1]}x{sample.size[0]}; export it again"
        yield Problem(subject, message, fatal=True, kind="mask of another size than its image")
    present = set(np.unique(labels).tolist()) - {IGNORE}
    no_object = any(isinstance(a, Boxes) for a in sample.annotations) and not sample.boxes
    if not present or (present == {0} and (labels == IGNORE).any() and not no_object):
        yield _confusion(subject, present)
    elif unknown := sorted(label for label in present if label >= len(names)):
        message = f"labels {unknown[:8]} but the classes end at {len(names) - 1}"
        remedy = "name the missing classes, or write unlabelled pixels as 255"
        yield Problem(subject, f"{message}; {remedy}", fatal=True, kind="mask with unknown labels")
    elif any(isinstance(drawn, Boxes) for drawn in sample.annotations):
        yield from _without_box(subject, present, sample, names)


def _confusion(subject: str, present: set[int]) -> Problem:
    held = "only 0 and 255" if present else "only 255"
    message = f"0/255 confusion: holds {held}; 255 means ignore; write the object's class number"
    return Problem(subject, message, kind="0/255 confusion in a mask")


def _without_box(
    subject: str, present: set[int], sample: Sample, names: tuple[str, ...]
) -> Iterator[Problem]:
    missing = sorted(present - {0} - {box.label for box in sample.boxes})
    if missing:
        named = ", ".join(names[label] for label in missing)
        message = f"holds {named}, which no box of the image is; draw the box or correct the mask"
        yield Problem(subject, message, kind="mask with classes that no box has")
