"""A look inside a network's forward pass that leaves no trace in the network."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from wsseg.errors import InputError
from wsseg.networks.classifier import TagClassifier


def only(captured: list[Tensor], layer: str | None) -> Tensor:
    """Return the one feature map that a layer made.

    Args:
        captured: What ``captured_at`` yielded, after the forward pass.
        layer: Its name.

    Returns:
        (N, D, h, w).

    Raises:
        InputError: The layer did not run, ran more than once or makes no feature map.
    """
    if len(captured) != 1 or captured[0].ndim != 4:
        shapes = ", ".join(f"{tuple(each.shape)}" for each in captured) or "no result"
        rule = "a submodule that makes one feature map (N, D, h, w) of the images"
        raise InputError("cam.layer", rule, f"{layer!r} with {shapes}", "choose another or null")
    return captured[0]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients of weights; every module's and weight's own state comes back.

    Args:
        network: In place.
    """
    training = [(module, module.training) for module in network.modules()]
    learning = [(weight, weight.requires_grad) for weight in network.parameters()]
    try:
        network.eval()
        network.requires_grad_(False)
        yield
    finally:
        for module, mode in training:
            module.training = mode
        for weight, flag in learning:
            weight.requires_grad_(flag)


@contextmanager
def captured_at(network: TagClassifier, layer: str | None) -> Iterator[list[Tensor]]:
    """Yield a list that the forward pass adds a layer's output to, from which gradients flow.

    Args:
        network: Its hooks are as before afterwards.
        layer: A submodule of the encoder; None is what the head sees.

    Raises:
        InputError: The encoder has no such submodule.
    """
    captured: list[Tensor] = []

    def capture(found: Any) -> Any:
        if not isinstance(found, Tensor):
            return found
        captured.append(found.detach().requires_grad_())
        return captured[-1].clone()  # what follows may work in place

    with ExitStack() as hooks:
        if layer is None:
            handle = network.head.register_forward_pre_hook(lambda _, args: (capture(*args),))
        else:
            part = _submodule(network.encoder, layer)
            handle = part.register_forward_hook(lambda _, __, found: capture(found))
        hooks.callback(handle.remove)
        yield captured


def _submodule(encoder: nn.Module, name: str) -> nn.Module:
    body = getattr(encoder, "model", encoder)
    if getattr(body, "output_fmt", "NCHW") != "NCHW":
        rule = "null for an encoder whose parts put channels last"
        raise InputError("cam.layer", rule, repr(name), "remove it")
    try:
        found: nn.Module = body.get_submodule(name)
    except AttributeError as error:
        known = ", ".join(name for name, _ in body.named_children())
        remedy = f"choose a part of {known}"
        raise InputError("cam.layer", "a submodule of the encoder", repr(name), remedy) from error
    return found
