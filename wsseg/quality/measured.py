"""What was counted of the label maps of a stage, image by image and class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.annotations.model import Classes
from wsseg.finetune.calibration import Calibration, Counts, counted
from wsseg.labels import IGNORE
from wsseg.quality.boundaries import boundary_counts, boundary_width
from wsseg.quality.metrics import SegmentationQuality, confusion_matrix
from wsseg.quality.objects import ObjectCounts, object_counts
from wsseg.run.progress import say
from wsseg.run.stage import finished_stage
from wsseg.run.tables import read_columns, read_table


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
        objects: The objects of the class in the image, R lists.
        sure: (R, 2, B) pixels predicted as the class, by confidence in B bins: those that are
            right, and all; zeros where no confidence is known.
    """

    classes: Classes
    ids: tuple[str, ...]
    image: NDArray[np.intp]
    label: NDArray[np.intp]
    confusion: NDArray[np.int64]
    predicted: NDArray[np.int64]
    boundary: NDArray[np.int64]
    objects: Sequence[Sequence[ObjectCounts]]
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
        right, total = (self._by_class(self.sure[:, part]) for part in (0, 1))
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
        total = np.zeros((len(self.classes), counts.shape[1]), np.int64)
        np.add.at(total, self.label, counts)
        return total


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
    folder = f"{name}/quality"
    if not finished_stage(run, folder).get("images"):
        return None
    table = read_columns(run / folder)
    if not table.num_rows:
        return None
    if not {*_COUNTS} <= {*table.column_names}:
        say(f"{name}: measured by an earlier version; run the pipeline again to see its figures")
        return None
    ids, image = np.unique(table["id"].to_numpy(zero_copy_only=False), return_inverse=True)
    columns = {key: np.array(table[key].to_pylist(), np.int64) for key in _COUNTS}
    objects = [[ObjectCounts(**each) for each in row] for row in table["objects"].to_pylist()]
    label = table["class"].to_numpy().astype(np.intp)
    sure = np.stack([columns.pop("right"), columns.pop("total")], axis=1)
    named = tuple(ids.tolist())
    return Measured(classes, named, image, label, **columns, objects=objects, sure=sure)


def pair_ious(run: Path, name: str) -> pd.Series:
    """Return the IoU of each class in each image that ``measure`` compared.

    Args:
        run: The run's folder.
        name: The stage of label maps.

    Returns:
        0..1 by image id and class; empty where the stage was not measured.
    """
    folder = f"{name}/quality"
    if not finished_stage(run, folder).get("images"):
        return pd.Series(dtype=float)
    table = read_table(run / folder)
    if table.empty:
        return pd.Series(dtype=float)
    table = table.set_index(["id", "class"])
    confusion = np.stack(table["confusion"].to_list())
    hits = confusion[np.arange(len(table)), table.index.get_level_values("class")]
    return pd.Series(hits / (confusion.sum(axis=1) + table["predicted"] - hits), table.index)


_COUNTS = ("confusion", "predicted", "boundary", "right", "total")
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
