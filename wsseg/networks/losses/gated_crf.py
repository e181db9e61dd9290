"""The gated CRF loss: near pixels of like colour should agree."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from wsseg.networks.losses.shapes import check_sizes
from wsseg.refine.params import check_number, check_whole


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
    weights: tuple[float, float] = (1.0, 0.0),
) -> Tensor:
    """Return how much predictions disagree with those of near pixels of like colour.

    A pixel i receives from the pixels j of the window around it, itself left out::

        K_ij = weights[0] exp(-|x_i - x_j|^2 / (2 sxy^2) - |c_i - c_j|^2 / (2 srgb^2))
             + weights[1] exp(-|x_i - x_j|^2 / (2 sxy^2))
        loss = sum_ij gate_i sources_j K_ij (1 - p_i . p_j) / max(1, sum_i gate_i)

    with x the place, c the colour and p the softmax. All of it happens on a coarse grid, whose
    pixels are the means of scale x scale pixels, fewer at the right and lower border; a coarse
    pixel is in the gate or a source where all of its pixels are. The gradient reaches p_i and p_j
    alike: the gates only choose the pairs. Computed in float32 or better, also under autocast.

    Memory: beside the softmax, 2 radius (radius + 1) floats a coarse pixel (60 by default) and a
    few times K.

    Args:
        logits: (N, K, H, W) float.
        images: (N, 3, H, W) float RGB in 0..1, not normalised by a mean.
        gate: (N, H, W) bool, the pixels that receive, such as those without a label; None is all.
        sources: (N, H, W) bool, the pixels that give, such as those that are no padding; None is
            all.
        scale: Side of the square of pixels that becomes one coarse pixel, at least 1.
        radius: Of the square window, coarse pixels, at least 1; 5 is 11 x 11.
        sxy: Standard deviation in space, coarse pixels, at least 0.001.
        srgb: Standard deviation in colour, 0..1, at least 0.001.
        weights: Of the kernel over positions and colours and of that over positions.

    Returns:
        Scalar of at least 0; 0 with zero gradient where no pixel receives.

    Raises:
        InputError: Shapes differ, or a number is out of its range.

    References:
        Obukhov et al., Gated CRF Loss for Weakly Supervised Semantic Image Segmentation,
        arXiv:1906.04651.
    """
    for name, whole in (("scale", scale), ("radius", radius)):
        check_whole(f"gated_crf {name}", whole, least=1)
    for name, width in (("sxy", sxy), ("srgb", srgb)):
        check_number(f"gated_crf {name}", width, least=0.001)
    check_sizes("gated_crf", logits, {"images": images[:, 0], "gate": gate, "sources": sources})
    floats = logits.to(torch.promote_types(logits.dtype, torch.float32))
    p = _coarse(floats.softmax(dim=1), scale)
    colours = _coarse(images.to(p), scale) / srgb
    received, given = (_coarse_gate(mask, p, scale) for mask in (gate, sources))
    total = (p * 0).sum()
    for down, right in _half_window(radius, *p.shape[2:]):
        (p_i, p_j), (c_i, c_j), (to_i, to_j), (from_i, from_j) = (
            _pairs(values, down, right) for values in (p, colours, received, given)
        )
        near = math.exp(-(down**2 + right**2) / (2 * sxy**2))
        alike = torch.exp(-(c_i - c_j).square().sum(dim=1) / 2)
        kernel = near * (weights[0] * alike + weights[1]) * (to_i * from_j + to_j * from_i)
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


def _pairs(values: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Return views of (..., H, W): the pixels that have one at this distance, and those."""
    height, width = values.shape[-2:]
    left = max(0, -right)
    columns = width - abs(right)
    one = values[..., : height - down, left : left + columns]
    other = values[..., down:, left + right : left + right + columns]
    return one, other
