"""Calibration: how often predictions of some confidence are right, on pixel-labelled images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.labelmaps import IGNORE

BINS = 1000
"""Bins of confidence, from 0 to 1."""

Counts = NDArray[np.int64]
"""(K, B) pixels by predicted label and confidence, in B equal bins of 0..1."""


@dataclass(frozen=True)
class ReliabilityBin:
    """A bar of a reliability diagram: mean confidence, accuracy and share of pixels, 0..1."""

    confidence: float
    accuracy: float
    share: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """Pixels by predicted label and confidence.

    Args:
        right: (K, B) correctly predicted pixels.
        total: (K, B) pixels whose true class is known.
    """

    right: Counts
    total: Counts

    def thresholds_at(self, precision: float) -> list[float | None]:
        """Return the lowest confidence of each class from which labels reach a precision.

        Args:
            precision: Correct share of the pixels at or above the threshold, 0..1.

        Returns:
            K thresholds; None if no threshold of the class reaches the precision, NaN if no pixel
            with a true class has the label.
        """
        return [
            _threshold(right, total, precision)
            for right, total in zip(self.right, self.total, strict=True)
        ]

    def reliability(self, bins: int = 10) -> list[ReliabilityBin]:
        """Return the reliability diagram over all classes, without empty bars.

        Args:
            bins: Number of bars; divides B.

        References:
            Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599.
        """
        total = self.total.sum(axis=0).reshape(bins, -1)
        right = self.right.sum(axis=0).reshape(bins, -1).sum(axis=1)
        centres = (np.arange(total.size) + 0.5) / total.size
        confidence = (total * centres.reshape(bins, -1)).sum(axis=1)
        counts = total.sum(axis=1)
        return [
            ReliabilityBin(
                confidence=float(confidence[i] / counts[i]),
                accuracy=float(right[i] / counts[i]),
                share=float(counts[i] / counts.sum()),
            )
            for i in range(bins)
            if counts[i]
        ]

    def coverage_curve(self) -> list[tuple[float, float, float]]:
        """Return (threshold, coverage, accuracy) at each threshold of confidence, all 0..1.

        Coverage is the share of the pixels at or above the threshold, accuracy the correct share
        of these.
        """
        total, right = self.total.sum(axis=0), self.right.sum(axis=0)
        above, right_above = (counts[::-1].cumsum()[::-1] for counts in (total, right))
        return [
            (i / total.size, float(above[i] / above[0]), float(right_above[i] / above[i]))
            for i in np.flatnonzero(total).tolist()
        ]

    @property
    def error(self) -> float:
        """Expected calibration error: mean of |accuracy - confidence| over the pixels."""
        bars = self.reliability()
        return sum(bar.share * abs(bar.accuracy - bar.confidence) for bar in bars)


def count_confidence(
    label_map: NDArray[np.uint8],
    confidence: NDArray[np.floating],
    n_classes: int,
    where: NDArray[np.bool_] | None = None,
    bins: int = BINS,
) -> Counts:
    """Return the number of pixels (n_classes, bins) of an image by label and confidence.

    Args:
        label_map: (H, W) uint8; IGNORE does not count.
        confidence: (H, W) in 0..1.
        where: (H, W) bool, pixels to count; None counts all.
    """
    chosen = label_map != IGNORE if where is None else (label_map != IGNORE) & where
    bars = np.minimum((confidence[chosen] * bins).astype(np.int64), bins - 1)
    index = label_map[chosen].astype(np.int64) * bins + bars
    return np.bincount(index, minlength=n_classes * bins).reshape(n_classes, bins)


def thresholds_that_keep(total: Counts, share: float) -> list[float]:
    """Return the confidence of each class above which a share of its pixels lies.

    Args:
        total: (K, BINS) pixels by label and confidence.
        share: Share of the pixels of each class to keep at least, 0..1.

    Returns:
        K thresholds; 0 for a class without a pixel.

    References:
        Zou et al., Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
        Self-Training, arXiv:1810.07911.
    """
    above = total[:, ::-1].cumsum(axis=1)[:, ::-1]
    enough = above >= share * total.sum(axis=1, keepdims=True)
    highest = BINS - 1 - enough[:, ::-1].argmax(axis=1)
    return [float(b) / BINS if n else 0.0 for b, n in zip(highest, total.sum(axis=1), strict=True)]


def _threshold(right: Counts, total: Counts, precision: float) -> float | None:
    above = np.cumsum(total[::-1])[::-1]
    if not above[0]:
        return float("nan")
    right_above = np.cumsum(right[::-1])[::-1]
    good = np.flatnonzero((above > 0) & (right_above >= precision * above))
    return float(good[0]) / len(total) if good.size else None
