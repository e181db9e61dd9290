import numpy as np

from wsseg.stages.selection.choosers import Pool, choose, k_centre
from wsseg.stages.selection.quota import Quota, default_quota

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


def test_what_cannot_be_met_is_said_and_classes_that_never_occur_are_not():
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
