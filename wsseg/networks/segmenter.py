"""Networks of segmentation-models-pytorch, with encoder weights from a file or a hub."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

from wsseg.errors import InputError
from wsseg.networks.params import SegmenterParams
from wsseg.networks.weights import freeze_encoder, load_encoder_weights, local_file


def build_network(settings: SegmenterParams, n_classes: int) -> nn.Module:
    """Return a network that maps (N, 3, H, W) images to (N, K, H, W) logits.

    Args:
        settings: Architecture, encoder and weights.
        n_classes: K, the background included.

    Returns:
        The network, encoder weights loaded, the rest initialised from torch's random state.

    Raises:
        InputError: An unknown architecture, encoder or argument, or weights that do not fit.
    """
    local = local_file(settings.weights)
    network: nn.Module = _construct(settings, n_classes, None if local else settings.weights)
    freeze_encoder(network, settings.frozen_blocks)
    if local:
        load_encoder_weights(network.get_submodule("encoder"), local)
    return network


def check_network(settings: SegmenterParams) -> None:
    """Refuse settings that no network can be built from, without loading or making weights.

    Args:
        settings: Architecture, encoder and weights.

    Raises:
        InputError: An unknown architecture, encoder or argument, or a missing weight file.
    """
    local_file(settings.weights)
    network_outline(settings, 2)


def network_outline(settings: SegmenterParams, n_classes: int) -> nn.Module:
    """Return a network that knows the shapes of its tensors, and has no memory for them.

    Args:
        settings: Architecture, encoder and weights.
        n_classes: K, the background included.

    Returns:
        The network, on torch's device "meta".

    Raises:
        InputError: An unknown architecture, encoder or argument.
    """
    with torch.device("meta"):
        network: nn.Module = _construct(settings, n_classes, None)
        freeze_encoder(network, settings.frozen_blocks)
    return network


def output_stride(network: nn.Module) -> int:
    """Return the number that the sides of the network's input must be divisible by.

    Args:
        network: A network of ``build_network``.

    Returns:
        Such as 32.
    """
    return int(getattr(network.get_submodule("encoder"), "output_stride", 32))


@contextmanager
def head_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """Within it, what the network's last layer sees is collected.

    Args:
        network: Of ``build_network``.

    Yields:
        A list that gets a tensor (N, F, h, w) for each forward pass.
    """
    features: list[Tensor] = []
    head = network.get_submodule("segmentation_head")
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        yield features
    finally:
        hook.remove()


def _construct(settings: SegmenterParams, n_classes: int, hub_weights: str | None) -> Any:
    known = {model.__name__: model for model in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if settings.architecture not in known:
        nearest = difflib.get_close_matches(settings.architecture, known, 1, 0)[0]
        rule = f"one of {', '.join(sorted(known))}"
        remedy = f"did you mean {nearest!r}?"
        raise InputError("model.architecture", rule, settings.architecture, remedy)
    try:
        return known[settings.architecture](
            settings.encoder,
            encoder_weights=hub_weights,
            classes=n_classes,
            **settings.encoder_kwargs,
            **settings.decoder_kwargs,
        )
    except (TypeError, ValueError, KeyError, RuntimeError, OSError) as error:
        got = " ".join(str(error).split())
        remedy = "check encoder, weights, encoder_kwargs and decoder_kwargs"
        rule = "settings of a network that can be built"
        raise InputError("model", rule, got, remedy) from error
