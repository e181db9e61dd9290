"""How long people take to annotate an image, as published."""

from wsseg.data.custom import CustomAnnotation
from wsseg.data.model import Annotation, Boxes, Regions, Sample, Tags
from wsseg.data.strokes import Strokes

TAGS = 20.0
"""Seconds an image: naming the classes that it shows."""

POINTS = 22.0
"""Seconds an image: clicks on its objects."""

SCRIBBLES = 35.0
"""Seconds an image: a line through each of its objects and its background."""

EXTREME_BOX = 7.0
"""Seconds an object: clicks on its four outermost points."""

DRAWN_BOX = 35.0
"""Seconds an object: a tight box drawn by its corners."""

REGION = 80.0
"""Seconds a region: the outline of one object."""

MASK = 240.0
"""Seconds an image: a full mask of Pascal VOC's quality."""


def seconds_of(sample: Sample, box_seconds: float = DRAWN_BOX) -> float:
    """Return how long the annotations of an image take to make.

    Args:
        sample: The image; what was drawn in several ways adds up.
        box_seconds: Of a box, such as ``EXTREME_BOX``.

    Returns:
        Seconds, 0 without annotations; marks of a plug-in's own kind count nothing, as nobody has
        published how long they take.

    References:
        Bearman et al., What's the point, arXiv:1506.02106 (tags, points, scribbles, masks);
        Papadopoulos et al., Extreme clicking, arXiv:1708.02750 (boxes).
    """
    return sum(_seconds(drawn, box_seconds) for drawn in sample.annotations)


def _seconds(drawn: Annotation, box_seconds: float) -> float:
    if isinstance(drawn, Tags):
        return TAGS
    if isinstance(drawn, Boxes):
        return box_seconds * len(drawn.items)
    if isinstance(drawn, Strokes):
        return SCRIBBLES if any(len(item.points) > 1 for item in drawn.items) else POINTS
    if isinstance(drawn, Regions) and drawn.partial:
        return min(REGION * len(drawn.items), MASK)
    return drawn.seconds if isinstance(drawn, CustomAnnotation) else MASK
