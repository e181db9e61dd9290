"""How far a network can be believed about things of a size: it misses what is small."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.stages.audit.evidence import Evidence
from wsseg.stages.audit.thresholds import Thresholds

EXPLAINED = 0.1
"""Share of a segment that the annotations must allow for it to be an object that was given."""

_SIMILAR = 31  # regions that a size is judged by


@dataclass(frozen=True, eq=False)
class BySize:
    """The running mean of a value over regions sorted by their size.

    Args:
        areas: (N,) sorted.
        sums: (N + 1,) cumulative sums of the values, in that order, from 0.
    """

    areas: NDArray[np.float64]
    sums: NDArray[np.float64]

    def at(self, area: float) -> float:
        """Return the mean over the 31 regions whose sizes are around one, or all if fewer.

        Args:
            area: The size.

        Returns:
            Their mean; 1 where there is no region at all.
        """
        count = len(self.areas)
        if not count:
            return 1.0
        ends = (np.searchsorted(self.areas, area, side) for side in ("left", "right"))
        middle = int(sum(ends)) // 2  # the middle of those of the same size
        first = max(0, min(middle - _SIMILAR // 2, count - _SIMILAR))
        last = min(count, first + _SIMILAR)
        return float(self.sums[last] - self.sums[first]) / (last - first)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What part of things of a size a network gets right, as far as given labels can tell.

    Args:
        boxes: Mean support of given boxes, by their size: how much it sees of what was given.
        fits: Mean support of their fit.
        segments: Share of the network's segments that the annotations allow, by their size: how
            much of what it sees was given.
        masks: Mean support of the regions of given masks, by their size.
    """

    boxes: BySize
    fits: BySize
    segments: BySize
    masks: BySize


def reliability_of(evidence: Sequence[Evidence], thresholds: Thresholds) -> Reliability:
    """Return how far a network can be believed, by size.

    Args:
        evidence: Of all images.
        thresholds: Of the same.

    Returns:
        The running means.
    """
    boxes = [item for item in evidence if item.source == "box"]
    segments = [item for item in evidence if item.source == "segment"]
    masks = [item for item in evidence if item.source == "mask" and item.given]
    return Reliability(
        _by_size((box.area, support(box, "box", box.given, thresholds)) for box in boxes),
        _by_size((box.area, fit_support(box, thresholds)) for box in boxes),
        _by_size((item.area, float(item.share >= EXPLAINED)) for item in segments),
        _by_size((item.area, support(item, "mask", item.given, thresholds)) for item in masks),
    )


def support(item: Evidence, source: str, label: int, thresholds: Thresholds) -> float:
    """Return how much a network sees of a class in a place, against what is usual for it.

    Args:
        item: The place.
        source: What the class is measured as: a source of ``Thresholds``.
        label: The class; the background is measured as given background.
        thresholds: What is usual.

    Returns:
        0..1, min(1, p / t) with the mean probability p and the average self-confidence t.
    """
    usual = thresholds.of("background", 0) if label == 0 else thresholds.of(source, label)
    return min(1.0, item.means[label] / usual)


def fit_support(item: Evidence, thresholds: Thresholds) -> float:
    """Return how well a given box fits what a network sees of its class, against what is usual.

    Args:
        item: A box.
        thresholds: What is usual.

    Returns:
        0..1, min(1, o / o_t) with the odds o = IoU / (1 - IoU), the pixels that both boxes share
        for each that only one of them has, and o_t those of the usual IoU.
    """
    usual = thresholds.of("fit", item.given)
    shared, unshared = item.share * (1 - usual), (1 - item.share) * usual
    return 1.0 if shared >= unshared else shared / unshared


def _by_size(pairs: Iterable[tuple[float, float]]) -> BySize:
    ordered = sorted(pairs)
    values = np.array([value for _, value in ordered], float)
    return BySize(np.array([area for area, _ in ordered], float), np.append(0, values.cumsum()))
