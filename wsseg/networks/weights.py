"""Pre-trained encoder weights, frozen layers, and the device of a network."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from safetensors.torch import load_file
from segmentation_models_pytorch.encoders import encoders
from torch import Tensor, nn

from wsseg.errors import InputError
from wsseg.networks.params import ClassifierNetworkParams, SegmenterParams

_MIN_SHARE = 0.95  # of the encoder's tensors that a weight file must hold
_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
TIMM_PREFIX = "tu-"  # segmentation-models-pytorch's prefix for encoders of timm
_HUB_PREFIXES = ("hf-hub:", "hf_hub:")


@dataclass(frozen=True)
class WeightSource:
    """The source of downloaded weights: a repository on the Hugging Face Hub or a URL."""

    repository: str = ""
    revision: str | None = None
    url: str = ""

    def __str__(self) -> str:
        return self.repository or self.url

    @property
    def is_cached(self) -> bool:
        """True if the weights are on this machine."""
        in_hub_cache = any(
            isinstance(try_to_load_from_cache(self.repository, file, revision=self.revision), str)
            for file in _WEIGHT_FILES
            if self.repository
        )
        file = Path(torch.hub.get_dir()) / "checkpoints" / self.url.rpartition("/")[2]
        return in_hub_cache or (bool(self.url) and file.is_file())


def weight_source(network: SegmenterParams | ClassifierNetworkParams) -> WeightSource | None:
    """Return where the pre-trained weights of an encoder are downloaded from.

    Args:
        network: Its ``weights`` are the name of hub weights.

    Returns:
        The source; None if the encoder has no weights of this name.
    """
    if isinstance(network, ClassifierNetworkParams):
        return _timm_source(network.encoder)
    if network.encoder not in encoders:
        return _timm_source(network.encoder.removeprefix(TIMM_PREFIX))
    settings = encoders[network.encoder]["pretrained_settings"].get(network.weights)
    return WeightSource(settings["repo_id"], settings.get("revision")) if settings else None


def _timm_source(encoder: str) -> WeightSource | None:
    """Return the source of timm's weights, which depend on the encoder's name alone."""
    if encoder.startswith(_HUB_PREFIXES):
        return WeightSource(encoder.partition(":")[2])
    config = timm.get_pretrained_cfg(encoder)
    if config is None or not config.has_weights:
        return None
    return WeightSource(str(config.hf_hub_id or ""), None, str(config.url or ""))


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

    Position embeddings of another grid and the names of other publications are converted if timm
    can do so for the model.

    Args:
        encoder: An encoder of timm or of segmentation-models-pytorch; changed in place.
        path: A ``.pth``/``.pt`` state dict (read with ``weights_only``) or ``.safetensors``.

    Raises:
        InputError: The file is damaged, or holds less than 95 % of the encoder's tensors or not
            all of its position embeddings.
    """
    body = getattr(encoder, "model", None)
    target = body if isinstance(body, nn.Module) else encoder
    expected = target.state_dict()
    tensors = read_tensors(path)
    fitting = _fitting(tensors, expected)
    if len(fitting) < len(expected):
        fitting = max(fitting, _fitting(_convert(tensors, target), expected), key=len)
    missing = [name for name in expected if name not in fitting]
    # Without the embeddings of positions a transformer confuses all places of an image.
    places = [name for name in missing if "pos_embed" in name or "rel_pos" in name]
    if places or len(fitting) < _MIN_SHARE * len(expected):
        example = (places or missing)[0]
        got = f"{len(fitting)} of {len(expected)} tensors that fit, without {example}"
        raise InputError(path, "weights of this encoder", got, "check the encoder and its kwargs")
    target.load_state_dict(fitting, strict=False)
    return len(fitting)


def _fitting(tensors: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k: v for k, v in tensors.items() if k in expected and v.shape == expected[k].shape}


def _convert(tensors: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Return weights as timm converts them for a model; as they are if it cannot."""
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return tensors
    try:
        return dict(convert(dict(tensors), model))
    except Exception:  # timm's functions raise many kinds for the weights of another model
        return tensors


def parameter_groups(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Return the trainable parameters of the submodule ``encoder``, and all others."""
    in_encoder = {id(p) for p in network.get_submodule("encoder").parameters()}
    trainable = [p for p in network.parameters() if p.requires_grad]
    encoder = [p for p in trainable if id(p) in in_encoder]
    return encoder, [p for p in trainable if id(p) not in in_encoder]


def freeze_encoder(network: nn.Module, blocks: int | Literal["all"]) -> None:
    """Freeze the stem and the first blocks of the submodule ``encoder``, in place.

    The earliest layers cost most of a backward pass and change least in fine-tuning. Without any
    trainable parameter the encoder keeps no activations for a backward pass.

    Args:
        blocks: Number of blocks; "all" freezes the whole encoder.

    Raises:
        InputError: The encoder does not list its blocks.
    """
    encoder = network.get_submodule("encoder")
    if blocks == "all":
        encoder.requires_grad_(False)
        return
    if blocks == 0:
        return
    body = getattr(encoder, "model", encoder)
    listed = getattr(body, "blocks", None)
    if not isinstance(listed, nn.Module):
        remedy = "set frozen_blocks=0, or frozen_blocks=all"
        raise InputError("frozen_blocks", "0 or all for this encoder", blocks, remedy)
    trained = {id(p) for block in list(listed.children())[blocks:] for p in block.parameters()}
    for parameter in body.parameters():
        if id(parameter) not in trained:
            parameter.requires_grad_(False)


def device_of(device: str) -> str:
    """Return the torch device of the setting ``machine.device``: "cuda" or "cpu".

    Raises:
        InputError: It is "cuda", and torch finds no GPU.
    """
    has_gpu = torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise InputError("machine.device is cuda, but torch finds no GPU", hint="set it to auto")
    return "cuda" if has_gpu and device != "cpu" else "cpu"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a state dict in a file of torch or safetensors, without unpickling.

    Raises:
        InputError: The file is damaged or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for a damaged file
        raise InputError(path, "a file of tensors", repr(error), "export it again") from error
    if not isinstance(loaded, dict):
        raise InputError(path, "a file of tensors", type(loaded).__name__, "export a state dict")
    return {k: v for k, v in loaded.items() if isinstance(k, str) and isinstance(v, Tensor)}
