"""The stage "focused": networks that have not learned a class say where its objects can be.

An activation map takes in what always surrounds a class, such as the water around boats, and no tag
tells the two apart. Images of other classes do: a network that has learned objects and background
from them takes water for background.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import example_of
from wsseg.data.model import Dataset, Sample
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_scores, write_scores
from wsseg.networks.box_crops import OBJECT_OR_NOT
from wsseg.networks.training_data import TrainingPair
from wsseg.runs.config import Config
from wsseg.runs.labelling import map_stage, samples_key, scores_path, usable_samples
from wsseg.runs.names import FOCUSED
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.labelled import check_objects, labelled_pairs
from wsseg.stages.tags.maps import has_scores, label_by_maps
from wsseg.stages.training import predictor_of, train_on_pairs, training_stage

_LOWERED = 0.3  # by how much a map (0..1) is lowered where there is certainly no object


@dataclass(frozen=True)
class ObjectPair(TrainingPair):
    """An image and its label map, of which only objects and background are learned."""

    def read(self) -> tuple[NDArray[np.uint8], NDArray[np.int16], float]:
        """Return what ``TrainingPair.read`` returns, with the label 1 for objects of any class."""
        pixels, planes, factor = super().read()
        planes[0] = np.where(planes[0] == IGNORE, IGNORE, planes[0] > 0)
        return pixels, planes, factor


def focus_maps(run: Run, dataset: Dataset, maps: Stage | None) -> Stage | None:
    """Return the complete stage "focused": maps that are lower where no object can be.

    The tagged classes are dealt into ``cam.groups`` groups. For each group, a network in the stage
    "focused/group-N" learns objects and background from the label maps (stage "focused/labels") of
    the images without tags of the group. With the probability p of an object that it predicts, the
    maps of an image with such tags become ``max(0, map - 0.3 (1 - p))``; p is the mean over the
    networks of all groups that the image has tags of.

    Args:
        maps: The stage of ``spread_maps``.

    Returns:
        A stage with the same files as ``maps``; ``maps`` itself if ``cam.groups`` is 0.

    Raises:
        InputError: There are fewer tagged classes than groups, or the images without the tags of a
            group show no object.
        DivergenceError: The loss is NaN or infinite.
    """
    config = run.config
    if maps is None or not config.cam.groups:
        return maps
    samples = usable_samples(maps, dataset.split(config.data.train))
    groups = group_classes(samples, config.cam.groups)
    labels = label_by_maps(run, dataset, maps, f"{FOCUSED}/labels")
    if labels is None:
        raise TypeError("maps have label maps")
    others = [_without(samples, group) for group in groups]
    for group, of_others in zip(groups, others, strict=True):
        names = ", ".join(dataset.classes.names[label] for label in group)
        remedy = f"set cam.groups=0, or add images with other classes than {names}"
        check_objects(labels, of_others, remedy)
    networks = [
        _train(run, dataset, labels, of_others, f"{FOCUSED}/group-{number}")
        for number, of_others in enumerate(others, 1)
    ]
    stage = run.stage(
        FOCUSED,
        maps=maps,
        **{network.name: network for network in networks},
        samples=samples_key(samples),
        groups=groups,
        prediction=config.prediction,
    )
    focus = partial(
        _focus,
        stage=stage,
        maps=maps,
        networks=[*zip(groups, networks, strict=True)],
        n_classes=len(dataset.classes),
        config=config,
    )
    valid = partial(has_scores, stage)
    return map_stage(run, stage, focus, samples, is_valid=valid, skipped=maps.skipped)


def group_classes(samples: Sequence[Sample], count: int) -> list[list[int]]:
    """Return the tagged classes of some images, dealt into groups.

    Args:
        count: Number of groups; 0 returns none.

    Raises:
        InputError: There are fewer tagged classes than groups, or all images with tags may show a
            class of one group.
    """
    tagged = sorted({label for sample in samples for label in sample.tagged})
    if len(tagged) < count:
        rule = f"at most {len(tagged)}, the number of tagged classes"
        raise InputError("cam.groups", rule, count, "set it to 0, or tag more classes")
    groups = [tagged[number::count] for number in range(count)]
    for number, group in enumerate(groups, 1):
        if not any(sample.tagged for sample in _without(samples, group)):
            problem = f"cam.groups={count}: each image with tags may show a class of group {number}"
            hint = "set it to 0, or add images of other classes"
            raise InputError(f"{problem}, so that its network has nothing to learn from", hint=hint)
    return groups


def lower(maps: NDArray[np.float32], objectness: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return activation maps that are lowered where there is no object.

    Args:
        maps: (T, h, w) float32, 0..1.
        objectness: (H, W) probability that a pixel belongs to an object of any class.

    Example:
        >>> lower(np.array([[[0.9, 0.9, 0.1]]], np.float32), np.array([[1, 0, 0]])).round(2)
        array([[[0.9, 0.6, 0. ]]], dtype=float32)
    """
    height, width = maps.shape[1:]
    small = cv2.resize(objectness.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return np.maximum(maps - _LOWERED * (1 - small), 0).astype(np.float32)


def _train(
    run: Run, dataset: Dataset, labels: Stage, samples: Sequence[Sample], name: str
) -> Stage:
    trainer = run.config.trainer.model_copy(update={"loss": {"ce": 1.0}})
    config = run.config.model_copy(update={"trainer": trainer})
    stage = training_stage(
        Run(run.path, config), name, OBJECT_OR_NOT, labels=labels, samples=samples_key(samples)
    )
    return train_on_pairs(stage, partial(_pairs, labels, dataset, samples), OBJECT_OR_NOT, config)


def _without(samples: Sequence[Sample], group: Sequence[int]) -> list[Sample]:
    """Return the images that show no class of a group."""
    return [
        sample
        for sample in samples
        if sample.tags and not {*group} & {*sample.tags.present, *sample.tags.unsure}
    ]


def _pairs(labels: Stage, dataset: Dataset, samples: Sequence[Sample]) -> list[TrainingPair]:
    pairs = labelled_pairs(labels, dataset.classes, samples)
    return [ObjectPair(p.image, p.label_map, (True, True), reading=p.reading) for p in pairs]


def _focus(
    sample: Sample,
    *,
    stage: Stage,
    maps: Stage,
    networks: Sequence[tuple[Sequence[int], Stage]],
    n_classes: int,
    config: Config,
) -> tuple[str, list[dict[str, Any]]]:
    labels, scores = read_scores(scores_path(maps, sample.id))
    tagged = labels.tolist()
    if tagged:
        image = example_of(sample, n_classes).image
        of_groups = [network for group, network in networks if {*tagged} & {*group}]
        predicted = [predictor_of(network, config)(image)[1] for network in of_groups]
        scores = lower(scores, np.mean(predicted, axis=0))
    write_scores(scores_path(stage, sample.id), tagged, scores)
    return sample.id, [{"id": sample.id, "class": label} for label in tagged]
