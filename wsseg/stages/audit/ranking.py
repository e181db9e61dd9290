"""Rank label errors over a data set by confident learning."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wsseg.data.model import Classes
from wsseg.stages.audit.confidence import MIN_EXPLAINED, Confidence, Reliability
from wsseg.stages.audit.finding import Finding, Kind, Place
from wsseg.stages.audit.regions import Evidence, Source, box_area, intersection_area

_MIN_SCORE = 1e-6
_MIN_SHARED = 0.5  # share of the smaller of two regions from which they show the same object


@dataclass(frozen=True)
class Suspicion:
    """One way in which the annotation of a region may be wrong, before the ranking."""

    kind: Kind
    item: Evidence
    suggested: int | None
    score: float

    @property
    def place(self) -> Place:
        """The box of the suggestion."""
        if self.kind == "box fits badly":
            left, top, right, bottom = self.item.predicted_box
            return left, top, right, bottom
        return self.item.place


def rank(evidence: Sequence[Evidence], classes: Classes, min_score: float = 0.0) -> list[Finding]:
    """Return the annotations that look wrong, the worst first.

    The score of a region is

        reliability(area) * support(suggested) * (1 - support(annotated)),
        support(c) = min(1, p_c / t_c),

    with the mean probability p_c of class c over the region and its average self-confidence t_c
    over all regions annotated as c. It is near 1 if the network predicts the suggestion with its
    usual confidence, gives no probability to the annotated class, and is usually right about
    regions of this area. It compares between classes and kinds. For a box that fits badly,
    ``Confidence.fit_support`` takes the place of the support of the annotated class.

    Args:
        evidence: The regions of all images.
        min_score: Findings with a lower score are left out.

    Returns:
        At most one finding for each annotation; those of equal score in the order of their images.

    References:
        Northcutt, Jiang and Chuang, Confident Learning, JAIR 2021, arXiv:1911.00068.
    """
    confidence = Confidence.measure(evidence)
    reliability = Reliability(evidence, confidence)
    by_image: dict[str, list[Evidence]] = defaultdict(list)
    for item in evidence:
        by_image[item.id].append(item)
    suspicions = [
        suspicion
        for items in by_image.values()
        for suspicion in _suspicions_of_image(items, confidence, reliability)
        if suspicion.score >= max(min_score, _MIN_SCORE)
    ]
    suspicions.sort(key=lambda s: (-s.score, s.item.id, s.item.place))
    return [_finding(suspicion, classes) for suspicion in suspicions]


def _suspicions_of_image(
    items: Iterable[Evidence], confidence: Confidence, reliability: Reliability
) -> list[Suspicion]:
    """Keep the worst suspicion of each region; a missing object only if nothing else explains it.

    Segments are visited last, and left out if a wrong annotation suggests the same class there.
    """
    suspicions = [
        suspicion
        for item in items
        if item.source in SUSPICIONS
        for suspicion in SUSPICIONS[item.source](item, confidence, reliability)
    ]
    suspicions.sort(key=lambda s: (s.item.source == "segment", -s.score))
    kept: list[Suspicion] = []
    for suspicion in suspicions:
        if not any(_is_duplicate(suspicion, other) for other in kept):
            kept.append(suspicion)
    return kept


def _is_duplicate(suspicion: Suspicion, other: Suspicion) -> bool:
    if suspicion.item is other.item:
        return True
    if suspicion.item.source != "segment" or suspicion.suggested != other.suggested:
        return False
    smaller = min(box_area(suspicion.place), box_area(other.place))
    return intersection_area(suspicion.place, other.place) >= _MIN_SHARED * smaller


def _box(item: Evidence, confidence: Confidence, reliability: Reliability) -> Iterator[Suspicion]:
    doubt = 1 - confidence.support(item, "box", item.annotated)
    doubt *= reliability.boxes.at(item.area)
    explained = {0, *item.covering}
    rivals = [c for c in range(len(item.means)) if c not in {item.annotated, *explained}]
    rival = max(rivals, key=lambda label: item.means[label], default=None)
    if rival is not None:
        score = confidence.support(item, "box", rival) * doubt
        yield Suspicion("mixed-up class", item, rival, score)
    elsewhere = sum(item.means[label] for label in explained)
    absent = min(1.0, elsewhere / confidence.of("background", 0))
    yield Suspicion("no such object", item, None, absent * doubt)
    if item.predicted_box:
        support = min(1.0, item.confidence / confidence.of("segment", item.annotated))
        misfit = 1 - confidence.fit_support(item)
        score = support * misfit * reliability.fits.at(item.area)
        yield Suspicion("box fits badly", item, item.annotated, score)


def _segment(
    item: Evidence, confidence: Confidence, reliability: Reliability
) -> Iterator[Suspicion]:
    if item.share < MIN_EXPLAINED:
        doubt = 1 - confidence.support(item, "segment", item.annotated)
        score = confidence.support(item, "segment", item.predicted) * doubt
        score *= reliability.segments.at(item.area)
        yield Suspicion("missing object", item, item.predicted, score)


def _part(item: Evidence, confidence: Confidence, reliability: Reliability) -> Iterator[Suspicion]:
    doubt = 1 - confidence.support(item, "mask", item.annotated)
    score = confidence.support(item, "mask", item.predicted) * doubt
    score *= reliability.masks.at(item.area)
    if item.annotated and item.predicted:
        yield Suspicion("mixed-up class", item, item.predicted, score)
    elif item.annotated:
        yield Suspicion("no such object", item, None, score)
    else:
        kind: Kind = "unlabelled part" if item.touches else "missing object"
        yield Suspicion(kind, item, item.predicted, score)


def _stroke(item: Evidence, confidence: Confidence, _: Reliability) -> Iterator[Suspicion]:
    doubt = 1 - confidence.support(item, "stroke", item.annotated)
    rivals = [label for label in range(len(item.means)) if label != item.annotated]
    rival = max(rivals, key=lambda label: item.means[label])
    score = confidence.support(item, "stroke", rival) * doubt
    if rival:
        yield Suspicion("mixed-up class", item, rival, score)
    else:
        yield Suspicion("no such object", item, None, score)


def _tag(item: Evidence, confidence: Confidence, _: Reliability) -> Iterator[Suspicion]:
    doubt = 1 - confidence.support(item, "tag", item.annotated)
    yield Suspicion("no such object", item, None, (1 - item.means[item.annotated]) * doubt)


SUSPICIONS: dict[Source, Callable[[Evidence, Confidence, Reliability], Iterator[Suspicion]]] = {
    "box": _box,
    "segment": _segment,
    "part": _part,
    "stroke": _stroke,
    "tag": _tag,
}
"""The ways in which each kind of region may be wrong."""

_SUBJECTS = {"box": "This box", "stroke": "This stroke", "part": "This part of the mask"}


def _finding(suspicion: Suspicion, classes: Classes) -> Finding:
    item = suspicion.item
    has_suggestion = suspicion.suggested is not None
    return Finding(
        id=item.id,
        kind=suspicion.kind,
        source={"segment": "image", "part": "mask"}.get(item.source, item.source),
        annotated=item.annotated,
        suggested=suspicion.suggested,
        place=item.place,
        score=suspicion.score,
        sentence=_sentence(suspicion, classes),
        suggestion=suspicion.place if has_suggestion else None,
        rle=item.rle if has_suggestion else "",
        size=item.size,
    )


def _sentence(suspicion: Suspicion, classes: Classes) -> str:
    item = suspicion.item

    def percent(label: int) -> str:
        return f"{100 * item.means[label]:.0f} %"

    annotated = classes.names[item.annotated]
    if suspicion.kind == "box fits badly":
        iou = f"the box and the predicted box have an IoU of {item.share:.2f}"
        return f"This is {annotated}, but {iou}."
    if suspicion.suggested is not None:
        prediction = f"{classes.names[suspicion.suggested]} ({percent(suspicion.suggested)})"
        if suspicion.kind != "mixed-up class":
            where = "beside it or in a gap of the labels" if item.touches else "without annotation"
            return f"The network predicts {prediction} {where}."
    is_tag = item.source == "tag"
    label = (
        f"The image is tagged {annotated}"
        if is_tag
        else (f"{_SUBJECTS[item.source]} is labelled {annotated}")
    )
    if suspicion.suggested is None:
        return f"{label}, but its probability is only {percent(item.annotated)}."
    return f"{label} ({percent(item.annotated)}), but the network predicts {prediction}."
