"""Boxes are tight: an object reaches all four sides of its box.

Segments that stay away from the sides miss parts of the object. How far they stay away is known
without a mask, so it can decide how much a segment has to grow.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box

_THRESHOLDS = np.arange(10, 1, -1) / 20
"""Shares of a class, 0.5 to 0.1, of which the first that fits a box decides its segment."""

_MAX_GROWTH = 0.05  # share of the shorter side of a box
_MAX_PIXELS = 5


def side_gaps(segment: NDArray[np.bool_], box: Box, size: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the distances in pixels between a segment and the sides of its box.

    Sides on the border of the image are left out, as the object may continue beyond them.

    Args:
        segment: (box height, box width) bool.
        size: (H, W) of the image.

    Returns:
        (0 to 4,) float64: of the top, bottom, left and right side. An empty segment is as far away
        as the box is long.

    Example:
        >>> segment = np.zeros((5, 8), bool)
        >>> segment[1:, 2:5] = True
        >>> side_gaps(segment, Box(1, left=0, top=4, right=8, bottom=9), (20, 20)).tolist()
        [1.0, 0.0, 3.0]
    """
    height, width = size
    down = _margins(segment.any(axis=1), box.top > 0, box.bottom < height)
    across = _margins(segment.any(axis=0), box.left > 0, box.right < width)
    return np.array([*down, *across], float)


def reaches_sides(segment: NDArray[np.bool_], box: Box, size: tuple[int, ...], gap: float) -> bool:
    """Return whether the mean of ``side_gaps`` is small.

    Args:
        gap: Largest mean as a share of the shorter side of the box; one pixel is always accepted.
    """
    gaps = side_gaps(segment, box, size)
    return not gaps.size or bool(gaps.mean() <= max(1, gap * min(segment.shape)))


def fit_segment(
    share: NDArray[np.floating], box: Box, size: tuple[int, ...], gap: float
) -> NDArray[np.bool_]:
    """Return the pixels of a box whose share exceeds a threshold that makes them fit the box.

    The threshold falls from 0.5 in steps of 0.05 until the segment reaches the sides of the box, at
    most to 0.1.

    Args:
        share: (box height, box width), the probability of the class among itself and the best other
            class of each pixel, 0..1.
        size: (H, W) of the image.
        gap: As for ``reaches_sides``.

    Returns:
        (box height, box width) bool.

    References:
        After the tightness prior of Lempitsky et al., Image Segmentation with a Bounding Box Prior,
        ICCV 2009, doi:10.1109/ICCV.2009.5459262.
    """
    for threshold in _THRESHOLDS:
        segment: NDArray[np.bool_] = share > threshold
        if reaches_sides(segment, box, size, gap):
            break
    return segment


def grow_to_sides(segment: NDArray[np.bool_], box: Box, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a segment dilated by the median of its ``side_gaps``.

    A segment whose colours stop short of most sides is too small all around. It grows by at most
    5 pixels and 5 % of the shorter side of the box.

    Args:
        segment: (box height, box width) bool.
        size: (H, W) of the image.

    Returns:
        (box height, box width) bool.
    """
    gaps = side_gaps(segment, box, size)
    if not segment.any() or not gaps.size:
        return segment
    limit = min(_MAX_PIXELS, round(_MAX_GROWTH * min(segment.shape)))
    radius = min(limit, int(np.median(gaps)))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(segment.astype(np.uint8), disk).astype(bool)


def _margins(occupied: Any, before: bool, after: bool) -> list[int]:
    """Return the numbers of places before the first and after the last True, if asked for."""
    places, length = np.flatnonzero(occupied), len(occupied)
    first, last = (places[0], length - 1 - places[-1]) if places.size else (length, length)
    return [first] * before + [last] * after
