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

Pixels = NDArray[np.intp]


def centreline(mask: NDArray[np.bool_], depth: NDArray[np.float32]) -> Pixels:
    """Return the longest way through the skeleton of a shape.

    Where the skeleton is little more than a point, as that of a disc, it is the longest straight
    line through the middle.

    Args:
        mask: (h, w) bool with at least one pixel, none at its border; of several parts the one
            that is deepest counts.
        depth: (h, w) float32, distance of each pixel to the nearest one outside.

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


def _longest_way(mask: NDArray[np.bool_], depth: NDArray[np.float32]) -> Pixels:
    middle = np.array(np.unravel_index(depth.argmax(), depth.shape))
    pixels = np.argwhere(skeletonize(mask))
    if not len(pixels):
        return middle[None]
    graph = _graph(pixels, mask.shape)
    deepest = int(depth[pixels[:, 0], pixels[:, 1]].argmax())
    start = _farthest(dijkstra(graph, directed=False, indices=deepest))
    far, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    way = [_farthest(far)]
    while way[-1] != start:
        way.append(int(before[way[-1]]))
    return pixels[way]


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


def _longest_chord(mask: NDArray[np.bool_], depth: NDArray[np.float32]) -> Pixels:
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    reach = sum(mask.shape)
    found = []
    for angle in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        down, across = round(np.sin(angle) * reach), round(np.cos(angle) * reach)
        halves = [_ray(mask, (row, column), (s * down, s * across)) for s in (1, -1)]
        found.append(np.concatenate([halves[0][::-1], halves[1][1:]]))
    return max(found, key=lambda chord: float(np.hypot(*(chord[-1] - chord[0]))))


def _ray(mask: NDArray[np.bool_], start: tuple[int, int], step: tuple[int, int]) -> Pixels:
    """Pixels from the start to the last before the shape's edge."""
    ray = np.stack(pixels_between(*start, start[0] + step[0], start[1] + step[1]), axis=1)
    within = ((ray >= 0) & (ray < mask.shape)).all(axis=1)
    ray = ray[: len(ray) if within.all() else int(within.argmin())]
    return ray[: int(np.argmin(np.append(mask[tuple(ray.T)], False)))]
