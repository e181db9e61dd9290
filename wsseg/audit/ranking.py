"""From what a network sees to findings, ranked over the whole data set by one score."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from wsseg.annotations.model import Classes
from wsseg.audit.evidence import Evidence, Source, extent, overlap
from wsseg.audit.finding import Finding, Kind, Place
from wsseg.audit.sentences import sentence_of
from wsseg.audit.thresholds import Thresholds, thresholds_of

_EXPLAINED = 0.1  # share of a segment that may be allowed where it still is missing
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


def rank(evidence: Sequence[Evidence], classes: Classes, least: float = 0.0) -> list[Finding]:
    """Return where given labels look wrong, the worst first.

    Of every place the score is the product of two shares in 0..1,

        score = support(suggested) * (1 - support(given)),   support(c) = min(1, p_c / t_c),

    with p_c the mean probability of class c over the place and t_c the average self-confidence of
    c over all places that were given it (``thresholds_of``): 1 where the network is as sure of the
    suggestion as it usually is of that class, and gives no probability to what was given. As both
    are measured by what is usual for their class, scores of classes and kinds compare. Where a box
    fits badly, its IoU with what is seen in it takes the place of p_c of the given class.

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
    by_image: dict[str, list[Evidence]] = defaultdict(list)
    for item in evidence:
        by_image[item.id].append(item)
    found = [d for items in by_image.values() for d in _doubts_of_image(items, thresholds)]
    found = [doubt for doubt in found if doubt.score >= max(least, 1e-6)]
    found.sort(key=lambda doubt: (-doubt.score, doubt.item.id, doubt.item.place))
    return [_finding(doubt, classes) for doubt in found]


def _doubts_of_image(items: Iterable[Evidence], thresholds: Thresholds) -> list[Doubt]:
    """The worst doubt of each place; what is missing only where no given label explains it."""
    kept: list[Doubt] = []
    doubts = [d for item in items for d in DOUBTS[item.source](item, thresholds)]
    doubts.sort(key=lambda doubt: (doubt.item.source == "segment", -doubt.score))
    for doubt in doubts:
        if not any(_repeats(doubt, other) for other in kept):
            kept.append(doubt)
    return kept


def _repeats(doubt: Doubt, other: Doubt) -> bool:
    if doubt.item is other.item:
        return True
    if doubt.item.source != "segment" or doubt.suggested != other.suggested:
        return False
    shared = overlap(doubt.place, other.place)
    return shared >= _SAME * min(extent(doubt.place), extent(other.place))


def _support(item: Evidence, source: str, label: int, thresholds: Thresholds) -> float:
    threshold = thresholds.of("background", 0) if label == 0 else thresholds.of(source, label)
    return min(1.0, item.means[label] / threshold)


def _box_doubts(item: Evidence, thresholds: Thresholds) -> Iterator[Doubt]:
    doubt = 1 - _support(item, "box", item.given, thresholds)
    explained = {0, *item.others}
    rivals = [c for c in range(len(item.means)) if c not in {item.given, *explained}]
    rival = max(rivals, key=lambda label: item.means[label], default=None)
    if rival is not None:
        score = _support(item, "box", rival, thresholds) * doubt
        yield Doubt("mixed-up class", item, rival, score)
    elsewhere = sum(item.means[label] for label in explained)
    absent = min(1.0, elsewhere / thresholds.of("background", 0))
    yield Doubt("no such object", item, None, absent * doubt)
    if item.better:
        sure = min(1.0, item.sure / thresholds.of("segment", item.given))
        misfit = 1 - min(1.0, item.share / thresholds.of("fit", item.given))
        yield Doubt("box fits badly", item, item.given, sure * misfit)


def _segment_doubts(item: Evidence, thresholds: Thresholds) -> Iterator[Doubt]:
    if item.share < _EXPLAINED:
        doubt = 1 - _support(item, "segment", item.given, thresholds)
        score = _support(item, "segment", item.seen, thresholds) * doubt
        yield Doubt("missing object", item, item.seen, score)


def _part_doubts(item: Evidence, thresholds: Thresholds) -> Iterator[Doubt]:
    doubt = 1 - _support(item, "mask", item.given, thresholds)
    score = _support(item, "mask", item.seen, thresholds) * doubt
    if item.given and item.seen:
        yield Doubt("mixed-up class", item, item.seen, score)
    elif item.given:
        yield Doubt("no such object", item, None, score)
    else:
        yield Doubt("unlabelled part" if item.touches else "missing object", item, item.seen, score)


def _stroke_doubts(item: Evidence, thresholds: Thresholds) -> Iterator[Doubt]:
    doubt = 1 - _support(item, "stroke", item.given, thresholds)
    rivals = [label for label in range(len(item.means)) if label != item.given]
    rival = max(rivals, key=lambda label: item.means[label])
    score = _support(item, "stroke", rival, thresholds) * doubt
    if rival:
        yield Doubt("mixed-up class", item, rival, score)
    else:
        yield Doubt("no such object", item, None, score)


def _tag_doubts(item: Evidence, thresholds: Thresholds) -> Iterator[Doubt]:
    given = item.means[item.given]
    doubt = 1 - min(1.0, given / thresholds.of("tag", item.given))
    yield Doubt("no such object", item, None, (1 - given) * doubt)


def _nothing(item: Evidence, thresholds: Thresholds) -> Iterator[Doubt]:  # noqa: ARG001 - a doubt of what cannot be wrong
    return iter(())


DOUBTS: Mapping[Source, Callable[[Evidence, Thresholds], Iterator[Doubt]]] = {
    "box": _box_doubts,
    "segment": _segment_doubts,
    "part": _part_doubts,
    "stroke": _stroke_doubts,
    "tag": _tag_doubts,
    "mask": _nothing,
    "background": _nothing,
}


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
