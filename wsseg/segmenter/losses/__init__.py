"""Losses by name, and how a configuration combines them."""

from collections.abc import Callable

from torch import Tensor

from wsseg.errors import InputError
from wsseg.segmenter.losses.gated_crf import gated_crf  # noqa: F401
from wsseg.segmenter.losses.labelled import cross_entropy, cross_entropy_and_dice, dice, focal

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "ce": cross_entropy,
    "focal": focal,
    "dice": dice,
    "ce+dice": cross_entropy_and_dice,
}


def find_loss(name: str) -> Loss:
    """Return a loss by name.

    Args:
        name: A key of ``LOSSES``.

    Returns:
        The loss.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    if name not in LOSSES:
        raise InputError("trainer.loss", f"one of {', '.join(LOSSES)}", name, "choose one of them")
    return LOSSES[name]
