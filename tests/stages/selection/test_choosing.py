from typing import get_args

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from wsseg.stages.selection import choosing
from wsseg.stages.selection.choosing import (
    METHODS,
    Coverage,
    Pool,
    Quota,
    choose,
    default_quota,
    k_centre,
    measure_coverage,
    medoids,
    project,
    random_coverage,
    weight,
)
from wsseg.stages.selection.params import SelectionParams

NOBODY = np.zeros((60, 0), bool)


def pool_of(embeddings, budget, labelled=(), seed=0):
    is_labelled = np.zeros(len(embeddings), bool)
    is_labelled[list(labelled)] = True
    return Pool(embeddings, is_labelled, budget, seed)


def chosen(method, pool, quota=None):
    quota = quota or Quota(np.zeros((len(pool.embeddings), 0), bool), 0)
    return choose(pool, METHODS[method](pool), quota)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def brute_force(vectors, budget, start, weights=None):
    """argmax_i u_i min_s |x_i - x_s|, every distance anew each time."""
    centres = list(start)
    for _ in range(budget):
        values = [
            -1.0
            if i in centres
            else (1 if weights is None else weights[i])
            * min(float(np.sqrt(((x - vectors[c]) ** 2).sum())) for c in centres)
            for i, x in enumerate(vectors)
        ]
        centres.append(int(np.argmax(values)))
    return centres[len(start) :]


def test_k_centre_is_the_brute_force_one(embedded, random_vectors):
    pool = pool_of(embedded(random_vectors), 12, labelled=(3, 40))
    choice = chosen("k_centre", pool)
    assert choice.order.tolist() == brute_force(unit(random_vectors), 12, (3, 40))
    assert np.all(np.diff(choice.distances) <= 1e-12)
    taken = [3, 40, *choice.order]
    nearest = [
        min(np.linalg.norm(x - unit(random_vectors)[taken], axis=1)) for x in unit(random_vectors)
    ]
    np.testing.assert_allclose(choice.nearest, nearest, atol=1e-6)


def test_k_centre_begins_with_the_most_typical_image(embedded, random_vectors):
    first = chosen("k_centre", pool_of(embedded(random_vectors), 1))
    vectors = unit(random_vectors)
    assert first.order[0] == np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argmin()
    assert np.isinf(first.distances[0])


def test_uncertainty_weighs_the_distance(embedded, random_vectors):
    weights = np.random.default_rng(1).random(60)
    pool = pool_of(embedded(random_vectors), 10)
    choice = choose(pool, weight(k_centre(pool), weights), Quota(NOBODY, 0))
    first = int(weights.argmax())
    expected = [first, *brute_force(unit(random_vectors), 9, (first,), weights)]
    assert choice.order.tolist() == expected


