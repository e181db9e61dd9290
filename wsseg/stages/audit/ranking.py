"""From what a network sees to findings, ranked over the whole data set by one score."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wsseg.data.model import Classes
from wsseg.stages.audit.evidence import Evidence, Source, extent, overlap
from wsseg.stages.audit.finding import Finding, Kind, Place
from wsseg.stages.audit.reliability import (
    EXPLAINED,
    Reliability,
    fit_support,
    reliability_of,
    support,
)
from wsseg.stages.audit.sentences import sentence_of
from wsseg.stages.audit.thresholds import Thresholds, thresholds_of

_SAME = 0.5  # share of the smaller of two places from which they show the same


@dataclass(frozen=True)
class Doubt:
    """A place, and one way in which what was given there may be wrong.

    Args:
        kind: What seems wrong.
        item: The place.
        suggested: The class that the network sees; None where it only misses the given one.
        score: 0..1.
    """

    kind: Kind
    item: Evidence
    suggested: int | None
    score: float

    @property
    def place(self) -> Place:
        """Where the suggestion lies."""
        if self.kind == "box fits badly":
            left, top, right, bottom = self.item.better
            return left, top, right, bottom
        return self.item.place


@dataclass(frozen=True, eq=False)
class Usual:
    """What is usual in a data set, which a single place is measured by.

    Args:
        thresholds: Average self-confidence by class.
        reliability: How far the network can be believed, by size.
    """

    thresholds: Thresholds
    reliability: Reliability


def rank(evidence: Sequence[Evidence], classes: Classes, least: float = 0.0) -> list[Finding]:
    """Return where given labels look wrong, the worst first.

    Of every place the score is a product of three shares,

        score = reliability(size) * support(suggested) * (1 - support(given)),
        support(c) = min(1, p_c / t_c),

    with p_c the mean probability of class c over the place and t_c the average self-confidence of
    c over all places that were given it (``thresholds_of``). So it is near 1 where the network is
    as sure of the suggestion as it usually is of that class, gives no probability to what was
    given, and gets things of that size right (``reliability_of``). As all are measured by what is
    usual, scores compare between classes and kinds. Where a box fits badly, the odds of its IoU
    with what is seen take the place of p_c / t_c of the given class (``fit_support``).

    Args:
        evidence: Of all images.
        classes: The class names.
        least: Findings with a lower score are left out.

    Returns:
        At most one finding a given box, tag or stroke; those of equal score in the order of their
        images.

    References:
        Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021, arXiv:1911.00068.
    """
    thresholds = thresholds_of(evidence)
    usual = Usual(thresholds, reliability_of(evidence, thresholds))
    by_image: dict[str, list[Evidence]] = defaultdict(list)
    for item in evidence:
        by_image[item.id].append(item)
    found = [d for items in by_image.values() for d in _doubts_of_image(items, usual)]
    found = [doubt for doubt in found if doubt.score >= max(least, 1e-6)]
    found.sort(key=lambda doubt: (-doubt.score, doubt.item.id, doubt.item.place))
    return [_finding(doubt, classes) for doubt in found]


def _doubts_of_image(items: Iterable[Evidence], usual: Usual) -> list[Doubt]:
    """The worst doubt of each place; what is missing only where no given label explains it."""
    kept: list[Doubt] = []
    doubts = [d for item in items for d in DOUBTS.get(item.source, _no_doubts)(item, usual)]
    doubts.sort(key=lambda doubt: (doubt.item.source == "segment", -doubt.score))
    for doubt in doubts:
        if not any(_repeats(doubt, other) for other in kept):
            kept.append(doubt)
    return kept


def _no_doubts(item: Evidence, usual: Usual) -> Iterator[Doubt]:  # noqa: ARG001 - one of DOUBTS
    return iter(())


def _repeats(doubt: Doubt, other: Doubt) -> bool:
    if doubt.item is other.item:
        return True
    if doubt.item.source != "segment" or doubt.suggested != other.suggested:
        return False
    shared = overlap(doubt.place, other.place)
    return shared >= _SAME * min(extent(doubt.place), extent(other.place))


def _box_doubts(item: Evidence, usual: Usual) -> Iterator[Doubt]:
    doubt = 1 - support(item, "box", item.given, usual.thresholds)
    doubt *= usual.reliability.boxes.at(item.area)
    explained = {0, *item.others}
    rivals = [c for c in range(len(item.means)) if c not in {item.given, *explained}]
    rival = max(rivals, key=lambda label: item.means[label], default=None)
    if rival is not None:
        score = support(item, "box", rival, usual.thresholds) * doubt
        yield Doubt("mixed-up class", item, rival, score)
    elsewhere = sum(item.means[label] for label in explained)
    absent = min(1.0, elsewhere / usual.thresholds.of("background", 0))
    yield Doubt("no such object", item, None, absent * doubt)
    if item.better:
        sure = min(1.0, item.sure / usual.thresholds.of("segment", item.given))
        misfit = 1 - fit_support(item, usual.thresholds)
        score = sure * misfit * usual.reliability.fits.at(item.area)
        yield Doubt("box fits badly", item, item.given, score)


def _segment_doubts(item: Evidence, usual: Usual) -> Iterator[Doubt]:
    if item.share < EXPLAINED:
        doubt = 1 - support(item, "segment", item.given, usual.thresholds)
        score = support(item, "segment", item.seen, usual.thresholds) * doubt
        score *= usual.reliability.segments.at(item.area)
        yield Doubt("missing object", item, item.seen, score)


def _part_doubts(item: Evidence, usual: Usual) -> Iterator[Doubt]:
    doubt = 1 - support(item, "mask", item.given, usual.thresholds)
    score = support(item, "mask", item.seen, usual.thresholds) * doubt
    score *= usual.reliability.masks.at(item.area)
    if item.given and item.seen:
        yield Doubt("mixed-up class", item, item.seen, score)
    elif item.given:
        yield Doubt("no such object", item, None, score)
    else:
        yield Doubt("unlabelled part" if item.touches else "missing object", item, item.seen, score)


def _stroke_doubts(item: Evidence, usual: Usual) -> Iterator[Doubt]:
    doubt = 1 - support(item, "stroke", item.given, usual.thresholds)
    rivals = [label for label in range(len(item.means)) if label != item.given]
    rival = max(rivals, key=lambda label: item.means[label])
    score = support(item, "stroke", rival, usual.thresholds) * doubt
    if rival:
        yield Doubt("mixed-up class", item, rival, score)
    else:
        yield Doubt("no such object", item, None, score)


def _tag_doubts(item: Evidence, usual: Usual) -> Iterator[Doubt]:
    doubt = 1 - support(item, "tag", item.given, usual.thresholds)
    yield Doubt("no such object", item, None, (1 - item.means[item.given]) * doubt)


DOUBTS: Mapping[Source, Callable[[Evidence, Usual], Iterator[Doubt]]] = {
    "box": _box_doubts,
    "segment": _segment_doubts,
    "part": _part_doubts,
    "stroke": _stroke_doubts,
    "tag": _tag_doubts,
}
"""In what ways a place may be wrong, by what it is; others only say what is usual."""


def _finding(doubt: Doubt, classes: Classes) -> Finding:
    item = doubt.item
    has_object = doubt.suggested is not None
    return Finding(
        id=item.id,
        kind=doubt.kind,
        source={"segment": "image", "part": "mask"}.get(item.source, item.source),
        given=item.given,
        suggested=doubt.suggested,
        place=item.place,
        score=doubt.score,
        sentence=sentence_of(doubt.kind, item, doubt.suggested, classes),
        suggestion=doubt.place if has_object else None,
        counts=item.counts if has_object else "",
        size=item.size,
    )
