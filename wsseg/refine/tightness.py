"""Boxes are tight: an object reaches all four sides of its box.

Segments that stay away from the sides miss parts of the object. How far they stay away is known
without a mask, so it can decide how much a segment has to grow.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box

_THRESHOLDS = np.arange(10, 1, -1) / 20
"""Shares of a class, 0.5 to 0.1; the highest that makes a segment fit its box decides."""

_MAX_GROWTH = 0.05  # share of the shorter side of a box, rounded to pixels
_MAX_PIXELS = 5


def reached_sides(box: Box, visible: NDArray[np.bool_], size: tuple[int, ...]) -> list[bool]:
    """Return which sides of a box its object is known to reach, and to be seen there.

    Not those on the border of the image, where the object may continue, and not those that another
    box hides in part.

    Args:
        visible: (box height, box width) bool, False where a box in front hides this one.
        size: (H, W) of the image.

    Returns:
        Of the top, bottom, left and right side.

    Example:
        >>> visible = np.ones((5, 8), bool)
        >>> visible[0, 0] = False
        >>> reached_sides(Box(1, left=3, top=15, right=11, bottom=20), visible, (20, 20))
        [False, False, False, True]
    """
    height, width = size
    lines = (visible[0], visible[-1], visible[:, 0], visible[:, -1])
    inside = (box.top > 0, box.bottom < height, box.left > 0, box.right < width)
    return [bool(free and line.all()) for free, line in zip(inside, lines, strict=True)]


def side_gaps(segment: NDArray[np.bool_], sides: Sequence[bool]) -> NDArray[np.float64]:
    """Return the distances in pixels between a segment and sides of its box.

    Args:
        segment: (box height, box width) bool.
        sides: Whether to measure the top, bottom, left and right side.

    Returns:
        (0 to 4,) float64. An empty segment is as far away as the box is long.

    Example:
        >>> segment = np.zeros((5, 8), bool)
        >>> segment[1:, 2:5] = True
        >>> side_gaps(segment, [True, True, False, True]).tolist()
        [1.0, 0.0, 3.0]
    """
    gaps: list[int] = []
    for axis in (1, 0):
        places, length = np.flatnonzero(segment.any(axis=axis)), segment.shape[1 - axis]
        gaps += [places[0], length - 1 - places[-1]] if places.size else [length, length]
    return np.compress(sides, np.array(gaps, float))


def fit_segment(
    share: NDArray[np.floating], sides: Sequence[bool], gap: float
) -> NDArray[np.bool_]:
    """Return the pixels of a box whose share exceeds a threshold that makes them fit the box.

    The threshold falls from 0.5 to 0.1 in steps of 0.05 until the mean of the segment's
    ``side_gaps`` is small enough. If it never is, the highest threshold with the smallest mean
    decides: segments do not grow for nothing.

    Args:
        share: (box height, box width), the probability of the class among itself and the best other
            class of each pixel, 0..1.
        sides: The sides to reach; without any the threshold is 0.5.
        gap: Largest mean gap as a share of the shorter side of the box; one pixel is always small
            enough.

    Returns:
        (box height, box width) bool.

    References:
        After the tightness prior of Lempitsky et al., Image Segmentation with a Bounding Box Prior,
        ICCV 2009, doi:10.1109/ICCV.2009.5459262.
    """
    segments: list[NDArray[np.bool_]] = [share > threshold for threshold in _THRESHOLDS]
    if not any(sides):
        return segments[0]
    limit, gaps = max(1, gap * min(share.shape)), []
    for segment in segments:
        gaps.append(side_gaps(segment, sides).mean())
        if segment.any() and gaps[-1] <= limit:
            return segment
    return segments[int(np.argmin(gaps))]


def grow_to_sides(segment: NDArray[np.bool_], sides: Sequence[bool]) -> NDArray[np.bool_]:
    """Return a segment dilated by the median of its ``side_gaps``.

    A segment whose colours stop short of most sides is too small all around. It grows by at most
    5 pixels and 5 % of the shorter side of the box, rounded.

    Args:
        segment: (box height, box width) bool.
        sides: The sides to reach; a single one says nothing about the others.

    Returns:
        (box height, box width) bool.
    """
    gaps = side_gaps(segment, sides)
    if not segment.any() or gaps.size < 2:
        return segment
    limit = min(_MAX_PIXELS, round(_MAX_GROWTH * min(segment.shape)))
    radius = min(limit, int(np.median(gaps)))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(segment.astype(np.uint8), disk).astype(bool)
