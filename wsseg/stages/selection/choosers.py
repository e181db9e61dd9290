"""Ways to choose images by their embeddings: which one is the most useful to label next?"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import euclidean_distances
from threadpoolctl import threadpool_limits

from wsseg.stages.selection.embeddings import Embeddings
from wsseg.stages.selection.quota import Quota

_FITTED = 8192  # images that k-means is fitted on, so that memory does not grow with all of them


@dataclass(frozen=True, eq=False)
class Pool:
    """N images, of which some are to be chosen.

    Args:
        embeddings: Of the images.
        is_labelled: (N,) bool: those that count as chosen from the start.
        budget: Images to choose, at most as many as are not labelled.
        seed: Of everything random.
    """

    embeddings: Embeddings
    is_labelled: NDArray[np.bool_]
    budget: int
    seed: int = 0


Usefulness = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Distance of each image from the nearest chosen one (N,) -> how useful it is next (N,), higher
is better. Before any image is chosen all distances are infinite."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen images.

    Attributes:
        order: (B,) places of the images, the most useful first.
        distances: (B,) of each from the nearest one chosen or labelled before it; infinite for
            the first of all.
        nearest: (N,) of each image from the nearest one chosen or labelled, at the end.
    """

    order: NDArray[np.intp]
    distances: NDArray[np.float64]
    nearest: NDArray[np.float64]


def k_centre(pool: Pool) -> Usefulness:
    """Return the usefulness of farthest-first traversal: the distance to what is chosen.

    argmax_i min_{s in S} |x_i - x_s|, a 2-approximation of the k-centre problem. The first of all
    is the most typical image, the one nearest to the mean. What is chosen for a smaller budget
    comes first.

    Args:
        pool: The images; nothing is random.

    Returns:
        The usefulness.

    References:
        Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach,
        ICLR 2018, arXiv:1708.00489.
    """
    typical = -pool.embeddings.distances(pool.embeddings.mean()[None])

    def farthest(nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        return typical if np.isinf(nearest).all() else nearest

    return farthest


def medoids(pool: Pool) -> Usefulness:
    """Return the usefulness of medoids: the image nearest to each centre of k-means.

    There are as many clusters as images to choose; the medoid of the largest is the most useful.
    All other images follow, those near to a centre first. Of more than 8192 images the clusters
    are those of a random part.

    Args:
        pool: The images; labelled ones are in no cluster.

    Returns:
        The usefulness.
    """
    embeddings, budget = pool.embeddings, pool.budget
    images = np.flatnonzero(~pool.is_labelled)
    part = np.random.default_rng(pool.seed).permutation(images)[: max(_FITTED, 4 * budget)]
    means = KMeans(budget, n_init=3, random_state=pool.seed, copy_x=False)
    with threadpool_limits(1), warnings.catch_warnings():  # sums of several threads differ
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct images than clusters
        means.fit(embeddings.of(np.sort(part)))
    cluster, distance = _assigned(embeddings, means)
    order = images[np.lexsort((distance[images], cluster[images]))]
    firsts = order[np.unique(cluster[order], return_index=True)[1]]
    sizes = np.bincount(cluster[images], minlength=budget)
    bonus = np.full(len(embeddings), 0)
    bonus[firsts] = sizes[cluster[firsts]]
    usefulness = np.empty(len(embeddings))
    usefulness[np.lexsort((distance, -bonus))] = -np.arange(len(embeddings))
    return lambda _: usefulness


def random(pool: Pool) -> Usefulness:
    """Return the usefulness of a random order, of which a smaller budget takes the beginning.

    Args:
        pool: The images.

    Returns:
        The usefulness.
    """
    usefulness = np.random.default_rng(pool.seed).permutation(len(pool.embeddings)).astype(float)
    return lambda _: usefulness


METHODS: dict[str, Callable[[Pool], Usefulness]] = {
    "k_centre": k_centre,
    "medoids": medoids,
    "random": random,
}
"""Ways to choose by name."""


def weighted(usefulness: Usefulness, weights: NDArray[np.float64]) -> Usefulness:
    """Return the usefulness times a weight of each image, such as its uncertainty.

    Args:
        usefulness: Of ``k_centre``.
        weights: (N,), at least 0.

    Returns:
        The usefulness; before any image is chosen it is the weight alone.
    """

    def product(nearest: NDArray[np.float64]) -> NDArray[np.float64]:
        return weights if np.isinf(nearest).all() else weights * usefulness(nearest)

    return product


def choose(pool: Pool, usefulness: Usefulness, quota: Quota) -> Choice:
    """Return the most useful images one after the other, each class in enough of them.

    Args:
        pool: The images.
        usefulness: Of one of ``METHODS``; of equally useful images the first is chosen.
        quota: Which images are candidates.

    Returns:
        The choice, of ``pool.budget`` images.
    """
    nearest = pool.embeddings.distances_to(np.flatnonzero(pool.is_labelled))
    is_taken = pool.is_labelled.copy()
    order, distances = [], []
    for _ in range(pool.budget):
        candidates = quota.candidates(is_taken)
        best = int(np.where(candidates, usefulness(nearest), -np.inf).argmax())
        order.append(best)
        distances.append(nearest[best])
        is_taken[best] = True
        nearest = np.minimum(nearest, pool.embeddings.distances_to([best]))
    return Choice(np.array(order, np.intp), np.array(distances), nearest)


def _assigned(
    embeddings: Embeddings, means: KMeans
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(N,) nearest centre of each image, and its distance."""
    cluster, distance = np.empty(len(embeddings), np.intp), np.empty(len(embeddings))
    for place, chunk in embeddings.chunks():
        found = euclidean_distances(chunk, means.cluster_centers_)
        cluster[place], distance[place] = found.argmin(axis=1), found.min(axis=1)
    return cluster, distance
