import numpy as np
from pytest import approx

from wsseg.labelmaps import IGNORE
from wsseg.metrics.confidence import mean_confidence


def test_confidence_is_the_mean_over_the_pixels_of_each_class():
    random = np.random.default_rng(0)
    label_map = random.choice(np.array([0, 3, 7, IGNORE], np.uint8), (9, 11))
    shares = random.dirichlet(np.ones(3), (9, 11)).transpose(2, 0, 1)
    expected = {0: [], 3: [], 7: []}
    for (y, x), label in np.ndenumerate(label_map):
        if label != IGNORE:
            expected[label].append(shares[[0, 3, 7].index(label), y, x])
    means = {label: np.mean(pixels) for label, pixels in expected.items()}
    assert mean_confidence(label_map, shares, [0, 3, 7]) == approx(means)


def test_a_class_that_the_image_cannot_show_has_no_confidence():
    label_map = np.array([[5, IGNORE]], np.uint8)
    assert mean_confidence(label_map, np.ones((1, 1, 2)), [0]) == {5: 0}
