"""How much each split of a data set holds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wsseg.data.model import Boxes, Classes, MaskFile, Regions, Sample, Tags
from wsseg.data.strokes import Strokes
from wsseg.errors import printable
from wsseg.labelmaps import IGNORE


@dataclass(frozen=True)
class SplitCounts:
    """How much a split holds.

    Args:
        name: Such as "train".
        images: Number of images.
        annotated: Number of images with an annotation, such as one that says "no object".
        boxes: Number of boxes of each class, background (0) first; empty without any annotation
            by boxes, as are the others.
        images_with: Number of images with a box of each class, background (0) first.
        with_tags: Number of images with tags.
        tagged: Number of images with each tag; first, those tagged as showing no object.
        unsure: Number of images that may show each class or not, background (0) first.
        drawn: Number of points, scribbles, outlines and masks, those that there are.
        marked: Number of points, scribbles and outlines of each class, background first; empty
            without any.
    """

    name: str
    images: int
    annotated: int
    boxes: tuple[int, ...] = ()
    images_with: tuple[int, ...] = ()
    with_tags: int = 0
    tagged: tuple[int, ...] = ()
    unsure: tuple[int, ...] = ()
    drawn: Mapping[str, int] = field(default_factory=dict)
    marked: tuple[int, ...] = ()


def split_counts(samples: Sequence[Sample], n_classes: int) -> SplitCounts:
    """Return how much a split holds.

    Args:
        samples: All images of one split, at least one.
        n_classes: Classes of the data set, background included.

    Returns:
        The counts.
    """
    drawn = [sample.boxes for sample in samples]
    tags = [sample.tags for sample in samples if sample.tags]
    is_boxed = any(isinstance(a, Boxes) for sample in samples for a in sample.annotations)
    marked = [label for sample in samples for _, label in marks_of(sample) if label != IGNORE]
    # without any annotation, 0 boxes is what there is to say
    n_boxed, n_tagged = (
        n_classes if is_boxed or not (tags or marked) else 0,
        n_classes if tags else 0,
    )
    return SplitCounts(
        samples[0].split,
        len(samples),
        sum(bool(sample.annotations) for sample in samples),
        _histogram((box.label for boxes in drawn for box in boxes), n_boxed),
        _histogram((label for boxes in drawn for label in {b.label for b in boxes}), n_boxed),
        len(tags),
        _histogram((label for of in tags for label in of.present or _none(of)), n_tagged),
        _histogram((label for of in tags for label in of.unsure), n_tagged),
        Counter(kind for sample in samples for kind, _ in marks_of(sample)),
        _histogram(marked, n_classes if marked else 0),
    )


def marks_of(sample: Sample) -> Iterator[tuple[str, int]]:
    """Return what is drawn on an image besides boxes.

    Args:
        sample: The image.

    Yields:
        "points", "scribbles" or "outlines" with the label of each, and "masks" with IGNORE.
    """
    for drawn in sample.annotations:
        if isinstance(drawn, Strokes):
            for stroke in drawn.items:
                yield "points" if len(stroke.points) == 1 else "scribbles", stroke.label
        elif isinstance(drawn, Regions) and drawn.partial:
            yield from (("outlines", region.label) for region in drawn.items)
        elif isinstance(drawn, MaskFile | Regions):
            yield "masks", IGNORE


def _none(tags: Tags) -> tuple[int, ...]:
    """Return the background's label for tags that say that there is no object."""
    return () if tags.unsure else (0,)


def _histogram(labels: Iterable[int], n_classes: int) -> tuple[int, ...]:
    counts = Counter(labels)
    return tuple(counts[label] for label in range(n_classes))


def split_lines(split: SplitCounts, classes: Classes) -> Iterator[str]:
    """Return the counts for a person.

    Args:
        split: The counts.
        classes: The class names.

    Yields:
        Lines without line breaks.
    """
    bare = split.images - split.annotated
    parts = [f"{split.images} images" + (f", {bare} of them not annotated" if bare else "")]
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
