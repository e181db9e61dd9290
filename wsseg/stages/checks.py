"""Checks that are made once before a run starts, and downloads that it will need."""

from collections.abc import Iterator
from pathlib import Path

from wsseg.data.findings import (
    between_images,
    missing_objects,
    tags_without_contrast,
)
from wsseg.data.model import Dataset, Problem
from wsseg.errors import InputError
from wsseg.networks.classifier import build_classifier, check_classifier
from wsseg.networks.losses.registry import check_losses
from wsseg.networks.params import ClassifierNetworkParams, SegmenterParams, TrainingParams
from wsseg.networks.segmenter import build_network, check_network
from wsseg.networks.train import check_training
from wsseg.networks.weights import local_file, read_tensors, weight_source
from wsseg.refine.refiners import find_refiner
from wsseg.runs.cluster import check_engine
from wsseg.runs.config import Config
from wsseg.runs.loggers import check_loggers
from wsseg.runs.progress import log
from wsseg.seeds.apply import find_seed
from wsseg.seeds.cam import find_activation
from wsseg.seeds.clip import check_names, phrases_of_classes
from wsseg.stages.finetune.training import check_finetune_settings
from wsseg.stages.foundation import check_models, download_models
from wsseg.stages.tags.affinity import affinity_training
from wsseg.stages.tags.classifier import only_tagged
from wsseg.stages.tags.objects import group_classes
from wsseg.stages.zoom import deal


def check_settings(config: Config) -> None:
    """Refuse settings that a stage would refuse later.

    Raises:
        InputError: A seed, loss, refiner or activation method is unknown, a network cannot be
            built, a foundation model cannot be used, the engine or a logger is not installed, or
            settings contradict each other.
    """
    check_engine(config)
    check_loggers(config.loggers)
    find_seed(config.seeds)
    if config.trainer.loss is not None:
        check_losses(config.trainer.loss)
    find_refiner(config.rounds.refiner, config.crf)
    check_network(config.model)
    if find_activation(config.cam.method) is None:
        check_classifier(config.classifier.network(config.model))
    elif config.cam.affinity == "learned":
        problem = f"cam.affinity=learned needs a classifier, but cam.method={config.cam.method}"
        raise InputError(f"{problem} trains none", hint="set cam.affinity=colour")
    find_refiner(config.cam.refiner, config.crf)
    check_models(config)
    if _recipe(config) == "finetune":
        check_finetune_settings(config)


def check_before_work(config: Config, dataset: Dataset) -> None:
    """Refuse what would stop the run later or make its figures worthless, and download weights.

    Raises:
        InputError: An image is in both splits, the training images show no object, a class is in
            every image of a tag classifier, ``cam`` names an unknown class, the machine cannot run
            a training, or pre-trained weights cannot be downloaded.
    """
    for problem in stopping_problems(config, dataset):
        raise problem
    if config.cam.method == "clip":
        phrases_of_classes(dataset.classes, config.cam.clip)
    if config.cam.method == "sam3":
        check_names(dataset.classes, config.cam.sam3.names, "cam.sam3.names")
    if config.machine.engine == "local":  # a cluster has machines of its own
        for trainer in trainers(config, dataset).values():
            check_training(trainer, config.machine)
    for name, network in networks(config, dataset).items():
        _download_weights(name, network)
    download_models(config, dataset)


def stopping_problems(config: Config, dataset: Dataset) -> Iterator[InputError]:
    """Yield the problems of a data set, as ``wsseg check`` finds them, that stop a run."""
    samples, train = dataset.samples, config.data.train
    problems: list[Problem] = []
    if config.data.val is not None:
        problems += (problem for problem in between_images(samples) if problem.fatal)
    if _recipe(config) != "full":  # which learns from the truth
        problems += missing_objects(samples, train)
    if has_classifier(config, dataset):
        problems += tags_without_contrast(samples, dataset.classes, train)
    yield from map(_error, problems)
    if config.has_rounds:
        try:
            deal([sample for sample in samples if sample.split == train], config.zoom.folds)
            if tagged := only_tagged(dataset, train).samples:
                group_classes(tagged, config.cam.groups)
        except InputError as error:
            yield error


def _error(problem: Problem) -> InputError:
    fault, _, remedy = problem.message.rpartition("; ")
    if problem.fatal:
        return InputError(problem.message, hint="or set data.val=null to measure nothing")
    return InputError(f"{problem.subject}: {fault}", hint=remedy)


def _recipe(config: Config) -> str:
    return Path(config.pipeline).stem


def has_classifier(config: Config, dataset: Dataset | None) -> bool:
    """Return whether a run trains a classifier of tags.

    Args:
        dataset: None if it could not be read.
    """
    if _recipe(config) != "weak" or dataset is None:
        return False
    is_tagged = bool(only_tagged(dataset, config.data.train).samples)
    return is_tagged and find_activation(config.cam.method) is None


def trainers(config: Config, dataset: Dataset | None) -> dict[str, TrainingParams]:
    """Return the parameters of each training of a run, by the name of their settings."""
    named: dict[str, TrainingParams] = {}
    if _trains_segmenter(config, dataset):
        named["trainer"] = config.trainer
    if has_classifier(config, dataset):
        named["classifier.trainer"] = config.classifier.trainer
        if config.cam.affinity == "learned":
            named["cam.affinity"] = affinity_training(config)
    return named


def networks(
    config: Config, dataset: Dataset | None
) -> dict[str, SegmenterParams | ClassifierNetworkParams]:
    """Return the networks that a run trains, by the name of the settings of their weights."""
    named: dict[str, SegmenterParams | ClassifierNetworkParams] = {}
    if _trains_segmenter(config, dataset):
        named["model.weights"] = config.model
    if has_classifier(config, dataset):
        named["classifier"] = config.classifier.network(config.model)
    return named


def _trains_segmenter(config: Config, dataset: Dataset | None) -> bool:
    if _recipe(config) != "weak" or config.rounds.count or config.zoom.folds:
        return True
    is_tagged = dataset is not None and only_tagged(dataset, config.data.train).samples
    return bool(config.cam.groups and is_tagged)


def _download_weights(name: str, network: SegmenterParams | ClassifierNetworkParams) -> None:
    """Download the pre-trained weights of a network, unless they are on this machine.

    Raises:
        InputError: They cannot be downloaded, or their file is damaged.
    """
    if network.weights is None:
        return
    if path := local_file(network.weights):
        read_tensors(path)
        return
    source = weight_source(network)
    if source is not None and source.is_cached:
        return
    log(f"{name}: downloading {source or network.weights}")
    try:
        # The libraries choose the file and the cache, so they load it once for the download.
        if isinstance(network, SegmenterParams):
            build_network(network, n_classes=2)
        else:
            build_classifier(network, tags=1)
    except InputError as error:
        reason = " ".join(str(error.__cause__ or error).split())
        problem = f"the weights of {network.encoder} cannot be downloaded from {source}"
        hint = f"connect to the network once, name a file of {name}, or set it to null"
        raise InputError(f"{problem}: {reason:.200}", hint=hint) from error
