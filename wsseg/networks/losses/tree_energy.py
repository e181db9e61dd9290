"""The tree energy loss: predictions should equal their means along spanning trees."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function, once_differentiable
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.networks.losses.coarse import coarse, coarse_mask
from wsseg.networks.losses.shapes import check_sizes
from wsseg.networks.losses.trees import Forest, spanning_forest
from wsseg.refine.params import check_number, check_whole


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
    """Return how far predictions are from their means along minimum spanning trees.

    With p the softmax, F a filter along the minimum spanning tree of the pixels, each linked to
    the four next to it, and D_ij the sum of the edges on the path from pixel i to pixel j::

        F(p)_i = sum_j exp(-D_ij) p_j / sum_j exp(-D_ij)
        loss = sum_i gate_i |p_i - F_features(F_colours(p))_i| / max(1, sum_i gate_i)

    The absolute differences are summed over classes. An edge of the tree of colours is as long as
    |c_i - c_j|^2 / sigma, with c RGB in 0..1, one of the tree of features as |f_i - f_j|^2 /
    feature_sigma. So the sigmas go with the scale of what they divide: the paper's 0.02 is not
    for colours in 0..1, where it blurs over the objects' edges.

    All of it happens on a coarse grid, whose pixels are the means of scale x scale pixels. A
    coarse pixel is in the gate, or inside, where all of its pixels are. Features are brought to it
    bilinearly. Trees and their edges are constants: no gradient reaches colours or features, but
    it reaches both p and, through the filters, its means. The trees run on one core of the CPU,
    also for tensors on a GPU. Computed in float32 or better, also under autocast.

    Args:
        logits: (N, K, H, W) float.
        images: (N, 3, H, W) float RGB in 0..1, not normalised by a mean.
        features: (N, F, h, w) float, of the network, of any size; None leaves F_features out.
        gate: (N, H, W) bool, the pixels whose difference counts, such as those without a label;
            None is all.
        inside: (N, H, W) bool, the pixels that are no padding; None is all. Others are in no gate
            and in no tree of those inside.
        scale: Side of the square of pixels that becomes one coarse pixel, at least 1.
        sigma: At which squared distance of colours an edge's weight is 1/e, at least 0.0001.
        feature_sigma: The same of features, at least 0.0001.

    Returns:
        Scalar in 0..2; 0 with zero gradient where no pixel counts.

    Raises:
        InputError: Shapes differ, or a number is out of its range.

    References:
        Liang et al., Tree Energy Loss: Towards Sparsely Annotated Semantic Segmentation, CVPR
        2022, arXiv:2203.10739.
    """
    check_whole("tree_energy scale", scale, least=1)
    for name, number in (("sigma", sigma), ("feature_sigma", feature_sigma)):
        check_number(f"tree_energy {name}", number, least=0.0001)
    masks = {"gate": gate, "inside": inside}
    check_sizes("tree_energy", logits, {"images": images[:, 0], **masks})
    _check_features(features, len(logits))
    height, width = (-(-side // scale) for side in logits.shape[2:])
    floats = logits.to(torch.promote_types(logits.dtype, torch.float32))
    p = coarse(floats.softmax(dim=1), (height, width))
    is_inside = coarse_mask(inside, p)
    means = _tree_means(p, coarse(images.to(p), (height, width)) / sigma**0.5, is_inside)
    if features is not None:
        means = _tree_means(means, _resized(features, p) / feature_sigma**0.5, is_inside)
    counts = coarse_mask(gate, p) & is_inside
    return ((p - means).abs().sum(dim=1) * counts).sum() / counts.sum().clamp(min=1)


def _check_features(features: Tensor | None, count: int) -> None:
    if features is not None and (features.ndim != 4 or len(features) != count):
        rule = f"of shape ({count}, F, h, w)"
        remedy = "give the features of the same images"
        raise InputError("tree_energy features", rule, tuple(features.shape), remedy)


def _resized(features: Tensor, like: Tensor) -> Tensor:
    """(N, F, h, w) of the coarse grid, smoothed first where that is smaller."""
    size = like.shape[2:]
    floats = features.detach().to(like)
    return functional.interpolate(floats, size, mode="bilinear", antialias=True)


def _tree_means(p: Tensor, features: Tensor, inside: Tensor) -> Tensor:
    """F(p), (N, K, h, w); an edge is as long as the squared distance of features (N, F, h, w)."""
    edges = (features.detach().diff(dim=side).square().sum(dim=1) for side in (2, 3))
    down, right, within = (each.cpu().numpy() for each in (*edges, inside))
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
        # the sums are symmetric in i and j, so that they are their own transpose
        return _sums(upstream / ctx.totals, ctx.forest), None


def _sums(values: Tensor, forest: Forest) -> Tensor:
    """The forest's sums of values (N, K, h, w)."""
    rows = values.detach().movedim(1, 3).contiguous()
    sums = torch.from_numpy(forest.sums(rows.flatten(0, 2).cpu().numpy()))
    return sums.to(values).view(rows.shape).movedim(3, 1)
