"""What a network sees in given boxes, and how well they fit it."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Box, Sample
from wsseg.data.stacking import visible_box_index
from wsseg.stages.audit.evidence import Evidence, counts_of, extent, means_over, overlap, tight_box
from wsseg.stages.audit.finding import Place

_REACHES = 0.2  # a segment with less of itself in a box is another object's
_BESIDE = 0.1  # of a box's largest segment: smaller ones beside it say nothing of its extent
_COVERED = 0.5  # share of a box in another from which that one explains what is seen


def box_evidence(
    sample: Sample, scores: NDArray[np.floating], seen: NDArray[np.uint8]
) -> Iterator[Evidence]:
    """Yield what a network sees in each given box.

    Of a box the visible part counts, which is what smaller boxes in front leave of it. Its segment
    is what has its class and touches it, but for pixels that only other boxes of the class hold:
    how far it reaches says how well the box fits.

    Args:
        sample: The image; crowds and wholly hidden boxes are left out.
        scores: (K, H, W) probabilities.
        seen: (H, W) uint8, the likeliest class of each pixel.

    Yields:
        One a box.
    """
    owners = visible_box_index(sample.boxes, sample.size)
    for number, box in enumerate(sample.boxes):
        visible = owners[box.slices] == number
        if box.crowd or not visible.any():
            continue
        place, segment = _place(box), _segment(box, sample.boxes, seen)
        better = tight_box(segment) if segment.any() else None
        yield Evidence(
            id=sample.id,
            source="box",
            size=sample.size,
            given=box.label,
            seen=box.label,
            place=place,
            means=means_over(scores, visible, place),
            share=iou(place, better) if better else 0.0,
            area=extent(place) / segment.size,
            better=better or (),
            sure=float(scores[box.label][segment].mean()) if better else 0.0,
            others=_covering(box, sample.boxes),
            counts=counts_of(segment),
        )


def iou(one: Place, other: Place) -> float:
    """Return the intersection over union of two boxes.

    Args:
        one: A box.
        other: Another.

    Returns:
        0 to 1.

    Example:
        >>> iou((0, 0, 2, 2), (1, 0, 3, 2))
        0.3333333333333333
    """
    shared = overlap(one, other)
    return shared / (extent(one) + extent(other) - shared)


def _place(box: Box) -> Place:
    return box.left, box.top, box.right, box.bottom


def _segment(box: Box, boxes: tuple[Box, ...], seen: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) bool: what has the box's class, in regions that reach far enough into it."""
    mask = seen == box.label
    inside = mask[box.slices].copy()
    for other in boxes:
        if other.label == box.label:
            mask[other.slices] = False
    mask[box.slices] = inside
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    areas = np.bincount(numbers.ravel(), minlength=count)
    within = np.bincount(numbers[box.slices].ravel(), minlength=count)
    areas[0] = within[0] = 0
    reaches = within >= np.maximum(_REACHES * areas, 1)
    kept = reaches & (within >= _BESIDE * np.max(within, where=reaches, initial=0))
    return np.asarray(kept[numbers])


def _covering(box: Box, boxes: tuple[Box, ...]) -> tuple[int, ...]:
    """Classes of other boxes in which half of a box lies."""
    needed = _COVERED * box.area
    labels = {
        other.label
        for other in boxes
        if other.label != box.label and overlap(_place(box), _place(other)) >= needed
    }
    return tuple(sorted(labels))
