"""How well chosen images stand for all: is every image near to one of them?"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wsseg.stages.selection.choosers import Pool


@dataclass(frozen=True)
class Coverage:
    """Distances of all images from the nearest chosen or labelled one.

    Attributes:
        largest: Of the worst covered image.
        mean: Over all images.
        classes: Classes that the chosen and labelled images show, of those that occur.
    """

    largest: float
    mean: float
    classes: float


def coverage(
    nearest: NDArray[np.float64], shows: NDArray[np.bool_], is_taken: NDArray[np.bool_]
) -> Coverage:
    """Return how well a choice covers a data set.

    Args:
        nearest: (N,) distance of each image from the nearest chosen or labelled one.
        shows: (N, K) bool: which image shows which class.
        is_taken: (N,) which images are chosen or labelled.

    Returns:
        The coverage.
    """
    classes = int(shows[is_taken].any(axis=0).sum())
    return Coverage(float(nearest.max()), float(nearest.mean()), classes)


def random_coverage(
    pool: Pool, shows: NDArray[np.bool_], seeds: Iterable[int] = range(5)
) -> Coverage:
    """Return the mean coverage of images drawn blindly, without any quota.

    Args:
        pool: The images and the budget.
        shows: (N, K) bool: which image shows which class.
        seeds: One a draw.

    Returns:
        The mean of each figure.
    """
    before = pool.embeddings.distances_to(np.flatnonzero(pool.is_labelled))
    drawn = []
    for seed in seeds:
        left = np.random.default_rng(seed).permutation(np.flatnonzero(~pool.is_labelled))
        is_taken = pool.is_labelled.copy()
        is_taken[left[: pool.budget]] = True
        nearest = np.minimum(before, pool.embeddings.distances_to(left[: pool.budget]))
        drawn.append(coverage(nearest, shows, is_taken))
    figures = np.array([(one.largest, one.mean, one.classes) for one in drawn]).mean(axis=0)
    return Coverage(*(float(figure) for figure in figures))
