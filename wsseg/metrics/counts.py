"""Everything that is counted when label maps are compared with the truth, image by image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from wsseg.data.model import Classes
from wsseg.labelmaps import IGNORE
from wsseg.metrics.bootstrap import ImageOverlaps
from wsseg.metrics.boundaries import boundary_counts, boundary_width
from wsseg.metrics.calibration import Calibration, count_confidence
from wsseg.metrics.objects import object_counts
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix

_BINS = 50  # of confidence


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """Counts of R pairs of an image and a class that occurs in its truth or its prediction.

    Attributes:
        classes: K names, background first.
        ids: The N images that have a pixel with a true class, sorted.
        image: (R,) position in ``ids``.
        label: (R,) class.
        confusion: (R, K + 1) predictions on the pixels of the class, the last IGNORE.
        predicted: (R,) pixels predicted as the class.
        boundary: (R, 6) of ``boundary_counts``, within 1 % of the diagonal.
        objects: (M, 6) objects of all images, in the fields of ``ObjectCounts``.
        confidence: (2, K, B) pixels predicted as each class by confidence in B bins, of all images:
            the correct ones, and all; zeros if no confidence is known.
    """

    classes: Classes
    ids: tuple[str, ...]
    image: NDArray[np.intp]
    label: NDArray[np.intp]
    confusion: NDArray[np.int64]
    predicted: NDArray[np.int64]
    boundary: NDArray[np.int64]
    objects: NDArray[np.float64]
    confidence: NDArray[np.int64]

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(K, K + 1) confusion matrix of all images."""
        return sum_by_class(self.label, self.confusion, len(self.classes))

    @property
    def quality(self) -> SegmentationQuality:
        """The figures of all images together."""
        shape, place = (len(self.ids), len(self.classes)), (self.image, self.label)
        hits, union = (sparse.csr_array((c, place), shape) for c in (self.hits, self.union))
        return SegmentationQuality(self.matrix, self.classes, ImageOverlaps(self.ids, hits, union))

    @property
    def boundaries(self) -> NDArray[np.int64]:
        """(K, 6) of ``boundary_counts``, of all images."""
        return sum_by_class(self.label, self.boundary, len(self.classes))

    @property
    def calibration(self) -> Calibration | None:
        """Confidence of all images together; None if it is unknown."""
        right, total = self.confidence
        return Calibration(right, total) if total.any() else None

    @property
    def hits(self) -> NDArray[np.int64]:
        """(R,) correctly predicted pixels of the class."""
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


def count_labels(
    prediction: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    n_classes: int,
    confidence: NDArray[np.floating] | None = None,
) -> list[dict[str, Any]]:
    """Return the counts of one image as rows of a table.

    Args:
        prediction: (H, W) uint8 label map, IGNORE where unknown.
        truth: (H, W) uint8 label map; its IGNORE pixels do not count.
        n_classes: K, background included.
        confidence: (H, W) of the predictions, 0..1; None if unknown.

    Returns:
        A row for each class that occurs in the truth or the prediction.
    """
    matrix = confusion_matrix(prediction, truth, n_classes)
    predicted = matrix[:, :-1].sum(axis=0)
    edges = boundary_counts(prediction, truth, n_classes, boundary_width(truth.shape))
    objects = object_counts(prediction, truth, n_classes)
    right = total = np.zeros((n_classes, _BINS), np.int64)
    if confidence is not None:
        known = truth != IGNORE
        correct = (prediction == truth) & known
        right = count_confidence(prediction, confidence, n_classes, correct, _BINS)
        total = count_confidence(prediction, confidence, n_classes, known, _BINS)
    return [
        {
            "class": label,
            "predicted": int(predicted[label]),
            "confusion": matrix[label].tolist(),
            "boundary": edges[label].tolist(),
            "objects": [item._asdict() for item in objects if item.label == label],
            "right": right[label].tolist(),
            "total": total[label].tolist(),
        }
        for label in range(n_classes)
        if matrix[label].any() or predicted[label]
    ]


def sum_by_class(
    label: NDArray[np.intp], counts: NDArray[np.int64], n_classes: int
) -> NDArray[np.int64]:
    """Return (K, X) sums of the rows of counts (R, X) by their labels (R,)."""
    total = np.zeros((n_classes, counts.shape[1]), np.int64)
    np.add.at(total, label, counts)
    return total
