"""Adaptive Gaussian mixture loss: labelled pixels define prototypes of the classes."""

import torch
from torch import Tensor
from torch.nn import functional

_MIN_SQUARE = 1e-4  # of distances: it bounds -log(1 - G) by 9.2, and its slope


def agmm(
    logits: Tensor,
    features: Tensor,
    target: Tensor,
    possible: Tensor,
    *,
    inside: Tensor | None = None,
    sigma: float = 0.5,
) -> Tensor:
    """Return the distance of predictions and features from Gaussians around labelled pixels.

    With f a pixel's features, divided by their norm, and mu_k the mean f of an image's labelled
    pixels of class k, for the classes that have some::

        G_k = exp(-d_k^2),  d_k^2 = |f - mu_k|^2 / (2 sigma^2)
        loss = mean over pixels, k of BCE(p_k; G_k) / 2
             + mean over labelled pixels, k of BCE(G_k; [k is the label]) / 2
             + mean over pairs i < j of exp(-|mu_i - mu_j|^2)
             + mean over pixels of sum over impossible k of -log(1 - p_k)

    with p the softmax and BCE(a; b) = -b log a - (1 - b) log(1 - a). Means are over all images
    together. The first three terms leave out images without labelled pixels, and all but the last
    leave out classes without them. The cross-entropy of the labelled pixels is not in it.

    Norm 1 bounds |f - mu_k|^2 by 4 at any scale of a network's features, so that one sigma suits
    all: with 0.5, G is 0.67 at cosine 0.9 and 0.02 at a right angle. A sigma estimated from the
    spread of the features would shrink along with the distances that the loss reduces.

    In the first term G is a constant, the target of p; otherwise features would be rewarded for
    agreeing with any p. The prototypes weight each feature by the number of labelled pixels in its
    cell, and d^2 is enlarged bilinearly to the size of the logits: thin strokes count in full, and
    no features of that size are allocated. d^2 is at least 0.0001 in log(1 - G). Computed in
    float32 or better, also under autocast.

    Args:
        logits: (N, K, H, W) float, K at least 2.
        features: (N, F, h, w) float, of the network, of any size.
        target: (N, H, W) int64 labels or IGNORE.
        possible: (N, K) bool, the classes that can occur in each image, including those of its
            labels; if all are True, the last term is 0.
        inside: (N, H, W) bool, False on padding, which is left out; None is all.
        sigma: Standard deviation of the Gaussians, for features of norm 1.

    Returns:
        Scalar of at least 0; 0 with zero gradient if nothing applies.

    References:
        Wu et al., Sparsely Annotated Semantic Segmentation with Adaptive Gaussian Mixtures, CVPR
        2023.
    """
    within = torch.ones_like(target).bool() if inside is None else inside
    with torch.autocast(logits.device.type, enabled=False):
        log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(dim=1)
        log_rest = _log_complement(log_p.exp())
        labels = _one_hot(target, logits.shape[1]) & within[:, None]
        present = labels.flatten(2).any(dim=2)
        units = functional.normalize(features.to(log_p), dim=1)
        prototypes = _prototypes(units, labels.to(log_p))
        squares = _squared_distances(units, prototypes, target) / (2 * sigma**2)
        g = torch.exp(-squares.detach())
        to_g = _mean(-g * log_p - (1 - g) * log_rest, present[..., None, None] & within[:, None])
        return (
            to_g / 2
            + _labelled_term(squares, labels, present) / 2
            + _prototype_similarity(prototypes, present)
            + _tag_term(log_rest, possible, within)
        )


def _one_hot(target: Tensor, n_classes: int) -> Tensor:
    """Return (N, K, H, W) bool; IGNORE belongs to no class."""
    classes = torch.arange(n_classes, device=target.device)
    return target[:, None] == classes[:, None, None]


def _log_complement(p: Tensor) -> Tensor:
    """Return log(1 - p); if p is large, from the other classes, which keeps a gradient at p = 1."""
    is_most = p > 0.5
    others = p.masked_fill(is_most, 0)
    total = others.sum(dim=1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)
    return torch.where(is_most, total.log(), torch.log1p(-others))


def _prototypes(units: Tensor, labels: Tensor) -> Tensor:
    """Return (N, K, F) mean features of labelled pixels; 0 for classes without any."""
    height, width = units.shape[2:]
    weights = functional.adaptive_avg_pool2d(labels, (height, width)).flatten(2)
    sums = weights @ units.flatten(2).mT
    totals = weights.sum(dim=2, keepdim=True)
    return sums / torch.where(totals > 0, totals, 1)


def _squared_distances(units: Tensor, prototypes: Tensor, like: Tensor) -> Tensor:
    """Return (N, K, H, W) squared distances of features to prototypes."""
    pixels = units.flatten(2).mT
    # If all features are similar, matrix products would lose their differences in rounding.
    mode = "donot_use_mm_for_euclid_dist"
    squares = torch.cdist(prototypes, pixels, compute_mode=mode).square()
    grid = squares.view(*squares.shape[:2], *units.shape[2:])
    return functional.interpolate(grid, like.shape[1:], mode="bilinear")


def _labelled_term(squares: Tensor, labels: Tensor, present: Tensor) -> Tensor:
    """Return the mean of BCE(G; [k is the label]) over labelled pixels and classes of the image."""
    image, row, column = labels.any(dim=1).nonzero(as_tuple=True)
    own_squares, is_label = (values[image, :, row, column] for values in (squares, labels))
    log_rest = torch.log(-torch.expm1(-own_squares.clamp(min=_MIN_SQUARE)))
    return _mean(torch.where(is_label, own_squares, -log_rest), present[image])


def _mean(values: Tensor, applies: Tensor) -> Tensor:
    """Return the mean of the values that apply, 0 if none does."""
    return values.masked_fill(~applies, 0).sum() / applies.sum().clamp(min=1)


def _prototype_similarity(prototypes: Tensor, present: Tensor) -> Tensor:
    """Return the mean of exp(-|mu_i - mu_j|^2) over the pairs of classes of each image."""
    n_classes = present.shape[1]
    first, second = torch.triu_indices(n_classes, n_classes, 1, device=present.device)
    squares = (prototypes[:, first] - prototypes[:, second]).square().sum(dim=2)
    return _mean(torch.exp(-squares), present[:, first] & present[:, second])


def _tag_term(log_rest: Tensor, possible: Tensor, within: Tensor) -> Tensor:
    """Return the mean over pixels of the loss of impossible classes."""
    costs = -log_rest.masked_fill(possible[:, :, None, None], 0).sum(dim=1)
    return _mean(costs, within)
