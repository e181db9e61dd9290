"""Checks of a configuration: its data set, settings, trainers and pre-trained weights."""

import os
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from wsseg.cli.doctor.check import Check, failed
from wsseg.data.load import read_weak
from wsseg.data.model import Dataset
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.foundation.families import published_licence
from wsseg.foundation.load import check_installed, load_model
from wsseg.foundation.weights import find_weights, must_be_downloaded
from wsseg.networks.params import ClassifierNetworkParams, SegmenterParams
from wsseg.networks.train import check_training
from wsseg.networks.weights import local_file, read_tensors, weight_source
from wsseg.runs.config import Config
from wsseg.stages.checks import check_settings, networks, stopping_problems, trainers
from wsseg.stages.foundation import foundation_models

T = TypeVar("T")


def check_settings_and_data(config: Config) -> Iterator[Check]:
    """Yield the data set, which is read once, the settings, each trainer, and all weights."""
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
    machine = config.machine
    for name, trainer in trainers(config, dataset).items():
        message = f"{machine.device}, devices {machine.devices}, precision {machine.precision}"
        yield _checked(name, message, partial(check_training, machine=machine), trainer)
    for name, network in networks(config, dataset).items():
        yield check_weights(name, network)
    for setting, (model, family) in foundation_models(config, dataset).items():
        yield check_model(setting, model, family)


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
    for problem in stopping_problems(config, dataset):
        yield failed("data", problem)


def _checked(subject: str, message: str, check: Callable[[T], None], value: T) -> Check:
    try:
        check(value)
    except InputError as error:
        return failed(subject, error)
    return Check(subject, "ok", message)


def check_weights(name: str, network: SegmenterParams | ClassifierNetworkParams) -> Check:
    """Return whether the weights that a network starts from are on this machine.

    Args:
        name: The setting, such as "model.weights".
    """
    try:
        if path := local_file(network.weights):
            read_tensors(path)
    except InputError as error:
        return failed(name, error)
    if network.weights is None:
        return Check(name, "ok", f"none: {network.encoder} is initialised at random")
    if path:
        return Check(name, "ok", f"{path}, {path.stat().st_size / 1e6:.1f} MB")
    source = weight_source(network)
    if source is None:
        message = f"{network.encoder} has no pre-trained weights {network.weights!r}"
        return Check(name, "problem", message, f"set {name} to a file, or to null")
    if source.is_cached:
        return Check(name, "ok", f"{source}, downloaded already")
    return _to_download(name, f"{source} is downloaded at the first use")


def check_model(setting: str, model: str | None, family: str) -> Check:
    """Return whether a foundation model is on this machine, with its type and licence.

    Args:
        setting: Such as "cam.clip.model".
        model: Its folder or name on the hub.
        family: Key of ``FAMILIES``.
    """
    try:
        check_installed(setting)
        if model and must_be_downloaded(model):
            licence = published_licence(model, family)
            message = f"{model} ({family}, licence {licence}) is downloaded at the first use"
            return _to_download(setting, message)
        weights = find_weights(model, family, setting)
        load_model(weights, "cpu")
    except InputError as error:
        return failed(setting, error)
    about = f"{weights.model_type}, licence {weights.licence}"
    return Check(setting, "ok", f"{model}: {about}, can be loaded")


def _to_download(setting: str, message: str) -> Check:
    offline = os.environ.get("HF_HUB_OFFLINE", "0").lower() in ("1", "on", "yes", "true")
    remedy = "run once with a network connection"
    return Check(setting, "problem" if offline else "warning", message, remedy)
