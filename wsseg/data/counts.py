"""Counts of the images and annotations of each split."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wsseg.data.annotation import Boxes, MaskFile, Regions
from wsseg.data.classes import has_full_mask
from wsseg.data.model import Classes, Sample
from wsseg.data.strokes import Strokes
from wsseg.errors import printable

_MARKS = ("points", "scribbles", "polygons")


@dataclass(frozen=True)
class SplitCounts:
    """The contents of a split. Counts by class are empty if the split has no such annotations.

    Attributes:
        name: Such as "train".
        images: Number of images.
        annotated: Images with an annotation, which may say that there is no object.
        with_tags: Images with tags.
        boxes: Boxes of each class.
        images_with: Images with a box of each class.
        tagged: Images with a tag of each class, first those that are tagged as showing no object.
        unsure: Images that may or may not show each class.
        marked: Points, scribbles and polygons of each class.
        drawn: Numbers of "points", "scribbles", "polygons" and "masks", those that exist.
    """

    name: str
    images: int
    annotated: int
    with_tags: int
    boxes: tuple[int, ...]
    images_with: tuple[int, ...]
    tagged: tuple[int, ...]
    unsure: tuple[int, ...]
    marked: tuple[int, ...]
    drawn: dict[str, int]


def split_counts(samples: Sequence[Sample], n_classes: int) -> SplitCounts:
    """Return the counts of a split.

    Args:
        samples: All images of the split, at least one.
        n_classes: Classes of the data set, background included.
    """
    counts = Counter(entry for sample in samples for entry in _entries(sample))
    totals = Counter[str]()
    for (kind, _), count in counts.items():
        totals[kind] += count
    has_tags = any(sample.tags is not None for sample in samples)
    has_boxes = any(isinstance(a, Boxes) for sample in samples for a in sample.annotations)
    # A split without any annotation has 0 boxes of each class.
    has_boxes = has_boxes or not (has_tags or any(totals[kind] for kind in _MARKS))

    def by_class(exists: bool, *kinds: str) -> tuple[int, ...]:
        labels = range(n_classes if exists else 0)
        return tuple(sum(counts[kind, label] for kind in kinds) for label in labels)

    return SplitCounts(
        name=samples[0].split,
        images=len(samples),
        annotated=sum(bool(sample.annotations) for sample in samples),
        with_tags=sum(sample.tags is not None for sample in samples),
        boxes=by_class(has_boxes, "boxes"),
        images_with=by_class(has_boxes, "images with boxes"),
        tagged=by_class(has_tags, "tagged"),
        unsure=by_class(has_tags, "unsure"),
        marked=by_class(any(totals[kind] for kind in _MARKS), *_MARKS),
        drawn={kind: totals[kind] for kind in (*_MARKS, "masks") if totals[kind]},
    )


def with_masks(split: SplitCounts, samples: Sequence[Sample]) -> SplitCounts:
    """Return the counts of a split with the number of its full masks, which are no weak labels.

    Args:
        samples: Images with their full masks, of all splits.
    """
    masked = sum(sample.split == split.name and has_full_mask(sample) for sample in samples)
    if not masked:
        return split
    if not split.annotated:  # a data set of masks alone
        split = replace(split, annotated=masked, boxes=(), images_with=())
    return replace(split, drawn=split.drawn | {"full masks": masked})


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
            yield from (("polygons", region.label) for region in annotation.items)
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
        parts = []
        if split.boxes:
            parts.append(f"{split.boxes[label]} boxes in {split.images_with[label]} images")
        if split.tagged:
            unsure = f" and perhaps {split.unsure[label]}" if split.unsure[label] else ""
            parts.append(f"tagged in {split.tagged[label]}{unsure}")
        if split.marked:
            parts.append(f"{split.marked[label]} marks")
        if parts:
            yield f"  {name}: {', '.join(parts)}"
    if any(split.marked[:1]):
        yield f"  background: {split.marked[0]} marks"
    if any(split.tagged[:1]):
        yield f"  no object: tagged in {split.tagged[0]}"
