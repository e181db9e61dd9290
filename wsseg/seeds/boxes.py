"""Label maps straight from boxes: filled, or only their cores."""

import math

import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints
from wsseg.data.model import Box, Sample
from wsseg.data.stacking import smaller_in_front
from wsseg.labelmaps import IGNORE
from wsseg.seeds.params import SeedParams


def box(
    image: NDArray[np.uint8],  # noqa: ARG001
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,  # noqa: ARG001
    rng: np.random.Generator,  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return boxes filled with their class, smaller ones in front; crowds are IGNORE.

    Args:
        image: (H, W, 3) uint8 RGB; not looked at.
        constraints: What the annotations allow.
        sample: The image's boxes.
        settings: Not needed.
        rng: Not needed.

    Returns:
        (H, W) uint8; outside the boxes what is known, else IGNORE.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 ("Box").
    """
    label_map = constraints.known.copy()
    for drawn in smaller_in_front(sample.boxes):
        label_map[drawn.slices] = IGNORE if drawn.crowd else drawn.label
    return label_map


def box_inner(
    image: NDArray[np.uint8],  # noqa: ARG001
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return boxes of which only the core keeps its class and the rest is IGNORE.

    A smaller box in front hides what is behind it with its core and with its IGNORE.

    Args:
        image: (H, W, 3) uint8 RGB; not looked at.
        constraints: What the annotations allow.
        sample: The image's boxes.
        settings: Its ``inner`` and ``inner_mode``.
        rng: Not needed.

    Returns:
        (H, W) uint8; outside the boxes what is known, else IGNORE.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 ("Box^i").
    """
    label_map = constraints.known.copy()
    for drawn in smaller_in_front(sample.boxes):
        label_map[drawn.slices] = IGNORE
        if not drawn.crowd:
            label_map[core(drawn, settings)] = drawn.label
    return label_map


def core(drawn: Box, settings: SeedParams) -> tuple[slice, slice]:
    """Return the central part of a box.

    Args:
        drawn: The box.
        settings: ``inner`` is the core's share of the area, or of each side.

    Returns:
        Index of the core's pixels in an (H, W) array; at least one pixel, and as far from the
        left edge as from the right.

    Example:
        >>> core(Box(1, left=0, top=0, right=10, bottom=5), SeedParams(inner_mode="side"))
        (slice(2, 3, None), slice(4, 6, None))
    """
    share = math.sqrt(settings.inner) if settings.inner_mode == "area" else settings.inner
    return _middle(drawn.top, drawn.bottom, share), _middle(drawn.left, drawn.right, share)


def _middle(start: int, stop: int, share: float) -> slice:
    # the same margin on both sides, so that mirrored images get mirrored cores
    margin = round((stop - start) * (1 - share) / 2)
    margin = min(margin, (stop - start - 1) // 2)
    return slice(start + margin, stop - margin)
