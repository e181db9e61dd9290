"""Seeds from strokes: what is marked and no more, or with GrabCut that grows from the marks."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.color import rgb2lab
from skimage.segmentation import watershed

from wsseg.annotations.constraints import Constraints
from wsseg.annotations.model import Sample
from wsseg.labels import IGNORE
from wsseg.run.settings import SeedSettings
from wsseg.seeds.marks import Marks, held_to_marks, labels_of, marks_of, shrunk

_FEWEST = 5  # GrabCut divides each side's colours into as many clusters


def strokes(
    image: NDArray[np.uint8],  # noqa: ARG001
    constraints: Constraints,
    sample: Sample,  # noqa: ARG001
    settings: SeedSettings,  # noqa: ARG001
    rng: np.random.Generator,  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return the known pixels and nothing else, for losses that do with so few.

    Args:
        image: (H, W, 3) uint8 RGB; not looked at.
        constraints: What the annotations allow.
        sample: Not needed.
        settings: Not needed.
        rng: Not needed.

    Returns:
        (H, W) uint8; IGNORE where nothing is known.

    References:
        Lin et al., ScribbleSup, CVPR 2016, arXiv:1604.05144 (scribbles as training labels).
    """
    return constraints.known


def grabcut_strokes(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,  # noqa: ARG001
    settings: SeedSettings,
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Return what GrabCut finds from the marks, one run for each object class with marks.

    In a run its marks are sure foreground, those of other classes sure background, as is where it
    may not be; what is nearest to its marks over the image's edges starts as foreground. What
    several runs claim is IGNORE; what none claims is background, but IGNORE where no background
    is marked. A run whose result is tiny has failed, and where it started is IGNORE.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow; known pixels are the marks.
        sample: Not needed.
        settings: Its ``max_side``, ``iterations`` and ``min_fill``.
        rng: Seeds OpenCV for each class.

    Returns:
        (H, W) uint8; marks are kept.

    References:
        Rother et al., GrabCut, SIGGRAPH 2004, doi:10.1145/1015706.1015720.
    """
    marks = marks_of(image, constraints, settings.max_side)
    if len(marks.distinct) < 2:
        return constraints.known
    start = nearest_marks(marks)
    small = _rest(marks, start)
    claims = np.zeros(start.shape, np.uint8)
    for label in labels_of(marks.distinct):
        if label in (0, IGNORE):
            continue
        found = _object(marks, start, label, constraints, settings, rng)
        tiny = found.sum() < settings.min_fill * (start == label).sum()
        small[start == label if tiny else found] = IGNORE if tiny else label
        claims += found & (not tiny)
    small[claims > 1] = IGNORE
    return held_to_marks(constraints, shrunk(small, constraints.allowed.shape[1:]))


def nearest_marks(marks: Marks) -> NDArray[np.uint8]:
    """Return the class of the mark from which each pixel is reached over the lowest edges.

    Args:
        marks: At least one marker.

    Returns:
        (h, w) uint8; IGNORE where the image's frame is nearest for lack of background.
    """
    colours = rgb2lab(marks.pixels)
    slopes = [gaussian_gradient_magnitude(colours[..., k], 1.0) for k in range(3)]
    return labels_of(watershed(np.linalg.norm(slopes, axis=0), marks.markers))
