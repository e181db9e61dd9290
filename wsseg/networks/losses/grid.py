"""Masks of the coarse grids that losses are computed on."""

from torch import Tensor
from torch.nn import functional


def coarsen_mask(mask: Tensor | None, like: Tensor) -> Tensor:
    """Return the coarse pixels that cover pixels of the mask only.

    Args:
        mask: (N, H, W) bool; None is all.
        like: (N, C, h, w), of the coarse grid.

    Returns:
        (N, h, w) bool.
    """
    if mask is None:
        return like.new_ones(len(like), *like.shape[2:]).bool()
    outside = mask.logical_not().to(like)[:, None]
    return functional.adaptive_max_pool2d(outside, like.shape[2:])[:, 0] == 0
