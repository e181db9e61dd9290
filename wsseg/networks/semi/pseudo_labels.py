"""Labels that a teacher gives to a batch, and the losses of a student on them."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from wsseg.networks.semi.params import SemiParams


class PseudoLabels(NamedTuple):
    """The labels of a teacher for a batch.

    Attributes:
        labels: (N, h, w) int64.
        confidence: (N, h, w) float, the probability of the label.
        kept: (N, h, w) bool: confident enough for the loss.
        inside: (N, h, w) bool, False on padding.
        probabilities: (N, K, h, w) float, 0 for classes that the annotations forbid.
    """

    labels: Tensor
    confidence: Tensor
    kept: Tensor
    inside: Tensor
    probabilities: Tensor


def make_pseudo_labels(
    probabilities: Tensor, allowed: Tensor, inside: Tensor, threshold: Tensor
) -> PseudoLabels:
    """Return the most probable allowed classes.

    Probabilities are normalised over the allowed classes. A pixel is kept if its label reaches the
    threshold, or if only one class is allowed.

    Args:
        probabilities: (N, K, h, w) of the teacher.
        allowed: (N, K, h, w) bool, at least one True per pixel.
        inside: (N, h, w) bool.
        threshold: (K,) lowest confidence of each class, or a scalar for all.
    """
    permitted = probabilities * allowed
    total = permitted.sum(dim=1, keepdim=True)
    uniform = allowed / allowed.sum(dim=1, keepdim=True)
    shares = torch.where(total > 0, permitted / total.clamp(min=1e-30), uniform)
    confidence, labels = shares.max(dim=1)
    required = threshold[labels] if threshold.dim() else threshold
    kept = inside & ((confidence >= required) | (allowed.sum(dim=1) == 1))
    return PseudoLabels(labels, confidence, kept, inside, shares)


def dynamic_threshold(confidence: Tensor, inside: Tensor) -> Tensor:
    """Return a threshold that follows the mean confidence of a batch.

    clamp(0.6 sigmoid(0.5 (mean - 0.5)), 0.3, 0.8). With these published constants it stays
    between 0.3 and 0.34.

    References:
        CW-BASS, arXiv:2502.15152.
    """
    mean = (confidence * inside).sum() / inside.sum().clamp(min=1)
    return (0.6 * torch.sigmoid(0.5 * (mean - 0.5))).clamp(0.3, 0.8)


def consistency_loss(logits: Tensor, target: PseudoLabels, params: SemiParams) -> Tensor:
    """Return the loss of a student on pseudo-labels.

    The sum over kept pixels of confidence^confidence_power (1 - p)^focal CE, divided by the number
    of pixels; plus ``boundary`` times the mean CE of the kept pixels at boundaries of the labels.

    Args:
        logits: (N, K, h, w) of the student on a strong view.

    Returns:
        Scalar; 0 if no pixel is kept.

    References:
        Sohn et al., FixMatch, arXiv:2001.07685; CW-BASS, arXiv:2502.15152 (weights, boundaries);
        Lin et al., Focal Loss, arXiv:1708.02002.
    """
    losses = functional.cross_entropy(logits, target.labels, reduction="none")
    weights = target.kept.to(losses)
    if params.confidence_power:
        weights = weights * target.confidence**params.confidence_power
    if params.focal:
        weights = weights * (1 - torch.exp(-losses)) ** params.focal
    loss = (weights * losses).sum() / target.inside.sum().clamp(min=1)
    if params.boundary:
        edge = target.kept & find_boundaries(target.labels, logits.shape[1])
        loss = loss + params.boundary * (losses * edge).sum() / edge.sum().clamp(min=1)
    return loss


def find_boundaries(labels: Tensor, n_classes: int) -> Tensor:
    """Return the pixels (N, h, w) bool at which the Sobel gradient of any class mask is not 0."""
    masks = functional.one_hot(labels, n_classes).movedim(-1, 1).flatten(0, 1)[:, None].float()
    across = masks.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([across, across.T])[:, None]
    steps = functional.conv2d(functional.pad(masks, (1, 1, 1, 1), mode="replicate"), kernels)
    edges = (steps != 0).any(dim=1).reshape(len(labels), n_classes, *labels.shape[1:])
    return edges.any(dim=1)


def shrinking_loss(logits: Tensor, target: PseudoLabels, threshold: Tensor) -> Tensor:
    """Return the loss on unconfident pixels over a smaller set of classes.

    For each such pixel the runner-up classes are left out, the most probable first, until the label
    reaches the threshold among the rest. The cross-entropy over the label and the rest is weighted
    by the confidence of the label among all classes.

    Args:
        logits: Logits (N, K, h, w) of the auxiliary head; gradients reach this head and the
            backbone only.
        threshold: (K,) lowest confidence of each class, or a scalar for all.

    Returns:
        Scalar, a mean over all pixels; 0 if every pixel is confident.

    References:
        Yang et al., Shrinking Class Space for Enhanced Certainty in Semi-Supervised Learning,
        arXiv:2308.06777.
    """
    required = (
        threshold[target.labels] if threshold.dim() else threshold.expand_as(target.confidence)
    )
    remaining = remaining_classes(target.probabilities, required)
    among = logits.masked_fill(~remaining, -torch.inf)
    right = logits.gather(1, target.labels[:, None])[:, 0]
    losses = torch.logsumexp(among, dim=1) - right
    weights = (target.inside & ~target.kept) * target.confidence
    return (weights * losses).sum() / target.inside.sum().clamp(min=1)


def remaining_classes(probabilities: Tensor, threshold: Tensor) -> Tensor:
    """Return the classes that remain when runners-up go until the top class is confident.

    Args:
        probabilities: (N, K, h, w).
        threshold: (N, h, w) share of the top class among the remaining ones.

    Returns:
        (N, K, h, w) bool, True for the top class.
    """
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
    rest = ranked.flip(1).cumsum(dim=1).flip(1)  # of a rank and all below it
    stays = ranked[:, :1] >= threshold[:, None] * (ranked[:, :1] + rest)
    stays[:, 0] = True
    return torch.zeros_like(stays).scatter(1, order, stays)
