"""Seeds from strokes: what is marked and no more, or with GrabCut that grows from the marks."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.color import rgb2lab
from skimage.segmentation import watershed

from wsseg.data.constraints import Constraints
from wsseg.data.model import Sample
from wsseg.labelmaps import IGNORE
from wsseg.seeds.grabcut import cut
from wsseg.seeds.markers import BACKGROUND, Marks, enlarged, labels_of, marks_of, resized
from wsseg.seeds.params import SeedParams


def strokes(
    image: NDArray[np.uint8],  # noqa: ARG001
    constraints: Constraints,
    sample: Sample,  # noqa: ARG001
    settings: SeedParams,  # noqa: ARG001
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
    settings: SeedParams,
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
    start, size = nearest_marks(marks), constraints.allowed.shape[1:]
    rest = np.full(start.shape, 0 if BACKGROUND in marks.distinct else IGNORE, np.uint8)
    claims, claimed = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for label in labels_of(marks.distinct):
        if label in (0, IGNORE):
            continue
        found = cut(
            marks.pixels, _trimap(label, marks, start, constraints), settings.iterations, rng
        )
        if found.sum() < settings.min_fill * (start == label).sum():
            rest[start == label] = IGNORE
            continue
        inside = enlarged(found.astype(np.float32), size) >= 0.5
        claims += inside
        claimed[inside] = label
    single = np.where(claims == 1, claimed, IGNORE)
    return constraints.project(np.where(claims == 0, resized(rest, size), single).astype(np.uint8))


def nearest_marks(marks: Marks) -> NDArray[np.uint8]:
    """Return the class of the mark from which each pixel is reached over the lowest edges.

    Args:
        marks: At least one marker.

    Returns:
        (h, w) uint8; IGNORE where the image's frame is nearest for lack of background.

    References:
        Meyer, Topographic distance and watershed lines, Signal Processing 1994,
        doi:10.1016/0165-1684(94)90060-4.
    """
    colours = rgb2lab(marks.pixels)
    grow: Callable[..., NDArray[np.int32]] = watershed
    slopes = [gaussian_gradient_magnitude(colours[..., k], 1.0) for k in range(3)]
    return labels_of(grow(np.linalg.norm(slopes, axis=0), marks.markers))


def _trimap(
    label: int, marks: Marks, start: NDArray[np.uint8], constraints: Constraints
) -> NDArray[np.uint8]:
    possible = constraints.allowed[constraints.classes == label].any(axis=0)
    known = labels_of(marks.markers)
    trimap = np.where(start == label, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[resized(possible.astype(np.uint8), start.shape) == 0] = cv2.GC_BGD
    trimap[known != IGNORE] = cv2.GC_BGD
    trimap[known == label] = cv2.GC_FGD
    return trimap
