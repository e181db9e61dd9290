"""Label maps from boxes alone, without the image: filled boxes, or their cores."""

import math

import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box
from wsseg.data.example import Example
from wsseg.data.stacking import smaller_in_front
from wsseg.labelmaps import IGNORE
from wsseg.seeds.params import BoxInnerParams


def box(example: Example) -> NDArray[np.uint8]:
    """Return boxes filled with their class, smaller ones in front; crowds are IGNORE.

    Returns:
        (H, W) uint8; outside the boxes known pixels, else IGNORE.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 ("Box").
    """
    label_map = example.constraints.known.copy()
    for box in smaller_in_front(example.sample.boxes):
        label_map[box.slices] = IGNORE if box.crowd else box.label
    return label_map


def box_inner(example: Example, params: BoxInnerParams = BoxInnerParams()) -> NDArray[np.uint8]:
    """Return boxes of which only the core keeps its class and the rest is IGNORE.

    A smaller box in front hides what is behind it with its core and with its IGNORE.

    Returns:
        (H, W) uint8; outside the boxes known pixels, else IGNORE.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 ("Box^i").
    """
    label_map = example.constraints.known.copy()
    for box in smaller_in_front(example.sample.boxes):
        label_map[box.slices] = IGNORE
        if not box.crowd:
            label_map[core(box, params)] = box.label
    return label_map


def core(box: Box, params: BoxInnerParams = BoxInnerParams()) -> tuple[slice, slice]:
    """Return the index of the central part of a box in an (H, W) array.

    It has at least one pixel, and is as far from the left edge as from the right.

    Example:
        >>> core(Box(1, left=0, top=0, right=10, bottom=5), BoxInnerParams(share=0.04))
        (slice(2, 3, None), slice(4, 6, None))
    """
    side = math.sqrt(params.share)
    return _middle(box.top, box.bottom, side), _middle(box.left, box.right, side)


def _middle(start: int, stop: int, share: float) -> slice:
    # Margins are equal on both sides, so that mirrored images get mirrored cores.
    margin = round((stop - start) * (1 - share) / 2)
    margin = min(margin, (stop - start - 1) // 2)
    return slice(start + margin, stop - margin)
