"""How good label maps are, given the truth: from counts that add up over images."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.labels import IGNORE

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)).astype(np.uint8)


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
    _check(prediction, truth)
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


def boundary_width(size: tuple[int, int], share: float = 0.01) -> float:
    """Return a boundary's tolerance as a share of the image's diagonal.

    Args:
        size: (H, W) of the image.
        share: Of the diagonal.

    Returns:
        Pixels.

    Example:
        >>> boundary_width((300, 400))
        5.0
    """
    return share * float(np.hypot(*size))


def boundary_counts(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], n_classes: int, width: float = 2.0
) -> NDArray[np.int64]:
    """Return what ``boundary_f1`` and ``boundary_iou`` need of one image; counts add over images.

    The boundary of a class are its pixels with a neighbour (of four) of another class. Pixels
    that are IGNORE in the truth belong to no boundary and make none, nor does the image's frame.
    IGNORE in the prediction is another class.

    Args:
        prediction: (H, W) uint8 label map, IGNORE where unknown.
        truth: (H, W) uint8 label map, IGNORE where unknown.
        n_classes: K, background included.
        width: Tolerance in pixels.

    Returns:
        (K, 6) int64, a row a class: boundary pixels of the prediction, those of them within
        ``width`` of the true boundary, boundary pixels of the truth, those of them within
        ``width`` of the predicted boundary; intersection and union of the two bands that reach
        ``width`` from the boundary into the class.

    Raises:
        InputError: The label maps differ in size or are not uint8.
    """
    _check(prediction, truth)
    known = truth != IGNORE
    rows = [
        _boundary_row((prediction == label) & known, truth == label, known, width)
        for label in range(n_classes)
    ]
    return np.array(rows, np.int64).reshape(n_classes, 6)


def boundary_f1(counts: NDArray[np.int64]) -> float | None:
    """Return the mean over classes of how well boundaries match, as an F1 score.

    Args:
        counts: (K, 6) of ``boundary_counts``, or their sum over images.

    Returns:
        0..1, or None where no class has a boundary. Classes without one are dropped.

    References:
        Csurka et al., What is a good evaluation measure for semantic segmentation?, BMVC 2013.
    """
    predicted, precise, true, found = counts[:, :4].T
    # 2PR / (P + R) for P = precise / predicted and R = found / true, without dividing by 0
    top, bottom = 2 * precise * found, precise * true + found * predicted
    scores = np.divide(top, bottom, out=np.zeros(len(counts)), where=bottom > 0)
    return _mean(scores[predicted + true > 0])


def boundary_iou(counts: NDArray[np.int64]) -> float | None:
    """Return the mean over classes of the IoU of their boundary bands.

    Args:
        counts: (K, 6) of ``boundary_counts``, or their sum over images.

    Returns:
        0..1, or None where no class has a boundary. Classes without one are dropped.

    References:
        Cheng et al., Boundary IoU, CVPR 2021, arXiv:2103.16562.
    """
    intersection, union = counts[:, 4:].T
    present = union > 0
    return _mean(intersection[present] / union[present])


def _mean(scores: NDArray[np.floating]) -> float | None:
    return float(scores.mean()) if scores.size else None


def _boundary_row(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], known: NDArray[np.bool_], width: float
) -> tuple[int, ...]:
    edge, true_edge = _boundary(prediction, known), _boundary(truth, known)
    near, near_truth = _within(edge, width), _within(true_edge, width)
    band, true_band = prediction & near, truth & near_truth
    matches = (edge, edge & near_truth, true_edge, true_edge & near)
    overlap = (band & true_band, band | true_band)
    return tuple(int(area.sum()) for area in (*matches, *overlap))


def _boundary(mask: NDArray[np.bool_], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    others = (known & ~mask).astype(np.uint8)
    return mask & (cv2.dilate(others, _CROSS, borderValue=0) > 0)


def _within(edge: NDArray[np.bool_], width: float) -> NDArray[np.bool_]:
    if not edge.any():
        return np.zeros(edge.shape, bool)
    away = (~edge).astype(np.uint8)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance <= width)


def _check(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
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
