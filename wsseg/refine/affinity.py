"""Affinity propagation: class maps walk at random among cells of an image that look alike."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from wsseg.refine.params import check_number, check_whole
from wsseg.refine.scores import check_scores, normalised

Affinity = Literal["colour", "boundary", "feature", "embedding"]

_Step = tuple[int, int]
_Map = NDArray[np.float32]
_Near = dict[_Step, _Map]  # for each step, how alike a cell and that a step away are; 0 outside

_SMALLEST = np.finfo(np.float32).eps  # beside the 1 of a cell itself it would be lost
_TAIL = 1e-7  # share of the walk's polynomial that may be left out


@dataclass(frozen=True)
class WalkParams:
    """A random walk among the cells of a grid.

    A cell is ``stride`` x ``stride`` pixels; what it holds is their mean. One step goes from cell
    i to cell j, which is closer than ``radius`` or i itself, with the probability::

        T_ij = a_ij ^ beta / sum over k of a_ik ^ beta,   a_ii = 1

    and the walk takes 2 ^ t steps: maps m become T ^ (2 ^ t) m. The affinity a_ij is, by name::

        colour:   exp(-|L_i - L_j|^2 / (2 colour_sigma^2))
        boundary: min over the cells p on the way of colour_ip and colour_jp
        feature:  max(0, cosine of the angle between F_i and F_j)
        embedding: exp(-|F_i - F_j|_1), of vectors that were trained for it

    with L the CIE Lab colour and F a feature vector. On the way from i to j are the cells of
    the rectangle that they span which are closer than 1 to the straight line between them, so
    that no step jumps over a thin line. This is the form of IRN, 1 - the strongest boundary on
    the way, with contrasts in place of a trained network. An a_ij ^ beta below the precision of
    float32 counts as 0.

    Args:
        affinity: "colour", "boundary", "feature" or "embedding".
        radius: Cells, whole and at least 2.
        beta: At least 0.001; more follows edges more strictly. Where colours decide, only
            beta / colour_sigma^2 matters.
        t: Whole, 0 to 20; one more doubles the number of steps.
        stride: Side of a cell, pixels, whole and at least 1.
        colour_sigma: Lab units, at least 0.001; "boundary", which is stricter than "colour",
            wants more of it; "feature" ignores it.

    Raises:
        InputError: A value is out of its range or not finite.

    References:
        Ahn and Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision, CVPR
        2018, arXiv:1803.10464.
        Ahn, Cho and Kwak, Weakly Supervised Learning of Instance Segmentation with Inter-pixel
        Relations (IRN), CVPR 2019, arXiv:1904.05044: radius, beta and t.
    """

    affinity: Affinity = "colour"
    radius: int = 5
    beta: float = 10
    t: int = 8
    stride: int = 4
    colour_sigma: float = 5

    def __post_init__(self) -> None:
        choices = get_args(Affinity)
        if self.affinity not in choices:
            rule = f"one of {', '.join(choices)}"
            raise InputError("walk.affinity", rule, repr(self.affinity), "set walk.affinity")
        check_whole("walk.radius", self.radius, least=2)
        check_number("walk.beta", self.beta, least=0.001)
        check_whole("walk.t", self.t)
        check_number("walk.t", self.t, most=20)
        check_whole("walk.stride", self.stride, least=1)
        check_number("walk.colour_sigma", self.colour_sigma, least=0.001)


WALK = WalkParams()
"""Colours, without training: radius, beta and t as IRN's, stride 4 as that of its class maps."""


