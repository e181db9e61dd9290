"""Choose images by their embeddings, with a quota per class; measure how well they cover the rest.

All functions work on arrays and on ``Embeddings``; none knows a run.
"""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.decomposition import IncrementalPCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import euclidean_distances
from threadpoolctl import threadpool_limits

from wsseg.stages.selection.embeddings import Embeddings

_MAX_FITTED = 8192  # images that k-means is fitted on, which bounds its memory
_PCA_CHUNK = 256  # images per step of the PCA, whose time grows with their square


@dataclass(frozen=True, eq=False)
class Pool:
    """N images to choose from.

    Args:
        is_labelled: (N,) bool, True for images that count as chosen from the start.
        budget: Number of images to choose, at most the number of images that are not labelled.
    """

    embeddings: Embeddings
    is_labelled: NDArray[np.bool_]
    budget: int
    seed: int = 0


Usefulness = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Distance (N,) of each image to the nearest chosen one -> how useful it is next (N,), higher is
better. All distances are infinite while no image is chosen or labelled."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The chosen images.

    Attributes:
        order: (B,) indices of the images, the most useful first.
        distances: (B,) distance of each to the nearest image that was chosen or labelled before it;
            infinite for the first image of all.
        nearest: (N,) distance of every image to the nearest chosen or labelled one at the end.
    """

    order: NDArray[np.intp]
    distances: NDArray[np.float64]
    nearest: NDArray[np.float64]


def k_centre(pool: Pool) -> Usefulness:
    """Return the usefulness of farthest-first traversal: the distance to the chosen images.

    argmax_i min_{s in S} |x_i - x_s|, a 2-approximation of the k-centre problem. The first image is
    the most typical one, nearest to the mean. A smaller budget is the beginning of a larger one.

    References:
        Sener and Savarese, Active Learning for Convolutional Neural Networks: A Core-Set Approach,
        ICLR 2018, arXiv:1708.00489.
    """
    typical = -pool.embeddings.distances(pool.embeddings.mean()[None])
    return lambda nearest: typical if np.isinf(nearest).all() else nearest


def medoids(pool: Pool) -> Usefulness:
    """Return the usefulness of medoids: the images nearest to the centres of k-means.

    There are as many clusters as images to choose; labelled images belong to none. The medoid of
    the largest cluster is the most useful image. All other images follow, those near to a centre
    first. Of more than 8192 images a random part is clustered.
    """
    embeddings, budget = pool.embeddings, pool.budget
    images = np.flatnonzero(~pool.is_labelled)
    part = np.random.default_rng(pool.seed).permutation(images)[: max(_MAX_FITTED, 4 * budget)]
    means = KMeans(budget, n_init=3, random_state=pool.seed, copy_x=False)
    with threadpool_limits(1), warnings.catch_warnings():  # several threads add in any order
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct images than clusters
        means.fit(embeddings.of(np.sort(part)))
    cluster, distance = np.empty(len(embeddings), np.intp), np.empty(len(embeddings))
    for place, chunk in embeddings.chunks():
        distances = euclidean_distances(chunk, means.cluster_centers_)
        cluster[place], distance[place] = distances.argmin(axis=1), distances.min(axis=1)
    # The first image of each cluster, ordered by distance, is its medoid. It gets the size of the
    # cluster as a bonus, so that all medoids come before all other images.
    order = images[np.lexsort((distance[images], cluster[images]))]
    firsts = order[np.unique(cluster[order], return_index=True)[1]]
    sizes = np.bincount(cluster[images], minlength=budget)
    bonus = np.full(len(embeddings), 0)
    bonus[firsts] = sizes[cluster[firsts]]
    usefulness = np.empty(len(embeddings))
    usefulness[np.lexsort((distance, -bonus))] = -np.arange(len(embeddings))
    return lambda _: usefulness


def random(pool: Pool) -> Usefulness:
    """Return a random usefulness. A smaller budget is the beginning of a larger one."""
    usefulness = np.random.default_rng(pool.seed).permutation(len(pool.embeddings)).astype(float)
    return lambda _: usefulness


METHODS: dict[str, Callable[[Pool], Usefulness]] = {
    "medoids": medoids,
    "k_centre": k_centre,
    "random": random,
}
"""Ways to choose, by the ``method`` of ``SelectionParams``."""


def weight(usefulness: Usefulness, weights: NDArray[np.float64]) -> Usefulness:
    """Return the usefulness times a weight per image, such as its uncertainty.

    Args:
        usefulness: Of ``k_centre``.
        weights: (N,), at least 0. While no image is chosen they alone decide.
    """
    return lambda nearest: weights if np.isinf(nearest).all() else weights * usefulness(nearest)


@dataclass(frozen=True, eq=False)
class Quota:
    """The number of chosen or labelled images that each class should appear in.

    Args:
        shows: (N, K) bool, True if the annotations say that image n shows object class k.
        minimum: Images per class; 0 is no quota.
    """

    shows: NDArray[np.bool_]
    minimum: int

    def candidates(self, is_taken: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the images that may be chosen next.

        While a class appears in fewer chosen or labelled images than ``minimum``, or than show it
        at all, only images of one such class may be chosen: of the class that lacks the most
        images; of equals, the class that fewest images show, then the first one.

        Args:
            is_taken: (N,) bool, True for chosen or labelled images; at least one is False.

        Returns:
            (N,) bool, at least one True.
        """
        shown, available = self.shows[is_taken].sum(axis=0), self.shows.sum(axis=0)
        missing = np.minimum(self.minimum, available) - shown
        if not (missing > 0).any():
            return ~is_taken
        shortest = np.lexsort((available, -missing))[0]
        return np.asarray(~is_taken & self.shows[:, shortest])

    def unmet(self, is_taken: NDArray[np.bool_], names: Sequence[str]) -> list[str]:
        """Describe the classes that appear in fewer than ``minimum`` chosen or labelled images.

        Args:
            is_taken: (N,) bool, True for chosen or labelled images.
            names: Names of the K classes.

        Returns:
            One sentence per class, with the reason. Classes that none of the N images shows are
            left out.
        """
        shown, left = (self.shows[images].sum(axis=0) for images in (is_taken, ~is_taken))
        lines = []
        for name, count, more in zip(names, shown, left, strict=True):
            if count < self.minimum and count + more:
                why = "the budget ended" if more else "no other image shows it"
                lines.append(f"{name} is in {count} of {self.minimum} images: {why}")
        return lines


