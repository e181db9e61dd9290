"""Seeds from strokes by a random walk among patches of similar DINO features."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg

from wsseg.data.example import Example
from wsseg.foundation.dino import patch_features
from wsseg.foundation.load import load_model
from wsseg.foundation.weights import find_weights
from wsseg.refine.affinity import feature_weights
from wsseg.seeds.markers import UNMARKED, Markers, markers_at
from wsseg.seeds.params import DINOParams
from wsseg.seeds.walker import most_probable

_STOP = 1e-6  # probability that the walk ends at a step, as it does where nothing looks alike
_CONFIDENCE = 0.6  # share of the walks that must end at the marks of one class
_PRECISION = 1e-6


def dino_walker(example: Example, params: DINOParams, device: str = "auto") -> NDArray[np.uint8]:
    """Return the class whose marks a random walk among similar features reaches first.

    As ``random_walker``, with the cosine of DINO features in place of the distance of colours: a
    step goes to one of the patches less than 5 patches away. Pixels of which less than 60 % of the
    walks end at the marks of one class are IGNORE, as are those that look like no other patch.

    Args:
        device: As ``machine.device``.

    Raises:
        InputError: The weights are missing or of another family.

    References:
        Grady, Random Walks for Image Segmentation, TPAMI 2006, doi:10.1109/TPAMI.2006.233; Oquab et
        al., DINOv2, TMLR 2024, arXiv:2304.07193.
    """
    loaded = load_model(find_weights(params.model, "DINO", "seeds.dino.model"), device)
    features = patch_features(loaded, example.image)
    # Features between those of two patches would be similar to both, and join regions that are not.
    cells = [min(pair) for pair in zip(features.shape[1:], example.sample.size, strict=True)]
    marks = markers_at(example, (cells[0], cells[1]))
    if len(marks.distinct) < 2 or marks.markers.all():
        return example.constraints.known
    probabilities = first_mark_probabilities(marks, features)
    return most_probable(marks.distinct, probabilities, example, _CONFIDENCE)


def first_mark_probabilities(marks: Markers, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability that a walk from each cell reaches each marker first.

    The probabilities of a marker solve (D - W) x = 0 over the cells without a marker, with W the
    affinities and D their row sums, and x = 1 at its own cells, 0 at those of the others.

    Args:
        marks: At least two different markers, and a cell without one.
        features: (D, h', w') of any resolution.

    Returns:
        (M, h, w) float32, 0..1, over ``marks.distinct``; they sum to at most 1.
    """
    weights = feature_weights(features, marks.markers.shape)
    flat = marks.markers.ravel()
    free = flat == UNMARKED
    degrees = weights.sum(axis=1) * (1 + _STOP)
    system = (sparse.diags_array(degrees) - weights).tocsr()[free][:, free]
    from_marks = weights[free][:, ~free]
    shares = np.zeros((len(marks.distinct), flat.size), np.float32)
    for share, marker in zip(shares, marks.distinct, strict=True):
        share[flat == marker] = 1
        inward = from_marks @ (flat[~free] == marker).astype(float)
        jacobi = sparse.diags_array(1 / degrees[free])
        share[free], _ = cg(system, inward, rtol=_PRECISION, M=jacobi)
    return shares.clip(0, 1).reshape(-1, *marks.markers.shape)
