"""A region of an image with what the network predicts there: the evidence for one finding."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.writers.regions import ConnectedRegion, coco_counts, connected_regions
from wsseg.stages.audit.finding import Place

MIN_AREA = 0.002
"""Share of the image below which a region counts as noise."""

_MIN_THICKNESS = 0.02  # share of the longer side; thinner regions are disagreements along an edge

Source = Literal["background", "box", "tag", "stroke", "mask", "part", "segment"]
"""The kind of a region: the annotated background; an annotated box, tag, stroke, or region of a
mask; the "part" of a mask in which another class is predicted; a predicted "segment"."""


@dataclass(frozen=True)
class Evidence:
    """A region of an image, its annotation and its prediction.

    Args:
        size: (H, W) of the image.
        annotated: The annotated class; for a segment the likeliest class that is allowed there.
        predicted: The predicted class of a part or segment; otherwise equal to ``annotated``.
        place: The tight box of the region; for an annotated box that box.
        means: (K,) mean probability of each class over the region; for a tag, over the pixels of
            the image with the highest probability of the class.
        share: For a box, its IoU with ``predicted_box``; for a segment, the share of its pixels
            for which the annotations allow its class; for the background, 1 if it is annotated
            and 0 if it is only predicted.
        area: Share of the image.
        predicted_box: For a box, the tight box of the predicted pixels of its class, or empty.
        confidence: For a box, the mean probability of its class over those pixels.
        covering: For a box, the classes of other boxes that cover at least half of it.
        touches: For a part, True if it touches pixels with the predicted class or without a label.
        rle: COCO run lengths of the predicted pixels; empty if there are none.
    """

    id: str
    source: Source
    size: tuple[int, int]
    annotated: int
    predicted: int
    place: Place
    means: tuple[float, ...]
    share: float = 0.0
    area: float = 0.0
    predicted_box: tuple[int, ...] = ()
    confidence: float = 0.0
    covering: tuple[int, ...] = ()
    touches: bool = False
    rle: str = ""


def mean_scores(
    scores: NDArray[np.floating], mask: NDArray[np.bool_], place: Place
) -> tuple[float, ...]:
    """Return the mean probability of each class over a region.

    Args:
        scores: (K, H, W) probabilities.
        mask: (h, w) the region within ``place``; not empty.
    """
    left, top, right, bottom = place
    inside = scores[:, top:bottom, left:right][:, mask]
    return tuple(round(float(mean), 5) for mean in inside.mean(axis=1, dtype=np.float64))


def significant_regions(label_map: NDArray[np.uint8]) -> Iterator[ConnectedRegion]:
    """Yield the connected regions of a label map (H, W) that are neither specks nor thin edges.

    A region has at least ``MIN_AREA`` of the image and is somewhere at least 2 % of the longer
    side thick; two label maps that disagree only about the border of an object differ by less.
    """
    radius = _MIN_THICKNESS / 2 * max(label_map.shape)
    for region in connected_regions(label_map):
        if region.area >= MIN_AREA * label_map.size and _inner_radius(region) >= radius:
            yield region


def _inner_radius(region: ConnectedRegion) -> float:
    """Return the radius of the largest circle within a region."""
    padded = np.pad(region.mask, 1).astype(np.uint8)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())


def region_box(region: ConnectedRegion) -> Place:
    """Return the tight box of a connected region."""
    return region.left, region.top, region.left + region.width, region.top + region.height


def encode_rle(mask: NDArray[np.bool_]) -> str:
    """Return a mask (H, W) as COCO's compressed run lengths; empty if no pixel is set."""
    if not mask.any():
        return ""
    left, top, right, bottom = tight_box(mask)
    region = ConnectedRegion(1, left, top, mask[top:bottom, left:right])
    return coco_counts(region, (mask.shape[0], mask.shape[1]))


def tight_box(mask: NDArray[np.bool_]) -> Place:
    """Return the smallest box around a mask (H, W) that is not empty.

    Example:
        >>> tight_box(np.array([[False, False, False], [False, True, True]]))
        (1, 1, 3, 2)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_area(place: Place) -> int:
    """Return the number of pixels of a box."""
    return (place[2] - place[0]) * (place[3] - place[1])


def intersection_area(one: Place, other: Place) -> int:
    """Return the number of pixels that two boxes share.

    Example:
        >>> intersection_area((0, 0, 4, 2), (2, 1, 9, 9))
        2
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def box_iou(one: Place, other: Place) -> float:
    """Return the intersection over union of two boxes.

    Example:
        >>> box_iou((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    shared = intersection_area(one, other)
    return shared / (box_area(one) + box_area(other) - shared)
