import numpy as np
import pytest
from helpers.stroked import cross, disc, seeded, stroked, unknown
from skimage.color import rgb2lab

from wsseg.labelmaps import IGNORE
from wsseg.seeds import walker
from wsseg.seeds.markers import BACKGROUND, Markers
from wsseg.seeds.walker import first_marker_probabilities, random_walker


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_on_one_colour_a_walker_is_a_gambler_who_gets_ruined_linearly(grey):
    markers = np.zeros((1, 9), np.int32)
    markers[0, 0], markers[0, -1] = BACKGROUND, 4
    marks = Markers(np.full((1, 9, 3), grey, np.uint8), markers)
    found = first_marker_probabilities(marks, beta=0.1)
    np.testing.assert_allclose(found[1, 0], np.arange(9) / 8, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)


def test_the_way_of_less_colour_change_is_likelier_by_its_weight():
    pixels = np.array([[(90, 60, 30), (94, 60, 30), (94, 66, 30)]], np.uint8)
    markers = np.array([[1, 0, 2]], np.int32)
    squares = (np.diff(rgb2lab(pixels), axis=1) ** 2).sum(axis=-1)[0]
    left, right = np.exp(-0.3 * squares)
    found = first_marker_probabilities(Markers(pixels, markers), beta=0.3)
    np.testing.assert_allclose(found[:, 0, 1], [left / (left + right), right / (left + right)])


def test_it_commutes_with_mirrors():
    image, _ = disc()
    known = cross(disc()[1].shape)
    one = seeded(random_walker, *stroked(image, known))
    other = seeded(random_walker, *stroked(image[:, ::-1], known[:, ::-1]))
    np.testing.assert_array_equal(one, other[:, ::-1])


def test_more_confidence_keeps_less(monkeypatch):
    known = unknown(1, 9)
    known[0, 0], known[0, 8] = 0, 1
    case = stroked(np.zeros((1, 9, 3), np.uint8), known)
    kept = []
    for confidence in (0, 0.5, 0.7, 0.9):
        monkeypatch.setattr(walker, "_CONFIDENCE", confidence)
        kept.append((seeded(random_walker, *case) != IGNORE).sum())
    assert kept == [9, 8, 6, 2]  # odds of 1/8, 2/8, ... from one end to the other


def test_equal_odds_are_ignore():
    known = unknown(1, 5)
    known[0, 0], known[0, 4] = 0, 1
    label_map = seeded(random_walker, *stroked(np.zeros((1, 5, 3), np.uint8), known))
    assert label_map.tolist() == [[0, 0, IGNORE, 1, 1]]


def test_where_a_class_may_not_be_the_others_share_its_odds():
    image = np.zeros((1, 6, 3), np.uint8)
    known = unknown(1, 6)
    known[0, 0], known[0, 5] = 1, 3
    image, constraints = stroked(image, known, (1, 3, 4))
    constraints.allowed[0, 0, 1:3] = False
    label_map = seeded(random_walker, image, constraints)
    assert label_map.tolist() == [[1, 3, 3, 3, 3, 3]]
