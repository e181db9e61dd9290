"""Gradient methods: how channels of a feature map are weighted to show what a score rests on."""

from collections.abc import Callable

import torch
from torch import Tensor

from wsseg.errors import InputError

Weighting = Callable[[Tensor, Tensor], Tensor]
"""Activations (N, D, h, w) and the gradient of a score by them -> one map (N, h, w)."""


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, each weighted by the mean of its gradient.

    On the feature map before global-average pooling and a linear head this is CAM, divided by
    the number of places.

    Args:
        activations: (N, D, h, w).
        gradients: (N, D, h, w) of the score by them.

    Returns:
        (N, h, w), negative values included.

    References:
        Selvaraju et al., Grad-CAM, ICCV 2017, arXiv:1610.02391.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, weighted by their positive gradients where these count most.

    The weight of a channel is the sum over its places of a relu(g) with
    a = g^2 / (2 g^2 + g^3 sum A), taken as 0 where g is 0; powers of one first derivative stand
    for the higher ones, as in the paper's closed form for exp(score).

    Args:
        activations: (N, D, h, w).
        gradients: (N, D, h, w) of the score by them.

    Returns:
        (N, h, w), negative values included.

    References:
        Chattopadhyay et al., Grad-CAM++, WACV 2018, arXiv:1710.11063.
    """
    square, total = gradients**2, activations.sum(dim=(2, 3), keepdim=True)
    divisor = 2 * square + gradients**3 * total + _TINY
    share = torch.where(gradients != 0, square / divisor, 0)
    weights = (share * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, weighted place by place by their positive gradients.

    Args:
        activations: (N, D, h, w).
        gradients: (N, D, h, w) of the score by them.

    Returns:
        (N, h, w).

    References:
        Jiang et al., LayerCAM, IEEE TIP 2021, doi:10.1109/TIP.2021.3089943.
    """
    return (gradients.relu() * activations).sum(dim=1)


WEIGHTINGS: dict[str, Weighting] = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
}
"""The gradient methods by name."""

_TINY = 1e-6


def find_weighting(method: str) -> Weighting:
    """Return the gradient method of a name.

    Args:
        method: A key of ``WEIGHTINGS``.

    Returns:
        The method.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    if method not in WEIGHTINGS:
        remedy = f"choose one of {', '.join(['cam', *WEIGHTINGS])}"
        raise InputError("cam.method", "a method of tag classifiers", repr(method), remedy)
    return WEIGHTINGS[method]
