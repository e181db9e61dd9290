"""The foundation models that the settings of a run name, and how stages share them on a GPU."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import is_only_tagged
from wsseg.data.example import read_sample_image
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.foundation.embeddings import load_cached_sam
from wsseg.foundation.load import check_installed
from wsseg.foundation.params import SamParams
from wsseg.foundation.weights import (
    FoundationWeights,
    fetch_weights,
    find_weights,
    must_be_downloaded,
)
from wsseg.networks.weights import device_of
from wsseg.parallel import Batches, Identified
from wsseg.runs.config import Config
from wsseg.runs.progress import log
from wsseg.seeds.params import CAMParams, SeedParams

Models = dict[str, tuple[str | None, str]]
"""Settings such as "cam.clip.model" -> the name of the model, and its key of ``FAMILIES``."""

Records = dict[str, Any]
"""Name, type, revision, licence and SHA-256 of each model of a stage, by the setting that names it;
part of the key and of the manifest of the stage."""

SAM, SAM_MODEL = "sam", "seeds.sam.model"
"""Name of the seed and of the refiner; the setting of its model."""

Item = TypeVar("Item", bound=Identified)

_IMAGES = 32  # that threads take on at a time


def foundation_models(config: Config, dataset: Dataset | None = None) -> Models:
    """Return the foundation models that a run uses, in the order of its stages.

    Args:
        dataset: Models that its annotations do not need are left out; None keeps them.
    """
    if not config.has_rounds:
        return {}
    samples = dataset.samples if dataset else ()
    are_tagged = [is_only_tagged(s) for s in samples if s.split == config.data.train]
    models: Models = {}
    if dataset is None or any(are_tagged):
        models |= _models_of_maps(config.cam) | _models_of_refiner(config, config.cam.refiner)
    if dataset is None or not all(are_tagged):
        models |= _models_of_seeds(config.seeds)
    if config.rounds.clean and config.rounds.count != 0:
        models |= _models_of_refiner(config, config.rounds.refiner)
    return models


def _models_of_maps(cam: CAMParams) -> Models:
    models: Models = {}
    if cam.method == "clip":
        models["cam.clip.model"] = cam.clip.model, "CLIP"
    if cam.method == "sam3":
        models["cam.sam3.model"] = cam.sam3.model, "SAM 3 with text"
    if cam.affinity == "dino":
        models["cam.dino.model"] = cam.dino.model, "DINO"
    return models


def _models_of_seeds(seeds: SeedParams) -> Models:
    models: Models = {}
    if SAM in seeds.used:
        models[SAM_MODEL] = seeds.sam.model, "SAM"
    if "dino_walker" in seeds.used:
        models["seeds.dino.model"] = seeds.dino.model, "DINO"
    return models


def _models_of_refiner(config: Config, refiner: str) -> Models:
    return {SAM_MODEL: (config.seeds.sam.model, "SAM")} if refiner == SAM else {}


def check_models(config: Config) -> None:
    """Refuse models that no stage could load; nothing is downloaded.

    Raises:
        InputError: transformers is not installed, a setting names no model, or weights on this
            machine are incomplete, damaged or of another family.
    """
    for setting, (name, family) in foundation_models(config).items():
        check_installed(setting)
        if not name or not must_be_downloaded(name):
            find_weights(name, family, setting)


def download_models(config: Config, dataset: Dataset) -> None:
    """Download the models of the hub that a run uses and that are not on this machine.

    Raises:
        InputError: A model cannot be downloaded.
    """
    for setting, (name, family) in foundation_models(config, dataset).items():
        if name and must_be_downloaded(name):
            log(f"{setting}: downloading {name}")
        fetch_weights(name, family, setting)


def weights_of(config: Config, setting: str) -> FoundationWeights | None:
    """Return the weights of a setting such as "cam.clip.model"; None if the run does not use it.

    Raises:
        InputError: The weights are not on this machine, or cannot be used.
    """
    name, family = foundation_models(config).get(setting, (None, None))
    return find_weights(name, family, setting) if family else None


def seed_records(config: Config, dataset: Dataset) -> Records:
    """Return what identifies the models that make the first labels from boxes and marks."""
    used = foundation_models(config, dataset)
    return _records({s: m for s, m in _models_of_seeds(config.seeds).items() if s in used})


def map_records(config: Config, name: str) -> Records:
    """Return what identifies the model of an activation or affinity, such as "clip"."""
    setting = f"cam.{name}.model"
    return _records({s: m for s, m in _models_of_maps(config.cam).items() if s == setting})


def refiner_records(config: Config, refiner: str) -> Records:
    """Return what identifies the model of a refiner."""
    return _records(_models_of_refiner(config, refiner))


def _records(models: Models) -> Records:
    return {s: find_weights(name, family, s).record() for s, (name, family) in models.items()}


def sharing_batches(models: Records, config: Config) -> Batches[Sample] | None:
    """Return how threads share the models of a stage on a GPU; None without a GPU or models.

    SAM encodes images in batches; the other models get the image of one thread after the other.
    """
    if not models or device_of(config.machine.device) != "cuda":
        return None
    if SAM_MODEL in models:
        return encoding_batches(config.seeds.sam, config.machine.device, read_sample_image)
    return Batches(_nothing, _IMAGES)


def _nothing(_: Sequence[Sample]) -> None:
    """Prepare nothing: each thread passes its image through the model by itself."""


def encoding_batches(
    params: SamParams, device: str, read: Callable[[Item], NDArray[np.uint8]]
) -> Batches[Item] | None:
    """Return how images are encoded in batches on a GPU; None without one.

    Args:
        device: ``machine.device``.
        read: Reads the image (H, W, 3) uint8 of an item.
    """
    if device_of(device) != "cuda":
        return None
    return Batches(partial(_encode, params=params, device=device, read=read), params.batch_size)


def _encode(
    items: Sequence[Item],
    params: SamParams,
    device: str,
    read: Callable[[Item], NDArray[np.uint8]],
) -> None:
    images = []
    for item in items:
        with suppress(InputError):  # the function that labels the image reports it
            images.append(read(item))
    load_cached_sam(params.model, params.cache, device).prepare(images)
