"""Coarser grids of predictions, images and masks, and the check of their sizes."""

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional

from wsseg.errors import InputError


def check_sizes(loss: str, logits: Tensor, others: Mapping[str, Tensor | None]) -> None:
    """Raise unless each tensor has the shape (N, H, W) of the logits (N, K, H, W), or is None.

    Args:
        loss: Named in the error, as are the keys of ``others``.

    Raises:
        InputError: A tensor has another number or size.
    """
    expected = (len(logits), *logits.shape[2:])
    for name, values in others.items():
        if values is not None and values.shape != expected:
            rule = f"of the logits' number and size {expected}"
            raise InputError(f"{loss} {name}", rule, tuple(values.shape), "resize one of them")


def coarsen(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the mean of the pixels that each coarse pixel covers, partly or wholly.

    Args:
        values: (N, C, H, W) float.
        size: (h, w), each at least 1.

    Returns:
        (N, C, h, w).
    """
    return functional.adaptive_avg_pool2d(values, size)


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
