"""Stages of activation maps and of the first labels that are made from them."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import example_of
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.errors import InputError
from wsseg.foundation.dino import patch_features
from wsseg.foundation.load import load_model
from wsseg.foundation.weights import FoundationWeights
from wsseg.images import read_image
from wsseg.labelmaps import read_scores, write_scores
from wsseg.networks.affinity_net import TrainedAffinity, load_affinity
from wsseg.networks.classifier import TrainedClassifier, load_classifier
from wsseg.refine.refiners import Refine, find_refiner
from wsseg.runs.labelling import (
    ClassStats,
    label_images,
    map_stage,
    samples_key,
    scores_path,
    usable_samples,
)
from wsseg.runs.names import CAMS, SPREAD, TAG_SEEDS
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.seeds.cam import activation_maps, activation_maps_by_plugin, find_activation
from wsseg.seeds.confident import confident_labels
from wsseg.seeds.params import CAMParams
from wsseg.seeds.spreading import spread
from wsseg.stages.foundation import map_records, refiner_records, sharing_batches, weights_of

_OF_MAPS = {"method", "scales"}
_MODELS = {"clip", "sam3", "dino"}


def locate_tags(run: Run, dataset: Dataset, classifier: Stage | None) -> Stage | None:
    """Return the complete stage "cams": activation maps of the tags of the training images.

    Args:
        dataset: Images with tags; an image without tags has no maps.
        classifier: The stage of ``train_classifier``; None if ``cam.method`` needs none.

    Returns:
        ``scores/<id>.npz`` in the stage holds the labels and maps of an image. None if there are no
        images.
    """
    config, method = run.config, run.config.cam.method
    if not dataset.samples:
        return None
    samples = dataset.split(config.data.train)
    models = map_records(config, method)
    stage = run.stage(
        CAMS,
        classifier=classifier,
        samples=samples_key(samples),
        classes=list(dataset.classes),
        cam=config.cam.model_dump(include={*_OF_MAPS, method}),
        models=models,
    )
    locate = partial(
        _locate,
        stage=stage,
        classes=dataset.classes,
        classifier=classifier,
        params=config.cam,
        weights=weights_of(config, f"cam.{method}.model"),
        device=config.machine.device,
    )
    return map_stage(
        run,
        stage,
        locate,
        samples,
        is_valid=partial(has_scores, stage),
        models=models,
        batches=sharing_batches(models, config),
    )


def spread_maps(
    run: Run, dataset: Dataset, maps: Stage | None, affinity_net: Stage | None = None
) -> Stage | None:
    """Return the complete stage "spread": activation maps after ``cam.affinity`` propagated them.

    Args:
        maps: The stage of ``locate_tags``.
        affinity_net: The stage of ``learn_affinity``.

    Returns:
        A stage with the same files as ``maps``; ``maps`` itself if ``cam.affinity`` is "none".
    """
    config, affinity = run.config, run.config.cam.affinity
    if maps is None or affinity == "none":
        return maps
    samples = usable_samples(maps, dataset.split(config.data.train))
    models = map_records(config, affinity)
    stage = run.stage(
        SPREAD,
        maps=maps,
        affinity_net=affinity_net,
        samples=samples_key(samples),
        affinity=affinity,
        models=models,
    )
    work = partial(
        _spread,
        stage=stage,
        maps=maps,
        affinity_net=affinity_net,
        params=config.cam,
        weights=weights_of(config, f"cam.{affinity}.model"),
        device=config.machine.device,
    )
    return map_stage(
        run,
        stage,
        work,
        samples,
        is_valid=partial(has_scores, stage),
        skipped=maps.skipped,
        models=models,
        batches=sharing_batches(models, config),
    )


def label_by_maps(
    run: Run,
    dataset: Dataset,
    maps: Stage | None,
    name: str = TAG_SEEDS,
    cam: CAMParams | None = None,
) -> Stage | None:
    """Return the complete stage "tag-seeds": first label maps made from activation maps.

    Args:
        maps: The stage of ``locate_tags`` or ``spread_maps``; None makes no stage.
        cam: Used instead of ``config.cam``.
    """
    config, params = run.config, cam or run.config.cam
    if maps is None:
        return None
    samples = usable_samples(maps, dataset.split(config.data.train))
    refiner = find_refiner(params.refiner, config.crf, config.seeds.sam, config.machine.device)
    models = refiner_records(config, params.refiner)
    stage = run.stage(
        name,
        models=models,
        maps=maps,
        samples=samples_key(samples),
        rule=params.model_dump(exclude={*_OF_MAPS, *_MODELS, "affinity", "groups"}),
        refiner=refiner.key,
    )
    if not stage.is_complete:
        refiner.prepare()
    label = partial(
        _label,
        maps=maps,
        n_classes=len(dataset.classes),
        params=params,
        refine=refiner.refine,
    )
    batches = sharing_batches(models, config)
    return label_images(run, stage, label, samples, maps.skipped, models=models, batches=batches)


def _locate(
    sample: Sample,
    *,
    stage: Stage,
    classes: Classes,
    classifier: Stage | None,
    params: CAMParams,
    weights: FoundationWeights | None,
    device: str,
) -> tuple[str, list[dict[str, Any]]]:
    labels = sample.tagged
    example = example_of(sample, len(classes))
    if activation := find_activation(params.method):
        if weights:
            activation = partial(activation, params=params, weights=weights, device=device)
        maps = activation_maps_by_plugin(activation, example, labels, classes)
    elif classifier is None:
        raise TypeError(f"{params.method} needs a classifier")
    else:
        trained = classifier.load(_classifier, device)
        (maps,) = activation_maps(trained, [example.image], [labels], params)
    write_scores(scores_path(stage, sample.id), labels, maps)
    return sample.id, [{"id": sample.id, "class": label} for label in labels]


def _spread(
    sample: Sample,
    *,
    stage: Stage,
    maps: Stage,
    affinity_net: Stage | None,
    params: CAMParams,
    weights: FoundationWeights | None,
    device: str,
) -> tuple[str, list[dict[str, Any]]]:
    labels, scores = read_scores(scores_path(maps, sample.id))
    image = read_image(sample.image, sample.reading)
    features = affinity_net.load(_affinity, device).vectors(image) if affinity_net else None
    if weights:
        features = patch_features(load_model(weights, device), image)
    propagated = spread(image, scores, params, features)
    write_scores(scores_path(stage, sample.id), labels.tolist(), propagated)
    return sample.id, [{"id": sample.id, "class": int(label)} for label in labels]


def _label(
    sample: Sample, maps: Stage, n_classes: int, params: CAMParams, refine: Refine
) -> tuple[NDArray[np.uint8], ClassStats]:
    example = example_of(sample, n_classes)
    labels, scores = read_scores(scores_path(maps, sample.id))
    label_map = confident_labels(example, scores, labels, params, refine)
    return example.constraints.project(label_map), {}


def has_scores(stage: Stage, identity: str) -> bool:
    """Return whether the maps of an image can be read from a stage."""
    try:
        read_scores(scores_path(stage, identity))
    except InputError:
        return False
    return True


def _classifier(folder: Path, device: str) -> TrainedClassifier:
    return load_classifier(folder / "model.ckpt", device)


def _affinity(folder: Path, device: str) -> TrainedAffinity:
    return load_affinity(folder / "model.ckpt", device)
