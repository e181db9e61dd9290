"""Seeds from strokes by random walks: which marker does a walker from a pixel meet first?"""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.segmentation import random_walker as probabilities_of_first_marker

from wsseg.data.constraints import Constraints
from wsseg.data.model import Sample
from wsseg.labelmaps import IGNORE
from wsseg.seeds.markers import Marks, enlarged, labels_of, marks_of
from wsseg.seeds.params import SeedParams

_SHIFT = 200.0


def random_walker(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,  # noqa: ARG001
    settings: SeedParams,
    rng: np.random.Generator,  # noqa: ARG001
) -> NDArray[np.uint8]:
    """Return the class whose marks a random walker meets first, where one is likely enough.

    A step between neighbours whose Lab colours differ by d has the weight exp(-beta d^2). A class
    without a mark is never met. Without a mark of the background the image's frame takes its
    place, and what is met there first is IGNORE. Where marks of one kind compete with nothing,
    only they are known.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow; known pixels are the marks.
        sample: Not needed.
        settings: Its ``max_side``, ``walker_beta`` and ``walker_confidence``.
        rng: Not needed; nothing is random.

    Returns:
        (H, W) uint8; marks are kept, and what is not likely enough is IGNORE.

    References:
        Grady, Random Walks for Image Segmentation, TPAMI 2006, doi:10.1109/TPAMI.2006.233.
    """
    marks = marks_of(image, constraints, settings.max_side)
    if len(marks.distinct) < 2 or marks.markers.all():
        return constraints.known
    probabilities = walk_probabilities(marks, settings.walker_beta)
    likely = _likeliest(marks.distinct, probabilities, constraints, settings.walker_confidence)
    return constraints.project(likely)


def walk_probabilities(marks: Marks, beta: float) -> NDArray[np.float32]:
    """Return how probably a walker from each pixel meets each marker first.

    Args:
        marks: At least two different markers, and a pixel without one.
        beta: More follows edges more strictly; per squared Lab unit.

    Returns:
        (M, h, w) float32, 0..1, over ``marks.distinct``; they sum up to 1.
    """
    # scikit-image divides beta by the spread of all values, which is 0 where these are the same:
    # lighter than any colour is, they never are, and their differences stay
    colours = rgb2lab(marks.pixels)
    colours[..., 0] += _SHIFT
    strictness = beta * 10 * np.sqrt(3) * colours.std()
    found = probabilities_of_first_marker(
        colours,
        marks.markers,
        strictness,
        mode="bf",  # exact, so nothing warns that it has not converged
        return_full_prob=True,
        prob_tol=np.inf,
        channel_axis=-1,
    )
    probabilities: NDArray[np.float32] = found.clip(0, 1).astype(np.float32)
    return probabilities


def _likeliest(
    markers: NDArray[np.int32],
    probabilities: NDArray[np.float32],
    constraints: Constraints,
    confidence: float,
) -> NDArray[np.uint8]:
    size = constraints.allowed.shape[1:]
    label_map = np.full(size, IGNORE, np.uint8)
    best, total = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for label, small in zip(labels_of(markers), probabilities, strict=True):
        meant = 0 if label == IGNORE else label  # beyond the frame there is background
        share = enlarged(small, size) * constraints.allowed[constraints.classes == meant].any(
            axis=0
        )
        label_map[share > best] = label
        best, total = np.maximum(best, share), total + share
    label_map[best <= confidence * total] = IGNORE
    return label_map
