"""Label maps of a stage measured against hidden truth, over a whole split."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from wsseg.annotations.model import Sample
from wsseg.annotations.truth import Truth, true_label_map
from wsseg.labels import read_label_map
from wsseg.quality.metrics import SegmentationQuality, confusion_matrix
from wsseg.run.engine import map_samples
from wsseg.run.labelling import label_path, labelled, samples_key
from wsseg.run.progress import say, track
from wsseg.run.stage import Run, Stage


def measure(
    run: Run, labels: Stage | None, truth: Truth, samples: Sequence[Sample]
) -> SegmentationQuality | None:
    """Return how good a stage's label maps are, and record it in ``<stage>/quality``.

    Args:
        run: The run.
        labels: A complete stage of label maps; None measures nothing.
        truth: Hidden truth. Images it does not cover are left out.
        samples: The images.

    Returns:
        The figures, None where no image has truth.
    """
    if labels is None:
        return None
    known = [truth.with_mask(s) for s in labelled(labels, samples) if truth.covers(s)]
    if not known:
        return None
    stage = run.stage(f"{labels.name}/quality", labels=labels, truth=samples_key(known))
    if not stage.is_complete:
        with stage.work() as record:
            compare = partial(_matrix, labels=labels, n_classes=len(truth.classes))
            results = map_samples(compare, known, run.config.workers, strict=True)
            shown = track(results, stage.name, len(known))
            matrices = (matrix for matrix in shown if isinstance(matrix, np.ndarray))
            record["matrix"] = sum(matrices, start=np.zeros(1, np.int64)).tolist()
    quality = SegmentationQuality(np.array(stage.manifest["matrix"], np.int64), truth.classes)
    say(f"{labels.name}: mIoU {quality.miou:.3f}, coverage {quality.coverage:.3f}")
    return quality


def _matrix(sample: Sample, labels: Stage, n_classes: int) -> NDArray[np.int64]:
    prediction = read_label_map(label_path(labels, sample))
    return confusion_matrix(prediction, true_label_map(sample, n_classes), n_classes)
