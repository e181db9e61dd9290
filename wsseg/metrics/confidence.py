"""Confidence of a network's predictions, pixel by pixel and class by class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


def margins(probabilities: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return 1 minus the difference of the two largest probabilities of each pixel.

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

    This is the entropy of their labels, -sum_c v_c/V log(v_c/V) over the V maps, divided by log V.

    Returns:
        (H, W) float32, 0..1: 0 where all agree, 1 where all differ.

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


def mean_confidence(
    label_map: NDArray[np.uint8],
    probabilities: NDArray[np.floating],
    classes: Sequence[int] | NDArray[np.integer],
) -> dict[int, float]:
    """Return the mean probability that a network gives the labels of an image, class by class.

    Args:
        label_map: (H, W) uint8, IGNORE where unknown; not necessarily the network's prediction.
        probabilities: (C, H, W) that sum to 1 over C.
        classes: The C labels.

    Returns:
        0..1 for each class in the label map; 0 for a class that is not among ``classes``.

    Example:
        >>> probabilities = np.array([[[0.75, 0.5]], [[0.25, 0.5]]])
        >>> mean_confidence(np.array([[0, 2]], np.uint8), probabilities, [0, 2])
        {0: 0.75, 2: 0.5}
    """
    chosen = label_map == np.asarray(classes)[:, None, None]
    own = np.where(chosen, probabilities, 0).max(axis=0)
    labels = [int(label) for label in np.unique(label_map) if label != IGNORE]
    return {label: float(own[label_map == label].mean()) for label in labels}
