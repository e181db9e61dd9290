"""How sure a network is on average of what was given: the measure of a single doubt."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wsseg.stages.audit.evidence import Evidence

_LEAST = 1e-6  # of a threshold, so that nothing is divided by 0
_OWN = 0.5  # share of a segment that the annotations must allow for it to speak for its class


@dataclass(frozen=True)
class Thresholds:
    """Average self-confidence of each class, by what it was given as.

    Args:
        means: By source and class, of how many regions and their mean; under "fit" that of the
            IoU of boxes with what is seen in them.
    """

    means: Mapping[tuple[str, int], tuple[int, float]]

    def of(self, source: str, label: int) -> float:
        """Return the average self-confidence of a class.

        The mean over all classes counts as one more region of the class, so that a class with few
        regions, one of which may be wrong, is measured by the others too.

        Args:
            source: "box", "tag", "stroke", "mask", "segment", "fit" or "background".
            label: The class.

        Returns:
            Above 0, at most 1; 1 where nothing of the source was given.
        """
        of_source = [pair for (name, _), pair in self.means.items() if name == source]
        if not of_source:
            return 1.0
        overall = sum(n * mean for n, mean in of_source) / sum(n for n, _ in of_source)
        count, mean = self.means.get((source, label), (0, 0.0))
        return max((count * mean + overall) / (count + 1), _LEAST)


def thresholds_of(evidence: Iterable[Evidence]) -> Thresholds:
    """Return the average self-confidence of each class over a data set.

    That of a class is the mean, over the regions that were given it, of its mean probability
    there: the thresholds of confident learning, with regions for examples. For segments it is
    taken over those that the annotations allow, for boxes' fit over their IoU with what is seen.

    Args:
        evidence: Of all images.

    Returns:
        The thresholds.

    References:
        Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021, arXiv:1911.00068, equation 2:
        t_j = mean of p(j | x) over the x that were given j.
    """
    values: dict[tuple[str, int], list[float]] = defaultdict(list)
    for item in evidence:
        if item.source in {"box", "tag", "stroke", "mask"}:
            values[item.source, item.given].append(item.means[item.given])
        if item.source == "box":
            values["fit", item.given].append(item.share)
        if item.source == "segment" and item.share >= _OWN:
            values["segment", item.seen].append(item.means[item.seen])
        if item.source == "background":
            name = "background" if item.share else "seen background"
            values[name, 0].append(item.means[0])
    if ("background", 0) not in values and ("seen background", 0) in values:
        values["background", 0] = values["seen background", 0]
    return Thresholds({key: (len(v), sum(v) / len(v)) for key, v in values.items()})
