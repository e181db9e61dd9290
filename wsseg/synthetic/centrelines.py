"""The way along the middle of a shape."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.draw import line as pixels_between
from skimage.morphology import skeletonize

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_ROUND = 0.8  # a skeleton shorter than this, times the root of the area, says nothing of the shape
_DIRECTIONS = 16
_DEEPEST = 64  # pixels

Pixels = NDArray[np.intp]


def centreline(mask: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
    """Return the longest way through the skeleton of a shape.

    Where the skeleton is little more than a point, as that of a disc, it is the longest straight
    line through the middle.

    Args:
        mask: (h, w) bool with at least one pixel, none at its border; of several parts the one
            that is deepest counts.
        depth: (h, w) floats, distance of each pixel to the nearest one outside.

    Returns:
        (N, 2) rows and columns of pixels of the shape, each a neighbour (of 8) of the next.

    Example:
        >>> mask = np.pad(np.ones((1, 5), bool), 1)
        >>> sorted(centreline(mask, mask.astype(np.float32))[:, 1].tolist())
        [1, 2, 3, 4, 5]
    """
    way = _longest_way(mask, depth)
    if len(way) < _ROUND * np.sqrt(mask.sum()):
        return max(way, _longest_chord(mask, depth), key=len)
    return way


def _longest_way(mask: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
    # thinning takes time for every pixel and every pixel of depth, so deep shapes are made smaller
    factor = int(depth.max() / _DEEPEST) | 1  # odd: diagonals lead from square to square directly
    coarse = _reduced(mask, factor)
    pixels = np.argwhere(skeletonize(coarse))  # type: ignore[no-untyped-call]  # scikit-image has no types
    if not len(pixels):
        return np.argwhere(depth == depth.max())[:1]
    middles = pixels * factor + factor // 2
    graph = _graph(pixels, coarse.shape)
    deepest = int(depth[middles[:, 0], middles[:, 1]].argmax())
    start = _farthest(dijkstra(graph, directed=False, indices=deepest))
    far, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    way = [_farthest(far)]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return _filled(middles[way], factor)


def _reduced(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Squares of pixels that are of the shape as a whole."""
    height, width = (-(-side // factor) for side in mask.shape)
    room = ((0, height * factor - mask.shape[0]), (0, width * factor - mask.shape[1]))
    squares = np.pad(mask, room).reshape(height, factor, width, factor)
    return np.asarray(squares.all(axis=(1, 3)))


def _filled(corners: Pixels, factor: int) -> Pixels:
    """A way that jumps by a factor, straight or diagonally, in single steps."""
    steps = (np.diff(corners, axis=0) // factor)[:, None] * np.arange(factor)[:, None]
    between = corners[:-1, None] + steps
    return np.concatenate([between.reshape(-1, 2), corners[-1:]])


def _graph(pixels: Pixels, shape: tuple[int, ...]) -> coo_array:
    """Neighbouring pixels, with the distance of their middles."""
    index = np.full(shape, -1)
    index[tuple(pixels.T)] = np.arange(len(pixels))
    ones, others, far = [], [], []
    for step in _NEIGHBOURS:
        neighbour = index[tuple((pixels + step).T)]
        ones.append(np.flatnonzero(neighbour >= 0))
        others.append(neighbour[neighbour >= 0])
        far.append(np.full(len(others[-1]), np.hypot(*step)))
    where = (np.concatenate(ones), np.concatenate(others))
    return coo_array((np.concatenate(far), where), (len(pixels), len(pixels))).tocsr()


def _farthest(distances: NDArray[np.float64]) -> int:
    return int(np.where(np.isfinite(distances), distances, -1).argmax())


def _longest_chord(mask: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
    row, column = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
    reach = sum(mask.shape)
    found = []
    for angle in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        down, across = round(np.sin(angle) * reach), round(np.cos(angle) * reach)
        halves = [_ray(mask, (row, column), (s * down, s * across)) for s in (1, -1)]
        found.append(np.concatenate([halves[0][::-1], halves[1][1:]]))
    return max(found, key=lambda chord: float(np.hypot(*(chord[-1] - chord[0]))))


def _ray(mask: NDArray[np.bool_], start: tuple[int, int], step: tuple[int, int]) -> Pixels:
    """Pixels from the start to the last before the shape's edge."""
    end = start[0] + step[0], start[1] + step[1]
    ray = np.stack(pixels_between(*start, *end), axis=1)  # type: ignore[no-untyped-call]  # scikit-image has no types
    within = ((ray >= 0) & (ray < mask.shape)).all(axis=1)
    ray = ray[: len(ray) if within.all() else int(within.argmin())]
    return ray[: int(np.argmin(np.append(mask[tuple(ray.T)], False)))]
