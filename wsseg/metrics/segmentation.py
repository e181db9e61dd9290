"""IoU, precision, recall and coverage of label maps, from confusion matrices."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.metrics.bootstrap import (
    ImageOverlaps,
    Interval,
    difference_interval,
    iou_differences,
    miou_interval,
    pool,
)

LabelMaps = Mapping[str, NDArray[np.uint8]] | Iterable[NDArray[np.uint8]]
"""Label maps (H, W) uint8, by image id or in order."""


@dataclass(frozen=True, eq=False)
class SegmentationQuality:
    """The figures of a confusion matrix, for one image or a whole data set.

    Pixels that are IGNORE in the truth do not count. IGNORE in the prediction counts as wrong,
    except in ``miou_covered`` and ``per_class_covered``, which leave those pixels out. A class
    without a pixel in truth and prediction is dropped from the means and the dicts.

    Args:
        matrix: (K, K + 1) of ``confusion_matrix``.
        classes: K names, background first.
        images: Counts by image, which intervals need; None if unknown.

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
    images: ImageOverlaps | None = None

    def __post_init__(self) -> None:
        k = len(tuple(self.classes))
        if self.matrix.shape != (k, k + 1):
            remedy = "pass the classes that the matrix was counted with"
            raise InputError("matrix", f"of shape {(k, k + 1)}", self.matrix.shape, remedy)
        if not self.matrix.sum():
            raise InputError("The truth has no labelled pixel", hint="check that it is not all 255")

    @property
    def miou(self) -> float:
        """Mean of ``per_class``, 0..1."""
        return float(np.mean(list(self.per_class.values())))

    @property
    def miou_covered(self) -> float | None:
        """Mean of ``per_class_covered``, 0..1; None if every prediction is IGNORE."""
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
        """Correct share of the pixels predicted as each predicted class."""
        return self._shares(self._hits, self._predicted)

    @property
    def recall(self) -> dict[str, float]:
        """Correctly predicted share of the pixels of each true class."""
        return self._shares(self._hits, self._true)

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels whose prediction is right, 0..1."""
        return float(self._hits.sum() / self.matrix.sum())

    @property
    def coverage(self) -> float:
        """Share of pixels whose prediction is not IGNORE, 0..1."""
        return float(self._predicted.sum() / self.matrix.sum())

    def interval(self, level: float = 0.95) -> Interval:
        """Return the mIoU with its bootstrap interval over images, see ``miou_interval``."""
        return miou_interval(self.miou, self.by_image(), level)

    def gain_over(self, other: "SegmentationQuality", level: float = 0.95) -> Interval:
        """Return by how much the mIoU is higher than that of other label maps of the same images.

        The bootstrap draws the same images for both; ``is_noise`` tells whether other images could
        turn the sign.

        Raises:
            InputError: The images or the classes differ.
        """
        self._check_classes(other)
        drawn = iou_differences(other.by_image(), self.by_image())
        return difference_interval(self.miou - other.miou, drawn[:, -1], level)

    def class_gains_over(
        self, other: "SegmentationQuality", level: float = 0.95
    ) -> dict[str, Interval]:
        """Return ``gain_over`` of the IoU of each class that both have."""
        self._check_classes(other)
        drawn = iou_differences(other.by_image(), self.by_image())
        before, after = other.per_class, self.per_class
        return {
            name: difference_interval(after[name] - before[name], column, level)
            for name, column in zip(self.classes, drawn.T[:-1], strict=True)
            if name in before and name in after
        }

    def by_image(self) -> ImageOverlaps:
        """Return the counts of single images.

        Raises:
            InputError: They are unknown.
        """
        if self.images is None:
            hint = "use wsseg.evaluate, which counts image by image"
            raise InputError("The quality has no counts of single images", hint=hint)
        return self.images

    def _check_classes(self, other: "SegmentationQuality") -> None:
        if tuple(self.classes) != tuple(other.classes):
            raise InputError("The label maps have different classes", hint="evaluate both alike")

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


def evaluate(predicted: LabelMaps, truth: LabelMaps, classes: Iterable[str]) -> SegmentationQuality:
    """Compare predicted label maps with true ones, image by image.

    Args:
        predicted: Label maps (H, W) uint8, IGNORE (255) where unknown: a mapping by image id, or an
            iterable in the order of ``truth``. One image at a time is in memory.
        truth: As many true label maps; pixels that are IGNORE do not count. Of a mapping of
            predictions, those without truth are left out.
        classes: Names of the labels 0, 1, ..., background first.

    Returns:
        The figures of all images together, with ``interval()`` and ``gain_over(other)`` from a
        bootstrap over images.

    Raises:
        InputError: A prediction is missing, label maps differ in size, are not uint8 or hold
            unknown classes, or no pixel has a true class.

    Example:
        >>> truth = np.array([[0, 0, 1, 1]], np.uint8)
        >>> predicted = np.array([[0, 0, 1, 255]], np.uint8)
        >>> quality = evaluate([predicted, truth], [truth, truth], ["background", "cow"])
        >>> quality.miou, quality.per_class, quality.coverage
        (0.875, {'background': 1.0, 'cow': 0.75}, 0.875)
        >>> low, high = quality.interval()[1:]
        >>> low <= quality.miou <= high
        True
    """
    names = tuple(classes)
    if isinstance(predicted, np.ndarray) and predicted.ndim == 2:  # one image
        predicted, truth = [predicted], [np.asarray(truth)]
    total = np.zeros((len(names), len(names) + 1), np.int64)
    ids, hits, union = [], [], []
    for identity, prediction, true in _pairs(predicted, truth):
        matrix = confusion_matrix(prediction, true, len(names))
        if matrix.any():
            total += matrix
            ids.append(identity)
            hits.append(matrix.diagonal())
            union.append(matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0) - hits[-1])
    images = ImageOverlaps(tuple(ids), np.array(hits), np.array(union))
    return SegmentationQuality(total, names, images)


def pooled(parts: Sequence[SegmentationQuality]) -> SegmentationQuality:
    """Return the figures of all images of several disjoint sets, such as the folds of a data set.

    Raises:
        InputError: The classes differ, or the counts of single images are unknown.
    """
    for part in parts:
        parts[0]._check_classes(part)
    matrix = np.sum([part.matrix for part in parts], axis=0)
    return SegmentationQuality(matrix, parts[0].classes, pool([p.by_image() for p in parts]))


def confusion_matrix(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], n_classes: int
) -> NDArray[np.int64]:
    """Return how many pixels of each true class have each predicted class.

    The matrices of several images add up to that of the data set.

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


def check_maps(prediction: NDArray[np.uint8], truth: NDArray[np.uint8]) -> None:
    """Raise an InputError if two label maps differ in size or are not uint8."""
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


def _pairs(
    predicted: LabelMaps, truth: LabelMaps
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
    if isinstance(predicted, Mapping) and isinstance(truth, Mapping):
        for identity, true in truth.items():
            if identity not in predicted:
                hint = "predict every image that has truth"
                raise InputError(f"There is no prediction of image {identity}", hint=hint)
            yield identity, predicted[identity], true
        return
    if isinstance(predicted, Mapping) or isinstance(truth, Mapping):
        hint = "pass two mappings by image id, or two sequences"
        raise InputError("Only one of predicted and truth is a mapping", hint=hint)
    for number, (prediction, true) in enumerate(zip_longest(predicted, truth)):
        if prediction is None or true is None:
            hint = "pass one prediction for each true label map, in the same order"
            raise InputError("predicted and truth differ in length", hint=hint)
        yield str(number), prediction, true
