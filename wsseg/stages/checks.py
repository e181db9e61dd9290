"""Checks of settings that need more than their types, made once before a run starts."""

from pathlib import Path

from wsseg.errors import InputError
from wsseg.networks.classifier import check_classifier
from wsseg.networks.losses.registry import check_losses
from wsseg.networks.segmenter import check_network
from wsseg.refine.refiners import find_refiner
from wsseg.runs.cluster import check_engine
from wsseg.runs.config import Config
from wsseg.runs.loggers import check_loggers
from wsseg.seeds.apply import find_seed
from wsseg.seeds.cam import find_activation
from wsseg.stages.finetune.training import check_finetune_settings


def check_settings(config: Config) -> None:
    """Refuse settings that a stage would refuse later.

    Raises:
        InputError: A seed, loss, refiner or activation method is unknown, a network cannot be
            built, the engine or a logger is not installed, or settings contradict each other.
    """
    check_engine(config)
    check_loggers(config.loggers)
    find_seed(config.seeds)
    check_losses(config.trainer.loss)
    if config.rounds.loss:
        check_losses(config.rounds.loss, "rounds.loss")
    find_refiner(config.rounds.refiner, config.crf)
    check_network(config.model)
    if find_activation(config.cam.method) is None:
        check_classifier(config.classifier.network(config.model))
    elif config.cam.affinity == "learned":
        problem = f"cam.affinity=learned needs an encoder, which the plug-in {config.cam.method}"
        raise InputError(f"{problem} does not have", hint="set cam.affinity=colour")
    find_refiner(config.cam.refiner, config.crf)
    if Path(config.pipeline).stem == "finetune":
        check_finetune_settings(config)
