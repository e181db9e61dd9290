"""Published annotation times."""

from wsseg.data.annotation import Annotation, Boxes, Regions, Tags, Unknown
from wsseg.data.custom import CustomAnnotation
from wsseg.data.model import Sample
from wsseg.data.strokes import Strokes

TAGS = 20.0
"""Seconds to name the classes of an image."""

NAMING = 18.5
"""Seconds to see which classes an image does not show, before its marks are drawn."""

FIRST_POINT = 2.4
"""Seconds to click on the first object of a class."""

FURTHER_POINT = 0.9
"""Seconds to click on each further object of the class."""

SCRIBBLE = 10.9
"""Seconds to draw a line through an object or the background."""

EXTREME_BOX = 7.0
"""Seconds to click on the four outermost points of an object."""

DRAWN_BOX = 35.0
"""Seconds to drag a tight box around an object."""

REGION = 80.0
"""Seconds to draw the polygon of an object."""

MASK = 240.0
"""Seconds to draw the full mask of an image at the quality of Pascal VOC."""


def seconds_of(sample: Sample, box_seconds: float = DRAWN_BOX) -> float:
    """Return the annotation time of an image in seconds, summed over its annotations.

    Marks count one by one. With the 1.5 classes of a Pascal VOC image, points take the published
    22.1 s and scribbles 34.9 s. Annotations of a plug-in count with the ``seconds`` of their class.

    Args:
        box_seconds: Time per box, such as ``EXTREME_BOX``.

    References:
        Bearman et al., What's the point, arXiv:1506.02106 (tags, points, scribbles, masks);
        Papadopoulos et al., Extreme clicking, arXiv:1708.02750 (boxes).
    """
    return sum(_seconds(annotation, box_seconds) for annotation in sample.annotations)


def _seconds(annotation: Annotation, box_seconds: float) -> float:
    if isinstance(annotation, Tags):
        return TAGS
    if isinstance(annotation, Unknown):
        return 0
    if isinstance(annotation, Boxes):
        return box_seconds * len(annotation.items)
    if isinstance(annotation, Strokes):
        return _stroke_seconds(annotation)
    if isinstance(annotation, Regions) and annotation.partial:
        return min(REGION * len(annotation.items), MASK)
    return annotation.seconds if isinstance(annotation, CustomAnnotation) else MASK


def _stroke_seconds(strokes: Strokes) -> float:
    points = [stroke.label for stroke in strokes.items if len(stroke.points) == 1]
    first, lines = len({*points}), len(strokes.items) - len(points)
    marks = FIRST_POINT * first + FURTHER_POINT * (len(points) - first) + SCRIBBLE * lines
    return NAMING + marks if strokes.items else 0.0
