import numpy as np
import pytest

from wsseg.errors import InputError
from wsseg.refine.crf.lattice import build_lattice


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_points_lie_inside_their_simplex(d: int) -> None:
    features = np.random.default_rng(d).normal(0, 3, (200, d))
    lattice = build_lattice(features)
    assert lattice.splat.data.min() >= -1e-6
    np.testing.assert_allclose(lattice.splat.sum(axis=0), 1, rtol=1e-5)
    np.testing.assert_array_equal(lattice.splat.toarray(), lattice.slice.toarray().T)
    assert len(lattice.blurs) == d + 1


@pytest.mark.parametrize("d", [1, 2, 5])
def test_near_points_meet_at_lattice_points(d: int) -> None:
    features = np.random.default_rng(d).normal(0, 1, (300, d))
    together = build_lattice(np.repeat(features, 2, axis=0)).splat.toarray()
    np.testing.assert_array_equal(together[:, ::2], together[:, 1::2])
    # weights change continuously, across the borders of simplices too
    nudged = build_lattice(np.vstack([features, features + 1e-6])).splat.toarray()
    np.testing.assert_allclose(nudged[:, :300], nudged[:, 300:], atol=1e-4)


@pytest.mark.parametrize("d", [1, 2])
def test_kernel_is_a_gaussian_of_deviation_one(d: int) -> None:
    side = np.arange(-6, 6.01, 0.25 if d == 2 else 0.05)
    grid = np.stack(np.meshgrid(*[side] * d, indexing="ij"), axis=-1).reshape(-1, d)
    lattice = build_lattice(grid)
    # the mean over where the centre falls in its simplex, which the kernel depends on
    centres = np.flatnonzero((np.abs(grid) <= 1.5).all(axis=1))
    pulses = np.zeros((len(grid), len(centres)), np.float32)
    pulses[centres, np.arange(len(centres))] = 1
    response = lattice(pulses)
    weights = response / response.sum(axis=0)
    variances = [
        (weights[:, k, None] * (grid - grid[centre]) ** 2).sum(axis=0)
        for k, centre in enumerate(centres)
    ]
    np.testing.assert_allclose(np.mean(variances, axis=0), 1, atol=0.02)


def test_far_points_do_not_meet() -> None:
    lattice = build_lattice(np.array([[0.0, 0.0], [30.0, 0.0], [0.0, -30.0]]))
    filtered = lattice(np.eye(3, dtype=np.float32))
    assert (filtered.diagonal() > 0).all()
    np.testing.assert_array_equal(filtered[~np.eye(3, dtype=bool)], 0)


def test_filter_is_linear_and_keeps_constants() -> None:
    rng = np.random.default_rng(0)
    lattice = build_lattice(rng.normal(0, 1, (100, 3)))
    one, other = rng.random((2, 100, 2), np.float32)
    np.testing.assert_allclose(lattice(one + other), lattice(one) + lattice(other), rtol=1e-4)
    ones = lattice(np.ones((100, 2), np.float32))
    np.testing.assert_array_equal(ones[:, 0], ones[:, 1])
    assert (ones > 0).all()


def test_features_out_of_reach() -> None:
    features = np.eye(5) * 1e9
    with pytest.raises(InputError, match="use larger standard deviations"):
        build_lattice(features)
