"""Selection of confident pseudo-labels by the rule of ``finetune.filter``."""

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
from wsseg.runs.labelling import ClassStats, label_images, label_path, samples_key, usable_samples
from wsseg.runs.names import CALIBRATION, FILTERED
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.masks import samples_with_masks
from wsseg.stages.finetune.pseudo_labels import read_confidence
from wsseg.stages.params import FilterParams

_KEPT_SHARE = 0.5  # of the pixels of each class, by the rule "per_class"


def calibrate(run: Run, dataset: Dataset, predicted: Stage) -> Stage:
    """Return the complete stage "calibration": the confidence that a label of each class needs.

    Its manifest has "thresholds", one per class, None if no label of the class is accepted. With a
    base, which has not learned the masks, it also has "reliability" (the diagram) and
    "calibration_error", measured on the images with masks.

    Args:
        predicted: The stage of ``predict_pseudo_labels``.
    """
    config, classes = run.config, dataset.classes
    masked = usable_samples(predicted, samples_with_masks(dataset, config))
    stage = run.stage(
        CALIBRATION,
        labels=predicted,
        masks=samples_key(masked),
        filter=config.finetune.filter,
        is_unseen=config.finetune.base is not None,
        classes=list(classes),
    )

    def compare() -> dict[str, Any]:
        calibration = _measure(masked, predicted, len(classes), config)
        results: dict[str, Any] = {}
        results["thresholds"] = _thresholds(dataset, predicted, calibration, config)
        if config.finetune.base:
            results["reliability"] = [asdict(part) for part in calibration.reliability()]
            results["calibration_error"] = calibration.error
        return results

    stage.run(compare)
    refused = [n for n, t in zip(classes, stage.results["thresholds"], strict=True) if t is None]
    if refused:
        log(f"{stage.name}: no label is accepted, as too few are right: {', '.join(refused)}")
    return stage


def filter_labels(run: Run, dataset: Dataset, predicted: Stage, calibration: Stage) -> Stage:
    """Return the complete stage "filtered": masks and accepted pseudo-labels, IGNORE elsewhere.

    Args:
        predicted: The stage of ``predict_pseudo_labels``.
        calibration: The stage of ``calibrate``.
    """
    samples = usable_samples(predicted, dataset.split(run.config.data.train))
    stage = run.stage(
        FILTERED,
        labels=predicted,
        calibration=calibration,
        samples=samples_key(samples),
    )
    keep = partial(_filter, predicted=predicted, calibration=calibration)
    return label_images(run, stage, keep, samples, predicted.skipped)


def thresholds_of(calibration: Stage) -> NDArray[np.float32]:
    """Return the lowest confidence of an accepted label of each class.

    Args:
        calibration: The stage of ``calibrate``.

    Returns:
        (K,) float32; infinite if no label of the class is accepted.
    """
    thresholds = calibration.results["thresholds"]
    return np.array([math.inf if value is None else value for value in thresholds], np.float32)


def _measure(
    masked: Sequence[Sample], predicted: Stage, n_classes: int, config: Config
) -> Calibration:
    count = partial(_count_right_and_all, predicted=predicted, n_classes=n_classes)
    right, total = _sum(count, masked, config, np.zeros((2, n_classes, BINS), np.int64))
    return Calibration(right, total)


def _thresholds(
    dataset: Dataset, predicted: Stage, calibration: Calibration, config: Config
) -> list[float | None]:
    params: FilterParams = config.finetune.filter
    n_classes = len(dataset.classes)
    if params.rule == "none":
        return [0.0] * n_classes
    if params.rule == "global":
        return [params.confidence] * n_classes
    if params.rule == "calibrated":
        measured = calibration.thresholds_at(params.precision)
        return [params.confidence if t is not None and math.isnan(t) else t for t in measured]
    samples = usable_samples(predicted, dataset.split(config.data.train))
    count = partial(_count_all, predicted=predicted, n_classes=n_classes)
    total = _sum(count, samples, config, np.zeros((n_classes, BINS), np.int64))
    return [*thresholds_that_keep(total, _KEPT_SHARE)]


def _sum(count: Any, samples: Sequence[Sample], config: Config, total: Any) -> Any:
    for result in map_samples(count, samples, config):
        if isinstance(result, Skipped):
            log(f"calibration: {result.id} is left out: {result.reason}")
        else:
            total = total + result
    return total


def _count_right_and_all(sample: Sample, predicted: Stage, n_classes: int) -> NDArray[np.int64]:
    labels, confidence = _read(sample, predicted)
    mask = labelled_pixels(sample, n_classes)
    is_known = mask != IGNORE
    right = count_confidence(labels, confidence, n_classes, is_known & (labels == mask))
    return np.stack([right, count_confidence(labels, confidence, n_classes, is_known)])


def _count_all(sample: Sample, predicted: Stage, n_classes: int) -> NDArray[np.int64]:
    return count_confidence(*_read(sample, predicted), n_classes)


def _filter(
    sample: Sample, predicted: Stage, calibration: Stage
) -> tuple[NDArray[np.uint8], ClassStats]:
    thresholds = thresholds_of(calibration)
    known = constraints_of(sample, len(thresholds)).known
    labels, confidence = _read(sample, predicted)
    if has_full_mask(sample):  # Its unlabelled pixels stay IGNORE.
        return known, {}
    required = np.append(thresholds, np.full(256 - len(thresholds), np.inf, np.float32))[labels]
    accepted = np.where(confidence >= required, labels, IGNORE)
    return np.where(known == IGNORE, accepted, known).astype(np.uint8), {}


def _read(sample: Sample, predicted: Stage) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return read_label_map(label_path(predicted, sample)), read_confidence(predicted, sample.id)
