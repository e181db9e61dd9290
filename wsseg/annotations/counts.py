"""How much each split of a data set holds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wsseg.annotations.model import Boxes, Classes, Sample, Tags


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
    """

    name: str
    images: int
    annotated: int
    boxes: tuple[int, ...] = ()
    images_with: tuple[int, ...] = ()
    with_tags: int = 0
    tagged: tuple[int, ...] = ()
    unsure: tuple[int, ...] = ()


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
    # without any annotation, 0 boxes is what there is to say
    n_boxed, n_tagged = n_classes if is_boxed or not tags else 0, n_classes if tags else 0
    return SplitCounts(
        samples[0].split,
        len(samples),
        sum(bool(sample.annotations) for sample in samples),
        _histogram((box.label for boxes in drawn for box in boxes), n_boxed),
        _histogram((label for boxes in drawn for label in {b.label for b in boxes}), n_boxed),
        len(tags),
        _histogram((label for of in tags for label in of.present or _none(of)), n_tagged),
        _histogram((label for of in tags for label in of.unsure), n_tagged),
    )


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
    yield f"{split.name}: {', '.join(parts)}"
    for label, name in enumerate(classes.names[1:], 1):
        yield f"  {name}: {', '.join(_class_counts(split, label))}"
    if any(split.tagged[:1]):
        yield f"  no object: tagged in {split.tagged[0]}"


def _class_counts(split: SplitCounts, label: int) -> Iterator[str]:
    if split.boxes:
        yield f"{split.boxes[label]} boxes in {split.images_with[label]} images"
    if split.tagged:
        unsure = f" and perhaps {split.unsure[label]}" if split.unsure[label] else ""
        yield f"tagged in {split.tagged[label]}{unsure}"
