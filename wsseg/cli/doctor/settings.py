"""Checks of a configuration: its data set, settings, trainers and pre-trained weights."""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import timm
import torch
from huggingface_hub import try_to_load_from_cache
from segmentation_models_pytorch.encoders import encoders

from wsseg.cli.doctor.check import Check, failed
from wsseg.data.load import read_weak
from wsseg.data.model import Dataset
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.networks.params import ClassifierNetworkParams, SegmenterParams, TrainingParams
from wsseg.networks.train import check_training
from wsseg.networks.weights import local_file
from wsseg.runs.config import Config
from wsseg.seeds.cam import find_activation
from wsseg.stages.checks import check_settings
from wsseg.stages.tags.affinity import affinity_training
from wsseg.stages.tags.classifier import only_tagged

T = TypeVar("T")

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_TIMM_PREFIX = "tu-"  # segmentation-models-pytorch's prefix for encoders of timm
_HUB_PREFIXES = ("hf-hub:", "hf_hub:")


def check_settings_and_data(config: Config) -> Iterator[Check]:
    """Yield the data set, which is read once, the settings, each trainer, and the weights."""
    dataset = None
    try:
        dataset = _read(config.data)
    except InputError as error:
        yield failed("data", error)
    except OSError as error:
        yield Check("data", "problem", str(error), "check the permissions of data.root")
    if dataset is not None:
        yield from _check_data(config, dataset)
    yield _checked("settings", f"pipeline {config.pipeline}", check_settings, config)
    has_classifier, machine = _has_classifier(config, dataset), config.machine
    for name, trainer in _trainers(config, has_classifier).items():
        message = f"{machine.device}, devices {machine.devices}, precision {machine.precision}"
        yield _checked(name, message, partial(check_training, machine=machine), trainer)
    yield check_weights("model.weights", config.model)
    if has_classifier:
        yield check_weights("classifier", config.classifier.network(config.model))


def _read(data: DataParams) -> Dataset:
    """Read the data set; missing demo scenes are generated in a temporary folder."""
    if data.format == "scenes" and not data.root.exists():
        with tempfile.TemporaryDirectory(prefix="wsseg-doctor-") as folder:
            dataset = read_weak(data.model_copy(update={"root": Path(folder)}))
    else:
        dataset = read_weak(data)
    for split in data.splits:
        dataset.split(split)  # raises if there is no such split
    return dataset


def _check_data(config: Config, dataset: Dataset) -> Iterator[Check]:
    data = config.data
    counts = ", ".join(f"{len(dataset.split(split))} {split}" for split in data.splits)
    classes = f"{len(dataset.classes) - 1} classes"
    is_new = "" if data.root.exists() else ", generated when the run starts"
    yield Check("data", "ok", f"{data.root}: {dataset.format}{is_new}; images: {counts}; {classes}")
    if fatal := [problem for problem in dataset.problems if problem.fatal]:
        message = f"{len(fatal)} images or files cannot be used, such as {fatal[0].subject}"
        remedy = f"wsseg check {data.root} lists them"
        yield Check("data", "problem" if config.strict else "warning", message, remedy)


def _has_classifier(config: Config, dataset: Dataset | None) -> bool:
    if Path(config.pipeline).stem != "weak" or dataset is None:
        return False
    is_tagged = bool(only_tagged(dataset, config.data.train).samples)
    return is_tagged and find_activation(config.cam.method) is None


def _checked(subject: str, message: str, check: Callable[[T], None], value: T) -> Check:
    try:
        check(value)
    except InputError as error:
        return failed(subject, error)
    return Check(subject, "ok", message)


def _trainers(config: Config, has_classifier: bool) -> dict[str, TrainingParams]:
    trainers: dict[str, TrainingParams] = {"trainer": config.trainer}
    if has_classifier:
        trainers["classifier.trainer"] = config.classifier.trainer
        if config.cam.affinity == "learned":
            trainers["cam.affinity"] = affinity_training(config)
    return trainers


class _Download(NamedTuple):
    """The source of downloaded weights: a repository on the Hugging Face Hub or a URL."""

    repository: str = ""
    revision: str | None = None
    url: str = ""


def check_weights(name: str, network: SegmenterParams | ClassifierNetworkParams) -> Check:
    """Return whether the weights that a network starts from are on this machine.

    Args:
        name: The setting, such as "model.weights".
    """
    try:
        path = local_file(network.weights)
    except InputError as error:
        return failed(name, error)
    if network.weights is None:
        return Check(name, "ok", f"none: {network.encoder} is initialised at random")
    if path:
        return Check(name, "ok", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    find = _weights_of_smp if isinstance(network, SegmenterParams) else _weights_of_timm
    download = find(network.encoder, network.weights)
    if download is None:
        message = f"{network.encoder} has no pre-trained weights {network.weights!r}"
        return Check(name, "problem", message, f"set {name} to a file, or to null")
    source = download.repository or download.url
    if _is_cached(download):
        return Check(name, "ok", f"{source}, downloaded already")
    offline = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "on", "yes", "true")
    message = f"{source} is downloaded at the first use"
    remedy = "run once with a network connection"
    return Check(name, "problem" if offline else "warning", message, remedy)


def _weights_of_smp(encoder: str, weights: str | None) -> _Download | None:
    if encoder not in encoders:
        return _weights_of_timm(encoder.removeprefix(_TIMM_PREFIX), weights)
    settings = encoders[encoder]["pretrained_settings"].get(weights)
    return _Download(settings["repo_id"], settings.get("revision")) if settings else None


def _weights_of_timm(encoder: str, _: str | None) -> _Download | None:
    """Return the source of timm's weights, which depend on the encoder's name alone."""
    if encoder.startswith(_HUB_PREFIXES):
        return _Download(encoder.partition(":")[2])
    config = timm.get_pretrained_cfg(encoder)
    if config is None or not config.has_weights:
        return None
    return _Download(str(config.hf_hub_id or ""), None, str(config.url or ""))


def _is_cached(download: _Download) -> bool:
    in_hub_cache = any(
        isinstance(
            try_to_load_from_cache(download.repository, file, revision=download.revision), str
        )
        for file in _WEIGHT_FILES
        if download.repository
    )
    file = Path(torch.hub.get_dir()) / "checkpoints" / download.url.rpartition("/")[2]
    return in_hub_cache or (bool(download.url) and file.is_file())
