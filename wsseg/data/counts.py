"""How much each split of a data set holds."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from wsseg.data.model import Boxes, Classes, MaskFile, Regions, Sample
from wsseg.data.strokes import Strokes
from wsseg.errors import printable

_MARKS = ("points", "scribbles", "outlines")


@dataclass(frozen=True)
class SplitCounts:
    """How much a split holds.

    Args:
        name: Such as "train".
        n_classes: Classes of the data set, background included.
        images: Number of images.
        annotated: Images with an annotation, such as one that says "no object".
        boxed: Images whose objects are boxed; an image without objects may be one of them.
        with_tags: Images with tags.
        by_kind: Counts by kind and label. The kinds are "boxes", "images with boxes", "tagged" (0:
            images tagged as showing no object), "unsure", "points", "scribbles", "outlines" and
            "masks" (always 0).
    """

    name: str
    n_classes: int
    images: int
    annotated: int
    boxed: int
    with_tags: int
    by_kind: Mapping[tuple[str, int], int]

    @property
    def boxes(self) -> tuple[int, ...]:
        """Boxes of each class; empty if the split has other annotations only."""
        return self._histogram("boxes") if self._counts_boxes else ()

    @property
    def images_with(self) -> tuple[int, ...]:
        """Images with a box of each class; empty as ``boxes``."""
        return self._histogram("images with boxes") if self._counts_boxes else ()

    @property
    def tagged(self) -> tuple[int, ...]:
        """Images with a tag of each class, first those without objects; empty without tags."""
        return self._histogram("tagged") if self.with_tags else ()

    @property
    def unsure(self) -> tuple[int, ...]:
        """Images that may or may not show each class; empty without tags."""
        return self._histogram("unsure") if self.with_tags else ()

    @property
    def marked(self) -> tuple[int, ...]:
        """Points, scribbles and polygons of each class; empty without any."""
        return self._histogram(*_MARKS) if self._has_marks else ()

    @property
    def drawn(self) -> dict[str, int]:
        """Number of points, scribbles, polygons ("outlines") and masks, those that exist."""
        totals = {kind: sum(self._histogram(kind)) for kind in (*_MARKS, "masks")}
        return {kind: total for kind, total in totals.items() if total}

    @property
    def _has_marks(self) -> bool:
        return any(kind in _MARKS for kind, _ in self.by_kind)

    @property
    def _counts_boxes(self) -> bool:
        # Without any annotation, "0 boxes" is what there is to say.
        return bool(self.boxed) or not (self.with_tags or self._has_marks)

    def _histogram(self, *kinds: str) -> tuple[int, ...]:
        labels = range(self.n_classes)
        return tuple(sum(self.by_kind.get((kind, n), 0) for kind in kinds) for n in labels)


def split_counts(samples: Sequence[Sample], n_classes: int) -> SplitCounts:
    """Return how much a split holds.

    Args:
        samples: All images of one split, at least one.
        n_classes: Classes of the data set, background included.
    """
    return SplitCounts(
        name=samples[0].split,
        n_classes=n_classes,
        images=len(samples),
        annotated=sum(bool(sample.annotations) for sample in samples),
        boxed=sum(any(isinstance(a, Boxes) for a in sample.annotations) for sample in samples),
        with_tags=sum(sample.tags is not None for sample in samples),
        by_kind=Counter(entry for sample in samples for entry in _entries(sample)),
    )


def _entries(sample: Sample) -> Iterator[tuple[str, int]]:
    """Yield a kind and label for everything that is counted on an image."""
    yield from (("boxes", box.label) for box in sample.boxes)
    yield from (("images with boxes", label) for label in {box.label for box in sample.boxes})
    if tags := sample.tags:
        no_object = () if tags.unsure else (0,)
        yield from (("tagged", label) for label in tags.present or no_object)
        yield from (("unsure", label) for label in tags.unsure)
    for annotation in sample.annotations:
        if isinstance(annotation, Strokes):
            for stroke in annotation.items:
                yield "points" if len(stroke.points) == 1 else "scribbles", stroke.label
        elif isinstance(annotation, Regions) and annotation.partial:
            yield from (("outlines", region.label) for region in annotation.items)
        elif isinstance(annotation, MaskFile | Regions):
            yield "masks", 0


def split_lines(split: SplitCounts, classes: Classes) -> Iterator[str]:
    """Yield the counts as lines for a person, without line breaks."""
    missing = split.images - split.annotated
    parts = [f"{split.images} images" + (f", {missing} of them not annotated" if missing else "")]
    parts += [f"{sum(split.boxes)} boxes"] if split.boxes else []
    parts += [f"{split.with_tags} tagged"] if split.tagged else []
    parts += [f"{count} {kind}" for kind, count in sorted(split.drawn.items())]
    yield printable(f"{split.name}: {', '.join(parts)}")
    for label, name in enumerate(classes.names[1:], 1):
        yield f"  {name}: {', '.join(_class_counts(split, label))}"
    if any(split.marked[:1]):
        yield f"  background: {split.marked[0]} marks"
    if any(split.tagged[:1]):
        yield f"  no object: tagged in {split.tagged[0]}"


def _class_counts(split: SplitCounts, label: int) -> Iterator[str]:
    if split.boxes:
        yield f"{split.boxes[label]} boxes in {split.images_with[label]} images"
    if split.tagged:
        unsure = f" and perhaps {split.unsure[label]}" if split.unsure[label] else ""
        yield f"tagged in {split.tagged[label]}{unsure}"
    if split.marked:
        yield f"{split.marked[label]} marks"
