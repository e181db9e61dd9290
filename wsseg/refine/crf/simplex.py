"""Numbers of the points of a permutohedral lattice, and the simplex that encloses each point."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.backends import out_of_reach
from wsseg.refine.crf.kernels import kernel

BLOCK = 512  # points whose intermediate values stay in the processor's first cache


def number_points(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.signedinteger]]:
    """Return how the lattice points near features are numbered.

    All coordinates of a lattice point leave the same remainder on division by d + 1. So one
    integer, the point's key, is made of their quotients and the remainder.

    Args:
        features: (d, N) float32 positions in units of the kernel's standard deviation.

    Returns:
        The scale of each feature (d,); the lowest quotient of each coordinate (d + 1,); and by how
        much the key grows when a quotient grows by 1, (d + 1,) int32 or, where needed, int64. The
        last is 0: that coordinate follows from the others, as the sum of all is 0.
    """
    d = len(features)
    axis = np.arange(1, d + 1)
    # This scale makes splat, blur and slice together a Gaussian of standard deviation 1.
    scale = (np.sqrt(2 / 3) * (d + 1) / np.sqrt(axis * (axis + 1))).astype(np.float32)
    elevation = np.triu(np.ones((d, d))) - np.diag(np.arange(1, d), -1)
    ends = [elevation * (end(axis=1) * scale) / (d + 1) for end in (features.min, features.max)]
    margin = 3  # for every corner and its neighbours
    low = np.floor(np.minimum(*ends).sum(axis=1)) - margin
    extents = np.ceil(np.maximum(*ends).sum(axis=1)) + margin - low + 1
    largest = (d + 1) * np.prod(extents)
    if largest > np.iinfo(np.int64).max:
        raise out_of_reach(extents.max())
    strides = (d + 1) * np.concatenate([np.cumprod(extents[:0:-1])[::-1], [1, 0]])
    width = np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    return scale, low.astype(np.int32), strides.astype(width)


@kernel
def locate_corners(
    features: Any, scale: Any, low: Any, strides: Any, keys: Any, weights: Any
) -> None:
    """Find the corners of the simplices that enclose points; corner k has remainder k.

    Args:
        features: (d, n) float32, n at most ``BLOCK``; scale, low and strides of ``number_points``.
        keys: (d + 1, BLOCK), filled with the corners' keys.
        weights: (n, d + 1) float32, filled with barycentric weights, which sum to 1.
    """
    offset = _elevate(features, scale)
    base, rank = _round_to_simplex(offset)
    _fill_keys(base, rank, low, strides, keys)
    _fill_weights(offset, rank, weights)


@kernel
def _elevate(features: Any, scale: Any) -> Any:
    """Return (d + 1, BLOCK), the features on the plane of zero sum."""
    elevated = np.zeros((len(features) + 1, BLOCK), np.float32)
    total = elevated[0]
    for j in range(len(features), 0, -1):
        row, elevated_row = features[j - 1], elevated[j]
        for i in range(len(row)):
            scaled = row[i] * scale[j - 1]
            elevated_row[i] = total[i] - np.float32(j) * scaled
            total[i] += scaled
    return elevated


@kernel
def _round_to_simplex(offset: Any) -> Any:
    """Return the quotients of the corner of remainder 0, and the rank of each coordinate's offset.

    ``offset`` contains the position, and is replaced by the offset to that corner.
    """
    size = np.int32(len(offset))
    base, rank = np.empty(offset.shape, np.int32), np.zeros(offset.shape, np.int32)
    excess = _round(offset, base)
    for a in range(size):
        for b in range(a + 1, size):
            first, second, rank_first, rank_second = offset[a], offset[b], rank[a], rank[b]
            for i in range(len(first)):
                nearer = np.int32(first[i] < second[i])
                rank_first[i] += nearer
                rank_second[i] += np.int32(1) - nearer
    # Rounding leaves the plane by a multiple of d + 1: the farthest coordinates are moved back.
    for j in range(size):
        ranks, offsets, bases = rank[j], offset[j], base[j]
        for i in range(len(ranks)):
            moved = ranks[i] + excess[i]
            turn = np.int32(moved < 0) - np.int32(moved >= size)
            ranks[i] = moved + size * turn
            bases[i] += turn
            offsets[i] -= np.float32(size) * np.float32(turn)
    return base, rank


@kernel
def _round(offset: Any, base: Any) -> Any:
    """Round each coordinate to a multiple of d + 1; return the sum of the quotients."""
    size, unit = len(offset), np.float32(1 / len(offset))
    excess = np.zeros(BLOCK, np.int32)
    for j in range(size):
        offsets, bases = offset[j], base[j]
        for i in range(len(offsets)):
            quotient = np.floor(offsets[i] * unit + np.float32(0.5))
            bases[i] = np.int32(quotient)
            offsets[i] -= quotient * np.float32(size)
            excess[i] += np.int32(quotient)
    return excess


@kernel
def _fill_keys(base: Any, rank: Any, low: Any, strides: Any, keys: Any) -> None:
    d, last, unit = len(base) - 1, strides[-1], strides[-2] // len(base)
    keys[0] = 0
    for j in range(d):
        row, bases, lowest, stride = keys[0], base[j], low[j], strides[j]
        for i in range(len(row)):
            row[i] += (bases[i] - lowest) * stride
    # The next corner is up by 1 along all coordinates, and down by d along the next farthest.
    for k in range(1, d + 1):
        before, row = keys[k - 1], keys[k]
        for i in range(len(row)):
            row[i] = before[i] + unit
        for j in range(d):
            ranks, stride = rank[j], strides[j]
            for i in range(len(row)):
                row[i] -= stride if ranks[i] == d + 1 - k else last


@kernel
def _fill_weights(offset: Any, rank: Any, weights: Any) -> None:
    """Fill in the barycentric weights."""
    d, unit = len(offset) - 1, np.float32(1 / len(offset))
    ordered = np.zeros((d + 1, BLOCK), np.float32)
    for k in range(d + 1):
        row = ordered[k]
        for j in range(d + 1):
            offsets, ranks = offset[j], rank[j]
            for i in range(BLOCK):
                row[i] += offsets[i] * unit if ranks[i] == d - k else np.float32(0)
    for i in range(len(weights)):
        weights[i, 0] = np.float32(1) + ordered[0, i] - ordered[d, i]
        for k in range(1, d + 1):
            weights[i, k] = ordered[k, i] - ordered[k - 1, i]
