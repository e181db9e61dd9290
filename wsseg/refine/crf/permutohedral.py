"""Gaussian filtering of scattered points on the permutohedral lattice, compiled by numba."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.refine.crf.kernels import kernel
from wsseg.refine.crf.simplex import BLOCK, locate_corners, number_points

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio spreads keys evenly

Buffers = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Two arrays (M + 1, L) for L values per lattice point, of which there are M; row M is 0."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """A Gaussian filter over N points: splat onto M lattice points, blur there, slice back.

    Attributes:
        corners: (N, d + 1) uint32, the lattice points of each point's simplex.
        weights: (N, d + 1) float32, barycentric, or scaled by ``scale``.
        neighbours: (d + 1, M, 2) uint32, the next lattice points either way along each direction,
            M if there is none.
    """

    corners: NDArray[np.uint32]
    weights: NDArray[np.float32]
    neighbours: NDArray[np.uint32]

    def allocate(self, lanes: int) -> Buffers:
        """Return arrays for L values per lattice point, which ``splat_and_blur`` overwrites."""
        shape = (self.neighbours.shape[1] + 1, lanes)
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def splat_and_blur(self, field: NDArray[np.float32], buffers: Buffers) -> NDArray[np.float32]:
        """Return the blurred values (M + 1, L) of the lattice points for a field (N, L)."""
        lanes, size = _constants(field.shape[1]), _constants(self.corners.shape[1])
        buffers[0][:] = 0
        _splat(field, self.corners, self.weights, buffers[0], lanes, size)
        blurred: NDArray[np.float32] = _blur(*buffers, self.neighbours, lanes)
        return blurred

    def slice_onto(self, values: NDArray[np.float32], field: NDArray[np.float32]) -> None:
        """Add the values at the corners of its simplex to each point of a field (N, L)."""
        lanes, size = _constants(field.shape[1]), _constants(self.corners.shape[1])
        _slice(values, self.corners, self.weights, field, lanes, size)

    def filter_ones(self) -> NDArray[np.float32]:
        """Return the filtered ones, (N,) float32."""
        field = np.ones((len(self.corners), 1), np.float32)
        values = self.splat_and_blur(field, self.allocate(1))
        field[:] = 0
        self.slice_onto(values, field)
        return field[:, 0]

    def scale(self, factors: NDArray[np.float32]) -> None:
        """Multiply each point by a factor (N,) float32 before and after the filter."""
        _scale(self.weights, factors)


def build_lattice(features: NDArray[np.float32]) -> Lattice:
    """Return the lattice of a Gaussian kernel of standard deviation 1 between features.

    Args:
        features: (d, N) float32 positions in units of the kernel's standard deviation.

    References:
        Adams, Baek and Davis, Fast high-dimensional filtering using the permutohedral lattice,
        Eurographics 2010.
    """
    scale, low, strides = number_points(features)
    n, size = features.shape[1], len(strides)
    corners, weights = np.empty((n, size), np.uint32), np.empty((n, size), np.float32)
    table, keys = _number_corners(features, scale, low, strides, corners, weights)
    neighbours = np.full((size, len(keys), 2), len(keys), np.uint32)
    _link(table, keys, strides, neighbours)
    return Lattice(corners, weights, neighbours)


@kernel
def _number_corners(
    features: Any, scale: Any, low: Any, strides: Any, corners: Any, weights: Any
) -> Any:
    """Fill in corners and weights; return a hash table of lattice points, and their keys.

    Each slot of the table contains a key and its number, -1 if it is empty.
    """
    n, size, count, slots = features.shape[1], len(strides), 0, 1 << 13
    while slots < n:  # natural images have about half as many lattice points as pixels
        slots *= 2
    table = np.full((slots, 2), -1, strides.dtype)
    numbered = np.empty(slots // 2, strides.dtype)
    keys = np.empty((size, BLOCK), strides.dtype)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        locate_corners(features[:, start:stop], scale, low, strides, keys, weights[start:stop])
        while 2 * (count + keys.size) > len(table):
            table, numbered = _grow(table, numbered, count)
        for i in range(stop - start):
            for k in range(size):
                key = keys[k, i]
                slot = _slot(table, key)
                if table[slot, 1] < 0:
                    table[slot, 0], table[slot, 1] = key, count
                    numbered[count] = key
                    count += 1
                corners[start + i, k] = table[slot, 1]
    return table, numbered[:count]


@kernel
def _slot(table: Any, key: Any) -> Any:
    """Return the slot of a key in a hash table, or the free slot where it belongs."""
    mask = np.uint64(len(table) - 1)
    slot = (np.uint64(key) * _MULTIPLIER >> np.uint64(32)) & mask
    while table[slot, 0] != key and table[slot, 1] >= 0:
        slot = (slot + np.uint64(1)) & mask
    return slot


@kernel
def _grow(table: Any, keys: Any, count: Any) -> Any:
    """Return a hash table of twice the size, and an array for as many keys."""
    larger, copied = np.full((2 * len(table), 2), -1, table.dtype), np.empty(len(table), keys.dtype)
    copied[:count] = keys[:count]
    for v in range(count):
        slot = _slot(larger, keys[v])
        larger[slot, 0], larger[slot, 1] = keys[v], v
    return larger, copied


@kernel
def _link(table: Any, keys: Any, strides: Any, neighbours: Any) -> None:
    """Enter the next lattice points either way along each direction."""
    size = len(strides)
    for v in range(len(keys)):
        # Direction j is up by d along coordinate j and down by 1 along all others.
        start = keys[v] + (-1 if keys[v] % size else size - 1 - strides.sum())
        for j in range(size):
            slot = _slot(table, start + strides[j])
            if table[slot, 1] >= 0:
                neighbours[j, v, 0] = table[slot, 1]
                neighbours[j, table[slot, 1], 1] = v


def _constants(count: int) -> tuple[int, ...]:
    """Return a tuple whose length numba compiles in, so that loops over it are unrolled."""
    return (0,) * count


@kernel
def _splat(field: Any, corners: Any, weights: Any, values: Any, lanes: Any, size: Any) -> None:
    for i in range(len(field)):
        for k in range(len(size)):
            corner, weight = corners[i, k], weights[i, k]
            for c in range(len(lanes)):
                values[corner, c] += weight * field[i, c]


@kernel
def _blur(values: Any, spare: Any, neighbours: Any, lanes: Any) -> Any:
    """Blur by (1/2, 1, 1/2) along each direction; return the array with the result."""
    for j in range(len(neighbours)):
        for v in range(neighbours.shape[1]):
            ahead, behind = neighbours[j, v, 0], neighbours[j, v, 1]
            for c in range(len(lanes)):
                both = values[ahead, c] + values[behind, c]
                spare[v, c] = values[v, c] + both * np.float32(0.5)
        values, spare = spare, values
    return values


@kernel
def _slice(values: Any, corners: Any, weights: Any, field: Any, lanes: Any, size: Any) -> None:
    for i in range(len(field)):
        for k in range(len(size)):
            corner, weight = corners[i, k], weights[i, k]
            for c in range(len(lanes)):
                field[i, c] += weight * values[corner, c]


@kernel
def _scale(weights: Any, factors: Any) -> None:
    for i in range(len(factors)):
        for k in range(weights.shape[1]):
            weights[i, k] *= factors[i]
