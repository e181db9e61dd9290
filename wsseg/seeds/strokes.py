"""Seeds from strokes: the marks alone, or GrabCut that grows from them."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_gradient_magnitude
from skimage.color import rgb2lab
from skimage.segmentation import watershed

from wsseg.data.constraints import Constraints
from wsseg.data.example import Example
from wsseg.labelmaps import IGNORE
from wsseg.seeds.grabcut import MAX_SIDE, MIN_FILL, cut
from wsseg.seeds.markers import BACKGROUND, Markers, labels_of, markers_of, resize_nearest, upscale
from wsseg.seeds.params import GrabCutParams


def strokes(example: Example) -> NDArray[np.uint8]:
    """Return the known pixels only, for losses that work with few labels.

    References:
        Lin et al., ScribbleSup, CVPR 2016, arXiv:1604.05144 (scribbles as training labels).
    """
    return example.constraints.known


def grabcut_strokes(example: Example, params: GrabCutParams) -> NDArray[np.uint8]:
    """Return the result of GrabCut runs that start from the marks, one per marked object class.

    In each run, marks of the class are certain foreground; marks of other classes, and pixels that
    may not be of the class, are certain background. The watershed regions of its marks are the
    initial foreground. Pixels claimed by several runs are IGNORE; unclaimed pixels are background,
    or IGNORE if no background is marked. If the result of a run is tiny, the run has failed and
    its initial foreground is IGNORE.

    References:
        Rother et al., GrabCut, SIGGRAPH 2004, doi:10.1145/1015706.1015720.
    """
    constraints = example.constraints
    marks = markers_of(example, MAX_SIDE)
    if len(marks.distinct) < 2:
        return constraints.known
    start, size = watershed_labels(marks), example.sample.size
    rest = np.full(start.shape, 0 if BACKGROUND in marks.distinct else IGNORE, np.uint8)
    claims, claimed = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for label in labels_of(marks.distinct):
        if label in (0, IGNORE):
            continue
        trimap = _trimap(label, marks, start, constraints)
        mask = cut(marks.pixels, trimap, params.iterations)
        if mask.sum() < MIN_FILL * (start == label).sum():
            rest[start == label] = IGNORE
            continue
        inside = upscale(mask.astype(np.float32), size) >= 0.5
        claims += inside
        claimed[inside] = label
    single = np.where(claims == 1, claimed, IGNORE)
    return np.where(claims == 0, resize_nearest(rest, size), single).astype(np.uint8)


def watershed_labels(marks: Markers) -> NDArray[np.uint8]:
    """Return for each pixel the class of the mark that is reached over the lowest edges.

    Returns:
        (h, w) uint8; IGNORE where the image's border is reached first.

    References:
        Meyer, Topographic distance and watershed lines, Signal Processing 1994,
        doi:10.1016/0165-1684(94)90060-4.
    """
    colours = rgb2lab(marks.pixels)
    grow: Callable[..., NDArray[np.int32]] = watershed
    slopes = [gaussian_gradient_magnitude(colours[..., k], 1.0) for k in range(3)]
    return labels_of(grow(np.linalg.norm(slopes, axis=0), marks.markers))


def _trimap(
    label: int, marks: Markers, start: NDArray[np.uint8], constraints: Constraints
) -> NDArray[np.uint8]:
    possible = constraints.allowed[constraints.classes == label].any(axis=0)
    known = labels_of(marks.markers)
    trimap = np.where(start == label, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    trimap[resize_nearest(possible.astype(np.uint8), start.shape) == 0] = cv2.GC_BGD
    trimap[known != IGNORE] = cv2.GC_BGD
    trimap[known == label] = cv2.GC_FGD
    return trimap