def default_quota(budget: int, shows: NDArray[np.bool_]) -> int:
    """Return the default quota: half of the budget, shared among the classes that occur.

    Args:
        shows: (N, K) bool, True if the annotations say that image n shows object class k.

    Returns:
        0 if no class is known to occur, else at least 1.

    Example:
        >>> default_quota(27, np.ones((100, 3), bool))
        4
    """
    occurring = int(shows.any(axis=0).sum())
    return max(1, budget // (2 * occurring)) if occurring else 0


def choose(pool: Pool, usefulness: Usefulness, quota: Quota) -> Choice:
    """Choose the most useful images one after the other, among the candidates of the quota.

    Args:
        usefulness: Of one of ``METHODS``; of equally useful images the first is chosen.
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


@dataclass(frozen=True)
class Coverage:
    """Coverage of a data set by the chosen and labelled images.

    Attributes:
        largest: Largest distance of an image to the nearest chosen or labelled one.
        mean: Mean of these distances.
        classes: Number of classes that the chosen and labelled images show.
    """

    largest: float
    mean: float
    classes: float


def measure_coverage(
    nearest: NDArray[np.float64], shows: NDArray[np.bool_], is_taken: NDArray[np.bool_]
) -> Coverage:
    """Return how well a choice covers a data set.

    Args:
        nearest: (N,) distance of each image to the nearest chosen or labelled one.
        shows: (N, K) bool, True if the annotations say that image n shows object class k.
        is_taken: (N,) bool, True for chosen or labelled images.
    """
    classes = int(shows[is_taken].any(axis=0).sum())
    return Coverage(float(nearest.max()), float(nearest.mean()), classes)


def random_coverage(
    pool: Pool, shows: NDArray[np.bool_], seeds: Iterable[int] = range(5)
) -> Coverage:
    """Return the mean coverage of random choices without a quota, one per seed.

    Args:
        shows: (N, K) bool, True if the annotations say that image n shows object class k.
    """
    before = pool.embeddings.distances_to(np.flatnonzero(pool.is_labelled))
    coverages = []
    for seed in seeds:
        left = np.random.default_rng(seed).permutation(np.flatnonzero(~pool.is_labelled))
        is_taken = pool.is_labelled.copy()
        is_taken[left[: pool.budget]] = True
        nearest = np.minimum(before, pool.embeddings.distances_to(left[: pool.budget]))
        coverages.append(measure_coverage(nearest, shows, is_taken))
    means = np.array([(one.largest, one.mean, one.classes) for one in coverages]).mean(axis=0)
    return Coverage(*means.tolist())


def project(embeddings: Embeddings) -> tuple[NDArray[np.float32], float]:
    """Return the two principal components of N embeddings, computed in chunks.

    Returns:
        (N, 2) float32, and the explained share of the variance, 0..1. A single image lies at 0.
    """
    points = np.zeros((len(embeddings), 2), np.float32)
    if len(embeddings) < 2:
        return points, 1.0
    pca = IncrementalPCA(n_components=2)
    with np.errstate(invalid="ignore"):  # identical images have no variance
        for _, chunk in embeddings.chunks(_PCA_CHUNK, smallest=2):
            pca.partial_fit(chunk)
    for place, chunk in embeddings.chunks(_PCA_CHUNK):
        points[place] = pca.transform(chunk)
    return points, float(np.nan_to_num(pca.explained_variance_ratio_).sum())
