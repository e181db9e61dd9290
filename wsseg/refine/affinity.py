"""Affinity propagation: a random walk of class maps among cells of an image that look alike."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Literal, get_args

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from skimage.color import rgb2lab
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.refine.params import WalkParams
from wsseg.refine.scores import check_scores, describe, normalise

Affinity = Literal["colour", "boundary", "feature", "embedding"]

_Step = tuple[int, int]
_Map = NDArray[np.float32]
_Near = dict[_Step, _Map]  # for each step, the affinity of a cell with the one there; 0 outside

_SMALLEST = np.finfo(np.float32).eps  # a smaller weight is lost beside the 1 of the cell itself
_TAIL = 1e-7  # share of the walk's polynomial that may be omitted
_COLOUR_SIGMA = 5.0  # Lab units; for colours only beta / sigma^2 matters, so beta is the setting


def random_walk(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: WalkParams = WalkParams(),
    affinity: Affinity = "colour",
    features: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return scores after a random walk among cells of the image that look alike.

    Scores are normalised over the classes that each pixel may take, propagated (see ``propagate``)
    and normalised again. Deterministic.

    Args:
        image: (H, W, 3) uint8 RGB, not normalised.
        scores: (C, H, W) probabilities or other scores of at least 0 over the C classes that can
            occur. Where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True per pixel; None allows everything.
        affinity: See ``WalkParams``.
        features: (D, h, w), for the affinities "feature" and "embedding" only.

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or features are missing or unused.

    Example:
        >>> image = np.array([[[0] * 3, [0] * 3, [255] * 3]], np.uint8)
        >>> scores = np.array([[[0.9, 0.5, 0.1]], [[0.1, 0.5, 0.9]]])
        >>> random_walk(image, scores, params=WalkParams(stride=1)).argmax(axis=0).tolist()
        [[0, 0, 1]]
    """
    check_scores(image, scores, allowed)
    start = normalise(scores, allowed)
    return normalise(propagate(start, image, params, affinity, features), allowed)


