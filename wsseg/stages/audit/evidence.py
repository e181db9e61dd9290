"""What a network sees in a region: the one kind of record that findings are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.writers.regions import ConnectedRegion, coco_counts, connected_regions
from wsseg.stages.audit.finding import Place

SMALLEST = 0.002
"""Share of the image below which a region is not believed."""

_THIN = 0.01  # a region that nowhere is twice this share of the longer side wide is an edge

Source = Literal["background", "box", "tag", "stroke", "mask", "part", "segment"]
"""What a region is: the given background, a given box, tag, stroke, or region of a mask; the part
of a mask in which the network sees another class; or a segment that the network sees."""


@dataclass(frozen=True)
class Evidence:
    """A region of an image: what was given there and what the network sees.

    Args:
        id: The image.
        source: What the region is.
        size: (H, W) of the image.
        given: The class given; of a segment the likeliest of those that are allowed there.
        seen: The class that the network sees, of a part or a segment; else that which is given.
        place: The region's tight box; of a given box that box.
        means: (K,) mean probability of each class over the region. Of a tag, over the image's
            likeliest pixels of the class.
        share: 0 to 1. Of a box, its IoU with ``better``; of a segment, how much of it the
            annotations allow; of the background, 1 where it was given and 0 where it is only seen.
        area: Pixels of the region, as a share of the image.
        better: Of a box, the tight box of what the network sees of its class; empty where it sees
            nothing.
        sure: Of a box, the mean probability of its class in that segment.
        others: Of a box, classes of other given boxes that cover half of it.
        touches: Of a part, whether the class that is seen, or pixels without a label, touch it.
        counts: COCO's run lengths of the seen segment, empty where there is none.
    """

    id: str
    source: Source
    size: tuple[int, int]
    given: int
    seen: int
    place: Place
    means: tuple[float, ...]
    share: float = 0.0
    area: float = 0.0
    better: tuple[int, ...] = ()
    sure: float = 0.0
    others: tuple[int, ...] = ()
    touches: bool = False
    counts: str = ""


def means_over(
    scores: NDArray[np.floating], mask: NDArray[np.bool_], place: Place
) -> tuple[float, ...]:
    """Return the mean probability of each class over a region.

    Args:
        scores: (K, H, W).
        mask: (h, w) bool of ``place``, True somewhere.
        place: Where the mask lies.

    Returns:
        (K,) means.
    """
    left, top, right, bottom = place
    inside = scores[:, top:bottom, left:right][:, mask]
    return tuple(round(float(mean), 5) for mean in inside.mean(axis=1, dtype=np.float64))


def believable_regions(label_map: NDArray[np.uint8]) -> Iterator[ConnectedRegion]:
    """Yield the connected regions of a label map that are neither specks nor edges.

    Args:
        label_map: (H, W) uint8.

    Yields:
        Regions of at least ``SMALLEST`` of the image that somewhere are thicker than 2 % of its
        longer side: where two label maps only disagree about an outline, they differ by less.
    """
    radius = _THIN * max(label_map.shape)
    for region in connected_regions(label_map):
        if region.area >= SMALLEST * label_map.size and _thickness(region) >= radius:
            yield region


def place_of(region: ConnectedRegion) -> Place:
    """Return the tight box of a region.

    Args:
        region: Of an image.

    Returns:
        Left, top, right, bottom.
    """
    return region.left, region.top, region.left + region.width, region.top + region.height


def counts_of(mask: NDArray[np.bool_]) -> str:
    """Return a mask as COCO's compressed run lengths.

    Args:
        mask: (H, W) bool.

    Returns:
        "counts"; empty where no pixel is set.
    """
    if not mask.any():
        return ""
    left, top, right, bottom = tight_box(mask)
    region = ConnectedRegion(1, left, top, mask[top:bottom, left:right])
    return coco_counts(region, (mask.shape[0], mask.shape[1]))


def tight_box(mask: NDArray[np.bool_]) -> Place:
    """Return the smallest box around a mask.

    Args:
        mask: (H, W) bool, True somewhere.

    Returns:
        Left, top, right, bottom.

    Example:
        >>> tight_box(np.array([[False, False, False], [False, True, True]]))
        (1, 1, 3, 2)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlap(one: Place, other: Place) -> int:
    """Return how many pixels two boxes share.

    Args:
        one: A box.
        other: Another.

    Returns:
        Pixels.

    Example:
        >>> overlap((0, 0, 4, 2), (2, 1, 9, 9))
        2
    """
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


def extent(place: Place) -> int:
    """Return how many pixels a box holds.

    Args:
        place: The box.

    Returns:
        Pixels.
    """
    return (place[2] - place[0]) * (place[3] - place[1])


def _thickness(region: ConnectedRegion) -> float:
    """Radius of the largest circle inside, where what lies outside the image is inside it."""
    padded = np.pad(region.mask, 1).astype(np.uint8)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
