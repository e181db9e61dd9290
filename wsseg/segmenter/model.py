"""Networks of segmentation-models-pytorch, with encoder weights from a file or a hub."""

import difflib
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wsseg.errors import InputError
from wsseg.run.settings import ModelSettings

_ENOUGH = 0.95  # share of the encoder's tensors that a weight file must hold


def build_network(settings: ModelSettings, n_classes: int) -> nn.Module:
    """Return a network that maps (N, 3, H, W) images to (N, K, H, W) logits.

    Args:
        settings: Architecture, encoder and weights.
        n_classes: K, the background included.

    Returns:
        The network, encoder weights loaded, the rest initialised from torch's random state.

    Raises:
        InputError: An unknown architecture, encoder or argument, or weights that do not fit.
    """
    local = _local_file(settings.weights)
    network: nn.Module = _construct(settings, n_classes, None if local else settings.weights)
    freeze_encoder(network, settings.frozen_blocks)
    if local:
        load_encoder_weights(network.get_submodule("encoder"), local)
    return network


def check_network(settings: ModelSettings) -> None:
    """Refuse settings that no network can be built from, without loading or making weights.

    Args:
        settings: Architecture, encoder and weights.

    Raises:
        InputError: An unknown architecture, encoder or argument, or a missing weight file.
    """
    _local_file(settings.weights)
    with torch.device("meta"):
        freeze_encoder(_construct(settings, 2, None), settings.frozen_blocks)


def load_encoder_weights(encoder: nn.Module, path: Path) -> int:
    """Load an encoder's weights from a file of tensors; tensors it has no use for are ignored.

    Args:
        encoder: An encoder of segmentation-models-pytorch, in place.
        path: A ``.pth``/``.pt`` state dict (read with ``weights_only``) or ``.safetensors``.

    Returns:
        The number of tensors loaded.

    Raises:
        InputError: The file is damaged, or holds too little of this encoder.
    """
    body = getattr(encoder, "model", None)
    target = body if isinstance(body, nn.Module) else encoder
    wanted = target.state_dict()
    found = _read_tensors(path)
    fitting = {k: v for k, v in found.items() if k in wanted and v.shape == wanted[k].shape}
    if len(fitting) < _ENOUGH * len(wanted):
        got = f"{len(fitting)} of {len(wanted)} tensors that fit"
        raise InputError(path, "weights of this encoder", got, "check model.encoder and its kwargs")
    target.load_state_dict(fitting, strict=False)
    return len(fitting)


def parameter_groups(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that train, apart for the encoder and for the rest.

    Args:
        network: A network of ``build_network``.

    Returns:
        Parameters of the encoder, and of the decoder and head.
    """
    in_encoder = {id(p) for p in network.get_submodule("encoder").parameters()}
    training = [p for p in network.parameters() if p.requires_grad]
    encoder = [p for p in training if id(p) in in_encoder]
    return encoder, [p for p in training if id(p) not in in_encoder]


def output_stride(network: nn.Module) -> int:
    """Return the number that the sides of the network's input must be divisible by.

    Args:
        network: A network of ``build_network``.

    Returns:
        Such as 32.
    """
    return int(getattr(network.get_submodule("encoder"), "output_stride", 32))


def freeze_encoder(network: nn.Module, blocks: int) -> None:
    """Stop the encoder's first blocks from training, in place.

    The earliest layers cost most of a backward pass and change least when fine-tuned.

    Args:
        network: A network of ``build_network``.
        blocks: Number of blocks after the stem that stay as they are; 0 freezes nothing.

    Raises:
        InputError: The encoder does not list its blocks.
    """
    if blocks == 0:
        return
    encoder = network.get_submodule("encoder")
    body = getattr(encoder, "model", encoder)
    parts = dict(body.named_children())
    if "blocks" not in parts:
        remedy = "set model.frozen_blocks=0"
        raise InputError("model.frozen_blocks", "0 for this encoder", blocks, remedy)
    stem = [part for name, part in parts.items() if name != "blocks"]
    for part in [*stem, *list(parts["blocks"].children())[:blocks]]:
        part.requires_grad_(False)


def _local_file(weights: str | None) -> Path | None:
    if weights is None or not weights.endswith((".pth", ".pt", ".bin", ".safetensors")):
        return None
    if not Path(weights).is_file():
        raise InputError(f"model.weights {weights}", "a file", "no such file", "check the path")
    return Path(weights)


def _construct(settings: ModelSettings, n_classes: int, hub_weights: str | None) -> Any:
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


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        raise InputError(path, "a file of tensors", repr(error), "export it again") from error
    return {k: v for k, v in loaded.items() if isinstance(v, Tensor)}
