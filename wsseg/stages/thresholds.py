"""Activation maps measured against the hidden truth, at each threshold of the background."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Classes, Sample
from wsseg.data.truth import Truth, true_label_map
from wsseg.labelmaps import read_scores
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix
from wsseg.parallel import keep_results
from wsseg.runs.engine import map_samples
from wsseg.runs.labelling import samples_key, scores_path, usable_samples
from wsseg.runs.names import quality_name
from wsseg.runs.progress import log, track
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Scores of the background that are measured, 0.05 to 0.95."""


def measure_thresholds(
    run: Run, maps: Stage | None, truth: Truth, samples: Sequence[Sample]
) -> dict[float, float] | None:
    """Measure the label maps that activation maps alone would give, and record the counts.

    A pixel gets the class of the highest map if it exceeds the threshold, else the background;
    nothing is refined or IGNORE. The curve shows how much depends on the choice of the threshold.
    It must not make that choice: that would be learning from the truth.

    Args:
        maps: A complete stage of activation maps.
        truth: Hidden truth. Images that it does not cover are left out.

    Returns:
        mIoU, 0..1, by threshold; None if no image has truth.

    Raises:
        InputError: The truth or the maps of an image cannot be read, and the run is strict.
    """
    if maps is None:
        return None
    known = [truth.with_mask(s) for s in usable_samples(maps, samples) if truth.covers(s)]
    if not known:
        return None
    stage = run.stage(
        quality_name(maps.name),
        maps=maps,
        truth=samples_key(known),
        classes=list(truth.classes),
        thresholds=THRESHOLDS,
    )

    def compare() -> dict[str, Any]:
        work = partial(_matrices, maps=maps, n_classes=len(truth.classes))
        results = track(map_samples(work, known, run.config), stage.name, len(known))
        skipped = dict[str, str]()
        total = sum(keep_results(results, skipped), np.zeros((), np.int64))
        return {"skipped": dict(sorted(skipped.items())), "matrices": total.tolist()}

    stage.run(compare)
    matrices = np.array(stage.results["matrices"], np.int64)
    if not matrices.any():
        return None
    curve = threshold_curve(matrices, truth.classes)
    best = max(curve, key=lambda threshold: curve[threshold])
    log(f"{maps.name}: mIoU {curve[best]:.3f} at the best threshold of the background, {best}")
    return curve


def threshold_curve(matrices: NDArray[np.int64], classes: Classes) -> dict[float, float]:
    """Return the mIoU, 0..1, at each of ``THRESHOLDS``, from confusion matrices (T, K, K + 1)."""
    mious = [SegmentationQuality(matrix, classes).miou for matrix in matrices]
    return dict(zip(THRESHOLDS, mious, strict=True))


def _matrices(sample: Sample, maps: Stage, n_classes: int) -> NDArray[np.int64]:
    labels, scores = read_scores(scores_path(maps, sample.id))
    truth = true_label_map(sample, n_classes)
    if not len(labels):
        labels, scores = np.zeros(1, np.uint8), np.zeros((1, 1, 1), np.float32)
    large = np.stack([cv2.resize(score, truth.shape[::-1]) for score in scores])
    best, highest = labels[large.argmax(axis=0)], large.max(axis=0)
    label_maps = (np.where(highest > level, best, 0).astype(np.uint8) for level in THRESHOLDS)
    return np.stack([confusion_matrix(label_map, truth, n_classes) for label_map in label_maps])
