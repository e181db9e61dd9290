import numpy as np
import pytest
from sklearn.decomposition import PCA

from wsseg.stages.selection import projection
from wsseg.stages.selection.projection import project


def test_chunks_give_nearly_the_components_of_all_at_once(embedded, monkeypatch):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(90, 6)) * [9, 3, 0.1, 0.1, 0.1, 0.1] + [0, 0, 20, 0, 0, 0]
    monkeypatch.setattr(projection, "_CHUNK", 20)
    points, explained = project(embedded(vectors))
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    whole = PCA(2).fit(unit)
    for found, expected in zip(points.T, whole.transform(unit).T, strict=True):
        assert abs(np.corrcoef(found, expected)[0, 1]) > 0.99
    assert explained == pytest.approx(whole.explained_variance_ratio_.sum(), abs=0.01)


@pytest.mark.parametrize("count", [1, 2, 3, 257])
def test_any_number_of_images_has_a_place(embedded, count):
    points, explained = project(embedded(np.random.default_rng(0).normal(size=(count, 3))))
    assert points.shape == (count, 2) and np.isfinite(points).all() and 0 <= explained <= 1.001


def test_images_that_are_all_the_same_lie_at_one_place(embedded):
    points, explained = project(embedded(np.ones((4, 3))))
    np.testing.assert_allclose(points, 0, atol=1e-6)
    assert np.isfinite(explained)
