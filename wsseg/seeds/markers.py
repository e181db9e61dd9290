"""Markers for region growing, from the known pixels of an image at a bounded resolution."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import Example
from wsseg.labelmaps import IGNORE

UNMARKED = 0
"""Marker of an unknown pixel."""

BACKGROUND = 1
"""Marker of known background; class k has k + 1."""

OUTSIDE = IGNORE + 1
"""Marker of pixels of the image's border if no background is marked; see ``Markers``."""


@dataclass(frozen=True, eq=False)
class Markers:
    """An image, possibly downscaled, and the markers that regions grow from.

    As in scikit-image, a marker is a number from 1, and 0 (``UNMARKED``) is a pixel to be labelled:
    class k has the marker k + 1. If no background is marked, nothing says where objects end. Then
    the unmarked pixels of the image's border that may be background get a marker of their own,
    ``OUTSIDE``; pixels that join it become IGNORE.

    Attributes:
        pixels: (h, w, 3) uint8 RGB.
        markers: (h, w) int32: ``UNMARKED``, 1 to 255, or ``OUTSIDE`` (256).
    """

    pixels: NDArray[np.uint8]
    markers: NDArray[np.int32]

    @property
    def distinct(self) -> NDArray[np.int32]:
        """(M,) int32: the markers that occur, ascending."""
        distinct: NDArray[np.int32] = np.unique(self.markers[self.markers != UNMARKED])
        return distinct


def markers_of(example: Example, max_side: int) -> Markers:
    """Return an image with a marker at each pixel whose class the annotations tell.

    Thin strokes are not lost in downscaling: a pixel gets the most frequent known class of the
    pixels that it replaces, and is ``UNMARKED`` only if the class of all of them is unknown.

    Args:
        example: An image of any size with its constraints.
        max_side: Largest length of the longer side in pixels; larger images are downscaled.
    """
    return markers_at(example, downscaled_size(example.image.shape, max_side))


def markers_at(example: Example, size: tuple[int, int]) -> Markers:
    """Return an image of the size (h, w), at most its own, with markers as ``markers_of``."""
    image, constraints = example.image, example.constraints
    known = downscale_marks(constraints.known, size)
    markers = np.where(known == IGNORE, UNMARKED, known.astype(np.int32) + BACKGROUND)
    if not (markers == BACKGROUND).any():
        background = constraints.allowed[constraints.classes == 0].any(axis=0)
        free = (markers == UNMARKED) & (resize_nearest(background.astype(np.uint8), size) > 0)
        free[1:-1, 1:-1] = False
        markers[free] = OUTSIDE
    if size == image.shape[:2]:
        return Markers(image, markers)
    pixels = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    return Markers(pixels.astype(np.uint8), markers)


def labels_of(markers: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the labels of markers; IGNORE for ``UNMARKED`` and ``OUTSIDE``.

    Example:
        >>> labels_of(np.array([UNMARKED, 1, 4, OUTSIDE])).tolist()
        [255, 0, 3, 255]
    """
    return np.where(markers == UNMARKED, IGNORE, markers - BACKGROUND).astype(np.uint8)


def downscaled_size(size: tuple[int, ...], max_side: int) -> tuple[int, int]:
    """Return the size (h, w) of an image downscaled to a longer side of at most ``max_side``.

    Args:
        size: (H, W), or (H, W, 3), of the image.
        max_side: In pixels; smaller images keep their size.

    Example:
        >>> downscaled_size((3000, 4000, 3), 400), downscaled_size((30, 40), 400)
        ((300, 400), (30, 40))
    """
    scale = min(1.0, max_side / max(size[:2]))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_nearest(values: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Resize a map (H, W) to ``size`` (h, w) by nearest-neighbour interpolation."""
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def upscale(share: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize a map (h, w) to ``size`` (H, W) bilinearly; return it as it is if it has this size."""
    return share if share.shape == size else cv2.resize(share, size[::-1]).astype(np.float32)


def downscale_marks(known: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a map of known classes at a lower resolution, without losing thin strokes.

    Args:
        known: (H, W) uint8 classes, IGNORE where unknown.
        size: (h, w), at most (H, W).

    Returns:
        (h, w) uint8: the most frequent known class of each cell, the lowest of equals; IGNORE
        only where all pixels are unknown.
    """
    small, most = np.full(size, IGNORE, np.uint8), np.zeros(size, np.intp)
    for label in np.unique(known[known != IGNORE]):
        count = count_in_cells(known == label, size)
        small[count > most] = label
        most = np.maximum(most, count)
    return small


def count_in_cells(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.intp]:
    """Return the number of pixels of a mask (H, W) in each cell of a coarser grid.

    Args:
        size: (h, w) of the grid, at most (H, W).

    Example:
        >>> count_in_cells(np.eye(4, dtype=bool), (2, 2)).tolist()
        [[2, 0], [0, 2]]
    """
    rows, columns = (np.arange(n) * side // n for n, side in zip(size, mask.shape, strict=True))
    across = np.add.reduceat(mask, columns, axis=1, dtype=np.intp)
    counts: NDArray[np.intp] = np.add.reduceat(across, rows, axis=0)
    return counts
