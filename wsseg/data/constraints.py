"""What may each pixel be? Every annotation of an image becomes one value."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from wsseg.data.classes import possible_classes
from wsseg.data.custom import Marking
from wsseg.data.model import Boxes, MaskFile, Region, Regions, Sample
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map


@dataclass(frozen=True)
class Constraints:
    """The classes each pixel of an image may take.

    Args:
        classes: (C,) uint8 labels that can occur in the image, background first.
        allowed: (C, H, W) bool, at least one True a pixel.
    """

    classes: NDArray[np.uint8]
    allowed: NDArray[np.bool_]

    @property
    def known(self) -> NDArray[np.uint8]:
        """(H, W) uint8: the class where only one is allowed, else IGNORE."""
        only = self.allowed.sum(axis=0) == 1
        return np.where(only, self.classes[self.allowed.argmax(axis=0)], IGNORE).astype(np.uint8)

    def permits(self, label_map: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Return where a label map keeps to the constraints.

        Args:
            label_map: (H, W) uint8; IGNORE is always permitted.

        Returns:
            (H, W) bool.
        """
        fits = (label_map == self.classes[:, None, None]) & self.allowed
        permitted: NDArray[np.bool_] = fits.any(axis=0) | (label_map == IGNORE)
        return permitted

    def held(self, label_map: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return a label map that says nothing else than the annotations.

        Args:
            label_map: (H, W) uint8.

        Returns:
            (H, W) uint8; known pixels have their class, and a class that a pixel may not have has
            become IGNORE.
        """
        held = np.where(self.permits(label_map), label_map, IGNORE)
        known = self.known
        return np.where(known == IGNORE, held, known).astype(np.uint8)

    def best(self, scores: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the best permitted class of each pixel.

        Args:
            scores: (C, H, W) over ``classes``, higher is better.

        Returns:
            (H, W) uint8 label map without IGNORE.
        """
        permitted = np.where(self.allowed, scores, -np.inf)
        label_map: NDArray[np.uint8] = self.classes[permitted.argmax(axis=0)]
        return label_map


def constraints_of(sample: Sample, n_classes: int) -> Constraints:
    """Return what the annotations of an image say of its pixels.

    Whatever is drawn or tagged names its class, and a class that nothing names is absent; only
    marks that are not ``closed`` name some classes of many. Boxes name every object of their
    classes: outside them their class is forbidden, and where no other class may be it is
    background. Pixels that somebody labelled have their class, whatever boxes and tags say: those
    of masks, but for IGNORE and crowds, and before them those of strokes. No annotation allows
    every class everywhere.

    Args:
        sample: The image.
        n_classes: Classes of the data set, background included.

    Returns:
        Constraints at the image's size.

    Raises:
        InputError: A mask file is damaged, has another size or unknown classes, or annotations of
            other packages leave a pixel no class.
    """
    known = labelled_pixels(sample, n_classes)
    named = {*possible_classes(sample, n_classes), *np.unique(known).tolist()} - {IGNORE}
    classes = np.array(sorted(named), np.uint8)
    allowed = np.ones((len(classes), *sample.size), bool)
    for annotation in sample.annotations:
        if isinstance(annotation, Boxes):
            allowed &= _allowed_by_boxes(annotation, classes, sample.size)
        elif isinstance(annotation, Marking):
            allowed &= annotation.checked(classes, sample.size)
    allowed = np.where(known == IGNORE, allowed, known == classes[:, None, None])
    if not allowed.any(axis=0).all():
        remedy = "correct one of them"
        raise InputError(sample.id, "annotated without contradiction", "pixels of no class", remedy)
    return Constraints(classes, allowed)


def labelled_pixels(sample: Sample, n_classes: int) -> NDArray[np.uint8]:
    """Return what people labelled pixel by pixel: masks, and strokes over them.

    Args:
        sample: The image.
        n_classes: Classes of the data set, background included.

    Returns:
        (H, W) uint8; IGNORE elsewhere.

    Raises:
        InputError: A mask file is damaged, has another size or unknown classes.
    """
    known = np.full(sample.size, IGNORE, np.uint8)
    for annotation in sorted(sample.annotations, key=lambda drawn: isinstance(drawn, Strokes)):
        if isinstance(annotation, MaskFile | Regions):
            drawn = label_map_of(annotation, sample.size, n_classes)
        elif isinstance(annotation, Strokes):
            drawn = stroke_map(annotation, sample.size)
        else:
            continue
        known = np.where(drawn == IGNORE, known, drawn).astype(np.uint8)
    return known


def label_map_of(
    annotation: MaskFile | Regions, size: tuple[int, int], n_classes: int
) -> NDArray[np.uint8]:
    """Return the label map that a full mask stands for.

    Args:
        annotation: A mask file, or every region of an image.
        size: (H, W) of the image.
        n_classes: Classes of the data set, background included.

    Returns:
        (H, W) uint8; IGNORE on crowds, outside a partial mask's regions, and where the file says
        so. Smaller regions are in front; of a partial mask later ones.

    Raises:
        InputError: A file of another size, or with classes the data set does not have.
    """
    if isinstance(annotation, MaskFile):
        return _checked(read_label_map(annotation.path), annotation, size, n_classes)
    label_map = np.full(size, IGNORE if annotation.partial else 0, np.uint8)
    drawn = [(_encoded(region, size), region) for region in annotation.items]
    if not annotation.partial:
        drawn.sort(key=lambda pair: (not pair[1].crowd, -int(coco_mask.area(pair[0]))))
    for encoded, region in drawn:  # decoded one by one: together they could fill the memory
        mask = np.asarray(coco_mask.decode(encoded), bool)
        label_map[mask] = IGNORE if region.crowd else region.label
    return label_map


def region_mask(region: Region, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of one region.

    Args:
        region: Polygons or run lengths.
        size: (H, W) of the image.

    Returns:
        (H, W) bool.

    Raises:
        InputError: The run lengths are of another size.
    """
    return np.asarray(coco_mask.decode(_encoded(region, size)), bool)


def _encoded(region: Region, size: tuple[int, int]) -> dict[str, Any]:
    """COCO's compressed run lengths of a region."""
    height, width = size
    if region.polygons:
        outlines = coco_mask.frPyObjects([list(p) for p in region.polygons], height, width)
        merged: dict[str, Any] = coco_mask.merge(outlines)
        return merged
    given, counts = region.rle or (size, (height * width,))
    if given != size:
        raise InputError("RLE mask", f"of the image's size {size}", given, "export it again")
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


def _checked(
    label_map: NDArray[np.uint8], mask: MaskFile, size: tuple[int, int], n_classes: int
) -> NDArray[np.uint8]:
    if label_map.shape != size:
        raise InputError(
            mask.path, f"of the image's size {size}", label_map.shape, "export it again"
        )
    unknown = label_map[(label_map >= n_classes) & (label_map != IGNORE)]
    if unknown.size:
        rule = f"made of labels 0 to {n_classes - 1} and 255"
        remedy = "name the missing classes, or write unlabelled pixels as 255"
        raise InputError(mask.path, rule, f"label {unknown.max()}", remedy)
    return label_map
