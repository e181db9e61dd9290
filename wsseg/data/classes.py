"""The classes that an image shows or may show, according to its annotations."""

from collections.abc import Iterator

import numpy as np

from wsseg.data.annotation import Annotation, Boxes, MaskFile, Regions, Tags, Unknown
from wsseg.data.custom import CustomAnnotation
from wsseg.data.model import Sample
from wsseg.data.strokes import Strokes
from wsseg.labelmaps import IGNORE


def candidate_classes(sample: Sample, n_classes: int) -> tuple[int, ...]:
    """Return the classes that an image may show, background included.

    These are the classes that annotations name, or all classes if no annotation excludes any.
    ``Unknown`` adds its classes.

    Args:
        n_classes: Number of classes of the data set, background included.
    """
    if not _is_closed(sample) or any(not unknown.labels for unknown in sample.unknown):
        return tuple(range(n_classes))
    return tuple(sorted({*named_classes(sample, n_classes), *_unknown_labels(sample)}))


def named_classes(sample: Sample, n_classes: int) -> tuple[int, ...]:
    """Return ``candidate_classes`` without those that ``Unknown`` adds."""
    if not _is_closed(sample):
        return tuple(range(n_classes))
    unsure = sample.tags.unsure if sample.tags else ()
    named = (label for annotation in sample.annotations for label in _labels(annotation))
    return tuple(sorted({0, *named, *unsure}))


def tags_of(sample: Sample) -> Tags | None:
    """Return the annotations of an image, of any kind, as tags.

    Mask files are read.

    Returns:
        The classes that are drawn or tagged; those of ``Unknown`` are unsure. None if no annotation
        excludes other classes.

    Raises:
        InputError: A mask file is damaged.
    """
    if not _is_closed(sample) and not has_full_mask(sample):
        return None
    if any(not unknown.labels for unknown in sample.unknown):
        return None
    present = present_classes(sample)
    unsure = {*(sample.tags.unsure if sample.tags else ()), *_unknown_labels(sample)}
    return Tags(present, tuple(sorted(unsure - {*present})))


def present_classes(sample: Sample) -> tuple[int, ...]:
    """Return the classes that an image certainly shows.

    Mask files are read.

    Returns:
        Labels that are drawn or tagged, ascending, without the background.

    Raises:
        InputError: A mask file is damaged.
    """
    present = {label for annotation in sample.annotations for label in _labels(annotation)}
    for annotation in sample.annotations:
        if isinstance(annotation, MaskFile):
            label_map = annotation.read()
            present |= {*np.unique(label_map).tolist()}
    return tuple(sorted(present - {0, IGNORE}))


def has_full_mask(sample: Sample) -> bool:
    """Return whether an image is labelled pixel by pixel, not only in some regions."""
    return any(is_full(annotation) for annotation in sample.annotations)


def shows_object(sample: Sample) -> bool:
    """Return whether an image has a tag or a mark of an object that is no crowd.

    A mask file, which is not read, counts as one, and so does an annotation of a plug-in.
    """
    unread = any(isinstance(a, MaskFile | CustomAnnotation) for a in sample.annotations)
    regions = (item for a in sample.annotations if isinstance(a, Regions) for item in a.items)
    return (
        unread
        or bool(sample.tagged)
        or any(stroke.label for stroke in sample.strokes)
        or any(not box.crowd for box in sample.boxes)
        or any(region.label and not region.crowd for region in regions)
    )


def is_only_tagged(sample: Sample) -> bool:
    """Return whether an image has tags and no other annotation."""
    certain = [a for a in sample.annotations if not isinstance(a, Unknown)]
    return bool(certain) and all(isinstance(a, Tags) for a in certain)


def is_full(annotation: Annotation) -> bool:
    """Return whether an annotation is a full mask, which labels every pixel."""
    return isinstance(annotation, MaskFile) or (
        isinstance(annotation, Regions) and not annotation.partial
    )


def _is_closed(sample: Sample) -> bool:
    """Return whether classes that no annotation names are absent."""
    if any(isinstance(a, Tags | Boxes | CustomAnnotation) for a in sample.annotations):
        return True
    return bool(sample.marks) and all(marks.closed for marks in sample.marks)


def _unknown_labels(sample: Sample) -> set[int]:
    return {label for unknown in sample.unknown for label in unknown.labels}


def _labels(annotation: Annotation) -> Iterator[int]:
    """Yield the labels that an annotation names; a mask file's are not read."""
    if isinstance(annotation, Tags):
        yield from annotation.present
    elif isinstance(annotation, CustomAnnotation):
        yield annotation.label
    elif isinstance(annotation, Boxes | Strokes | Regions):
        yield from (item.label for item in annotation.items)
