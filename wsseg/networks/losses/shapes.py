"""What losses ask of the shapes of their arguments."""

from collections.abc import Mapping

from torch import Tensor

from wsseg.errors import InputError


def check_sizes(loss: str, logits: Tensor, others: Mapping[str, Tensor | None]) -> None:
    """Raise unless tensors fit the logits.

    Args:
        loss: Named in errors.
        logits: (N, K, H, W).
        others: By name, each (N, H, W) or None.

    Raises:
        InputError: One has another number or size.
    """
    expected = (len(logits), *logits.shape[2:])
    for name, values in others.items():
        if values is not None and values.shape != expected:
            rule = f"of the logits' number and size {expected}"
            raise InputError(f"{loss} {name}", rule, tuple(values.shape), "resize one of them")
