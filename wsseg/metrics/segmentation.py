"""How good label maps are, given the truth: from counts that add up over images."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


def confusion_matrix(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], n_classes: int
) -> NDArray[np.int64]:
    """Return how many pixels of each true class have each predicted class.

    Matrices of several images add up to that of the data set.

    Args:
        prediction: (H, W) uint8 label map, IGNORE where unknown.
        truth: (H, W) uint8 label map; its IGNORE pixels are left out.
        n_classes: K, background included.

    Returns:
        (K, K + 1) int64: rows are true classes, columns predicted ones; the last is IGNORE.

    Raises:
        InputError: The label maps differ in size, are not uint8 or hold unknown classes.

    Example:
        >>> prediction = np.array([[0, 1, 255]], np.uint8)
        >>> truth = np.array([[0, 0, 1]], np.uint8)
        >>> confusion_matrix(prediction, truth, n_classes=2).tolist()
        [[1, 1, 0], [0, 0, 1]]
    """
    check_maps(prediction, truth)
    pairs = truth.astype(np.intp).ravel() << 8 | prediction.ravel()
    counts = np.bincount(pairs, minlength=1 << 16).reshape(256, 256)
    _check_labels("prediction", counts.sum(axis=0), n_classes)
    _check_labels("truth", counts.sum(axis=1), n_classes)
    columns = [*range(n_classes), IGNORE]
    return counts[:n_classes, columns].astype(np.int64)


@dataclass(frozen=True, eq=False)
class SegmentationQuality:
    """The figures of a confusion matrix, for one image or a whole data set.

    IGNORE in the truth counts nowhere. IGNORE in the prediction is a wrong answer, except in
    ``miou_covered`` and ``per_class_covered``, which leave those pixels out. A class that neither
    truth nor prediction has (zero union) is dropped from the means and absent from the dicts.

    Args:
        matrix: (K, K + 1) of ``confusion_matrix``.
        classes: K names, background first.

    Raises:
        InputError: The matrix has another shape, or counts no pixel.

    Example:
        >>> matrix = np.array([[6, 2, 0], [0, 1, 1]])
        >>> quality = SegmentationQuality(matrix, ("background", "cow"))
        >>> quality.per_class
        {'background': 0.75, 'cow': 0.25}
        >>> quality.miou, quality.coverage
        (0.5, 0.9)
    """

    matrix: NDArray[np.int64]
    classes: Iterable[str]

    def __post_init__(self) -> None:
        k = len(tuple(self.classes))
        if self.matrix.shape != (k, k + 1):
            remedy = "pass the classes that the matrix was counted with"
            raise InputError("matrix", f"of shape {(k, k + 1)}", self.matrix.shape, remedy)
        if not self.matrix.sum():
            remedy = "check that the truth is not all IGNORE"
            raise InputError("truth", "at least one labelled pixel", "none", remedy)

    @property
    def miou(self) -> float:
        """Mean of ``per_class``, 0..1."""
        return float(np.mean(list(self.per_class.values())))

    @property
    def miou_covered(self) -> float | None:
        """Mean of ``per_class_covered``, 0..1; None where every prediction is IGNORE."""
        ious = list(self.per_class_covered.values())
        return float(np.mean(ious)) if ious else None

    @property
    def per_class(self) -> dict[str, float]:
        """IoU of each class, 0..1; pixels predicted as IGNORE are missed."""
        return self._shares(self._hits, self._true + self._predicted - self._hits)

    @property
    def per_class_covered(self) -> dict[str, float]:
        """IoU of each class, 0..1, over the pixels whose prediction is not IGNORE."""
        covered = self.matrix[:, :-1].sum(axis=1)
        return self._shares(self._hits, covered + self._predicted - self._hits)

    @property
    def precision(self) -> dict[str, float]:
        """Share of the pixels predicted as a class that are of it; predicted classes only."""
        return self._shares(self._hits, self._predicted)

    @property
    def recall(self) -> dict[str, float]:
        """Share of the pixels of a class that are predicted as it; true classes only."""
        return self._shares(self._hits, self._true)

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels whose prediction is right, 0..1."""
        return float(self._hits.sum() / self.matrix.sum())

    @property
    def coverage(self) -> float:
        """Share of pixels whose prediction is not IGNORE, 0..1."""
        return float(self._predicted.sum() / self.matrix.sum())

    @property
    def n_classes(self) -> int:
        """Classes that ``miou`` is the mean of."""
        return len(self.per_class)

    @property
    def _hits(self) -> NDArray[np.int64]:
        return self.matrix.diagonal()

    @property
    def _true(self) -> NDArray[np.int64]:
        return np.asarray(self.matrix.sum(axis=1))

    @property
    def _predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.matrix[:, :-1].sum(axis=0))

    def _shares(self, part: NDArray[np.int64], whole: NDArray[np.int64]) -> dict[str, float]:
        counts = zip(self.classes, part.tolist(), whole.tolist(), strict=True)
        return {name: share / of for name, share, of in counts if of}


def check_maps(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    """Refuse two label maps that cannot be compared.

    Args:
        prediction: (H, W) uint8.
        truth: (H, W) uint8.

    Raises:
        InputError: They differ in size or are not uint8.
    """
    if prediction.shape != truth.shape:
        remedy = "compare label maps of the same image"
        raise InputError("prediction", f"of size {truth.shape}", prediction.shape, remedy)
    for name, label_map in (("prediction", prediction), ("truth", truth)):
        if label_map.dtype != np.uint8:
            raise InputError(name, "uint8 labels", label_map.dtype, "convert its labels")


def _check_labels(name: str, counts: NDArray[np.int64], n_classes: int) -> None:
    unknown = n_classes + np.flatnonzero(counts[n_classes:IGNORE])
    if unknown.size:
        rule = f"made of labels 0 to {n_classes - 1} and {IGNORE}"
        raise InputError(name, rule, f"label {unknown[0]}", "name all classes")