def propagate(
    maps: NDArray[np.floating],
    image: NDArray[np.uint8],
    params: WalkParams = WalkParams(),
    affinity: Affinity = "colour",
    features: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return maps after the random walk alone; nothing is made to sum to 1.

    Maps are averaged over the cells of the grid, propagated (see ``WalkParams``) and enlarged
    bilinearly. The walk flattens them: class activation maps are divided by their maximum
    afterwards.

    T ^ n is applied as a Chebyshev polynomial, exact up to a tail of 1e-7, which takes about
    5.5 sqrt(n) sparse products instead of n. Memory: at most 90 x radius^2 bytes per cell, 12 D
    more with features, and some copies of the image and the maps.

    Args:
        maps: (C, H, W) of at least 0, such as class activation maps.
        features: (D, h, w) floating of any resolution, for the affinities "feature" and
            "embedding" only; resized to the grid.

    Returns:
        (C, H, W) float32, each map within the range of its input.
    """
    check_scores(image, maps)
    size = grid_size(image.shape, params)
    matrix = _transition(image, params, affinity, features)
    cells = np.stack([_average(m, size).ravel() for m in maps], axis=1).astype(float)
    after = _apply_power(matrix, cells, params.t).T.reshape(-1, *size).astype(np.float32)
    width_height = image.shape[1::-1]
    results = np.array([cv2.resize(m, width_height) for m in after], np.float32)  # bilinear
    for result, before in zip(results, maps, strict=True):
        result.clip(np.float32(before.min()), np.float32(before.max()), out=result)
    return results


def _transition(
    image: NDArray[np.uint8],
    params: WalkParams,
    affinity: Affinity = "colour",
    features: NDArray[np.floating] | None = None,
) -> sparse.csr_array:
    """Return T over the cells in reading order, (N, N) sparse float64."""
    _check_features(features, affinity)
    size = grid_size(image.shape, params)
    if features is None:
        lab = rgb2lab(_average(image, size) / 255) / (math.sqrt(2) * _COLOUR_SIGMA)
        vectors = np.moveaxis(lab, -1, 0)
        near = _affinities(vectors, lambda a, b: np.exp(-((a - b) ** 2).sum(axis=0)), params.radius)
    elif affinity == "feature":
        near = _cosines(features, size, params.radius)
    else:
        vectors = _resize_features(features, size)
        near = _affinities(vectors, lambda a, b: np.exp(-np.abs(a - b).sum(axis=0)), params.radius)
    if affinity == "boundary":
        near = _weakest_on_the_way(near)
    return _matrix(near, params.beta)


def grid_size(size: tuple[int, ...], params: WalkParams = WalkParams()) -> tuple[int, int]:
    """Return the numbers of rows and columns of cells of an image.

    Args:
        size: (H, W), or (H, W, 3), of the image.
    """
    height, width = size[:2]
    return -(-height // params.stride), -(-width // params.stride)


def _average(values: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the means of (H, W) or (H, W, 3) values over the cells of a grid."""
    exact = values.astype(np.float32)
    return np.asarray(cv2.resize(exact, size[::-1], interpolation=cv2.INTER_AREA))


def _resize_features(features: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    batch = torch.from_numpy(features.astype(np.float32))[None]
    resized = functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return resized[0].numpy()


def _affinities(vectors: _Map, affinity: Callable[[_Map, _Map], _Map], radius: int) -> _Near:
    """Return the affinities between the cells of (D, h, w) vectors."""
    near: _Near = {}
    size = vectors.shape[1:]
    for down, right in steps_within(radius):
        here, there = overlap(size, (down, right))
        onward, back = np.zeros((2, *size), np.float32)
        onward[here] = back[there] = affinity(vectors[:, *here], vectors[:, *there])
        near[down, right], near[-down, -right] = onward, back
    return near


def steps_within(radius: int) -> Iterator[tuple[int, int]]:
    """Yield the steps (rows down, columns right) shorter than a radius, without their reverses."""
    for down, right in product(range(radius), range(1 - radius, radius)):
        if (down, right) > (0, 0) and down**2 + right**2 < radius**2:
            yield down, right


def overlap(
    size: tuple[int, ...], step: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the cells of an (h, w) grid that have a cell one step away, and those cells.

    Returns:
        Two indices of an (h, w) array; empty if the step (down, right) leaves the grid.
    """
    pairs = list(zip(size, step, strict=True))
    here = tuple(slice(max(-d, 0), max(n - max(d, 0), 0)) for n, d in pairs)
    there = tuple(slice(max(d, 0), max(n - max(-d, 0), 0)) for n, d in pairs)
    return here, there


def _weakest_on_the_way(near: _Near) -> _Near:
    """Return the smallest affinity of either end with the other end or a cell between them."""
    least = {step: direct.copy() for step, direct in near.items()}
    for step, lowest in least.items():
        here, there = overlap(lowest.shape, step)
        for passed in _cells_between(step):
            remaining = passed[0] - step[0], passed[1] - step[1]
            np.minimum(lowest[here], near[passed][here], out=lowest[here])
            np.minimum(lowest[here], near[remaining][there], out=lowest[here])
    return least


def _cells_between(step: _Step) -> Iterator[_Step]:
    """Yield the cells between both ends of a step, as steps from the first."""
    down, right = step
    rows, columns = (range(min(length, 0), max(length, 0) + 1) for length in step)
    for y, x in product(rows, columns):
        is_close = (down * x - right * y) ** 2 < down**2 + right**2
        if is_close and (y, x) not in ((0, 0), step):
            yield y, x


def feature_weights(
    features: NDArray[np.floating], size: tuple[int, int], params: WalkParams = WalkParams()
) -> sparse.csr_array:
    """Return the affinities "feature" between the cells of a grid; see ``WalkParams``.

    Args:
        features: (D, h', w') floating of any resolution; resized to the grid.
        size: (h, w) of the grid; ``params.stride`` is not used.

    Returns:
        (N, N) sparse float64 over the N = h w cells in reading order, symmetric: a_ij ^ beta where
        cell j is closer than the radius, 1 on the diagonal.
    """
    _check_features(features, "feature")
    return _weights(_cosines(features, size, params.radius), params.beta)


def _cosines(features: NDArray[np.floating], size: tuple[int, int], radius: int) -> _Near:
    resized = torch.from_numpy(_resize_features(features, size))
    vectors = functional.normalize(resized, dim=0).numpy()
    return _affinities(vectors, lambda a, b: np.einsum("dyx,dyx->yx", a, b).clip(0, 1), radius)


def _matrix(near: _Near, beta: float) -> sparse.csr_array:
    """Return T: the weights, each row divided by its sum."""
    matrix = _weights(near, beta)
    counts = np.diff(matrix.indptr)
    # In float32 no row sums to exactly 1, and many steps would multiply the error.
    matrix.data /= np.repeat(np.add.reduceat(matrix.data, matrix.indptr[:-1]), counts)
    return matrix


def _weights(near: _Near, beta: float) -> sparse.csr_array:
    height, width = next(iter(near.values())).shape
    near[0, 0] = np.ones((height, width), np.float32)
    # Sorted steps go left to right, then down, so that the columns of each row ascend.
    steps = sorted(near)
    weights = np.stack([near[step].ravel() for step in steps], axis=1)
    weights **= beta
    kept = weights >= _SMALLEST
    starts = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    offsets = np.array([down * width + right for down, right in steps], np.int32)
    columns = (np.arange(height * width, dtype=np.int32)[:, None] + offsets)[kept]
    exact = weights[kept].astype(np.float64)
    return sparse.csr_array((exact, columns, starts), shape=(height * width,) * 2)


def _apply_power(
    matrix: sparse.csr_array, cells: NDArray[np.float64], t: int
) -> NDArray[np.float64]:
    """Return matrix ^ (2 ^ t) cells; the eigenvalues of a T are real."""
    shares = _chebyshev(2**t)
    before, now = cells, matrix @ cells
    result = shares[0] * before + shares[1] * now
    for share in shares[2:]:
        before, now = now, 2 * (matrix @ now) - before
        result += share * now
    return np.asarray(result)


def _chebyshev(n: int) -> NDArray[np.float64]:
    """Return the coefficients of x ^ n in Chebyshev polynomials, lowest degree first.

    The coefficient of degree k is the probability that a simple random walk is k away from its
    start after n steps.
    """
    degrees = np.arange(n % 2, n + 1, 2)
    ratios = (n - degrees) / (n + degrees + 2)  # of neighbouring binomial coefficients
    chances = np.cumprod(np.concatenate([[1.0], ratios[:-1]]))
    chances[degrees == 0] /= 2
    chances /= chances.sum()
    n_kept = np.searchsorted(chances.cumsum(), 1 - _TAIL) + 1
    shares = np.zeros(max(degrees[n_kept - 1] + 1, 2))
    shares[degrees[:n_kept]] = chances[:n_kept] / chances[:n_kept].sum()
    return shares


def _check_features(features: NDArray[np.floating] | None, affinity: Affinity) -> None:
    if affinity not in get_args(Affinity):
        choices = ", ".join(get_args(Affinity))
        raise InputError("affinity", f"one of {choices}", repr(affinity), "choose one of them")
    if affinity in ("colour", "boundary"):
        if features is not None:
            rule = f"None for the affinity {affinity}"
            raise InputError("features", rule, "some", "choose the affinity feature or embedding")
        return
    rule, remedy = "a finite (D, h, w) array of floats", "pass a vector for every place"
    is_map = isinstance(features, np.ndarray) and features.ndim == 3 and features.dtype.kind == "f"
    if features is None or not is_map or not features.size:
        raise InputError("features", rule, describe(features), remedy)
    if not np.isfinite(features).all():
        raise InputError("features", rule, "NaN or infinity", remedy)
