import numpy as np
import pytest
from sklearn.cluster import KMeans

from wsseg.stages.selection.choosers import METHODS, Pool, choose, k_centre, medoids, weighted
from wsseg.stages.selection.quota import Quota

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
    choice = choose(pool, weighted(k_centre(pool), weights), Quota(NOBODY, 0))
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
