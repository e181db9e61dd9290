"""Tree energy loss: predictions should equal their means along minimum spanning trees."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

from wsseg.networks.losses.grid import coarsen_mask
from wsseg.networks.losses.trees import Forest, spanning_forest


def tree_energy(
    logits: Tensor,
    images: Tensor,
    features: Tensor | None = None,
    gate: Tensor | None = None,
    *,
    inside: Tensor | None = None,
    scale: int = 2,
    sigma: float = 0.005,
    feature_sigma: float = 1.0,
) -> Tensor:
    """Return the L1 distance of predictions from their tree-filtered means.

    The filter F replaces the softmax p of each pixel by a mean over all pixels, weighted by their
    distance D_ij: the sum of the edge lengths on the path from pixel i to pixel j in a minimum
    spanning tree of the 4-connected pixel grid::

        F(p)_i = sum_j exp(-D_ij) p_j / sum_j exp(-D_ij)
        loss = sum_i gate_i |p_i - F_features(F_colours(p))_i| / max(1, sum_i gate_i)

    |...| is the sum over classes. F_colours and F_features use two trees, with the edge lengths
    |c_i - c_j|^2 / sigma of colours c (RGB in 0..1) and |f_i - f_j|^2 / feature_sigma of
    features f. Suitable values of sigma depend on the range of c: the paper's 0.02 is too large
    for colours in 0..1 and averages across the edges of objects.

    The loss is computed on a coarse grid of ceil(H / scale) x ceil(W / scale) cells: p and colours
    are averaged in each cell, features are resized bilinearly. A cell counts in ``gate`` or
    ``inside`` only if all of its pixels do. Gradients reach the logits through both p and its
    means; none reach images or features. The trees are computed on one CPU core, also for tensors
    on a GPU. All is computed in float32 or better, also under autocast.

    Args:
        logits: (N, K, H, W) float.
        images: (N, 3, H, W) float RGB in 0..1, before normalisation by mean and standard
            deviation.
        features: (N, F, h, w) float features of the network, of any F, h and w; None leaves out
            F_features.
        gate: (N, H, W) bool, True at the pixels i that the loss is summed over, such as those
            without a label; None is all.
        inside: (N, H, W) bool, False on padding, which is neither averaged over nor part of the
            loss; None is all.
        scale: Side in pixels of a cell of the coarse grid.
        sigma: Squared distance of two neighbours' colours at which their weight exp(-D_ij) is 1/e.
        feature_sigma: Squared distance of two neighbours' features at which the weight is exp(-1).

    Returns:
        Scalar in 0..2, of the logits' dtype but at least float32; 0 with zero gradient if the loss
        is summed over no pixel.

    References:
        Liang et al., Tree Energy Loss: Towards Sparsely Annotated Semantic Segmentation, CVPR
        2022, arXiv:2203.10739.
    """
    height, width = (-(-side // scale) for side in logits.shape[2:])
    size = (height, width)
    floats = logits.to(torch.promote_types(logits.dtype, torch.float32))
    p = functional.adaptive_avg_pool2d(floats.softmax(dim=1), size)
    colours = functional.adaptive_avg_pool2d(images.to(p), size) / sigma**0.5
    is_inside = coarsen_mask(inside, p)
    means = _tree_means(p, colours, is_inside)
    if features is not None:
        floats = features.detach().to(p)
        resized = functional.interpolate(floats, size, mode="bilinear", antialias=True)
        means = _tree_means(means, resized / feature_sigma**0.5, is_inside)
    counts = coarsen_mask(gate, p) & is_inside
    return ((p - means).abs().sum(dim=1) * counts).sum() / counts.sum().clamp(min=1)


def _tree_means(p: Tensor, features: Tensor, inside: Tensor) -> Tensor:
    """Return F(p), (N, K, h, w); edge lengths are squared distances of features (N, F, h, w)."""
    edges = (features.detach().diff(dim=side).square().sum(dim=1) for side in (2, 3))
    down, right, within = (values.cpu().numpy() for values in (*edges, inside))
    means: Tensor = _TreeMeans.apply(p, spanning_forest(down, right, within))
    return means


class _TreeMeans(Function):
    @staticmethod
    def forward(ctx: Any, p: Tensor, forest: Forest) -> Tensor:
        totals = _sums(torch.ones_like(p[:, :1]), forest)
        ctx.forest, ctx.totals = forest, totals
        return _sums(p, forest) / totals

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        # The sums are symmetric in i and j, so that they are their own transpose.
        return _sums(upstream / ctx.totals, ctx.forest), None


def _sums(values: Tensor, forest: Forest) -> Tensor:
    """Return the sums of values (N, K, h, w) along the trees."""
    rows = values.detach().movedim(1, 3).contiguous()
    sums = torch.from_numpy(forest.sums(rows.flatten(0, 2).cpu().numpy()))
    return sums.to(values).view(rows.shape).movedim(3, 1)
