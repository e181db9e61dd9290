"""The order of overlapping boxes: smaller ones are in front."""

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box


def smaller_in_front(boxes: tuple[Box, ...]) -> list[Box]:
    """Return boxes in painting order, largest first; boxes of equal area keep their order."""
    return sorted(boxes, key=lambda box: -box.area)


def visible_box_index(boxes: tuple[Box, ...], size: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the index of the box that is visible at each pixel: the smallest around it.

    Args:
        boxes: Boxes of one image. Crowds hide nothing; of equal boxes the first counts.
        size: (H, W) of the image.

    Returns:
        (H, W) index into ``boxes``, ``len(boxes)`` where there is no box.
    """
    front = np.full(size, len(boxes), np.intp)
    for box in smaller_in_front(boxes):
        if not box.crowd:
            front[box.slices] = boxes.index(box)
    return front
