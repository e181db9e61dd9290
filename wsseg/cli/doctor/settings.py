"""What a configuration names: pipeline, seeds, losses, networks, trainers, weights."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from wsseg.cli.doctor import weights
from wsseg.cli.doctor.found import Found, refused
from wsseg.cli.doctor.need import trains_classifier
from wsseg.data.model import Dataset
from wsseg.errors import InputError
from wsseg.networks.params import TrainingParams
from wsseg.networks.train import check_training
from wsseg.runs.config import Config
from wsseg.seeds.cam import find_activation
from wsseg.stages.finetune.settings import check_finetune_settings
from wsseg.stages.rounds import check_settings
from wsseg.stages.tags.classifier import check_tag_settings

T = TypeVar("T")

CHECKS: dict[str, tuple[Callable[[Config], None], ...]] = {
    "boxes": (check_settings,),
    "full": (check_settings,),
    "mixed": (check_settings,),
    "tags": (check_settings, check_tag_settings),
    "finetune": (check_finetune_settings,),
}
"""What a shipped pipeline asks of its settings before any work, by its name."""


def look(config: Config, dataset: Dataset | InputError) -> Iterator[Found]:
    """Yield whether what a configuration names is known, and can be had here.

    Args:
        config: The resolved settings.
        dataset: Its images, or why there are none.

    Yields:
        The settings, each trainer, and the weights of each network.
    """
    yield _checked("settings", f"pipeline {config.pipeline}", _check_all, config)
    has_classifier, machine = _has_classifier(config, dataset), config.machine
    for name, trainer in _trainers(config, has_classifier).items():
        told = f"{machine.device}, devices {machine.devices}, precision {machine.precision}"
        yield _checked(name, told, partial(check_training, machine=config.machine), trainer)
    yield from weights.look("model.weights", config.model)
    if has_classifier:
        yield from weights.look("classifier.weights", config.classifier)


def _has_classifier(config: Config, dataset: Dataset | InputError) -> bool:
    if isinstance(dataset, InputError):
        return config.pipeline == "tags" and find_activation(config.cam.method) is None
    return trains_classifier(config, dataset)


def _check_all(config: Config) -> None:
    for check in CHECKS.get(config.pipeline, ()):
        check(config)


def _checked(subject: str, told: str, check: Callable[[T], None], value: T) -> Found:
    try:
        check(value)
    except InputError as error:
        return refused(subject, error)
    return Found(subject, "ok", told)


def _trainers(config: Config, has_classifier: bool) -> dict[str, TrainingParams]:
    found: dict[str, TrainingParams] = {"trainer": config.trainer}
    if has_classifier:
        found["classifier.trainer"] = config.classifier.trainer
        if config.cam.affinity == "learned":
            found["affinity.trainer"] = config.affinity.trainer
    return found
