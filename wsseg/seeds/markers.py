"""What strokes mark, at the resolution that seeds work at."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints
from wsseg.labelmaps import IGNORE

UNMARKED = 0
"""The marker of a pixel of which nothing is known."""

BACKGROUND = 1
"""The marker of known background; class k has k + 1."""

OUTSIDE = IGNORE + 1
"""The marker of the image's frame, where objects end for lack of a mark of the background."""


@dataclass(frozen=True, eq=False)
class Marks:
    """An image, perhaps shrunk, and the markers that regions grow from.

    Markers are counted from 1, as scikit-image's are. Where objects are marked but no background,
    nothing says where they end: the image's outermost pixels are ``OUTSIDE`` then, and what is
    nearer to them than to a mark becomes IGNORE.

    Args:
        pixels: (h, w, 3) uint8 RGB.
        markers: (h, w) int32.
    """

    pixels: NDArray[np.uint8]
    markers: NDArray[np.int32]

    @property
    def distinct(self) -> NDArray[np.int32]:
        """(M,) int32: the markers that occur, in rising order."""
        found: NDArray[np.int32] = np.unique(self.markers[self.markers != UNMARKED])
        return found


def marks_of(image: NDArray[np.uint8], constraints: Constraints, longest: int) -> Marks:
    """Return the marks of an image, shrunk where it is large.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What its annotations allow; what is known is a mark.
        longest: The image's longer side comes down to this, pixels.

    Returns:
        The marks; each known pixel leaves one, so thin strokes survive.
    """
    size = shrunk_size(image.shape, longest)
    known = shrunk_marks(constraints.known, size)
    markers = np.where(known == IGNORE, UNMARKED, known.astype(np.int32) + BACKGROUND)
    if not (markers == BACKGROUND).any():
        background = constraints.allowed[constraints.classes == 0].any(axis=0)
        free = (markers == UNMARKED) & (resized(background.astype(np.uint8), size) > 0)
        free[1:-1, 1:-1] = False
        markers[free] = OUTSIDE
    if size == image.shape[:2]:
        return Marks(image, markers)
    pixels = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return Marks(pixels.astype(np.uint8), markers)


def labels_of(markers: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the labels that markers stand for.

    Args:
        markers: Of any shape.

    Returns:
        uint8 of the same shape; IGNORE for ``UNMARKED`` and ``OUTSIDE``.

    Example:
        >>> labels_of(np.array([UNMARKED, 1, 4, OUTSIDE])).tolist()
        [255, 0, 3, 255]
    """
    return np.where(markers == UNMARKED, IGNORE, markers - BACKGROUND).astype(np.uint8)


def shrunk_size(size: tuple[int, ...], longest: int) -> tuple[int, int]:
    """Return the size of an image whose longer side is at most ``longest``.

    Args:
        size: (H, W, ...) pixels.
        longest: Pixels.

    Returns:
        (h, w), each at least 1.

    Example:
        >>> shrunk_size((3000, 4000, 3), 400), shrunk_size((30, 40), 400)
        ((300, 400), (30, 40))
    """
    scale = min(1.0, longest / max(size[:2]))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resized(values: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a map at another size, each pixel a copy of the nearest one.

    Args:
        values: (H, W) uint8.
        size: (h, w).

    Returns:
        (h, w) uint8.
    """
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def enlarged(share: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a map at the image's resolution, interpolated where that is another.

    Args:
        share: (h, w) float32.
        size: (H, W).

    Returns:
        (H, W) float32.
    """
    return share if share.shape == size else cv2.resize(share, size[::-1]).astype(np.float32)


def shrunk_marks(known: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return known pixels at a lower resolution, without losing thin strokes.

    Args:
        known: (H, W) uint8, IGNORE where unknown.
        size: (h, w), at most (H, W).

    Returns:
        (h, w) uint8: the class that is known at most pixels of each cell, the lowest of equals;
        IGNORE only where none is.
    """
    small, most = np.full(size, IGNORE, np.uint8), np.zeros(size, np.intp)
    for label in np.unique(known[known != IGNORE]):
        count = counts_of(known == label, size)
        small[count > most] = label
        most = np.maximum(most, count)
    return small


def counts_of(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.intp]:
    """Return how many pixels of a mask lie in each cell of a coarser grid.

    Args:
        mask: (H, W) bool.
        size: (h, w), at most (H, W).

    Returns:
        (h, w) counts, which sum up to that of the mask.

    Example:
        >>> counts_of(np.eye(4, dtype=bool), (2, 2)).tolist()
        [[2, 0], [0, 2]]
    """
    rows, columns = (np.arange(n) * side // n for n, side in zip(size, mask.shape, strict=True))
    across = np.add.reduceat(mask, columns, axis=1, dtype=np.intp)
    counts: NDArray[np.intp] = np.add.reduceat(across, rows, axis=0)
    return counts
