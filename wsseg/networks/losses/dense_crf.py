"""Dense CRF loss: pixels of similar colour should have similar predictions at any distance."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

from wsseg.networks.losses.grid import coarsen_mask
from wsseg.refine.crf.permutohedral import Lattice, build_lattice

_LANES = 4  # classes filtered together; more would not fit the processor's cache


def dense_crf_loss(
    logits: Tensor,
    images: Tensor,
    *,
    inside: Tensor | None = None,
    scale: float = 0.5,
    sxy: float = 100.0,
    srgb: float = 15.0,
) -> Tensor:
    """Return the share of the affinity between pixels that links different classes.

    With p the softmax (pixels by classes) of an image::

        W_ij = exp(-|x_i - x_j|^2 / (2 sxy^2) - |c_i - c_j|^2 / (2 srgb^2))
        loss = sum_k p_k^T W (1 - p_k) / 1^T W 1 = 1 - sum_k p_k^T W p_k / 1^T W 1

    then the mean over the images with a pixel inside. The authors minimise -sum_k p_k^T W p_k,
    which differs by a constant and a factor, as p sums to 1 at each pixel. The constant makes the
    loss at least 0. The factor 1^T W 1 makes it independent of the size of the image; a division
    by the number of pixels would not, as the row sums of W grow with the image, too.

    The loss is computed on a coarse grid, whose pixels are the means of the pixels that they
    cover; a coarse pixel is inside if all of these are. Gaussian filtering on the permutohedral
    lattice replaces W, and the gradient -2 W p / (1^T W 1) is that of the replacement. It runs on
    one core of the CPU in float32, also for tensors on a GPU; all else in float32 or better, also
    under autocast.

    Args:
        logits: (N, K, H, W) float.
        images: (N, 3, H, W) float RGB in 0..1, not normalised by a mean.
        inside: (N, H, W) bool, False on padding, which is left out; None is all.
        scale: Side of the coarse grid divided by that of the image, 0.01 to 1.
        sxy: Standard deviation in space, in pixels of the image.
        srgb: Standard deviation in colour, for colours in 0..255.

    Returns:
        Scalar in 0..1; 0 with zero gradient if no pixel is inside.

    References:
        Tang et al., On Regularized Losses for Weakly-supervised CNN Segmentation,
        arXiv:1803.09569.
    """
    height, width = (max(1, round(side * scale)) for side in logits.shape[2:])
    floats = logits.to(torch.promote_types(logits.dtype, torch.float32))
    p = functional.adaptive_avg_pool2d(floats.softmax(dim=1), (height, width))
    colours = functional.adaptive_avg_pool2d(images.to(p), (height, width)) * (255 / srgb)
    places = torch.from_numpy(np.indices((height, width))).to(p).expand(len(p), -1, -1, -1)
    positions = torch.cat([places / (sxy * scale), colours], dim=1)
    loss: Tensor = _Disagreement.apply(p, positions, coarsen_mask(inside, p))
    return loss


class _Disagreement(Function):
    @staticmethod
    def forward(ctx: Any, p: Tensor, positions: Tensor, inside: Tensor) -> Tensor:
        fields, points, masks = (values.detach().cpu().numpy() for values in (p, positions, inside))
        gradients, total, count = np.zeros_like(fields), 0.0, max(1, masks.any(axis=(1, 2)).sum())
        for field, point, mask, gradient in zip(fields, points, masks, gradients, strict=True):
            if mask.any():
                rows = field[:, mask].T.astype(np.float32)
                filtered = _filtered(point[:, mask].astype(np.float32), rows)
                pairs = filtered.sum(dtype=np.float64)  # p sums to 1 at each pixel
                total += np.vdot(1 - rows.astype(np.float64), filtered) / pairs / count
                gradient[:, mask] = -2 / (pairs * count) * filtered.T
        ctx.save_for_backward(torch.from_numpy(gradients).to(p))
        return p.new_tensor(total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def _filtered(positions: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return W, up to a factor, times values (n, K) at positions (5, n).

    The lattice blurs along one direction after another, and their order matters where it has gaps.
    The sum with the opposite order, its transpose, is symmetric, as the gradient requires.
    """
    # The lattice starts at the corner of the image, so that padding before it changes nothing.
    lattice = build_lattice(positions - np.array([*positions[:2].min(axis=1), 0, 0, 0])[:, None])
    reverse = replace(lattice, neighbours=lattice.neighbours[::-1].copy())
    return _blurred(lattice, rows) + _blurred(reverse, rows)


def _blurred(lattice: Lattice, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    blurred = []
    for start in range(0, rows.shape[1], _LANES):
        field = np.ascontiguousarray(rows[:, start : start + _LANES])
        values = lattice.splat_and_blur(field, lattice.allocate(field.shape[1]))
        blurred.append(np.zeros_like(field))
        lattice.slice_onto(values, blurred[-1])
    return np.hstack(blurred)
