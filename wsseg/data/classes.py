"""Which classes an image shows and may show, by whatever was drawn on it."""

from collections.abc import Iterator

import numpy as np

from wsseg.data.custom import Marking
from wsseg.data.model import Annotation, Boxes, MaskFile, Regions, Sample, Tags
from wsseg.data.strokes import Strokes
from wsseg.labelmaps import IGNORE, read_label_map


def possible_classes(sample: Sample, n_classes: int) -> tuple[int, ...]:
    """Return the classes that an image may show.

    Args:
        sample: The image.
        n_classes: Classes of the data set, background included.

    Returns:
        The background and whatever is named; all classes where nothing says that others are
        absent.
    """
    if not _is_closed(sample):
        return tuple(range(n_classes))
    unsure = sample.tags.unsure if sample.tags else ()
    named = (label for drawn in sample.annotations for label in _named(drawn))
    return tuple(sorted({0, *named, *unsure}))


def tags_of(sample: Sample) -> Tags | None:
    """Return what an image's annotations of any kind say as tags.

    Args:
        sample: The image; the file of a mask is read.

    Returns:
        The classes that are drawn or tagged; None where nothing says that others are absent.

    Raises:
        InputError: The file of a mask is damaged.
    """
    if not _is_closed(sample) and not has_full_mask(sample):
        return None
    present = named_classes(sample)
    unsure = {*sample.tags.unsure} - {*present} if sample.tags else set()
    return Tags(present, tuple(sorted(unsure)))


def named_classes(sample: Sample) -> tuple[int, ...]:
    """Return the classes that an image shows for certain, whatever else it may show.

    Args:
        sample: The image; the file of a mask is read.

    Returns:
        Labels of what is drawn or tagged, in order, without the background.

    Raises:
        InputError: The file of a mask is damaged.
    """
    named = {label for drawn in sample.annotations for label in _named(drawn)}
    for drawn in sample.annotations:
        if isinstance(drawn, MaskFile):
            named |= {int(label) for label in np.unique(read_label_map(drawn.path))}
    return tuple(sorted(named - {0, IGNORE}))


def has_full_mask(sample: Sample) -> bool:
    """Return whether somebody labelled an image pixel by pixel.

    Args:
        sample: The image.

    Returns:
        False where there are outlines of some objects only.
    """
    return any(is_full(drawn) for drawn in sample.annotations)


def is_only_tagged(sample: Sample) -> bool:
    """Return whether tags are all that is known of an image.

    Args:
        sample: The image.

    Returns:
        False too where nothing is known.
    """
    return bool(sample.annotations) and all(isinstance(a, Tags) for a in sample.annotations)


def is_full(drawn: Annotation) -> bool:
    """Return whether an annotation is a full mask.

    Args:
        drawn: Any annotation.

    Returns:
        True where it says of every pixel what it is.
    """
    return isinstance(drawn, MaskFile) or (isinstance(drawn, Regions) and not drawn.partial)


def _is_closed(sample: Sample) -> bool:
    """Whether classes that nothing names are absent; of marks, all must say so."""
    if any(isinstance(drawn, Tags | Boxes | Marking) for drawn in sample.annotations):
        return True
    return bool(sample.marks) and all(drawn.closed for drawn in sample.marks)


def _named(drawn: Annotation) -> Iterator[int]:
    if isinstance(drawn, Tags):
        yield from drawn.present
    elif isinstance(drawn, Marking):
        yield drawn.label
    elif isinstance(drawn, Boxes | Strokes | Regions):
        yield from (item.label for item in drawn.items)
