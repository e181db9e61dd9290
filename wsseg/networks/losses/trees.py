"""Minimum spanning trees of pixel grids, and filters along them, compiled by numba."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.kernels import kernel


@dataclass(frozen=True, eq=False)
class Forest:
    """Trees that together hold n pixels, each pixel after its parent.

    Attributes:
        order: (n,) int64, the pixel at each place.
        parents: (n,) int64, the place of its parent; a root is its own parent.
        lengths: (n,) float, length of the edge to the parent, at least 0; infinite for a root.
    """

    order: NDArray[np.int64]
    parents: NDArray[np.int64]
    lengths: NDArray[np.floating]

    def sums(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return sum_j exp(-D_ij) values_j, with D_ij the length of the path from i to j, (n, K).

        D is infinite between trees. Two passes over all pixels: up to the roots and down again.

        References:
            Yang, Stereo Matching Using Tree Filtering, TPAMI 2015.
        """
        rows, lengths = values.take(self.order, axis=0), self.lengths.astype(values.dtype)
        _pass_up_and_down(rows, self.parents, np.exp(-lengths), -np.expm1(-2 * lengths))
        result = np.empty_like(rows)
        result[self.order] = rows
        return result


def spanning_forest(
    down: NDArray[np.floating], right: NDArray[np.floating], inside: NDArray[np.bool_]
) -> Forest:
    """Return minimum spanning trees of pixels that are linked to their four neighbours.

    Among edges of the same length the first wins, downward edges row by row before those to the
    right, so that results are reproducible.

    Args:
        down: (N, h - 1, w) float, lengths of the edges to the pixels below, at least 0.
        right: (N, h, w - 1) float, lengths of the edges to the pixels on the right.
        inside: (N, h, w) bool; each other pixel is a tree of its own.

    Returns:
        A tree for each connected region inside the N grids; n = N h w.

    References:
        Kruskal, On the shortest spanning subtree of a graph and the traveling salesman problem,
        1956.
    """
    pixels = np.arange(inside.size).reshape(inside.shape)
    above, below = pixels[:, :-1].ravel(), pixels[:, 1:].ravel()
    left, beside = pixels[..., :-1].ravel(), pixels[..., 1:].ravel()
    ends = np.stack([np.concatenate([above, left]), np.concatenate([below, beside])], axis=1)
    lengths = np.concatenate([down.ravel(), right.ravel()])
    kept = inside.ravel()[ends].all(axis=1)
    ends, lengths = ends[kept], lengths[kept]
    links, reach = _minimum_links(np.argsort(lengths, kind="stable"), ends, lengths, inside.size)
    return Forest(*_order(links, reach))


@kernel
def _minimum_links(order: Any, ends: Any, lengths: Any, count: Any) -> Any:
    """Return (n, 4) the neighbours of each pixel, -1 for none, and the lengths of their edges."""
    links, reach = np.full((count, 4), -1), np.zeros((count, 4), lengths.dtype)
    degree, parents = np.zeros(count, np.int64), np.arange(count)
    for edge in order:
        first, second = ends[edge]
        root, other_root = _root(parents, first), _root(parents, second)
        if root != other_root:
            parents[other_root] = root
            links[first, degree[first]], links[second, degree[second]] = second, first
            reach[first, degree[first]] = reach[second, degree[second]] = lengths[edge]
            degree[first] += 1
            degree[second] += 1
    return links, reach


@kernel
def _root(parents: Any, pixel: Any) -> Any:
    """Return the root of a pixel in the union-find forest, halving the path on the way."""
    while parents[pixel] != pixel:
        parents[pixel] = parents[parents[pixel]]
        pixel = parents[pixel]
    return pixel


@kernel
def _order(links: Any, reach: Any) -> Any:
    """Return the fields of a ``Forest``, breadth first from the first pixel of each tree."""
    count, place, stop = len(links), 0, 0
    order, parents = np.empty(count, np.int64), np.empty(count, np.int64)
    lengths, visited = np.empty(count, reach.dtype), np.zeros(count, np.bool_)
    for root in range(count):
        if not visited[root]:
            order[stop], parents[stop], lengths[stop] = root, stop, np.inf
            visited[root] = True
            stop += 1
        while place < stop:
            for link, length in zip(links[order[place]], reach[order[place]]):  # noqa: B905
                if link >= 0 and not visited[link]:
                    order[stop], parents[stop], lengths[stop] = link, place, length
                    visited[link] = True
                    stop += 1
            place += 1
    return order, parents, lengths


@kernel
def _pass_up_and_down(rows: Any, parents: Any, shares: Any, rests: Any) -> None:
    """Replace values (n, K) of a forest's places by their sums, in place.

    The sum of a parent contains the contribution of the pixel itself, which must not come back
    down: only the rest of the pixel's own values, 1 - share^2, is added to the parent's share.
    """
    for i in range(len(rows) - 1, -1, -1):
        share, row, parent = shares[i], rows[i], rows[parents[i]]
        for k in range(len(row)):
            parent[k] += share * row[k]
    for i in range(len(rows)):
        share, rest, row, parent = shares[i], rests[i], rows[i], rows[parents[i]]
        for k in range(len(row)):
            row[k] = share * parent[k] + rest * row[k]
