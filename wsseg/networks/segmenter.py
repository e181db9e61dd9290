"""Segmentation networks of segmentation-models-pytorch."""

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


def build_network(params: SegmenterParams, n_classes: int) -> nn.Module:
    """Return a network that maps (N, 3, H, W) images to (N, K, H, W) logits.

    The encoder has its pre-trained weights; the rest is initialised from torch's random state.

    Args:
        n_classes: K, including the background.

    Raises:
        InputError: The architecture, encoder or an argument is unknown, or weights do not fit.
    """
    local = local_file(params.weights)
    network: nn.Module = _construct(params, n_classes, None if local else params.weights)
    freeze_encoder(network, params.frozen_blocks)
    if local:
        load_encoder_weights(network.get_submodule("encoder"), local)
    return network


def check_network(params: SegmenterParams) -> None:
    """Raise if no network can be built, without allocating or loading weights.

    Raises:
        InputError: The architecture, encoder or an argument is unknown, or a file is missing.
    """
    local_file(params.weights)
    with torch.device("meta"):
        network: nn.Module = _construct(params, 2, None)
        freeze_encoder(network, params.frozen_blocks)


def output_stride(network: nn.Module) -> int:
    """Return the number by which the sides of the network's input must be divisible."""
    return int(getattr(network.get_submodule("encoder"), "output_stride", 32))


@contextmanager
def capture_head_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the input of the network's last layer.

    Yields:
        A list that gets one tensor (N, F, h, w) per forward pass.
    """
    features: list[Tensor] = []
    head = network.get_submodule("segmentation_head")
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        yield features
    finally:
        hook.remove()


def _construct(params: SegmenterParams, n_classes: int, hub_weights: str | None) -> Any:
    architectures = {model.__name__: model for model in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    if params.architecture not in architectures:
        nearest = difflib.get_close_matches(params.architecture, architectures, 1, 0)[0]
        rule = f"one of {', '.join(sorted(architectures))}"
        remedy = f"did you mean {nearest!r}?"
        raise InputError("model.architecture", rule, params.architecture, remedy)
    try:
        return architectures[params.architecture](
            params.encoder,
            encoder_weights=hub_weights,
            classes=n_classes,
            **params.encoder_kwargs,
            **params.decoder_kwargs,
        )
    except (TypeError, ValueError, KeyError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        hint = "check encoder, weights, encoder_kwargs and decoder_kwargs of model"
        raise InputError(f"the network of model cannot be built: {reason}", hint=hint) from error
