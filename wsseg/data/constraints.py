"""The classes that each pixel of an image may take, according to all its annotations."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from wsseg.data.annotation import Boxes, MaskFile, Region, Regions
from wsseg.data.classes import candidate_classes, named_classes
from wsseg.data.custom import CustomAnnotation
from wsseg.data.model import Sample
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


@dataclass(frozen=True, eq=False)
class Constraints:
    """The classes that each pixel of an image may take.

    Attributes:
        classes: (C,) uint8 labels that can occur in the image, background first.
        allowed: (C, H, W) bool, at least one True per pixel.

    Example:
        >>> allowed = np.array([[[True, True]], [[False, True]]])
        >>> constraints = Constraints(np.array([0, 3], np.uint8), allowed)
        >>> constraints.known.tolist()
        [[0, 255]]
        >>> constraints.project(np.array([[3, 3]], np.uint8)).tolist()
        [[0, 3]]
    """

    classes: NDArray[np.uint8]
    allowed: NDArray[np.bool_]

    @cached_property
    def known(self) -> NDArray[np.uint8]:
        """(H, W) uint8, read-only: the class if only one is allowed, else IGNORE."""
        single = self.allowed.sum(axis=0) == 1
        known = np.where(single, self.classes[self.allowed.argmax(axis=0)], IGNORE)
        known = known.astype(np.uint8)
        known.setflags(write=False)
        return known

    def allows(self, label_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return the pixels (H, W) whose label is allowed; IGNORE always is."""
        fits = (label_map == self.classes[:, None, None]) & self.allowed
        allowed: NDArray[np.bool_] = fits.any(axis=0) | (label_map == IGNORE)
        return allowed

    def project(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the nearest label map that agrees with the annotations.

        Known pixels get their class; any other label that is not allowed becomes IGNORE.
        """
        allowed = np.where(self.allows(label_map), label_map, IGNORE)
        return np.where(self.known == IGNORE, allowed, self.known).astype(np.uint8)

    def argmax(self, scores: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the allowed class with the highest score for each pixel.

        Args:
            scores: (C, H, W) over ``classes``.

        Returns:
            (H, W) uint8 label map without IGNORE.
        """
        label_map: NDArray[np.uint8] = self.classes[
            np.where(self.allowed, scores, -np.inf).argmax(axis=0)
        ]
        return label_map


def constraints_of(sample: Sample, n_classes: int) -> Constraints:
    """Return the constraints that the annotations of an image impose on its pixels.

    Every annotation names its class, and a class that no annotation names is absent; only strokes
    and partial masks that are not ``closed`` leave other classes possible. Boxes cover every object
    of their classes: outside them their class is forbidden, and a pixel that no other class can
    take is background. ``Unknown`` allows its classes in its area nevertheless. Pixels with a label
    of their own keep it, whatever boxes and tags allow: those of strokes first, then those of
    masks, except IGNORE and crowds. An image without annotations allows every class everywhere.

    Args:
        n_classes: Number of classes of the data set, background included.

    Raises:
        InputError: A mask file is damaged, has another size or unknown classes, or annotations
            leave a pixel without any class.
    """
    known = labelled_pixels(sample, n_classes)
    named = {*candidate_classes(sample, n_classes), *np.unique(known).tolist()} - {IGNORE}
    classes = np.array(sorted(named), np.uint8)
    is_named = np.isin(classes, named_classes(sample, n_classes))[:, None, None]
    allowed = np.broadcast_to(is_named, (len(classes), *sample.size)).copy()
    for annotation in sample.annotations:
        if isinstance(annotation, Boxes):
            allowed &= _allowed_by_boxes(annotation, classes, sample.size)
        elif isinstance(annotation, CustomAnnotation):
            allowed &= annotation.checked_allowed(classes, sample.size)
    for unknown in sample.unknown:
        is_possible = np.isin(classes, unknown.labels) if unknown.labels else classes > 0
        allowed[(is_possible, *unknown.slices)] = True
    allowed = np.where(known == IGNORE, allowed, known == classes[:, None, None])
    if not allowed.any(axis=0).all():
        raise InputError(
            f"The annotations of {sample.id} contradict each other: they leave some pixels without"
            " any class",
            hint="correct one of them",
        )
    return Constraints(classes, allowed)


def labelled_pixels(sample: Sample, n_classes: int) -> NDArray[np.uint8]:
    """Return the pixels that people labelled one by one: masks, and strokes in front of them.

    Args:
        n_classes: Number of classes of the data set, background included.

    Returns:
        (H, W) uint8; IGNORE elsewhere.

    Raises:
        InputError: A mask file is damaged, or has another size or unknown classes.
    """
    labels = np.full(sample.size, IGNORE, np.uint8)
    for annotation in sorted(sample.annotations, key=lambda a: isinstance(a, Strokes)):
        if isinstance(annotation, MaskFile | Regions):
            layer = label_map_of(annotation, sample.size, n_classes)
        elif isinstance(annotation, Strokes):
            layer = stroke_map(annotation, sample.size)
        else:
            continue
        labels = np.where(layer == IGNORE, labels, layer).astype(np.uint8)
    return labels


def label_map_of(
    annotation: MaskFile | Regions, size: tuple[int, int], n_classes: int
) -> NDArray[np.uint8]:
    """Return the label map of a mask.

    Args:
        size: (H, W) of the image.
        n_classes: Number of classes of the data set, background included.

    Returns:
        (H, W) uint8; IGNORE on crowds, outside the regions of a partial mask, and where the file
        contains it. In full masks smaller regions are in front, in partial masks later ones.

    Raises:
        InputError: A file has another size, or classes that the data set does not have.
    """
    if isinstance(annotation, MaskFile):
        return _read_mask(annotation, size, n_classes)
    label_map = np.full(size, IGNORE if annotation.partial else 0, np.uint8)
    regions = [(_run_lengths(region, size), region) for region in annotation.items]
    if not annotation.partial:
        regions.sort(key=lambda pair: (not pair[1].crowd, -int(coco_mask.area(pair[0]))))
    # Regions are decoded one by one: all masks together could fill the memory.
    for encoded, region in regions:
        mask = np.asarray(coco_mask.decode(encoded), bool)
        label_map[mask] = IGNORE if region.crowd else region.label
    return label_map


def region_mask(region: Region, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of one region.

    Args:
        size: (H, W) of the image.

    Raises:
        InputError: The run lengths belong to another size.
    """
    return np.asarray(coco_mask.decode(_run_lengths(region, size)), bool)


def _run_lengths(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """Return COCO's compressed run-length encoding of a region."""
    height, width = size
    if region.polygons:
        polygons = coco_mask.frPyObjects([list(p) for p in region.polygons], height, width)
        merged: dict[str, Any] = coco_mask.merge(polygons)
        return merged
    rle_size, counts = region.rle or (size, (height * width,))
    if rle_size != size:
        raise InputError("RLE mask", f"of the image's size {size}", rle_size, "export it again")
    if isinstance(counts, bytes):
        return {"size": list(size), "counts": counts}
    encoded: dict[str, Any] = coco_mask.frPyObjects(
        {"size": list(size), "counts": list(counts)}, height, width
    )
    return encoded


def _allowed_by_boxes(
    boxes: Boxes, classes: NDArray[np.uint8], size: tuple[int, int]
) -> NDArray[np.bool_]:
    boxed = np.isin(classes, [box.label for box in boxes.items])
    allowed = np.broadcast_to(~boxed[:, None, None], (len(classes), *size)).copy()
    for box in boxes.items:
        allowed[(classes == box.label, *box.slices)] = True
    return allowed


def _read_mask(mask: MaskFile, size: tuple[int, int], n_classes: int) -> NDArray[np.uint8]:
    path, label_map = mask.path, mask.read()
    if label_map.shape != size:
        raise InputError(path, f"of the image's size {size}", label_map.shape, "export it again")
    unknown = label_map[(label_map >= n_classes) & (label_map != IGNORE)]
    if unknown.size:
        rule = f"made of labels 0 to {n_classes - 1} and 255"
        remedy = "name the missing classes, or write unlabelled pixels as 255"
        raise InputError(path, rule, f"label {unknown.max()}", remedy)
    return label_map
