"""Points and boxes in masks, as prompts for a SAM model."""

import cv2
import numpy as np
from numpy.typing import NDArray


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of a mask with at least one pixel, in pixels.

    Example:
        >>> bounding_box(np.array([[False, False], [False, True]]))
        (1, 1, 2, 2)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def points_in(mask: NDArray[np.bool_], count: int, *, closed: bool = True) -> NDArray[np.float64]:
    """Return the deepest pixel of a mask, and then pixels far from those chosen before.

    Args:
        mask: (h, w) bool.
        count: Largest number of points.
        closed: Whether the mask ends at the border of the array.

    Returns:
        (n, 2) float64: column and row of the pixels; none if the mask is empty.
    """
    depth = depth_of(mask, closed=closed)
    if not mask.any():
        return np.zeros((0, 2))
    # Points are chosen among the deeper half, so that they do not lie on the border of a region.
    inner = np.argwhere(depth >= max(1.0, depth.max() / 2))
    chosen = [np.array(np.unravel_index(depth.argmax(), depth.shape))]
    distance = np.full(len(inner), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((inner - chosen[-1]) ** 2).sum(axis=1))
        if distance.max() < 1:
            break
        chosen.append(inner[distance.argmax()])
    return np.array(chosen, float)[:, ::-1]


def depth_of(mask: NDArray[np.bool_], *, closed: bool = True) -> NDArray[np.float32]:
    """Return the distance (h, w) of each pixel of a mask to the nearest pixel outside of it.

    Args:
        closed: Whether the mask ends at the border of the array.
    """
    padded = np.pad(mask.astype(np.uint8), 1, constant_values=0 if closed else 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)
