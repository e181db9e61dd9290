"""Which of overlapping boxes is in front: the smaller one."""

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Box


def smaller_in_front(boxes: tuple[Box, ...]) -> list[Box]:
    """Return boxes in painting order: the largest first, so that smaller ones end up in front.

    Args:
        boxes: Boxes of one image.

    Returns:
        The same boxes; equal areas keep their order.
    """
    return sorted(boxes, key=lambda box: -box.area)


def front_box(boxes: tuple[Box, ...], size: tuple[int, ...]) -> NDArray[np.intp]:
    """Return which box each pixel is a visible part of: the smallest around it.

    Args:
        boxes: Boxes of one image; crowds hide nothing. Of equal boxes the first counts.
        size: (H, W) of the image.

    Returns:
        (H, W) index into ``boxes``, their number where there is no box.
    """
    front = np.full(size, len(boxes), np.intp)
    for box in smaller_in_front(boxes):
        if not box.crowd:
            front[box.slices] = boxes.index(box)
    return front