def random_walk(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: WalkParams = WALK,
    features: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return scores that have walked among cells of the image that look alike.

    Scores become probabilities over the classes that each pixel may take, walk (see ``walked``)
    and become such probabilities again. Deterministic.

    Args:
        image: (H, W, 3) uint8 RGB as photographed, never normalised.
        scores: (C, H, W) probabilities or other scores of at least 0 over the C classes that can
            occur; where all allowed classes have 0 they are equally likely.
        allowed: (C, H, W) bool, at least one True a pixel; None allows everything.
        params: The walk.
        features: (D, h, w) as ``walked`` takes them.

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, scores are negative or not finite, a
            pixel has no allowed class, or features lack or are given in vain.

    References:
        Ahn and Kwak, arXiv:1803.10464; Ahn, Cho and Kwak, arXiv:1904.05044.

    Example:
        >>> image = np.array([[[0] * 3, [0] * 3, [255] * 3]], np.uint8)
        >>> scores = np.array([[[0.9, 0.5, 0.1]], [[0.1, 0.5, 0.9]]])
        >>> random_walk(image, scores, params=WalkParams(stride=1)).argmax(axis=0).tolist()
        [[0, 0, 1]]
    """
    check_scores(image, scores, allowed)
    start = normalised(scores, allowed)
    return normalised(walked(start, image, params, features), allowed)


def walked(
    maps: NDArray[np.floating],
    image: NDArray[np.uint8],
    params: WalkParams = WALK,
    features: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:
    """Return maps that have walked, each for itself: the walk alone, nothing made to sum to 1.

    Maps are averaged to the grid, walk (see ``WalkParams``) and are enlarged bilinearly. A walk
    flattens them; class activation maps are therefore divided by their maximum afterwards.

    T ^ n is applied as the polynomial of Chebyshev that equals it up to a tail of 1e-7, which
    takes about 5.5 sqrt(n) sparse products instead of n. Memory: at most 90 x radius^2 bytes a
    cell, D x 12 more with features, and some copies of the image and the maps.

    Args:
        maps: (C, H, W) of at least 0, such as class activation maps.
        image: (H, W, 3) uint8 RGB as photographed, never normalised.
        params: The walk.
        features: (D, h, w) floating of any resolution, for the affinities "feature" and
            "embedding" and only for them; resized to the grid.

    Returns:
        (C, H, W) float32, each map within the range that it had.

    Raises:
        InputError: As ``random_walk``.
    """
    check_scores(image, maps)
    size = _grid(image, params)
    matrix = _transition(image, params, features)
    cells = np.stack([_averaged(each, size).ravel() for each in maps], axis=1).astype(float)
    after = _power(matrix, cells, params.t).T.reshape(-1, *size).astype(np.float32)
    width_height = image.shape[1::-1]
    found = np.array([cv2.resize(each, width_height) for each in after], np.float32)  # bilinear
    for each, before in zip(found, maps, strict=True):
        each.clip(np.float32(before.min()), np.float32(before.max()), out=each)
    return found


def _transition(
    image: NDArray[np.uint8], params: WalkParams, features: NDArray[np.floating] | None = None
) -> sparse.csr_array:
    """Return T over the cells in reading order, (N, N) sparse float64."""
    _check_features(features, params)
    size = _grid(image, params)
    if features is None:
        lab = rgb2lab(_averaged(image, size) / 255) / (math.sqrt(2) * params.colour_sigma)
        near = _near(np.moveaxis(lab, -1, 0), _alike, params.radius)
    elif params.affinity == "feature":
        near = _near(_directions(features, size), _cosine, params.radius)
    else:
        near = _near(_at_cells(features, size), _close, params.radius)
    if params.affinity == "boundary":
        near = _on_the_way(near)
    return _matrix(near, params.beta)


def _grid(image: NDArray[np.uint8], params: WalkParams) -> tuple[int, int]:
    height, width = image.shape[:2]
    return -(-height // params.stride), -(-width // params.stride)


def _averaged(values: NDArray[np.generic], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the means of (H, W) or (H, W, 3) values over the cells of a grid."""
    exact = values.astype(np.float32)
    return np.asarray(cv2.resize(exact, size[::-1], interpolation=cv2.INTER_AREA))


def _directions(features: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return (D, h, w) vectors of length 1, or 0 where there is nothing."""
    return functional.normalize(torch.from_numpy(_at_cells(features, size)), dim=0).numpy()


def _at_cells(features: NDArray[np.floating], size: tuple[int, int]) -> NDArray[np.float32]:
    given = torch.from_numpy(features.astype(np.float32))[None]
    resized = functional.interpolate(given, size, mode="bilinear", antialias=True)
    return resized[0].numpy()


def _alike(some: _Map, others: _Map) -> _Map:
    return np.asarray(np.exp(-((some - others) ** 2).sum(axis=0)))


def _cosine(some: _Map, others: _Map) -> _Map:
    return np.asarray(np.einsum("dyx,dyx->yx", some, others).clip(0, 1))


def _close(some: _Map, others: _Map) -> _Map:
    return np.asarray(np.exp(-np.abs(some - others).sum(axis=0)))


def _near(vectors: _Map, affinity: Callable[[_Map, _Map], _Map], radius: int) -> _Near:
    """Return the affinities of the cells of (D, h, w) vectors."""
    near: _Near = {}
    size = vectors.shape[1:]
    for down, right in steps_within(radius):
        here, there = overlap(size, (down, right))
        onward, back = np.zeros((2, *size), np.float32)
        onward[here] = back[there] = affinity(vectors[:, *here], vectors[:, *there])
        near[down, right], near[-down, -right] = onward, back
    return near


def steps_within(radius: int) -> Iterator[tuple[int, int]]:
    """Yield the steps that are closer than a radius, each without its reverse.

    Args:
        radius: Cells.

    Yields:
        Rows down and columns to the right; never both 0.
    """
    for down, right in product(range(radius), range(1 - radius, radius)):
        if (down, right) > (0, 0) and down**2 + right**2 < radius**2:
            yield down, right


def overlap(
    size: tuple[int, ...], step: tuple[int, int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where the cells lie that have another a step away, and where those others lie.

    Args:
        size: (h, w) of the grid.
        step: Rows down and columns to the right.

    Returns:
        Two indices of an (h, w) array; empty where the step leaves the grid.
    """
    pairs = list(zip(size, step, strict=True))
    here = tuple(slice(max(-d, 0), max(n - max(d, 0), 0)) for n, d in pairs)
    there = tuple(slice(max(d, 0), max(n - max(-d, 0), 0)) for n, d in pairs)
    return here, there


def _on_the_way(near: _Near) -> _Near:
    """Return the least affinity that either end has with the other or a cell on the way."""
    least = {step: direct.copy() for step, direct in near.items()}
    for step, lowest in least.items():
        here, there = overlap(lowest.shape, step)
        for passed in _way(step):
            remaining = passed[0] - step[0], passed[1] - step[1]
            np.minimum(lowest[here], near[passed][here], out=lowest[here])
            np.minimum(lowest[here], near[remaining][there], out=lowest[here])
    return least


def _way(step: _Step) -> Iterator[_Step]:
    """Yield the cells between a cell and that a step away, as steps from the former."""
    down, right = step
    rows, columns = (range(min(length, 0), max(length, 0) + 1) for length in step)
    for y, x in product(rows, columns):
        is_close = (down * x - right * y) ** 2 < down**2 + right**2
        if is_close and (y, x) not in ((0, 0), step):
            yield y, x


def _matrix(near: _Near, beta: float) -> sparse.csr_array:
    height, width = next(iter(near.values())).shape
    near[0, 0] = np.ones((height, width), np.float32)
    steps = sorted(near)  # left to right, then down: the columns of a row ascend
    weights = np.stack([near[step].ravel() for step in steps], axis=1)
    weights **= beta
    kept = weights >= _SMALLEST
    counts = kept.sum(axis=1)
    starts = np.concatenate([[0], counts.cumsum()]).astype(np.int32)
    offsets = np.array([down * width + right for down, right in steps], np.int32)
    columns = (np.arange(height * width, dtype=np.int32)[:, None] + offsets)[kept]
    # in float32 no row sums to 1 exactly, and many steps multiply what it lacks
    chances = weights[kept].astype(np.float64)
    chances /= np.repeat(np.add.reduceat(chances, starts[:-1]), counts)
    return sparse.csr_array((chances, columns, starts), shape=(height * width,) * 2)


def _power(matrix: sparse.csr_array, cells: NDArray[np.float64], t: int) -> NDArray[np.float64]:
    """Return matrix ^ (2 ^ t) cells; the eigenvalues of a T are real."""
    shares = _chebyshev(2**t)
    before, now = cells, matrix @ cells
    found = shares[0] * before + shares[1] * now
    for share in shares[2:]:
        before, now = now, 2 * (matrix @ now) - before
        found += share * now
    return np.asarray(found)


def _chebyshev(n: int) -> NDArray[np.float64]:
    """Return the shares of the polynomials of Chebyshev in x ^ n, lowest degree first.

    That of degree k is the chance to be k away after n steps of 1 back or forth at random.
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


def _check_features(features: NDArray[np.floating] | None, params: WalkParams) -> None:
    if params.affinity not in ("feature", "embedding"):
        if features is not None:
            rule = f"None for the affinity {params.affinity}"
            raise InputError("features", rule, "some", "set walk.affinity=feature")
        return
    rule, remedy = "a finite (D, h, w) array of floats", "pass a vector for every place"
    if not isinstance(features, np.ndarray):
        raise InputError("features", rule, type(features).__name__, remedy)
    if features.ndim != 3 or not features.size or features.dtype.kind != "f":
        raise InputError("features", rule, f"{features.dtype} of shape {features.shape}", remedy)
    if not np.isfinite(features).all():
        raise InputError("features", rule, "NaN or infinity", remedy)
