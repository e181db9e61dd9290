"""Label maps of a stage measured against hidden truth, over a whole split."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from wsseg.data.model import Sample
from wsseg.data.truth import Truth, true_label_map
from wsseg.labelmaps import read_confidence, read_label_map
from wsseg.metrics.segmentation import SegmentationQuality
from wsseg.runs.labelling import confidence_path, label_path, map_stage, samples_key, usable_samples
from wsseg.runs.names import quality_name
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.measured import counted_rows, read_measured


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
        The figures, None where no image has truth. Images whose truth cannot be read are told,
        listed in the manifest under "skipped" and left out; ``read_measured`` has the others
        one by one.

    Raises:
        InputError: The truth of an image cannot be read, when the run is strict.
    """
    if labels is None:
        return None
    known = [truth.with_mask(s) for s in usable_samples(labels, samples) if truth.covers(s)]
    if not known:
        return None
    stage = run.stage(
        quality_name(labels.name),
        labels=labels,
        truth=samples_key(known),
        classes=list(truth.classes),
        counts="by image, boundary, object and confidence",
    )
    if not stage.is_complete:
        compare = partial(_compare, labels=labels, n_classes=len(truth.classes))
        map_stage(run, stage, compare, known, needs_one=False)
    measured = read_measured(run.path, labels.name, truth.classes)
    if measured is None:
        log(f"{labels.name}: not measured, no pixel of its images has a true class")
        return None
    quality = measured.quality
    log(f"{labels.name}: mIoU {quality.miou:.3f}, coverage {quality.coverage:.3f}")
    return quality


def _compare(sample: Sample, labels: Stage, n_classes: int) -> tuple[str, list[dict[str, Any]]]:
    prediction = read_label_map(label_path(labels, sample))
    sure = read_confidence(confidence_path(labels, sample))
    rows = counted_rows(prediction, true_label_map(sample, n_classes), n_classes, sure)
    return sample.id, [{"id": sample.id, **row} for row in rows]
