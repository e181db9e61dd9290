"""Typical confidence and overlap in a data set, against which single regions are judged.

``Confidence`` holds the average self-confidence of each class, the thresholds of confident
learning. ``Reliability`` holds how often the network is right about regions of an area, because it
misses small objects.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wsseg.stages.audit.regions import Evidence

MIN_EXPLAINED = 0.1
"""Share of a segment that the annotations must allow to explain it."""

_MIN_CONFIDENCE = 1e-6  # avoids a division by 0
_MIN_SHARE = 0.5  # allowed share of a segment from which it counts for the confidence of its class
_NEIGHBOURS = 31  # regions over which the reliability at an area is averaged


@dataclass(frozen=True)
class Confidence:
    """Average self-confidence of each class: t_c = mean of p_c over the regions annotated as c.

    Args:
        means: By source and class, the number of regions and their mean. "fit" is the IoU of boxes
            with the predicted box; "segment" is taken over the predicted regions that the
            annotations allow.

    References:
        Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021, arXiv:1911.00068, equation 2.
    """

    means: Mapping[tuple[str, int], tuple[int, float]]

    @classmethod
    def measure(cls, evidence: Iterable[Evidence]) -> "Confidence":
        """Average over the regions of a data set."""
        values: dict[tuple[str, int], list[float]] = defaultdict(list)
        predicted_background: list[float] = []
        for item in evidence:
            if item.source in {"box", "tag", "stroke", "mask"}:
                values[item.source, item.annotated].append(item.means[item.annotated])
            if item.source == "box":
                values["fit", item.annotated].append(item.share)
            if item.source == "segment" and item.share >= _MIN_SHARE:
                values["segment", item.predicted].append(item.means[item.predicted])
            if item.source == "background":
                background = values["background", 0] if item.share else predicted_background
                background.append(item.means[0])
        if predicted_background and ("background", 0) not in values:
            values["background", 0] = predicted_background
        return cls({key: (len(v), sum(v) / len(v)) for key, v in values.items()})

    def of(self, source: str, label: int) -> float:
        """Return the average self-confidence of a class, above 0 and at most 1.

        The mean over all classes counts as one more region, so that a class with few regions, one
        of which may be wrong, is also compared with the others. It is 1 if the source is unknown.
        """
        of_source = [pair for (name, _), pair in self.means.items() if name == source]
        if not of_source:
            return 1.0
        overall = sum(n * mean for n, mean in of_source) / sum(n for n, _ in of_source)
        count, mean = self.means.get((source, label), (0, 0.0))
        return max((count * mean + overall) / (count + 1), _MIN_CONFIDENCE)

    def support(self, item: Evidence, source: str, label: int) -> float:
        """Return min(1, p / t) of a class with mean probability p and self-confidence t."""
        usual = self.of("background", 0) if label == 0 else self.of(source, label)
        return min(1.0, item.means[label] / usual)

    def fit_support(self, item: Evidence) -> float:
        """Return min(1, o / o_t) with the odds o = IoU / (1 - IoU) of a box and the usual odds.

        The odds are the number of pixels that both boxes share for each pixel of only one.
        """
        usual = self.of("fit", item.annotated)
        shared, unshared = item.share * (1 - usual), (1 - item.share) * usual
        return 1.0 if shared >= unshared else shared / unshared


class RunningMean:
    """The running mean of a value over regions sorted by their area.

    Args:
        pairs: Area and value of each region.
    """

    def __init__(self, pairs: Iterable[tuple[float, float]]) -> None:
        ordered = sorted(pairs)
        values = np.array([value for _, value in ordered], float)
        self._areas = np.array([area for area, _ in ordered], float)
        self._sums = np.append(0, values.cumsum())

    def at(self, area: float) -> float:
        """Return the mean over the 31 regions nearest in order, or all if fewer; 1 if none."""
        count = len(self._areas)
        if not count:
            return 1.0
        ends = (np.searchsorted(self._areas, area, side) for side in ("left", "right"))
        middle = int(sum(ends)) // 2  # of the regions with this very area
        first = max(0, min(middle - _NEIGHBOURS // 2, count - _NEIGHBOURS))
        last = min(count, first + _NEIGHBOURS)
        return float(self._sums[last] - self._sums[first]) / (last - first)


class Reliability:
    """Reliability of the network on regions by their area, measured against the annotations.

    Attributes:
        boxes: Mean support of annotated boxes.
        fits: Mean support of the fit of annotated boxes.
        segments: Share of the predicted segments that the annotations explain.
        masks: Mean support of the object regions of masks.
    """

    def __init__(self, evidence: Sequence[Evidence], confidence: Confidence) -> None:
        boxes = [item for item in evidence if item.source == "box"]
        segments = [item for item in evidence if item.source == "segment"]
        masks = [item for item in evidence if item.source == "mask" and item.annotated]
        support = confidence.support
        self.boxes = RunningMean((b.area, support(b, "box", b.annotated)) for b in boxes)
        self.fits = RunningMean((box.area, confidence.fit_support(box)) for box in boxes)
        self.segments = RunningMean((s.area, float(s.share >= MIN_EXPLAINED)) for s in segments)
        self.masks = RunningMean((m.area, support(m, "mask", m.annotated)) for m in masks)
