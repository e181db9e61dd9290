import numpy as np
import pytest

from wsseg.stages.selection.choosers import Pool
from wsseg.stages.selection.coverage import Coverage, coverage, random_coverage


def test_coverage_of_a_choice():
    shows = np.array([[1, 0], [1, 0], [0, 1]], bool)
    found = coverage(np.array([0.0, 0.5, 1.0]), shows, np.array([True, False, False]))
    assert found == Coverage(1.0, 0.5, 1)


def test_random_coverage_is_the_mean_of_its_draws(embedded, random_vectors):
    pool = Pool(embedded(random_vectors), np.arange(60) < 2, 7)
    shows = np.random.default_rng(2).random((60, 9)) < 0.1
    one, other, both = (random_coverage(pool, shows, seeds) for seeds in ([3], [4], [3, 4]))
    assert one != other
    for name in ("largest", "mean", "classes"):
        mean = (getattr(one, name) + getattr(other, name)) / 2
        assert getattr(both, name) == pytest.approx(mean)
    images = [0, 1, *np.random.default_rng(3).permutation(np.arange(2, 60))[:7]]
    vectors = random_vectors / np.linalg.norm(random_vectors, axis=1, keepdims=True)
    nearest = np.linalg.norm(vectors[:, None] - vectors[images], axis=2).min(axis=1)
    assert one.largest == pytest.approx(nearest.max(), abs=1e-6)
    assert one.classes == shows[images].any(axis=0).sum()
