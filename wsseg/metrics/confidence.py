"""How sure a network is: of each pixel, and of the labels that an image got in the end."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


def margins(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return how little the best class of each pixel leads: 1 - (p1 - p2).

    Args:
        probabilities: (C, H, W) that sum to 1 over C; 0 for classes that a pixel may not have.

    Returns:
        (H, W) float32, 0..1: 0 where one class is certain, 1 where two are equally likely.

    References:
        Scheffer et al., Active Hidden Markov Models for Information Extraction, IDA 2001.

    Example:
        >>> margins(np.array([[[0.5, 1.0]], [[0.25, 0.0]], [[0.25, 0.0]]])).tolist()
        [[0.75, 0.0]]
    """
    if len(probabilities) == 1:
        return np.zeros(probabilities.shape[1:], np.float32)
    second, first = np.partition(probabilities, -2, axis=0)[-2:]
    return np.asarray(1 - (first - second), np.float32)


def vote_entropies(votes: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return how much label maps of one image disagree at each pixel.

    The entropy of the classes that they give it, -sum_c v_c/V log(v_c/V) over the V maps, as a
    share of log V.

    Args:
        votes: V label maps (H, W), at least 2.

    Returns:
        (H, W) float32, 0..1: 0 where all agree, 1 where each says something else.

    Raises:
        InputError: There are fewer than 2.

    References:
        Dagan and Engelson, Committee-Based Sampling for Training Probabilistic Classifiers,
        ICML 1995.

    Example:
        >>> maps = [np.array([[1, 1]], np.uint8), np.array([[1, 2]], np.uint8)]
        >>> vote_entropies(maps).tolist()
        [[0.0, 1.0]]
    """
    if len(votes) < 2:
        remedy = "give more --scales, or set prediction.flip=true in the run"
        raise InputError("views of vote_entropy", "at least 2", len(votes), remedy)
    stacked = np.stack(votes)
    entropy = np.zeros(stacked.shape[1:], np.float64)
    for label in np.unique(stacked):
        share = (stacked == label).mean(axis=0)
        entropy -= share * np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.asarray((entropy / np.log(len(votes))).clip(0), np.float32)


def certainty(
    label_map: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    classes: Sequence[int] | NDArray[np.integer],
) -> dict[int, dict[str, float]]:
    """Return how sure a network is of the labels that an image got, whoever chose them.

    Args:
        label_map: (H, W) uint8, IGNORE where unknown.
        probabilities: (C, H, W) that sum to 1 over C.
        classes: The C labels.

    Returns:
        For each class that the label map has, means over its pixels: "confidence", the probability
        of the label, 0..1, and "margin", by how much it leads the likeliest other class, -1..1.

    Example:
        >>> probabilities = np.array([[[0.75, 0.5]], [[0.25, 0.5]]])
        >>> certainty(np.array([[0, 2]], np.uint8), probabilities, [0, 2])
        {0: {'confidence': 0.75, 'margin': 0.5}, 2: {'confidence': 0.5, 'margin': 0.0}}
    """
    chosen = label_map == np.asarray(classes)[:, None, None]
    own = np.where(chosen, probabilities, 0).max(axis=0)
    margin = own - np.where(chosen, 0, probabilities).max(axis=0)
    return {
        int(label): {
            "confidence": float(own[label_map == label].mean()),
            "margin": float(margin[label_map == label].mean()),
        }
        for label in np.unique(label_map)
        if label != IGNORE
    }
