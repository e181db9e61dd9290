"""How often a network is right when it is so sure: measured on the pixel-labelled images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.labelmaps import IGNORE

BINS = 1000
"""Bins of confidence, from 0 to 1."""

Counts = NDArray[np.int64]
"""(K, BINS) pixels by label and confidence."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Pixels by their label and confidence, and how many of them are right.

    Args:
        right: (K, B) pixels whose label a mask confirms, by confidence in B equal bins of 0..1.
        total: (K, B) pixels of which a mask says what they are.
    """

    right: Counts
    total: Counts

    def least_confidence(self, precision: float) -> list[float | None]:
        """Return from which confidence on labels of each class are right often enough.

        Args:
            precision: Share of the pixels at least as sure that must be right.

        Returns:
            K confidences, the smallest there are; None where not even the surest pixels are right
            so often. NaN where no pixel with a mask has the label.
        """
        return [
            _least(right, total, precision)
            for right, total in zip(self.right, self.total, strict=True)
        ]

    def reliability(self, bins: int = 10) -> list[dict[str, float]]:
        """Return the reliability diagram over all classes.

        Args:
            bins: Number of bars; divides B.

        Returns:
            For each bar that has pixels "confidence" (mean), "accuracy" (share that is right) and
            "share" of the pixels.

        References:
            Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599.
        """
        total = self.total.sum(axis=0).reshape(bins, -1)
        right = self.right.sum(axis=0).reshape(bins, -1).sum(axis=1)
        centres = (np.arange(total.size) + 0.5) / total.size
        sure = (total * centres.reshape(bins, -1)).sum(axis=1)
        counts = total.sum(axis=1)
        return [
            {
                "confidence": float(sure[i] / counts[i]),
                "accuracy": float(right[i] / counts[i]),
                "share": float(counts[i] / counts.sum()),
            }
            for i in range(bins)
            if counts[i]
        ]

    def kept(self) -> list[tuple[float, float, float]]:
        """Return what would be left of the labels at each threshold of confidence.

        Returns:
            For each bin of confidence that has pixels its lower end, the share of the pixels that
            are at least as sure, and the share of these that is right.
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
        return sum(bar["share"] * abs(bar["accuracy"] - bar["confidence"]) for bar in bars)


def counted(
    label_map: NDArray[np.uint8],
    confidence: NDArray[np.floating],
    n_classes: int,
    where: NDArray[np.bool_] | None = None,
    bins: int = BINS,
) -> Counts:
    """Return the pixels of an image by label and confidence.

    Args:
        label_map: (H, W) uint8; IGNORE does not count.
        confidence: (H, W) in 0..1.
        n_classes: K.
        where: (H, W) bool, pixels to count; None counts all.
        bins: B.

    Returns:
        (K, B) int64.
    """
    chosen = label_map != IGNORE if where is None else (label_map != IGNORE) & where
    bars = np.minimum((confidence[chosen] * bins).astype(np.int64), bins - 1)
    index = label_map[chosen].astype(np.int64) * bins + bars
    return np.bincount(index, minlength=n_classes * bins).reshape(n_classes, bins)


def surest(total: Counts, keep: float) -> list[float]:
    """Return from which confidence on a share of the pixels of each class is kept.

    Args:
        total: (K, BINS) pixels by label and confidence.
        keep: The share, 0..1.

    Returns:
        K confidences; at least the share is kept. 0 where a class has no pixel.

    References:
        Zou et al., Unsupervised Domain Adaptation for Semantic Segmentation via Class-Balanced
        Self-Training, arXiv:1810.07911.
    """
    above = total[:, ::-1].cumsum(axis=1)[:, ::-1]
    enough = above >= keep * total.sum(axis=1, keepdims=True)
    highest = BINS - 1 - enough[:, ::-1].argmax(axis=1)
    return [float(b) / BINS if n else 0.0 for b, n in zip(highest, total.sum(axis=1), strict=True)]


def _least(right: Sequence[int] | Counts, total: Counts, precision: float) -> float | None:
    above = np.cumsum(total[::-1])[::-1]
    if not above[0]:
        return float("nan")
    right_above = np.cumsum(np.asarray(right)[::-1])[::-1]
    good = np.flatnonzero((above > 0) & (right_above >= precision * above))
    return float(good[0]) / len(total) if good.size else None
