"""Gated CRF loss: near pixels of similar colour should have similar predictions."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from wsseg.refine.affinity import overlap


def gated_crf(
    logits: Tensor,
    images: Tensor,
    gate: Tensor | None = None,
    *,
    sources: Tensor | None = None,
    scale: int = 4,
    radius: int = 5,
    sxy: float = 6.0,
    srgb: float = 0.1,
) -> Tensor:
    """Return the disagreement of predictions between near pixels of similar colour.

    Pixel i receives from each other pixel j in the window around it::

        K_ij = exp(-|x_i - x_j|^2 / (2 sxy^2) - |c_i - c_j|^2 / (2 srgb^2))
        loss = sum_ij gate_i sources_j K_ij (1 - p_i . p_j) / max(1, sum_i gate_i)

    with x the position, c the colour and p the softmax. The loss is computed on a coarse grid,
    whose pixels are the means of scale x scale pixels, fewer at the right and lower border; a
    coarse pixel is in the gate or a source if all of its pixels are. The gradient reaches both p_i
    and p_j: the gates only choose the pairs. Computed in float32 or better, also under autocast.

    Memory: beside the softmax, 2 radius (radius + 1) floats a coarse pixel (60 by default) and a
    few times K.

    Args:
        logits: (N, K, H, W) float.
        images: (N, 3, H, W) float RGB in 0..1, not normalised by a mean.
        gate: (N, H, W) bool, the pixels that receive, such as those without a label; None is all.
        sources: (N, H, W) bool, the pixels that send, such as those that are not padding; None is
            all.
        scale: Side in pixels of a coarse pixel.
        radius: Radius of the square window in coarse pixels: 5 is 11 x 11.
        sxy: Standard deviation in space, in coarse pixels.
        srgb: Standard deviation in colour, for colours in 0..1.

    Returns:
        Scalar of at least 0; 0 with zero gradient if no pixel receives.

    References:
        Obukhov et al., Gated CRF Loss for Weakly Supervised Semantic Image Segmentation,
        arXiv:1906.04651.
    """
    floats = logits.to(torch.promote_types(logits.dtype, torch.float32))
    p = _coarse(floats.softmax(dim=1), scale)
    colours = _coarse(images.to(p), scale) / srgb
    received, sent = (_coarse_gate(mask, p, scale) for mask in (gate, sources))
    total = (p * 0).sum()
    for step in _half_window(radius, *p.shape[2:]):
        (rows, columns), (other_rows, other_columns) = overlap(p.shape[2:], step)
        (p_i, p_j), (c_i, c_j), (to_i, to_j), (from_i, from_j) = (
            (values[..., rows, columns], values[..., other_rows, other_columns])
            for values in (p, colours, received, sent)
        )
        near = math.exp(-(step[0] ** 2 + step[1] ** 2) / (2 * sxy**2))
        similar = torch.exp(-(c_i - c_j).square().sum(dim=1) / 2)
        kernel = near * similar * (to_i * from_j + to_j * from_i)
        total = total + (kernel * (1 - (p_i * p_j).sum(dim=1))).sum()
    return total / received.sum().clamp(min=1)


def _coarse(values: Tensor, scale: int) -> Tensor:
    return functional.avg_pool2d(values, scale, ceil_mode=True)


def _coarse_gate(gate: Tensor | None, like: Tensor, scale: int) -> Tensor:
    """Return (N, h, w) of 0 and 1 for the coarse pixels (N, K, h, w)."""
    if gate is None:
        return torch.ones_like(like[:, 0])
    outside = gate.logical_not().to(like)[:, None]
    return 1 - functional.max_pool2d(outside, scale, ceil_mode=True)[:, 0]


def _half_window(radius: int, height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield (down, right) from a pixel to one of every two that lie opposite it in a window."""
    for down in range(min(radius, height - 1) + 1):
        reach = min(radius, width - 1)
        for right in range(-reach if down else 1, reach + 1):
            yield down, right
