"""The path along the middle of a shape."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.draw import line as pixels_between
from skimage.morphology import skeletonize

_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
_MIN_SKELETON = 0.8  # shortest useful skeleton, as a share of the square root of the area
_DIRECTIONS = 16
_MAX_DEPTH = 64  # pixels; deeper shapes are reduced before they are thinned

Pixels = NDArray[np.intp]


def centreline(mask: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
    """Return the longest path through the skeleton of a shape.

    If the skeleton is little more than a point, as that of a disc, the path is the longest straight
    line through the middle.

    Args:
        mask: (h, w) bool with at least one pixel and none at its border. Of several parts the
            deepest one is used.
        depth: (h, w) float distance of each pixel to the nearest one outside.

    Returns:
        (N, 2) rows and columns of pixels of the shape; successive ones are neighbours (of 8).

    Example:
        >>> mask = np.pad(np.ones((1, 5), bool), 1)
        >>> sorted(centreline(mask, mask.astype(np.float32))[:, 1].tolist())
        [1, 2, 3, 4, 5]
    """
    path = _longest_path(mask, depth)
    if len(path) < _MIN_SKELETON * np.sqrt(mask.sum()):
        return max(path, _longest_chord(mask, depth), key=len)
    return path


def _longest_path(mask: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
    # The time of thinning grows with area times depth, so deep shapes are reduced first. The factor
    # is odd, so that the middle of a square is a pixel and diagonals join squares directly.
    factor = int(depth.max() / _MAX_DEPTH) | 1
    coarse = _reduce(mask, factor)
    pixels = np.argwhere(skeletonize(coarse))  # type: ignore[no-untyped-call]  # scikit-image has no types
    if not len(pixels):
        return np.argwhere(depth == depth.max())[:1]
    middles = pixels * factor + factor // 2
    graph = _graph(pixels, coarse.shape)
    deepest = int(depth[middles[:, 0], middles[:, 1]].argmax())
    # The node farthest from any node of a tree is an end of its longest path.
    start = _farthest(dijkstra(graph, directed=False, indices=deepest))
    distances, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    path = [_farthest(distances)]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return _fill(middles[path], factor)


def _reduce(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Return the squares of pixels that lie inside the shape as a whole."""
    height, width = (-(-side // factor) for side in mask.shape)
    room = ((0, height * factor - mask.shape[0]), (0, width * factor - mask.shape[1]))
    squares = np.pad(mask, room).reshape(height, factor, width, factor)
    return np.asarray(squares.all(axis=(1, 3)))


def _fill(corners: Pixels, factor: int) -> Pixels:
    """Fill in the pixels of a path whose straight or diagonal steps are ``factor`` pixels long."""
    steps = (np.diff(corners, axis=0) // factor)[:, None] * np.arange(factor)[:, None]
    between = corners[:-1, None] + steps
    return np.concatenate([between.reshape(-1, 2), corners[-1:]])


def _graph(pixels: Pixels, shape: tuple[int, ...]) -> coo_array:
    """Return the graph of neighbouring pixels, weighted by distance."""
    index = np.full(shape, -1)
    index[tuple(pixels.T)] = np.arange(len(pixels))
    sources, targets, lengths = [], [], []
    for step in _NEIGHBOURS:
        neighbour = index[tuple((pixels + step).T)]
        sources.append(np.flatnonzero(neighbour >= 0))
        targets.append(neighbour[neighbour >= 0])
        lengths.append(np.full(len(targets[-1]), np.hypot(*step)))
    pairs = (np.concatenate(sources), np.concatenate(targets))
    return coo_array((np.concatenate(lengths), pairs), (len(pixels), len(pixels))).tocsr()


def _farthest(distances: NDArray[np.float64]) -> int:
    return int(np.where(np.isfinite(distances), distances, -1).argmax())


def _longest_chord(mask: NDArray[np.bool_], depth: NDArray[np.floating]) -> Pixels:
    row, column = (int(place) for place in np.unravel_index(depth.argmax(), depth.shape))
    reach = sum(mask.shape)
    chords = []
    for angle in np.arange(_DIRECTIONS) * np.pi / _DIRECTIONS:
        down, across = round(np.sin(angle) * reach), round(np.cos(angle) * reach)
        halves = [_ray(mask, (row, column), (s * down, s * across)) for s in (1, -1)]
        chords.append(np.concatenate([halves[0][::-1], halves[1][1:]]))
    return max(chords, key=lambda chord: float(np.hypot(*(chord[-1] - chord[0]))))


def _ray(mask: NDArray[np.bool_], start: tuple[int, int], step: tuple[int, int]) -> Pixels:
    """Return the pixels from the start to the last one inside the shape."""
    end = start[0] + step[0], start[1] + step[1]
    ray = np.stack(pixels_between(*start, *end), axis=1)  # type: ignore[no-untyped-call]  # scikit-image has no types
    within = ((ray >= 0) & (ray < mask.shape)).all(axis=1)
    ray = ray[: len(ray) if within.all() else int(within.argmin())]
    return ray[: int(np.argmin(np.append(mask[tuple(ray.T)], False)))]
