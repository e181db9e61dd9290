"""GrabCut+: GrabCut whose boundaries follow an edge map instead of colour contrast."""

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

_COMPONENTS = 5  # Gaussians on each side, as in GrabCut
_STRENGTH = 50.0  # of links, as in GrabCut
_SCALE = 100  # maximum_flow requires whole numbers
_MAX_GAIN = 10_000.0
_SOURCE, _SINK = 0, 1
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def cut_along_edges(
    image: NDArray[np.uint8],
    edges: NDArray[np.floating],
    trimap: NDArray[np.uint8],
    iterations: int,
    seed: int,
) -> NDArray[np.bool_]:
    """Return the foreground (H, W) of GrabCut+.

    Colour mixtures and a minimum cut alternate as in GrabCut. Neighbours p, q at distance d are
    linked by 50/d exp(-b e^2), e = max(edge at p, edge at q) and b = 1/(2 mean e^2); in GrabCut
    e is the colour difference.

    Args:
        image: (H, W, 3) uint8 RGB.
        edges: (H, W) edge probability, 0 to 1.
        trimap: (H, W) uint8 of OpenCV's ``GC_*`` values; both sides must have a pixel.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485; Rother et al., GrabCut,
        SIGGRAPH 2004, doi:10.1145/1015706.1015720.
    """
    colours = image.reshape(-1, 3).astype(np.float64)
    foreground = np.isin(trimap, (cv2.GC_FGD, cv2.GC_PR_FGD))
    clusters = [_cluster(colours[side.ravel()], seed) for side in (~foreground, foreground)]
    nodes = _number_nodes(trimap)
    links = _link_neighbours(edges, nodes)
    for _ in range(iterations):
        mixtures = [_Mixture.fit(side) for side in clusters]
        margin = mixtures[0].cost(colours) - mixtures[1].cost(colours)
        foreground, before = _cut(nodes, links, margin.reshape(trimap.shape)), foreground
        if (foreground == before).all() or foreground.all() or not foreground.any():
            break
        sides = (colours[~foreground.ravel()], colours[foreground.ravel()])
        clusters = [mixture.split(side) for mixture, side in zip(mixtures, sides, strict=True)]
    return foreground


@dataclass(frozen=True)
class _Mixture:
    weights: NDArray[np.float64]
    means: NDArray[np.float64]
    precisions: NDArray[np.float64]

    @classmethod
    def fit(cls, clusters: list[NDArray[np.float64]]) -> "_Mixture":
        sizes = np.array([len(cluster) for cluster in clusters], float)
        # Noise of one grey level keeps the covariance of uniform clusters invertible.
        covariances = [np.cov(cluster.T, bias=True) + np.eye(3) for cluster in clusters]
        means = np.stack([cluster.mean(axis=0) for cluster in clusters])
        return cls(sizes / sizes.sum(), means, np.linalg.inv(np.stack(covariances)))

    def _log_densities(self, colours: NDArray[np.float64]) -> NDArray[np.float64]:
        differences = colours[None] - self.means[:, None]
        distances = ((differences @ self.precisions) * differences).sum(axis=-1)
        heights = np.log(self.weights) + 0.5 * np.linalg.slogdet(self.precisions)[1]
        return np.asarray(heights[:, None] - 0.5 * distances)

    def cost(self, colours: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(-np.logaddexp.reduce(self._log_densities(colours), axis=0))

    def split(self, colours: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        nearest = self._log_densities(colours).argmax(axis=0)
        return [colours[nearest == k] for k in np.unique(nearest)]


def _cluster(colours: NDArray[np.float64], seed: int) -> list[NDArray[np.float64]]:
    cv2.setRNGSeed(seed)
    count, start = min(_COMPONENTS, len(colours)), cast(Any, None)
    criteria = (cv2.TERM_CRITERIA_MAX_ITER, 10, 0.0)
    points = colours.astype(np.float32)
    _, cluster, _ = cv2.kmeans(points, count, start, criteria, 1, cv2.KMEANS_PP_CENTERS)
    return [colours[cluster[:, 0] == k] for k in np.unique(cluster)]


def _number_nodes(trimap: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Number undecided pixels from 2; certain foreground is the source, background the sink."""
    undecided = np.isin(trimap, (cv2.GC_PR_FGD, cv2.GC_PR_BGD))
    nodes = np.where(trimap == cv2.GC_FGD, _SOURCE, _SINK).astype(np.int32)
    nodes[undecided] = np.arange(undecided.sum()) + 2
    return nodes


def _link_neighbours(edges: NDArray[np.floating], nodes: NDArray[np.int32]) -> coo_array:
    starts, ends, barriers, lengths = [], [], [], []
    for down, right in _NEIGHBOURS:
        here, there = _neighbours(down, right)
        starts.append(nodes[here].ravel())
        ends.append(nodes[there].ravel())
        barriers.append(np.maximum(edges[here], edges[there]).ravel().astype(np.float64))
        lengths.append(np.full(starts[-1].size, np.hypot(down, right)))
    barrier = np.concatenate(barriers) ** 2
    decay = 0.5 / max(barrier.mean(), 1e-12)
    strength = _STRENGTH / np.concatenate(lengths) * np.exp(-decay * barrier)
    start, end = np.concatenate(starts), np.concatenate(ends)
    both_ways = (np.r_[start, end], np.r_[end, start])
    size = max(int(nodes.max()), _SINK) + 1
    return coo_array((np.r_[strength, strength], both_ways), shape=(size, size))


def _neighbours(down: int, right: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    above, below = slice(None, -down or None), slice(down, None)
    if right < 0:
        return (above, slice(-right, None)), (below, slice(None, right))
    return (above, slice(None, -right or None)), (below, slice(right, None))


def _cut(
    nodes: NDArray[np.int32], links: coo_array, margin: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return the minimum cut; ``margin`` (H, W) is the cost of background minus foreground."""
    undecided = nodes > _SINK
    pixels, gain = nodes[undecided], margin[undecided].clip(-_MAX_GAIN, _MAX_GAIN)
    start = np.r_[links.row, np.full(pixels.size, _SOURCE), pixels]
    end = np.r_[links.col, pixels, np.full(pixels.size, _SINK)]
    capacity = np.r_[links.data, gain.clip(0), (-gain).clip(0)] * _SCALE
    kept = (start != end) & (start != _SINK) & (end != _SOURCE)
    weighted = (capacity[kept].round().astype(np.int32), (start[kept], end[kept]))
    graph = coo_array(weighted, links.shape).tocsr()
    residual = graph - maximum_flow(graph, _SOURCE, _SINK).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = np.zeros(links.shape[0], bool)
    reached[breadth_first_order(residual, _SOURCE, return_predecessors=False)] = True
    return reached[nodes]
