"""Weights that networks start from: a file, or a hub's, which may be here already."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from segmentation_models_pytorch.encoders import encoders

from wsseg.cli.doctor.found import Found, refused
from wsseg.errors import InputError
from wsseg.networks.params import ClassifierParams, SegmenterParams
from wsseg.networks.weights import local_file

_FILES = ("model.safetensors", "pytorch_model.bin")
_OF_TIMM = "tu-"  # how segmentation-models-pytorch calls encoders of timm
_OF_HUB = ("hf-hub:", "hf_hub:")


class _OnHub(NamedTuple):
    """Where weights are downloaded from.

    Attributes:
        repository: On the Hugging Face Hub, empty where there is none.
        revision: Of the repository; None for its newest.
        address: Of a file, empty where there is none.
    """

    repository: str = ""
    revision: str | None = None
    address: str = ""


def look(name: str, settings: SegmenterParams | ClassifierParams) -> Iterator[Found]:
    """Yield whether the weights that a network starts from are here.

    Args:
        name: Of the setting, such as "model.weights".
        settings: The network.

    Yields:
        One line.
    """
    try:
        path = local_file(settings.weights)
    except InputError as error:
        yield refused(name, error)
        return
    if settings.weights is None:
        yield Found(name, "ok", f"none: {settings.encoder} starts from random numbers")
    elif path:
        yield Found(name, "ok", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    else:
        yield _of_hub(name, settings)


def _of_hub(name: str, settings: SegmenterParams | ClassifierParams) -> Found:
    is_segmenter = isinstance(settings, SegmenterParams)
    hub = (_place_of_smp if is_segmenter else _place_of_timm)(settings.encoder, settings.weights)
    if hub is None:
        found = f"no weights {settings.weights!r} of {settings.encoder} are known"
        return Found(name, "problem", found, f"set {name} to a file, or to null")
    place = hub.repository or hub.address
    if _is_cached(hub):
        return Found(name, "ok", f"{place}, downloaded already")
    found, remedy = f"{place} is downloaded at the first use", "run where there is a network once"
    return Found(name, "problem" if _is_offline() else "warning", found, remedy)


def _place_of_smp(encoder: str, weights: str | None) -> _OnHub | None:
    if encoder not in encoders:
        return _place_of_timm(encoder.removeprefix(_OF_TIMM), weights)
    known = encoders[encoder]["pretrained_settings"].get(weights)
    return _OnHub(known["repo_id"], known.get("revision")) if known else None


def _place_of_timm(encoder: str, _: str | None) -> _OnHub | None:
    """Weights of timm go by the encoder's name alone."""
    if encoder.startswith(_OF_HUB):
        return _OnHub(encoder.partition(":")[2])
    known = timm.get_pretrained_cfg(encoder)
    if known is None or not known.has_weights:
        return None
    return _OnHub(str(known.hf_hub_id or ""), None, str(known.url or ""))


def _is_cached(hub: _OnHub) -> bool:
    in_cache = (
        try_to_load_from_cache(hub.repository, name, revision=hub.revision)
        for name in _FILES
        if hub.repository
    )
    file = Path(torch.hub.get_dir()) / "checkpoints" / hub.address.rpartition("/")[2]
    return any(isinstance(path, str) for path in in_cache) or (bool(hub.address) and file.is_file())


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "on", "yes", "true")
