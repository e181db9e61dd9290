"""Predictions, images and masks on a coarser grid."""

from torch import Tensor
from torch.nn import functional


def coarse(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the means of the pixels that each coarse pixel covers, in part or wholly.

    Args:
        values: (N, C, H, W) float.
        size: (h, w), each at least 1.

    Returns:
        (N, C, h, w).
    """
    return functional.adaptive_avg_pool2d(values, size)


def coarse_mask(mask: Tensor | None, like: Tensor) -> Tensor:
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
