"""What a training minimises."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Objective = Callable[[nn.Module, Tensor, Any, float], Tensor]
"""(network, images (B, 3, h, w), targets, share of the steps done 0..1) -> scalar to minimise."""


def of_output(
    network: nn.Module,
    images: Tensor,
    targets: Tensor,
    progress: float,  # noqa: ARG001 - every objective is told
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Return a loss that depends on the network's output only; an ``Objective`` once it has one.

    Args:
        network: The network.
        images: (B, 3, h, w).
        targets: What the loss takes.
        progress: Not looked at.
        loss: (output, targets) -> scalar.

    Returns:
        Scalar.
    """
    return loss(network(images), targets)
