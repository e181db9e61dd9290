"""What a student learns from a teacher's labels, pixel by pixel."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from wsseg.networks.semi.params import SemiParams

_SCALE, _STEEPNESS, _MIDDLE = 0.6, 0.5, 0.5  # of the dynamic threshold, as published
_RANGE = (0.3, 0.8)


class Taught(NamedTuple):
    """What a teacher says of a batch.

    Attributes:
        labels: (N, h, w) int64.
        confidence: (N, h, w) float, probability of the label.
        kept: (N, h, w) bool: sure enough to be learned.
        inside: (N, h, w) bool, False on padding.
        probabilities: (N, K, h, w) float: of all classes, 0 where the annotations forbid them.
    """

    labels: Tensor
    confidence: Tensor
    kept: Tensor
    inside: Tensor
    probabilities: Tensor


def taught(probabilities: Tensor, allowed: Tensor, inside: Tensor, least: Tensor) -> Taught:
    """Return a teacher's labels, held to what the annotations allow.

    Args:
        probabilities: (N, K, h, w) of the teacher.
        allowed: (N, K, h, w) bool, at least one True a pixel.
        inside: (N, h, w) bool.
        least: (K,) least confidence of each class, or a scalar for all.

    Returns:
        Labels among the allowed classes, and their probabilities among these. Where only one class
        is allowed it is always learned.
    """
    permitted = probabilities * allowed
    total = permitted.sum(dim=1, keepdim=True)
    alike = allowed / allowed.sum(dim=1, keepdim=True)
    shares = torch.where(total > 0, permitted / total.clamp(min=1e-30), alike)
    confidence, labels = shares.max(dim=1)
    needed = least[labels] if least.dim() else least
    kept = inside & ((confidence >= needed) | (allowed.sum(dim=1) == 1))
    return Taught(labels, confidence, kept, inside, shares)


def dynamic_threshold(confidence: Tensor, inside: Tensor) -> Tensor:
    """Return a threshold that follows the mean confidence of a batch.

    clamp(0.6 sigmoid(0.5 (mean - 0.5)), 0.3, 0.8). With these published constants it stays
    between 0.3 and 0.34, so that it is a low constant in all but name.

    Args:
        confidence: (N, h, w).
        inside: (N, h, w) bool.

    Returns:
        Scalar.

    References:
        CW-BASS, arXiv:2502.15152.
    """
    mean = (confidence * inside).sum() / inside.sum().clamp(min=1)
    return (_SCALE * torch.sigmoid(_STEEPNESS * (mean - _MIDDLE))).clamp(*_RANGE)


def consistency(logits: Tensor, target: Taught, settings: SemiParams) -> Tensor:
    """Return the loss of a student on a teacher's labels.

    The sum over kept pixels of confidence^weigh (1 - p)^focal CE, over all pixels or, with
    ``per_kept``, over the kept ones; and ``boundary`` times the mean CE of the kept pixels at
    boundaries of the teacher's labels.

    Args:
        logits: (N, K, h, w) of the student on a strong view.
        target: The teacher's labels for it.
        settings: Its "weigh", "focal", "per_kept" and "boundary".

    Returns:
        Scalar; 0 where no pixel is kept.

    References:
        Sohn et al., FixMatch, arXiv:2001.07685; CW-BASS, arXiv:2502.15152 (weights, boundaries);
        Lin et al., Focal Loss, arXiv:1708.02002.
    """
    each = functional.cross_entropy(logits, target.labels, reduction="none")
    weights = target.kept.to(each)
    if settings.weigh:
        weights = weights * target.confidence**settings.weigh
    if settings.focal:
        weights = weights * (1 - torch.exp(-each)) ** settings.focal
    counted = target.kept if settings.per_kept else target.inside
    loss = (weights * each).sum() / counted.sum().clamp(min=1)
    if settings.boundary:
        edge = target.kept & boundaries(target.labels, logits.shape[1])
        loss = loss + settings.boundary * (each * edge).sum() / edge.sum().clamp(min=1)
    return loss


def boundaries(labels: Tensor, n_classes: int) -> Tensor:
    """Return the pixels at which the Sobel gradient of some class's mask is not 0.

    Args:
        labels: (N, h, w) int64, 0 to K - 1.
        n_classes: K.

    Returns:
        (N, h, w) bool.
    """
    masks = functional.one_hot(labels, n_classes).movedim(-1, 1).flatten(0, 1)[:, None].float()
    across = masks.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    kernels = torch.stack([across, across.T])[:, None]
    steps = functional.conv2d(functional.pad(masks, (1, 1, 1, 1), mode="replicate"), kernels)
    found = (steps != 0).any(dim=1).reshape(len(labels), n_classes, *labels.shape[1:])
    return found.any(dim=1)


def shrunk(logits: Tensor, target: Taught, least: Tensor) -> Tensor:
    """Return the loss on pixels that are not sure enough, over fewer classes.

    Of each such pixel the runner-up classes are left out, the likeliest first, until the label is
    sure among the rest; the cross-entropy over the label and the rest is weighed by the label's
    confidence among all classes.

    Args:
        logits: (N, K, h, w) of an auxiliary head, which alone learns from it along with what is
            below it.
        target: The teacher's labels.
        least: (K,) least confidence of each class, or a scalar for all.

    Returns:
        Scalar, a mean over all pixels; 0 where every pixel is sure.

    References:
        Yang et al., Shrinking Class Space for Enhanced Certainty in Semi-Supervised Learning,
        arXiv:2308.06777.
    """
    needed = least[target.labels] if least.dim() else least.expand_as(target.confidence)
    remaining = kept_classes(target.probabilities, needed)
    among = logits.masked_fill(~remaining, -torch.inf)
    right = logits.gather(1, target.labels[:, None])[:, 0]
    each = torch.logsumexp(among, dim=1) - right
    unsure = target.inside & ~target.kept
    weights = unsure * target.confidence
    return (weights * each).sum() / target.inside.sum().clamp(min=1)


def kept_classes(probabilities: Tensor, least: Tensor) -> Tensor:
    """Return the classes that are left when runners-up go until the likeliest class is sure.

    Args:
        probabilities: (N, K, h, w).
        least: (N, h, w) what the likeliest class must have among the rest.

    Returns:
        (N, K, h, w) bool, True for the likeliest class.
    """
    ranked, order = probabilities.sort(dim=1, descending=True, stable=True)
    rest = ranked.flip(1).cumsum(dim=1).flip(1)  # of a rank and all below it
    stays = ranked[:, :1] >= least[:, None] * (ranked[:, :1] + rest)
    stays[:, 0] = True
    return torch.zeros_like(stays).scatter(1, order, stays)
