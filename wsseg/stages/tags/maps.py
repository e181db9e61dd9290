"""Activation maps and the first labels made from them as stages of a run."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import example_of
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labelmaps import read_scores, write_scores
from wsseg.networks.affinity_net import TrainedAffinity, load_affinity
from wsseg.networks.classifier import TrainedClassifier, load_classifier
from wsseg.refine.refiners import Refine, find_refiner
from wsseg.runs.config import Config
from wsseg.runs.labelling import (
    ClassStats,
    label_images,
    map_stage,
    samples_key,
    scores_path,
    usable_samples,
)
from wsseg.runs.names import TAG_SEEDS
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.seeds.cam import activation_maps, activation_maps_by_plugin, find_activation
from wsseg.seeds.confident import confident_labels
from wsseg.seeds.params import CAMParams
from wsseg.seeds.spreading import spread

_OF_MAPS = {"method", "layer", "scales", "stride"}


def locate_tags(run: Run, dataset: Dataset, classifier: Stage | None) -> Stage | None:
    """Return the stage "cams": activation maps of the training images for their tags.

    Args:
        run: The run; ``config.cam`` says how.
        dataset: Samples with tags; an image without has no maps.
        classifier: Of ``train_classifier``.

    Returns:
        The complete stage; ``scores/<id>.npz`` holds the labels and maps of an image. None if
        there are no images.
    """
    config = run.config
    if not dataset.samples:
        return None
    samples = dataset.split(config.data.train)
    stage = run.stage(
        "cams",
        classifier=classifier,
        samples=samples_key(samples),
        classes=list(dataset.classes),
        cam=config.cam.model_dump(include=_OF_MAPS),
    )
    locate = partial(
        _locate, folder=stage.path, classifier=classifier, classes=dataset.classes, config=config
    )
    return map_stage(run, stage, locate, samples, is_valid=partial(_has_scores, stage))


def spread_maps(
    run: Run, dataset: Dataset, maps: Stage | None, affinity_net: Stage | None = None
) -> Stage | None:
    """Return the stage "spread": activation maps that have spread to what looks alike.

    Args:
        run: The run; ``config.cam.affinity`` says along what.
        dataset: Samples with tags.
        maps: Of ``locate_tags``.
        affinity_net: Of ``learn_affinity``.

    Returns:
        The complete stage, files as those of ``maps``; ``maps`` itself where the affinity is
        "none".
    """
    config, affinity = run.config, run.config.cam.affinity
    if maps is None or affinity == "none":
        return maps
    samples = usable_samples(maps, dataset.split(config.data.train))
    stage = run.stage(
        "spread",
        maps=maps,
        affinity_net=affinity_net,
        samples=samples_key(samples),
        affinity=affinity,
        stride=config.cam.stride,
    )
    work = partial(_spread, folder=stage.path, maps=maps, config=config, affinity_net=affinity_net)
    whole = partial(_has_scores, stage)
    return map_stage(run, stage, work, samples, is_valid=whole, skipped=maps.skipped)


def label_by_maps(
    run: Run,
    dataset: Dataset,
    maps: Stage | None,
    name: str = TAG_SEEDS,
    cam: CAMParams | None = None,
) -> Stage | None:
    """Return the stage "tag-seeds": first label maps of the training images, from activation maps.

    Args:
        run: The run; ``config.cam`` says how.
        dataset: Samples with tags.
        maps: Of ``locate_tags`` or ``spread_maps``.
        name: Of the stage.
        cam: Settings in place of ``config.cam``.

    Returns:
        The complete stage; None without maps.
    """
    config, settings = run.config, cam or run.config.cam
    if maps is None:
        return None
    samples = usable_samples(maps, dataset.split(config.data.train))
    refiner = find_refiner(settings.refiner, config.crf)
    stage = run.stage(
        name,
        maps=maps,
        samples=samples_key(samples),
        rule=settings.model_dump(exclude={*_OF_MAPS, "affinity", "affinity_steps"}),
        refiner=refiner.key,
    )
    if not stage.is_complete:
        refiner.prepare()
    label = partial(
        _label,
        maps=maps,
        n_classes=len(dataset.classes),
        settings=settings,
        refine=refiner.refine,
    )
    return label_images(run, stage, label, samples, maps.skipped)


def _locate(
    sample: Sample, folder: Path, classifier: Stage | None, classes: Classes, config: Config
) -> tuple[str, list[dict[str, Any]]]:
    labels = sample.tagged
    example = example_of(sample, len(classes))
    activation = find_activation(config.cam.method)
    if activation:
        maps = activation_maps_by_plugin(activation, example, labels, classes)
    elif classifier is None:
        raise TypeError(f"{config.cam.method} needs a classifier")
    else:
        device = config.machine.device
        loaded = classifier.load(_classifier, device)
        (maps,) = activation_maps(loaded, [example.image], [labels], config.cam)
    write_scores(folder / "scores" / f"{sample.id}.npz", labels, maps)
    return sample.id, [{"id": sample.id, "class": label} for label in labels]


def _spread(
    sample: Sample, folder: Path, maps: Stage, config: Config, affinity_net: Stage | None
) -> tuple[str, list[dict[str, Any]]]:
    labels, scores = read_scores(scores_path(maps, sample.id))
    image = read_image(sample.image)
    vectors = None
    if affinity_net:
        device = config.machine.device
        vectors = affinity_net.load(_affinity, device).vectors(image)
    found = spread(image, scores, config.cam, vectors)
    write_scores(folder / "scores" / f"{sample.id}.npz", labels.tolist(), found)
    return sample.id, [{"id": sample.id, "class": int(label)} for label in labels]


def _label(
    sample: Sample, maps: Stage, n_classes: int, settings: CAMParams, refine: Refine
) -> tuple[NDArray[np.uint8], ClassStats]:
    example = example_of(sample, n_classes)
    labels, scores = read_scores(scores_path(maps, sample.id))
    label_map = confident_labels(example, scores, labels, settings, refine)
    return example.constraints.project(label_map), {}


def _has_scores(stage: Stage, identity: str) -> bool:
    try:
        read_scores(scores_path(stage, identity))
    except InputError:
        return False
    return True


def _classifier(folder: Path, device: str) -> TrainedClassifier:
    return load_classifier(folder / "model.ckpt", device)


def _affinity(folder: Path, device: str) -> TrainedAffinity:
    return load_affinity(folder / "model.ckpt", device)
