import numpy as np
import pytest

from wsseg.seeds.mixtures import colour_cells, split_colours, update_mixture


def photograph(seed=0, size=(20, 30)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_cells_hold_the_mean_of_similar_colours():
    image = np.array(
        [[[0, 0, 0], [1, 1, 0], [2, 0, 0]], [[255] * 3, [254] * 3, [0, 0, 1]]], np.uint8
    )
    cells = colour_cells(image)
    np.testing.assert_array_equal(cells.index, [[0, 0, 1], [2, 2, 0]])
    expected = [[1 / 3] * 3, [2, 0, 0], [254.5] * 3]
    np.testing.assert_allclose(cells.colours, np.array(expected) + [[0, 0, 0]] * 3)


def test_cells_are_closer_than_their_width_and_count_pixels():
    image = photograph()
    cells = colour_cells(image)
    assert abs(cells.colours[cells.index] - image).max() <= 1
    mask = image[..., 0] > 99
    assert cells.count(mask).sum() == mask.sum()


def test_groups_of_colours_become_clusters():
    group = np.arange(200) % 5
    centres = np.array([0, 40, 120, 160, 250])[group, None] * np.array([1, 0.5, 0.8])
    noise = np.random.default_rng(0).normal(0, 2, (200, 3))
    cluster = split_colours(centres + noise, np.ones(200))
    assert len({*zip(group.tolist(), cluster.tolist(), strict=True)}) == 5


@pytest.mark.parametrize("distinct", [1, 2, 3])
def test_few_colours_make_few_clusters(distinct):
    colours = np.array([[7.1, 0, 0], [90.3, 5, 5], [3, 200, 100]])[:distinct]
    cluster = split_colours(colours, np.full(distinct, 1 / 3))
    assert sorted(cluster) == [*range(distinct)]


def test_colours_without_a_pixel_move_no_cluster():
    colours = np.array([[10.0] * 3, [20.0] * 3, [250.0] * 3])
    cluster = split_colours(colours, np.array([1.0, 1.0, 0.0]))
    assert cluster[0] != cluster[1]


def test_one_gaussian_is_the_closed_form():
    colours = np.random.default_rng(0).normal(100, 20, (50, 3))
    counts = np.random.default_rng(1).integers(0, 4, 50).astype(float)
    cost, best = update_mixture(colours, counts, np.zeros(50, np.intp))
    covariance = np.cov(colours.T, bias=True, fweights=counts.astype(int)) + np.eye(3) / 3
    offsets = colours - np.average(colours, axis=0, weights=counts)
    squares = np.einsum("ij,jk,ik->i", offsets, np.linalg.inv(covariance), offsets)
    np.testing.assert_allclose(cost, 0.5 * (np.log(np.linalg.det(covariance)) + squares))
    assert not best.any()


def test_the_most_probable_component_explains_a_colour():
    colours = photograph().reshape(-1, 3).astype(float)
    counts, nearest = np.ones(len(colours)), np.arange(len(colours)) % 5
    cost, best = update_mixture(colours, counts, nearest)
    each = []
    for k in range(5):
        alone, _ = update_mixture(colours, (nearest == k).astype(float), nearest)
        each.append(alone - np.log((nearest == k).mean()))
    np.testing.assert_allclose(cost, np.min(each, axis=0))
    np.testing.assert_array_equal(best, np.argmin(each, axis=0))


def test_components_without_a_pixel_are_left_out():
    colours = np.array([[0.0] * 3, [200.0] * 3])
    cost, best = update_mixture(colours, np.ones(2), np.array([1, 4]))
    np.testing.assert_array_equal(best, [0, 1])
    np.testing.assert_allclose(cost, 1.5 * np.log(1 / 3) - np.log(0.5))
