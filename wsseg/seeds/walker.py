"""Seeds from strokes by random walks: the mark that a walker from each pixel reaches first."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.segmentation import random_walker as skimage_random_walker

from wsseg.data.example import Example
from wsseg.labelmaps import IGNORE
from wsseg.seeds.grabcut import MAX_SIDE
from wsseg.seeds.markers import Markers, labels_of, markers_of, upscale

_SHIFT = 200.0  # Lab units
_BETA = 0.1  # per squared Lab unit: larger values follow edges more strictly
_CONFIDENCE = 0.5  # probability that the best class of a pixel must exceed


def random_walker(example: Example) -> NDArray[np.uint8]:
    """Return the class whose marks a random walker reaches first, if it is probable enough.

    A step between neighbours whose Lab colours differ by d has the weight exp(-beta d^2). A class
    without a mark is never reached. If no background is marked, the image's border replaces it,
    and pixels that reach it first are IGNORE. If only one kind of mark exists, only the marks are
    known.

    References:
        Grady, Random Walks for Image Segmentation, TPAMI 2006, doi:10.1109/TPAMI.2006.233.
    """
    marks = markers_of(example, MAX_SIDE)
    if len(marks.distinct) < 2 or marks.markers.all():
        return example.constraints.known
    probabilities = first_marker_probabilities(marks, _BETA)
    return most_probable(marks.distinct, probabilities, example, _CONFIDENCE)


def first_marker_probabilities(marks: Markers, beta: float) -> NDArray[np.float32]:
    """Return the probability that a walker from each pixel reaches each marker first.

    Args:
        marks: At least two different markers, and a pixel without one.
        beta: Larger values follow edges more strictly; per squared Lab unit.

    Returns:
        (M, h, w) float32, 0..1, over ``marks.distinct``; they sum to 1.
    """
    # scikit-image divides beta by the standard deviation of all values, which is 0 if these are
    # equal. With a lightness beyond that of any colour they never are, and differences stay.
    colours = rgb2lab(marks.pixels)
    colours[..., 0] += _SHIFT
    strictness = beta * 10 * np.sqrt(3) * colours.std()
    probabilities = skimage_random_walker(
        colours,
        marks.markers,
        strictness,
        mode="bf",  # exact, so that no solver warns that it has not converged
        return_full_prob=True,
        prob_tol=np.inf,
        channel_axis=-1,
    )
    return np.asarray(probabilities.clip(0, 1), np.float32)


def most_probable(
    markers: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    example: Example,
    confidence: float,
) -> NDArray[np.uint8]:
    """Return the label of the most probable marker that each pixel may have.

    Args:
        markers: (M,) of ``Markers.distinct``.
        probabilities: (M, h, w) float32 at the resolution of the markers.
        confidence: Share of the probability of all markers that pixels with a label exceed; the
            others are IGNORE.

    Returns:
        (H, W) uint8.
    """
    size, constraints = example.sample.size, example.constraints
    label_map = np.full(size, IGNORE, np.uint8)
    best, total = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for label, coarse in zip(labels_of(markers), probabilities, strict=True):
        # The border of the image stands for background, though its own label is IGNORE.
        of_class = constraints.classes == (0 if label == IGNORE else label)
        probability = upscale(coarse, size) * constraints.allowed[of_class].any(axis=0)
        label_map[probability > best] = label
        best, total = np.maximum(best, probability), total + probability
    label_map[best <= confidence * total] = IGNORE
    return label_map
