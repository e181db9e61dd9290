import numpy as np
from pytest import approx

from wsseg.labelmaps import IGNORE
from wsseg.metrics.confidence import certainty


def test_certainty_is_the_mean_over_the_pixels_of_each_class():
    random = np.random.default_rng(0)
    label_map = random.choice(np.array([0, 3, 7, IGNORE], np.uint8), (9, 11))
    shares = random.dirichlet(np.ones(3), (9, 11)).transpose(2, 0, 1)
    expected: dict[int, list[tuple[float, float]]] = {0: [], 3: [], 7: []}
    for (y, x), label in np.ndenumerate(label_map):
        if label != IGNORE:
            own = [0, 3, 7].index(label)
            rivals = [share for c, share in enumerate(shares[:, y, x]) if c != own]
            expected[label].append((shares[own, y, x], shares[own, y, x] - max(rivals)))
    found = certainty(label_map, shares, [0, 3, 7])
    assert found.keys() == expected.keys()
    for label, pixels in expected.items():
        confidence, margin = np.mean(pixels, axis=0)
        assert found[label] == approx({"confidence": confidence, "margin": margin})


def test_a_class_that_the_image_cannot_show_has_no_confidence():
    label_map = np.array([[5, IGNORE]], np.uint8)
    assert certainty(label_map, np.ones((1, 1, 2)), [0]) == {5: {"confidence": 0, "margin": -1}}
