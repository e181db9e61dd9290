"""Pre-trained encoder weights, frozen layers, and the device of a network."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wsseg.errors import InputError

_MIN_SHARE = 0.95  # of the encoder's tensors that a weight file must hold


def local_file(weights: str | None) -> Path | None:
    """Return the file of a setting ``weights``, or None if it names hub weights or none.

    Raises:
        InputError: It ends in .pth, .pt, .bin or .safetensors, and there is no such file.
    """
    if weights is None or not weights.endswith((".pth", ".pt", ".bin", ".safetensors")):
        return None
    if not Path(weights).is_file():
        raise InputError(f"weights {weights}", "a file", "no such file", "check the path")
    return Path(weights)


def load_encoder_weights(encoder: nn.Module, path: Path) -> int:
    """Load the weights of an encoder from a file of tensors, ignoring the other tensors in it.

    Args:
        encoder: An encoder of timm or of segmentation-models-pytorch; changed in place.
        path: A ``.pth``/``.pt`` state dict (read with ``weights_only``) or ``.safetensors``.

    Raises:
        InputError: The file is damaged, or holds less than 95 % of the encoder's tensors.
    """
    body = getattr(encoder, "model", None)
    target = body if isinstance(body, nn.Module) else encoder
    expected = target.state_dict()
    tensors = _read_tensors(path)
    fitting = {k: v for k, v in tensors.items() if k in expected and v.shape == expected[k].shape}
    if len(fitting) < _MIN_SHARE * len(expected):
        got = f"{len(fitting)} of {len(expected)} tensors that fit"
        raise InputError(path, "weights of this encoder", got, "check the encoder and its kwargs")
    target.load_state_dict(fitting, strict=False)
    return len(fitting)


def parameter_groups(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the trainable parameters of the submodule ``encoder``, and all others."""
    in_encoder = {id(p) for p in network.get_submodule("encoder").parameters()}
    trainable = [p for p in network.parameters() if p.requires_grad]
    encoder = [p for p in trainable if id(p) in in_encoder]
    return encoder, [p for p in trainable if id(p) not in in_encoder]


def freeze_encoder(network: nn.Module, blocks: int) -> None:
    """Freeze the stem and the first blocks of the submodule ``encoder``, in place.

    The earliest layers cost most of a backward pass and change least in fine-tuning.

    Raises:
        InputError: The encoder does not list its blocks.
    """
    if blocks == 0:
        return
    encoder = network.get_submodule("encoder")
    parts = dict(getattr(encoder, "model", encoder).named_children())
    if "blocks" not in parts:
        remedy = "set frozen_blocks=0"
        raise InputError("frozen_blocks", "0 for this encoder", blocks, remedy)
    stem = [part for name, part in parts.items() if name != "blocks"]
    for part in [*stem, *list(parts["blocks"].children())[:blocks]]:
        part.requires_grad_(False)


def device_of(device: str) -> str:
    """Return the torch device of the setting ``machine.device``: "cuda" or "cpu".

    Raises:
        InputError: It is "cuda", and torch finds no GPU.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise InputError("machine.device is cuda, but torch finds no GPU", hint="set it to auto")
    return "cuda" if has_gpu and device != "cpu" else "cpu"


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        raise InputError(path, "a file of tensors", repr(error), "export it again") from error
    if not isinstance(loaded, dict):
        raise InputError(path, "a file of tensors", type(loaded).__name__, "export a state dict")
    return {k: v for k, v in loaded.items() if isinstance(k, str) and isinstance(v, Tensor)}
