"""The stage "<labels>/quality": a stage's label maps compared with the hidden truth."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow import Array, RecordBatch
from pyarrow.types import is_list, is_null

from wsseg.data.model import Classes, Sample
from wsseg.data.truth import Truth, true_label_map
from wsseg.labelmaps import read_confidence, read_label_map
from wsseg.metrics.counts import LabelCounts, count_labels, sum_by_class
from wsseg.metrics.objects import ObjectCounts
from wsseg.metrics.segmentation import SegmentationQuality
from wsseg.runs.labelling import confidence_path, label_path, map_stage, samples_key, usable_samples
from wsseg.runs.names import quality_name
from wsseg.runs.progress import log
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage, finished_stage
from wsseg.runs.stats import stats_batches

_COUNTS = ("confusion", "predicted", "boundary", "right", "total")
_KEPT = ("id", "label", "confusion", "predicted", "boundary", "objects")
_ROWS = 4096  # at a time


def measure(
    run: Run, labels: Stage | None, truth: Truth, samples: Sequence[Sample]
) -> SegmentationQuality | None:
    """Measure a stage's label maps against the truth and record the counts of each image.

    Args:
        labels: A complete stage of label maps; None measures nothing.
        truth: Hidden truth. Images that it does not cover are left out.

    Returns:
        The figures; None if no image has truth. Images whose truth cannot be read are reported,
        listed in the manifest and left out; ``read_counts`` returns the counts of the others.

    Raises:
        InputError: The truth of an image cannot be read, and the run is strict.
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
    counts = read_counts(run.path, labels.name, truth.classes)
    if counts is None:
        log(f"{labels.name}: not measured, no pixel of its images has a true class")
        return None
    quality = counts.quality
    log(f"{labels.name}: mIoU {quality.miou:.3f}, coverage {quality.coverage:.3f}")
    return quality


def read_counts(run: Path, name: str, classes: Classes) -> LabelCounts | None:
    """Return what ``measure`` counted of a stage's label maps.

    Args:
        name: The stage of label maps, such as "seeds" or "round-1/val".

    Returns:
        The counts; None if the stage was not measured, or no pixel has a true class.
    """
    parts = [_part(batch, len(classes)) for batch in _batches(run, name)]
    if not parts:
        return None
    merge = {key: np.concatenate([part[key] for part in parts]) for key in _KEPT}
    ids, image = np.unique(merge.pop("id"), return_inverse=True)
    confidence: NDArray[np.int64] = sum(
        (part["confidence"] for part in parts), np.zeros((), np.int64)
    )
    return LabelCounts(classes, tuple(ids.tolist()), image, **merge, confidence=confidence)


def pair_ious(run: Path, name: str) -> pd.Series:
    """Return the IoU, 0..1, of each class in each image of a stage, by image id and class.

    It is empty if the stage was not measured.
    """
    parts = [_ious(batch) for batch in _batches(run, name)]
    return pd.concat(parts) if parts else pd.Series(dtype=float)


def _compare(sample: Sample, labels: Stage, n_classes: int) -> tuple[str, list[dict[str, Any]]]:
    prediction = read_label_map(label_path(labels, sample))
    confidence = read_confidence(confidence_path(labels, sample))
    rows = count_labels(prediction, true_label_map(sample, n_classes), n_classes, confidence)
    return sample.id, [{"id": sample.id, **row} for row in rows]


def _batches(run: Path, name: str) -> Iterator[RecordBatch]:
    folder = quality_name(name)
    stage = finished_stage(run, folder)
    if stage and stage.results["images"]:
        yield from stats_batches(run / folder, _ROWS)


def _part(batch: RecordBatch, n_classes: int) -> dict[str, NDArray[Any]]:
    """Read some rows; what a report only adds up is added up here, which saves memory."""
    rows, label = batch.num_rows, _numbers(batch["class"]).astype(np.intp)
    counts = {key: _numbers(batch[key]).astype(np.int64).reshape(rows, -1) for key in _COUNTS}
    right, total = (sum_by_class(label, counts.pop(key), n_classes) for key in ("right", "total"))
    return {
        "id": batch["id"].to_numpy(zero_copy_only=False),
        "label": label,
        **counts,
        "predicted": counts["predicted"][:, 0],
        "objects": _objects(batch["objects"].flatten()),
        "confidence": np.stack([right, total]),
    }


def _objects(objects: Array) -> NDArray[np.float64]:
    if is_null(objects.type):  # none of these images has any
        return np.zeros((0, len(ObjectCounts._fields)))
    fields = [_numbers(objects.field(key)) for key in ObjectCounts._fields]
    return np.stack(fields, axis=1).astype(np.float64)


def _numbers(column: Array) -> NDArray[Any]:
    flat = column.flatten() if is_list(column.type) else column
    return np.asarray(flat.to_numpy(zero_copy_only=False))


def _ious(batch: RecordBatch) -> pd.Series:
    columns = (_numbers(batch[key]) for key in ("id", "class", "predicted", "confusion"))
    ids, label, predicted, flat = columns
    confusion = flat.reshape(len(label), -1)
    hits = confusion[np.arange(len(label)), label]
    index = pd.MultiIndex.from_arrays([ids, label], names=["id", "class"])
    return pd.Series(hits / (confusion.sum(axis=1) + predicted - hits), index)
