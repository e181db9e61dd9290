"""The foundation models that the settings of a run name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wsseg.data.classes import is_only_tagged
from wsseg.data.model import Dataset, Sample
from wsseg.foundation.load import check_installed
from wsseg.foundation.weights import (
    FoundationWeights,
    fetch_weights,
    find_weights,
    must_be_downloaded,
)
from wsseg.networks.weights import device_of
from wsseg.parallel import Batches
from wsseg.runs.config import Config
from wsseg.runs.progress import log
from wsseg.seeds.params import CAMParams, SeedParams

Models = dict[str, tuple[str | None, str]]
"""Settings such as "cam.clip.model" -> the name of the model, and its key of ``FAMILIES``."""

_IMAGES = 32  # that threads take on at a time


def foundation_models(config: Config, dataset: Dataset | None = None) -> Models:
    """Return the foundation models that a run uses, in the order of its stages.

    Args:
        dataset: Models that its annotations do not need are left out; None keeps them.
    """
    if Path(config.pipeline).stem in ("finetune", "full"):  # which have no seeds
        return {}
    samples = dataset.samples if dataset else ()
    are_tagged = [is_only_tagged(s) for s in samples if s.split == config.data.train]
    models: Models = {}
    if dataset is None or any(are_tagged):
        models |= _models_of_maps(config.cam)
    if dataset is None or not all(are_tagged):
        models |= _models_of_seeds(config.seeds)
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
    return {"seeds.dino.model": (seeds.dino.model, "DINO")} if "dino_walker" in seeds.used else {}


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


def sharing_batches(models: Mapping[str, Any], config: Config) -> Batches[Sample] | None:
    """Return how threads share the models of a stage on a GPU; None without a GPU or models.

    Args:
        models: Of ``records_of``.
    """
    if not models or device_of(config.machine.device) != "cuda":
        return None
    return Batches(_nothing, _IMAGES)


def _nothing(_: Sequence[Sample]) -> None:
    """Prepare nothing: each thread passes its image through the model by itself."""


def records_of(config: Config, group: str, dataset: Dataset | None = None) -> dict[str, Any]:
    """Return what identifies the models of a group of settings, for the record of a stage.

    Args:
        group: Such as "seeds" or "cam.dino".
        dataset: As for ``foundation_models``.
    """
    return {
        setting: find_weights(name, family, setting).record()
        for setting, (name, family) in foundation_models(config, dataset).items()
        if setting.startswith(f"{group}.")
    }
