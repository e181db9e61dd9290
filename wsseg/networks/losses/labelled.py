"""Losses of labelled pixels, of logits (N, K, H, W) float and a target (N, H, W) int64.

IGNORE pixels of the target are left out. If all are IGNORE, losses are 0 with zero gradient.
"""

import torch
from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss
from torch import Tensor
from torch.nn import functional

from wsseg.labelmaps import IGNORE


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean cross-entropy over the pixels that are not IGNORE.

    Example:
        >>> cross_entropy(torch.zeros(1, 2, 1, 2), torch.tensor([[[1, 255]]])).item()
        0.6931471824645996
    """
    total = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="sum")
    return total / _labelled(target)


def partial_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the class-balanced cross-entropy of partly labelled images.

    The mean over labelled images of the mean over their classes of the mean over labelled pixels:
    a click weighs as much as a long scribble, and an all-background image as much as one with two
    clicks.

    Example:
        >>> target = torch.tensor([[[1, 0, 0]], [[255, 255, 255]]])
        >>> logits = torch.tensor([2.0, 0.0])[None, :, None, None].expand(2, 2, 1, 3)
        >>> round(partial_cross_entropy(logits, target).item(), 3)
        1.127
    """
    losses = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    one_hot = functional.one_hot(target.where(target != IGNORE, logits.shape[1]))
    masks = one_hot[..., :-1].to(losses)
    counts = masks.sum(dim=(1, 2))
    means = (masks * losses[..., None]).sum(dim=(1, 2)) / counts.clamp(min=1)
    classes = (counts > 0).sum(dim=1)
    images = means.sum(dim=1) / classes.clamp(min=1)
    return images.sum() / (classes > 0).sum().clamp(min=1)


def focal(logits: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Return the mean focal loss, (1 - p)^gamma times the cross-entropy of each pixel.

    Args:
        gamma: Exponent that reduces the weight of confident pixels; 0 is the cross-entropy.

    References:
        Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002.
    """
    losses = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    return ((1 - torch.exp(-losses)) ** gamma * losses).sum() / _labelled(target)


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """Return the Dice loss averaged over classes that occur in the target.

    References:
        Milletari et al., V-Net, arXiv:1606.04797.
    """
    present = [label for label in range(logits.shape[1]) if bool((target == label).any())]
    if not present:
        return logits.sum() * 0
    loss: Tensor = DiceLoss(MULTICLASS_MODE, classes=present, ignore_index=IGNORE)(logits, target)
    return loss


def _labelled(target: Tensor) -> Tensor:
    return (target != IGNORE).sum().clamp(min=1)
