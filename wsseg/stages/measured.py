"""What was counted of the label maps of a stage, image by image and class by class."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow import Array, RecordBatch
from pyarrow.types import is_list, is_null

from wsseg.data.model import Classes
from wsseg.labelmaps import IGNORE
from wsseg.metrics.boundaries import boundary_counts, boundary_width
from wsseg.metrics.calibration import Calibration, Counts, counted
from wsseg.metrics.objects import ObjectCounts, object_counts
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix
from wsseg.runs.names import quality_name
from wsseg.runs.progress import log
from wsseg.runs.stage import finished_stage
from wsseg.runs.stats import stats_batches


@dataclass(frozen=True, eq=False)
class Measured:
    """Counts of R pairs of an image and a class that its truth or its prediction has.

    Args:
        classes: K names, background first.
        ids: The N images that have a pixel with a true class, in order.
        image: (R,) position in ``ids``.
        label: (R,) class.
        confusion: (R, K + 1) predictions on the pixels of the class, the last IGNORE.
        predicted: (R,) pixels predicted as the class.
        boundary: (R, 6) of ``boundary_counts``, within 1 % of the diagonal.
        objects: (M, 6) objects of all images, in the fields of ``ObjectCounts``.
        sure: (2, K, B) pixels predicted as each class, by confidence in B bins: those that are
            right, and all, of all images; zeros where no confidence is known.
    """

    classes: Classes
    ids: tuple[str, ...]
    image: NDArray[np.intp]
    label: NDArray[np.intp]
    confusion: NDArray[np.int64]
    predicted: NDArray[np.int64]
    boundary: NDArray[np.int64]
    objects: NDArray[np.float64]
    sure: NDArray[np.int64]

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(K, K + 1) confusion matrix of all images."""
        return self._by_class(self.confusion)

    @property
    def quality(self) -> SegmentationQuality:
        """The figures of all images together."""
        return SegmentationQuality(self.matrix, self.classes)

    @property
    def boundaries(self) -> NDArray[np.int64]:
        """(K, 6) of ``boundary_counts``, of all images."""
        return self._by_class(self.boundary)

    @property
    def calibration(self) -> Calibration | None:
        """Confidence of all images together; None where none is known."""
        right, total = self.sure
        return Calibration(right, total) if total.any() else None

    @property
    def hits(self) -> NDArray[np.int64]:
        """(R,) pixels of the class that are predicted as it."""
        return self.confusion[np.arange(len(self.label)), self.label]

    @property
    def union(self) -> NDArray[np.int64]:
        """(R,) pixels that are of the class or predicted as it; at least 1."""
        return np.asarray(self.confusion.sum(axis=1) + self.predicted - self.hits)

    @property
    def image_mious(self) -> dict[str, float]:
        """Mean IoU, 0..1, over the classes of each image."""
        total = np.bincount(self.image, self.hits / self.union, minlength=len(self.ids))
        means = total / np.bincount(self.image, minlength=len(self.ids))
        return dict(zip(self.ids, means.tolist(), strict=True))

    def _by_class(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        return _by_class(self.label, counts, len(self.classes))


def counted_rows(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    n_classes: int,
    confidence: NDArray[np.floating] | None = None,
) -> list[dict[str, Any]]:
    """Return the counts of one image as rows of a table.

    Args:
        prediction: (H, W) uint8 label map, IGNORE where unknown.
        truth: (H, W) uint8 label map; its IGNORE pixels count nowhere.
        n_classes: K, background included.
        confidence: (H, W) of the predictions, 0..1; None where it is not known.

    Returns:
        A row for each class that the truth or the prediction has.

    Raises:
        InputError: The label maps differ in size, are not uint8 or hold unknown classes.
    """
    matrix = confusion_matrix(prediction, truth, n_classes)
    predicted = matrix[:, :-1].sum(axis=0)
    edges = boundary_counts(prediction, truth, n_classes, boundary_width(truth.shape))
    objects = object_counts(prediction, truth, n_classes)
    sure = _sure(prediction, truth, n_classes, confidence)
    return [
        {
            "class": label,
            "predicted": int(predicted[label]),
            "confusion": matrix[label].tolist(),
            "boundary": edges[label].tolist(),
            "objects": [each._asdict() for each in objects if each.label == label],
            "right": sure[0][label].tolist(),
            "total": sure[1][label].tolist(),
        }
        for label in range(n_classes)
        if matrix[label].any() or predicted[label]
    ]


def read_measured(run: Path, name: str, classes: Classes) -> Measured | None:
    """Return what ``measure`` counted of a stage's label maps.

    Args:
        run: The run's folder.
        name: The stage of label maps, such as "seeds" or "round-1/val".
        classes: Of the data set.

    Returns:
        The counts; None where the stage was not measured (or by an earlier version: run it again),
        or no pixel has a true class.
    """
    parts = []
    for batch in _batches(run, name):
        if not {*_COUNTS} <= {*batch.schema.names}:
            again = "run the pipeline again to see its figures"
            log(f"{name}: measured by an earlier version; {again}")
            return None
        parts.append(_part(batch, len(classes)))
    if not parts:
        return None
    joined = {key: np.concatenate([part[key] for part in parts]) for key in _KEPT}
    ids, image = np.unique(joined.pop("id"), return_inverse=True)
    sure: NDArray[np.int64] = sum((part["sure"] for part in parts), np.zeros((), np.int64))
    return Measured(classes, tuple(ids.tolist()), image, **joined, sure=sure)


def _part(batch: RecordBatch, n_classes: int) -> dict[str, NDArray[Any]]:
    """Some rows of the table, what a report only adds up added up already."""
    rows, label = batch.num_rows, _numbers(batch["class"]).astype(np.intp)
    counts = {key: _numbers(batch[key]).astype(np.int64).reshape(rows, -1) for key in _COUNTS}
    right, total = (_by_class(label, counts.pop(key), n_classes) for key in ("right", "total"))
    return {
        "id": batch["id"].to_numpy(zero_copy_only=False),
        "label": label,
        **counts,
        "predicted": counts["predicted"][:, 0],
        "objects": _objects(batch["objects"].flatten()),
        "sure": np.stack([right, total]),
    }


def _objects(found: Array) -> NDArray[np.float64]:
    if is_null(found.type):  # no image of these has any
        return np.zeros((0, len(ObjectCounts._fields)))
    fields = [_numbers(found.field(key)) for key in ObjectCounts._fields]
    return np.stack(fields, axis=1).astype(np.float64)


def _numbers(column: Array) -> NDArray[Any]:
    flat = column.flatten() if is_list(column.type) else column
    return np.asarray(flat.to_numpy(zero_copy_only=False))


def _by_class(
    label: NDArray[np.intp], counts: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    total = np.zeros((n_classes, counts.shape[1]), np.int64)
    np.add.at(total, label, counts)
    return total


def pair_ious(run: Path, name: str) -> pd.Series:
    """Return the IoU of each class in each image that ``measure`` compared.

    Args:
        run: The run's folder.
        name: The stage of label maps.

    Returns:
        0..1 by image id and class; empty where the stage was not measured.
    """
    found = [_ious(batch) for batch in _batches(run, name)]
    return pd.concat(found) if found else pd.Series(dtype=float)


def _ious(batch: RecordBatch) -> pd.Series:
    columns = (_numbers(batch[key]) for key in ("id", "class", "predicted", "confusion"))
    ids, label, predicted, flat = columns
    confusion = flat.reshape(len(label), -1)
    hits = confusion[np.arange(len(label)), label]
    index = pd.MultiIndex.from_arrays([ids, label], names=["id", "class"])
    return pd.Series(hits / (confusion.sum(axis=1) + predicted - hits), index)


def _batches(run: Path, name: str) -> Iterator[RecordBatch]:
    folder = quality_name(name)
    stage = finished_stage(run, folder)
    if stage and stage.results["images"]:
        yield from stats_batches(run / folder, _ROWS)


_COUNTS = ("confusion", "predicted", "boundary", "right", "total")
_KEPT = ("id", "label", "confusion", "predicted", "boundary", "objects")
_ROWS = 4096  # at a time
_BINS = 50  # of confidence


def _sure(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    n_classes: int,
    confidence: NDArray[np.floating] | None,
) -> tuple[Counts, Counts]:
    """Pixels by prediction and confidence: those that are right, and all with a true class."""
    if confidence is None:
        none = np.zeros((n_classes, _BINS), np.int64)
        return none, none
    right, known = prediction == truth, truth != IGNORE
    return (
        counted(prediction, confidence, n_classes, right & known, _BINS),
        counted(prediction, confidence, n_classes, known, _BINS),
    )
