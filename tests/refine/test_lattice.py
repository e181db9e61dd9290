"""Both lattices, that of torch and that of numba, are the same Gaussian filter."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.refine.crf import batched as in_torch

in_numba = pytest.importorskip("wsseg.refine.crf.permutohedral")
Array = NDArray[np.floating]
Filter = Callable[[Array, Array], Array]


def torch_filter(features, values):
    points = torch.from_numpy(features.astype(np.float32))
    built = in_torch.build_lattice(points, torch.zeros(len(points), dtype=torch.long))
    filtered: Array = built(torch.from_numpy(values.astype(np.float32))).numpy()
    return filtered


def numba_filter(features, values):
    built = in_numba.build_lattice(np.ascontiguousarray(features.T, np.float32))
    columns = [np.ascontiguousarray(column[:, None], np.float32) for column in values.T]
    filtered = [np.zeros_like(column) for column in columns]
    for column, result in zip(columns, filtered, strict=True):
        built.slice_onto(built.splat_and_blur(column, built.allocate(1)), result)
    return np.hstack(filtered)


def corners_and_weights(features, which):
    if which == "numba":
        built = in_numba.build_lattice(np.ascontiguousarray(features.T, np.float32))
        return built.corners, built.weights
    points = torch.from_numpy(features.astype(np.float32))
    built = in_torch.build_lattice(points, torch.zeros(len(points), dtype=torch.long))
    return built.corners.numpy(), built.weights.numpy()


def shares(features, which):
    """(N, M) what each lattice point gets of each point."""
    corners, weights = corners_and_weights(features, which)
    dense = np.zeros((len(corners), corners.max() + 1), np.float32)
    np.put_along_axis(dense, corners.astype(np.intp), weights, axis=1)
    return dense


WHICH = pytest.mark.parametrize("which", ["torch", "numba"])
FILTERS = pytest.mark.parametrize("smooth", [torch_filter, numba_filter], ids=["torch", "numba"])


@WHICH
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_points_lie_inside_their_simplex(d, which):
    features = np.random.default_rng(d).normal(0, 3, (1100, d))
    corners, weights = corners_and_weights(features, which)
    assert weights.shape == corners.shape == (1100, d + 1)
    assert weights.min() >= -1e-5
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert (np.diff(np.sort(corners.astype(int), axis=1), axis=1) > 0).all()
    assert set(np.unique(corners)) == set(range(corners.max() + 1))


@WHICH
@pytest.mark.parametrize("d", [1, 2, 5])
def test_near_points_meet_at_lattice_points(d, which):
    features = np.random.default_rng(d).normal(0, 1, (300, d))
    together = shares(np.repeat(features, 2, axis=0), which)
    np.testing.assert_array_equal(together[::2], together[1::2])
    # weights change continuously, across the borders of simplices too
    nudged = shares(np.vstack([features, features + 1e-6]), which)
    np.testing.assert_allclose(nudged[:300], nudged[300:], atol=1e-4)


@FILTERS
@pytest.mark.parametrize("d", [1, 2])
def test_kernel_is_a_gaussian_of_deviation_one(d, smooth):
    side = np.arange(-6, 6.01, 0.25 if d == 2 else 0.05)
    grid = np.stack(np.meshgrid(*[side] * d, indexing="ij"), axis=-1).reshape(-1, d)
    # the mean over where the centre falls in its simplex, which the kernel depends on
    centres = np.flatnonzero((np.abs(grid) <= 1.5).all(axis=1))[::3]
    pulses = np.zeros((len(grid), len(centres)))
    pulses[centres, np.arange(len(centres))] = 1
    response = smooth(grid, pulses)
    weights = response / response.sum(axis=0)
    variances = [
        (weights[:, k, None] * (grid - grid[centre]) ** 2).sum(axis=0)
        for k, centre in enumerate(centres)
    ]
    np.testing.assert_allclose(np.mean(variances, axis=0), 1, atol=0.03)


@FILTERS
def test_far_points_do_not_meet(smooth):
    filtered = smooth(np.array([[0.0, 0.0], [30.0, 0.0], [0.0, -30.0]]), np.eye(3))
    assert (filtered.diagonal() > 0).all()
    np.testing.assert_array_equal(filtered[~np.eye(3, dtype=bool)], 0)


@FILTERS
def test_filter_is_linear_and_keeps_constants(smooth):
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (100, 3))
    one, other = rng.random((2, 100, 2))
    together = smooth(features, one) + smooth(features, other)
    np.testing.assert_allclose(smooth(features, one + other), together, rtol=1e-4)
    ones = smooth(features, np.ones((100, 2)))
    np.testing.assert_array_equal(ones[:, 0], ones[:, 1])
    assert (ones > 0).all()


@pytest.mark.parametrize("reach", [1, 40, 300])
@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_both_filters_agree(d, reach):
    """Also where the hash table grows, and where keys need 64 bits."""
    rng = np.random.default_rng(d)
    features = rng.uniform(-reach, reach, (9000, d))
    values = rng.random((9000, 2))
    one, other = torch_filter(features, values), numba_filter(features, values)
    # a point on the border of two simplices may fall to either
    assert np.mean(np.isclose(one, other, rtol=1e-3, atol=1e-3)) > 0.999
    assert np.abs(one - other).mean() < 1e-5 * one.mean()


@FILTERS
def test_features_out_of_reach(smooth):
    with pytest.raises(InputError, match="64 bits number all lattice points"):
        smooth(np.eye(5) * 1e7, np.ones((5, 1)))


def test_points_of_different_spaces_never_meet():
    points = torch.zeros(4, 2)
    built = in_torch.build_lattice(points, torch.tensor([0, 0, 1, 2]))
    filtered = built(torch.eye(4)) > 0
    expected = torch.eye(4, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(filtered, expected)
