"""IoU of single objects, by their size and by whether the image border cuts them."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from wsseg.labelmaps import IGNORE
from wsseg.metrics.segmentation import check_maps

SIZES = {"small": 0.01, "medium": 0.1, "large": 1.0}
"""Size groups of objects, with the largest share of the image that they cover."""


class ObjectCounts(NamedTuple):
    """Pixels of one object, a connected region of a class in the truth.

    Attributes:
        label: The class.
        true: Pixels of the object.
        hits: Pixels of the object that are predicted as its class.
        predicted: Pixels predicted as the class that no other object of the class is nearer to.
        share: Share of the image that the object covers, 0..1.
        is_cut: True if the object touches the image border.
    """

    label: int
    true: int
    hits: int
    predicted: int
    share: float
    is_cut: bool

    @property
    def iou(self) -> float:
        """Intersection over union, 0..1."""
        return self.hits / (self.true + self.predicted - self.hits)


def object_counts(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], n_classes: int
) -> list[ObjectCounts]:
    """Return the counts of each object of an image.

    Pixels that are IGNORE in the truth do not count. The background is not an object.

    Returns:
        The objects by class. Over all objects of a class ``true`` and ``hits`` add up to those of
        the image, and so does ``predicted`` where the image has an object of the class.

    Example:
        >>> truth = np.array([[1, 0, 0, 1, 1]], np.uint8)
        >>> prediction = np.array([[1, 1, 0, 0, 1]], np.uint8)
        >>> [round(item.iou, 2) for item in object_counts(prediction, truth, n_classes=2)]
        [0.5, 0.5]
    """
    check_maps(prediction, truth)
    return [
        item
        for label in range(1, n_classes)
        if (truth == label).any()
        for item in _of_class(label, (prediction == label) & (truth != IGNORE), truth == label)
    ]


def iou_by_size(objects: ArrayLike) -> dict[str, tuple[float, int]]:
    """Return the mean IoU of objects by size, and of those that the image border cuts.

    Args:
        objects: M ``ObjectCounts`` of any number of images, or (M, 6) of their fields.

    Returns:
        Mean IoU, 0..1, and number of objects for each of ``SIZES``, "whole" and "cut" that occurs.
    """
    fields = np.asarray(objects, float).reshape(-1, len(ObjectCounts._fields))
    _, true, hits, predicted, share, is_cut = fields.T
    ious, size = hits / (true + predicted - hits), np.searchsorted([*SIZES.values()], share)
    groups = {name: size == number for number, name in enumerate(SIZES)}
    groups |= {"whole": is_cut == 0, "cut": is_cut == 1}
    return {
        name: (float(ious[among].mean()), int(among.sum()))
        for name, among in groups.items()
        if among.any()
    }


def _of_class(
    label: int, predicted: NDArray[np.bool_], true: NDArray[np.bool_]
) -> list[ObjectCounts]:
    owner = _nearest(true)
    count = int(owner.max()) + 1
    border = np.zeros(true.shape, bool)
    border[[0, -1]], border[:, [0, -1]] = True, True
    areas = (true, true & predicted, predicted, true & border)
    pixels = np.stack([np.bincount(owner[area], minlength=count) for area in areas])
    return [
        ObjectCounts(label, int(t), int(h), int(p), float(t / true.size), bool(cut))
        for t, h, p, cut in pixels[:, 1:].T
    ]


def _nearest(objects: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the number, from 1, of the nearest object of each pixel."""
    count, _ = cv2.connectedComponents(objects.astype(np.uint8), connectivity=8)
    if count == 2:  # one object and the background
        return np.ones(objects.shape, np.intp)
    outside = (~objects).astype(np.uint8)
    kind, mask = cv2.DIST_L2, cv2.DIST_MASK_5
    _, owner = cv2.distanceTransformWithLabels(outside, kind, mask, labelType=cv2.DIST_LABEL_CCOMP)
    return owner.astype(np.intp)
