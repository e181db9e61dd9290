"""Fast Gaussian filtering of scattered points on the permutohedral lattice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from wsseg.errors import InputError


@dataclass(frozen=True, eq=False)
class Lattice:
    """A Gaussian filter over N points: splat onto M lattice points, blur there, slice back.

    Attributes:
        splat: (M, N) sparse float32, d + 1 barycentric weights a column, which sum to 1.
        slice: (N, M) sparse float32, its transpose.
        blurs: d + 1 sparse (M, M) float32, one a lattice direction.
    """

    splat: sparse.csr_array
    slice: sparse.csr_array
    blurs: tuple[sparse.csr_array, ...]

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return filtered values, up to a factor that is the same for all points.

        Args:
            values: (N, C) float32.

        Returns:
            (N, C) float32.
        """
        on_lattice = self.splat @ values
        for blur in self.blurs:
            on_lattice = blur @ on_lattice
        filtered: NDArray[np.float32] = self.slice @ on_lattice
        return filtered


def build_lattice(features: NDArray[np.floating]) -> Lattice:
    """Return the filter with a Gaussian kernel of standard deviation 1 between features.

    Each point lies in one simplex of the lattice A*_d and shares its value among the d + 1
    corners; a blur (1/2, 1, 1/2) along each lattice direction follows. Memory grows with N d.

    Args:
        features: (N, d) positions in units of the kernel's standard deviation.

    Returns:
        The filter.

    Raises:
        InputError: The features reach so far that lattice points cannot be numbered.

    References:
        Adams, Baek and Davis, Fast high-dimensional filtering using the permutohedral lattice,
        Eurographics 2010.
    """
    n, d = features.shape
    elevated = _elevated(features)
    base, rank = _enclosing_simplex(elevated)
    corners, strides = _numbered(base, rank)
    points, owner = np.unique(corners.ravel(), return_inverse=True)
    owner, rows = owner.astype(np.int32), np.arange(0, corners.size + 1, d + 1, dtype=np.int32)
    weights = _barycentric(elevated - base, rank).astype(np.float32)
    slices = sparse.csr_array((weights.ravel(), owner, rows), shape=(n, len(points)))
    # direction j goes up by d along coordinate j and down by 1 along all others
    blurs = tuple(_blur(points, step) for step in (d + 1) * strides - strides.sum())
    return Lattice(sparse.csr_array(slices.T), slices, blurs)


def _elevated(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N, d + 1) on the plane of zero sum, scaled so that the whole filter has deviation 1."""
    d = features.shape[1]
    axis = np.arange(1, d + 1)
    scaled = features * (np.sqrt(2 / 3) * (d + 1) / np.sqrt(axis * (axis + 1)))
    after = np.cumsum(scaled[:, ::-1], axis=1)[:, ::-1]
    elevated = np.zeros((len(features), d + 1))
    elevated[:, :d] += after
    elevated[:, 1:] -= axis * scaled
    return elevated


def _enclosing_simplex(
    elevated: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corner of remainder 0, (N, d + 1), and the rank of each coordinate's distance to it."""
    size = elevated.shape[1]
    base = np.rint(elevated / size).astype(np.int64) * size
    rank = np.argsort(np.argsort(base - elevated, axis=1, kind="stable"), axis=1)
    # rounding leaves the plane by a multiple of size: the farthest coordinates go back
    rank += base.sum(axis=1, keepdims=True) // size
    for over, turn in ((rank < 0, size), (rank >= size, -size)):
        base[over] += turn
        rank[over] += turn
    return base, rank


def _barycentric(difference: NDArray[np.float64], rank: NDArray[np.int64]) -> NDArray[np.float64]:
    """(N, d + 1) weight of the corners of remainder 0 to d."""
    size = difference.shape[1]
    ordered = np.zeros_like(difference)
    np.put_along_axis(ordered, rank, difference / size, axis=1)
    # corner k weighs what coordinate d - k exceeds the next one by; corner 0 wraps around
    weights = ordered[:, ::-1] - np.roll(ordered[:, ::-1], 1, axis=1)
    weights[:, 0] += 1
    return weights


def _numbered(
    base: NDArray[np.int64], rank: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The corners of each simplex as one integer each, (N, d + 1), and a stride a coordinate.

    The last coordinate has stride 0: it follows from the others, as the sum of all is 0.
    """
    n, size = base.shape
    low = base[:, :-1].min(axis=0) - 2 * size  # room for every corner and its neighbours
    extents = base[:, :-1].max(axis=0) + 2 * size - low + 1
    if np.prod(extents.astype(float)) > np.iinfo(np.int64).max:
        remedy = "use larger standard deviations"
        raise InputError("features", "within reach of the lattice", extents.tolist(), remedy)
    strides = np.concatenate([np.cumprod(extents[:0:-1])[::-1], [1, 0]]).astype(np.int64)
    farthest_first = np.empty((n, size), np.int64)
    np.put_along_axis(farthest_first, size - 1 - rank, np.arange(size)[None], axis=1)
    # the next corner is up by 1 along all coordinates, but down by d along the next farthest
    corners = np.empty((n, size), np.int64)
    corners[:, 0] = (base[:, :-1] - low) @ strides[:-1]
    corners[:, 1:] = strides.sum() - size * strides[farthest_first[:, :-1]]
    return np.cumsum(corners, axis=1), strides


def _blur(points: NDArray[np.int64], step: np.int64) -> sparse.csr_array:
    """(M, M) sparse: each point and half of its two neighbours ``step`` away."""
    count = len(points)
    found = np.searchsorted(points, points + step).clip(max=count - 1)
    here = np.flatnonzero(points[found] == points + step).astype(np.int32)
    there, half = found[here].astype(np.int32), np.full(len(here), 0.5, np.float32)
    ahead = sparse.csr_array((half, (here, there)), shape=(count, count))
    return sparse.csr_array(sparse.eye_array(count, dtype=np.float32) + ahead + ahead.T)
