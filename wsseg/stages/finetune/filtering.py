"""Pseudo-labels that are believed: sure enough, by the rule of the configuration."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import has_full_mask
from wsseg.data.constraints import constraints_of, labelled_pixels
from wsseg.data.model import Dataset, Sample
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.metrics.calibration import BINS, Calibration, count_confidence, thresholds_that_keep
from wsseg.parallel import Skipped
from wsseg.runs.config import Config
from wsseg.runs.engine import map_samples
from wsseg.runs.labelling import Facts, label_images, label_path, labelled, samples_key
from wsseg.runs.progress import say
from wsseg.runs.stage import Run, Stage
from wsseg.stages.finetune.masks import masked
from wsseg.stages.finetune.pseudo_labels import confidence_of
from wsseg.stages.params import FilterParams

Thresholds = list[float | None]
"""The least confidence of each class; None where none of its labels is believed."""


def calibrate(run: Run, dataset: Dataset, predicted: Stage) -> Stage:
    """Return the stage "calibration": how often pseudo-labels are right, and who is believed.

    Its manifest has "thresholds", one a class, and where there is a base that has not seen the
    masks "reliability" (the diagram) and "calibration_error", measured on their images.

    Args:
        run: The run; ``config.finetune.filter`` says how.
        dataset: Samples with annotations.
        predicted: The stage of ``label_surely``.

    Returns:
        The complete stage.
    """
    config, classes = run.config, dataset.classes
    given = labelled(predicted, masked(dataset, config))
    stage = run.stage(
        "calibration",
        labels=predicted,
        masks=samples_key(given),
        filter=config.finetune.filter,
        is_unseen=config.finetune.base is not None,
        classes=list(classes),
    )
    if stage.is_complete:
        say(f"{stage.name}: up to date")
        return stage
    with stage.work() as record:
        known = _measured(given, predicted, len(classes), config)
        record["thresholds"] = _thresholds(dataset, predicted, known, config)
        if config.finetune.base:
            record["reliability"] = [asdict(bar) for bar in known.reliability()]
            record["calibration_error"] = known.error
    refused = [n for n, t in zip(classes, stage.manifest["thresholds"], strict=True) if t is None]
    if refused:
        say(f"{stage.name}: never right often enough, not believed: {', '.join(refused)}")
    return stage


def filter_labels(run: Run, dataset: Dataset, predicted: Stage, calibration: Stage) -> Stage:
    """Return the stage "filtered": masks, and pseudo-labels that are believed; IGNORE elsewhere.

    Args:
        run: The run.
        dataset: Samples with annotations.
        predicted: The stage of ``label_surely``.
        calibration: The stage of ``calibrate``.

    Returns:
        The complete stage.
    """
    samples = labelled(predicted, dataset.split(run.config.data.train))
    stage = run.stage(
        "filtered",
        labels=predicted,
        calibration=calibration,
        samples=samples_key(samples),
    )
    believed = partial(_believed, predicted=predicted, calibration=calibration)
    return label_images(run, stage, believed, samples, predicted.manifest.get("set_aside"))


def thresholds_of(calibration: Stage) -> NDArray[np.float32]:
    """Return the least confidence of each class.

    Args:
        calibration: The stage of ``calibrate``.

    Returns:
        (K,) float32; infinite where none of a class's labels is believed.
    """
    found = calibration.manifest["thresholds"]
    return np.array([math.inf if value is None else value for value in found], np.float32)


def _measured(
    given: Sequence[Sample], predicted: Stage, n_classes: int, config: Config
) -> Calibration:
    count = partial(_right_and_total, predicted=predicted, n_classes=n_classes)
    right, total = _summed(count, given, config, np.zeros((2, n_classes, BINS), np.int64))
    return Calibration(right, total)


def _thresholds(
    dataset: Dataset, predicted: Stage, known: Calibration, config: Config
) -> Thresholds:
    settings: FilterParams = config.finetune.filter
    n_classes = len(dataset.classes)
    if settings.rule == "none":
        return [0.0] * n_classes
    if settings.rule == "global":
        return [settings.confidence] * n_classes
    if settings.rule == "calibrated":
        least = known.thresholds_at(settings.precision)
        return [settings.confidence if t is not None and math.isnan(t) else t for t in least]
    samples = labelled(predicted, dataset.split(config.data.train))
    count = partial(_by_confidence, predicted=predicted, n_classes=n_classes)
    return [
        *thresholds_that_keep(
            _summed(count, samples, config, np.zeros((n_classes, BINS), np.int64)), settings.keep
        )
    ]


def _summed(count: Any, samples: Sequence[Sample], config: Config, total: Any) -> Any:
    for result in map_samples(count, samples, config):
        if isinstance(result, Skipped):
            say(f"calibration: {result.id} is left out: {result.reason}")
        else:
            total = total + result
    return total


def _right_and_total(sample: Sample, predicted: Stage, n_classes: int) -> NDArray[np.int64]:
    made, confidence = _read(sample, predicted)
    mask = labelled_pixels(sample, n_classes)
    known = mask != IGNORE
    right = count_confidence(made, confidence, n_classes, known & (made == mask))
    return np.stack([right, count_confidence(made, confidence, n_classes, known)])


def _by_confidence(sample: Sample, predicted: Stage, n_classes: int) -> NDArray[np.int64]:
    return count_confidence(*_read(sample, predicted), n_classes)


def _believed(
    sample: Sample, predicted: Stage, calibration: Stage
) -> tuple[NDArray[np.uint8], Facts]:
    thresholds = thresholds_of(calibration)
    known = constraints_of(sample, len(thresholds)).known
    made, confidence = _read(sample, predicted)
    least = np.append(thresholds, np.full(256 - len(thresholds), np.inf, np.float32))[made]
    if has_full_mask(sample):  # what its mask leaves open stays open
        return known, {}
    believed = np.where(confidence >= least, made, IGNORE)
    return np.where(known == IGNORE, believed, known).astype(np.uint8), {}


def _read(sample: Sample, predicted: Stage) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return read_label_map(label_path(predicted, sample)), confidence_of(predicted, sample.id)
