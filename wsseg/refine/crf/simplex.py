"""Where points lie on the permutohedral lattice: the corners of each point's simplex."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.backends import out_of_reach
from wsseg.refine.crf.kernels import kernel

BLOCK = 512  # points whose intermediate values stay in the processor's first cache


def numbering(
    features: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.signedinteger]]:
    """Return how lattice points near features are numbered.

    All coordinates of a lattice point leave the same remainder on division by d + 1. So one
    integer, the point's key, is made of their quotients and the remainder.

    Args:
        features: (d, N) float32 positions in units of the kernel's standard deviation.

    Returns:
        The scale of each feature (d,); the lowest quotient of each coordinate (d + 1,); and by how
        much the key grows when a quotient grows by 1, (d + 1,) int32 or, where needed, int64. The
        last is 0: that coordinate follows from the others, as the sum of all is 0.

    Raises:
        InputError: The features reach so far that keys would overflow.
    """
    d = len(features)
    axis = np.arange(1, d + 1)
    # what makes splat, blur and slice together a Gaussian of standard deviation 1
    scale = (np.sqrt(2 / 3) * (d + 1) / np.sqrt(axis * (axis + 1))).astype(np.float32)
    elevation = np.triu(np.ones((d, d))) - np.diag(np.arange(1, d), -1)
    ends = [elevation * (end(axis=1) * scale) / (d + 1) for end in (features.min, features.max)]
    room = 3  # for every corner and its neighbours
    low = np.floor(np.minimum(*ends).sum(axis=1)) - room
    extents = np.ceil(np.maximum(*ends).sum(axis=1)) + room - low + 1
    largest = (d + 1) * np.prod(extents)
    if largest > np.iinfo(np.int64).max:
        raise out_of_reach(extents.max())
    strides = (d + 1) * np.concatenate([np.cumprod(extents[:0:-1])[::-1], [1, 0]])
    width = np.int32 if largest <= np.iinfo(np.int32).max else np.int64
    return scale, low.astype(np.int32), strides.astype(width)


@kernel
def locate(features: Any, scale: Any, low: Any, strides: Any, keys: Any, weights: Any) -> None:
    """Find the corners of the simplices that points lie in; corner k has remainder k.

    Args:
        features: (d, n) float32, n at most ``BLOCK``.
        scale: From ``numbering``.
        low: From ``numbering``.
        strides: From ``numbering``.
        keys: (d + 1, BLOCK), filled with the corners' keys.
        weights: (n, d + 1) float32, filled with barycentric weights, which sum to 1.
    """
    offset = _elevated(features, scale)
    base, rank = _enclosed(offset)
    _number(base, rank, low, strides, keys)
    _share(offset, rank, weights)


@kernel
def _elevated(features: Any, scale: Any) -> Any:
    """(d + 1, BLOCK): features on the plane of zero sum."""
    elevated = np.zeros((len(features) + 1, BLOCK), np.float32)
    total = elevated[0]
    for j in range(len(features), 0, -1):
        row, here = features[j - 1], elevated[j]
        for i in range(len(row)):
            scaled = row[i] * scale[j - 1]
            here[i] = total[i] - np.float32(j) * scaled
            total[i] += scaled
    return elevated


@kernel
def _enclosed(offset: Any) -> Any:
    """Quotients of the corner of remainder 0, and each coordinate's rank by its offset to it.

    ``offset`` holds the position before and the offset after.
    """
    size = np.int32(len(offset))
    base, rank = np.empty(offset.shape, np.int32), np.zeros(offset.shape, np.int32)
    excess = _round(offset, base)
    for a in range(size):
        for b in range(a + 1, size):
            one, other, rank_one, rank_other = offset[a], offset[b], rank[a], rank[b]
            for i in range(len(one)):
                nearer = np.int32(one[i] < other[i])
                rank_one[i] += nearer
                rank_other[i] += np.int32(1) - nearer
    # rounding leaves the plane by a multiple of d + 1: the farthest coordinates go back
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
def _number(base: Any, rank: Any, low: Any, strides: Any, keys: Any) -> None:
    """Fill in the keys of the corners."""
    d, none, one = len(base) - 1, strides[-1], strides[-2] // len(base)
    keys[0] = 0
    for j in range(d):
        here, bases, lowest, stride = keys[0], base[j], low[j], strides[j]
        for i in range(len(here)):
            here[i] += (bases[i] - lowest) * stride
    # the next corner is up by 1 along all coordinates, but down by d along the next farthest
    for k in range(1, d + 1):
        before, here = keys[k - 1], keys[k]
        for i in range(len(here)):
            here[i] = before[i] + one
        for j in range(d):
            ranks, stride = rank[j], strides[j]
            for i in range(len(here)):
                here[i] -= stride if ranks[i] == d + 1 - k else none


@kernel
def _share(offset: Any, rank: Any, weights: Any) -> None:
    """Fill in the barycentric weights."""
    d, unit = len(offset) - 1, np.float32(1 / len(offset))
    ordered = np.zeros((d + 1, BLOCK), np.float32)
    for k in range(d + 1):
        here = ordered[k]
        for j in range(d + 1):
            offsets, ranks = offset[j], rank[j]
            for i in range(BLOCK):
                here[i] += offsets[i] * unit if ranks[i] == d - k else np.float32(0)
    for i in range(len(weights)):
        weights[i, 0] = np.float32(1) + ordered[0, i] - ordered[d, i]
        for k in range(1, d + 1):
            weights[i, k] = ordered[k, i] - ordered[k - 1, i]
