"""Weights of networks: pre-trained ones from a file, what trains, and checkpoints."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wsseg.errors import InputError
from wsseg.files import atomic_write

_AGAIN = "delete its folder to train again, or point to a run whose training has ended"
_ENOUGH = 0.95  # share of the encoder's tensors that a weight file must hold


def local_file(weights: str | None) -> Path | None:
    """Return the file that a setting names, None where it names weights of a hub, or none.

    Args:
        weights: A path that ends in .pth, .pt, .bin or .safetensors, a hub's name, or None.

    Returns:
        The file.

    Raises:
        InputError: There is no such file.
    """
    if weights is None or not weights.endswith((".pth", ".pt", ".bin", ".safetensors")):
        return None
    if not Path(weights).is_file():
        raise InputError(f"weights {weights}", "a file", "no such file", "check the path")
    return Path(weights)


def load_encoder_weights(encoder: nn.Module, path: Path) -> int:
    """Load an encoder's weights from a file of tensors; tensors it has no use for are ignored.

    Args:
        encoder: Of timm or of segmentation-models-pytorch, in place.
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
        raise InputError(path, "weights of this encoder", got, "check the encoder and its kwargs")
    target.load_state_dict(fitting, strict=False)
    return len(fitting)


def parameter_groups(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the parameters that train, apart for the encoder and for the rest.

    Args:
        network: Has a submodule ``encoder``.

    Returns:
        Parameters of the encoder, and of the decoder and head.
    """
    in_encoder = {id(p) for p in network.get_submodule("encoder").parameters()}
    training = [p for p in network.parameters() if p.requires_grad]
    encoder = [p for p in training if id(p) in in_encoder]
    return encoder, [p for p in training if id(p) not in in_encoder]


def freeze_encoder(network: nn.Module, blocks: int) -> None:
    """Stop the encoder's first blocks from training, in place.

    The earliest layers cost most of a backward pass and change least when fine-tuned.

    Args:
        network: Has a submodule ``encoder``.
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


def write_checkpoint(path: Path, content: Any) -> None:
    """Write what torch can save, atomically.

    Args:
        path: The file.
        content: Tensors, numbers and texts in lists and dicts.

    Raises:
        OSError: The file cannot be written, such as to a full disk.
    """
    buffer = io.BytesIO()  # written to directly, torch hides what the disk says
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def read_checkpoint(path: Path, what: str, keys: set[str]) -> dict[str, Any]:
    """Return what ``write_checkpoint`` wrote.

    Args:
        path: The file; read with ``weights_only``.
        what: Named in errors, such as "a trained segmenter".
        keys: What it must hold.

    Returns:
        Its content.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    try:
        content = whole_content(path)
    except FileNotFoundError as error:
        raise InputError(path, what, "no such file", _AGAIN) from error
    except Exception as error:  # torch and zipfile raise many kinds for a damaged file
        got = f"a damaged or another file ({type(error).__name__})"
        raise InputError(path, what, got, _AGAIN) from error
    if not (isinstance(content, dict) and keys <= set(content)):
        raise InputError(path, what, "another checkpoint", _AGAIN)
    return content


def whole_content(path: Path) -> Any:
    """Return what ``write_checkpoint`` wrote, whatever it is.

    Args:
        path: The file; read with ``weights_only``.

    Returns:
        Its content, on the CPU.

    Raises:
        Exception: Of many kinds: the file is missing, cut off or changed in any bit that counts.
    """
    with zipfile.ZipFile(path) as held:  # torch itself compares no checksum
        damaged = held.testzip()
    if damaged:
        raise zipfile.BadZipFile(f"{damaged} is not what was written")
    return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def restoring(path: Path, what: str) -> Iterator[None]:
    """Say which file it is that no network can be made of.

    Args:
        path: A checkpoint that has been read.
        what: Named in errors, such as "a trained segmenter".

    Raises:
        InputError: In place of what false settings and tensors of another network raise.
    """
    try:
        yield
    except InputError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        got = f"one that no network can be made of ({' '.join(str(error).split())[:200]})"
        raise InputError(path, what, got, _AGAIN) from error


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