@pytest.mark.parametrize("method", ["k_centre", "random"])
def test_a_smaller_budget_is_the_beginning_of_a_larger_one(embedded, random_vectors, method):
    embeddings = embedded(random_vectors)
    small, large = (chosen(method, pool_of(embeddings, budget)).order for budget in (5, 20))
    np.testing.assert_array_equal(small, large[:5])


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_chooses_the_same_distinct_unlabelled_images(
    embedded, random_vectors, method
):
    embeddings = embedded(random_vectors)
    one, other = (chosen(method, pool_of(embeddings, 50, (0, 1, 2), 7)).order for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert len({*one.tolist()} - {0, 1, 2}) == 50


def test_random_follows_its_seed(embedded, random_vectors):
    embeddings = embedded(random_vectors)
    one, other = (chosen("random", pool_of(embeddings, 20, seed=seed)).order for seed in (0, 1))
    assert one.tolist() != other.tolist()


def test_medoids_are_the_images_nearest_to_the_centres_of_k_means(embedded, random_vectors):
    vectors = unit(random_vectors).astype(np.float32)
    choice = chosen("medoids", pool_of(embedded(random_vectors), 6))
    means = KMeans(6, n_init=3, random_state=0).fit(vectors)
    distances = np.linalg.norm(vectors[:, None] - means.cluster_centers_, axis=2)
    assert {*choice.order.tolist()} == {*distances.argmin(axis=0).tolist()}
    sizes = np.bincount(distances.argmin(axis=1))
    ordered = sizes[distances.argmin(axis=1)[choice.order]]
    assert ordered.tolist() == sorted(sizes.tolist(), reverse=True)


def test_medoids_of_images_that_are_all_the_same(embedded):
    choice = chosen("medoids", pool_of(embedded(np.ones((9, 4))), 5))
    assert len({*choice.order.tolist()}) == 5
    assert choice.nearest.max() == pytest.approx(0, abs=1e-6)


def test_medoids_fit_no_cluster_on_labelled_images(embedded):
    far = np.eye(6)[[0, 0, 0, 1, 2, 3]] + 0.01 * np.random.default_rng(0).normal(size=(6, 6))
    pool = pool_of(embedded(far), 3, labelled=(0, 1, 2))
    assert sorted(chosen("medoids", pool).order.tolist()) == [3, 4, 5]
    assert medoids(pool)(np.zeros(6)).shape == (6,)


def test_images_alike_are_chosen_last(embedded):
    vectors = np.eye(4)[[0, 0, 1, 0, 2, 3]]
    choice = chosen("k_centre", pool_of(embedded(vectors), 6, labelled=()))
    assert {*choice.order[:4].tolist()} >= {2, 4, 5}
    assert choice.distances[4:] == pytest.approx(0, abs=1e-6)


def test_every_method_of_the_parameters_is_there():
    annotation, _ = get_args(SelectionParams.model_fields["method"].annotation)
    assert set(get_args(annotation)) == set(METHODS)


def test_coverage_of_a_choice():
    shows = np.array([[1, 0], [1, 0], [0, 1]], bool)
    found = measure_coverage(np.array([0.0, 0.5, 1.0]), shows, np.array([True, False, False]))
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


def test_chunks_give_nearly_the_components_of_all_at_once(embedded, monkeypatch):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(90, 6)) * [9, 3, 0.1, 0.1, 0.1, 0.1] + [0, 0, 20, 0, 0, 0]
    monkeypatch.setattr(choosing, "_PCA_CHUNK", 20)
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


# image:           0  1  2  3  4  5
SHOWS = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 1, 0, 1, 0], [0, 0, 0, 0, 0, 1]], bool).T


def places(*images):
    taken = np.zeros(6, bool)
    taken[list(images)] = True
    return taken


def candidates(least, *taken):
    return np.flatnonzero(Quota(SHOWS, least).candidates(places(*taken))).tolist()


def test_candidates_are_the_images_of_the_class_that_misses_most():
    # of least 2: class 0 misses 2, class 1 misses 2, class 2 occurs once and misses 1
    assert candidates(2) == [2, 4]  # the rarer of classes 0 and 1
    assert candidates(2, 4) == [0, 1, 2, 3]
    assert candidates(2, 4, 0) == [5]  # all miss 1: the rarest
    assert candidates(2, 4, 0, 5) == [2]  # class 1 before class 0
    assert candidates(2, 4, 0, 5, 2) == [1, 3]  # all met: anything


def test_no_quota_leaves_every_image():
    assert candidates(0, 1) == [0, 2, 3, 4, 5]


def test_what_cannot_be_met_is_reported_and_classes_that_never_occur_are_not():
    shows = np.concatenate([SHOWS, np.zeros((6, 1), bool)], axis=1)
    lines = Quota(shows, 3).unmet(places(0, 2, 4, 5), ["cow", "cat", "car", "dog"])
    assert lines == [
        "cow is in 2 of 3 images: the budget ended",
        "cat is in 2 of 3 images: no other image shows it",
        "car is in 1 of 3 images: no other image shows it",
    ]
    assert Quota(shows, 1).unmet(places(0, 4, 5), ["cow", "cat", "car", "dog"]) == []


def test_half_the_budget_is_shared_among_classes_that_occur():
    assert default_quota(12, SHOWS) == 2
    assert default_quota(5, SHOWS) == 1
    assert default_quota(5, np.zeros((6, 3), bool)) == 0


def test_k_centre_with_a_quota_fills_it_first(embedded):
    vectors = [[1, 0, 0], [0.9, 0.1, 0], [0.8, 0.2, 0], [0, 0, 1], [0.7, 0.3, 0], [0.6, 0.4, 0]]
    pool = Pool(embedded(vectors), np.zeros(6, bool), 3)
    free = choose(pool, k_centre(pool), Quota(SHOWS, 0)).order.tolist()
    held = choose(pool, k_centre(pool), Quota(SHOWS, 1)).order.tolist()
    assert 3 in free[:2]  # the odd one out
    # class 2 first, as one image shows it; then class 1 (2 or 4; 2 is farther from 5), which
    # meets class 0 too; then the farthest of all
    assert held == [5, 2, 3]
