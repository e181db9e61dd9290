import numpy as np
import pytest
from helpers.stroked import disc, iou, seeded, stroked, unknown

from wsseg.labelmaps import IGNORE
from wsseg.seeds import superpixels
from wsseg.seeds.superpixels import segment_superpixels, superpixel_votes


def stripes(*greys, width=10, height=10):
    """Bands of one grey each, side by side."""
    row = np.repeat(np.array(greys, np.uint8), width)
    return np.repeat(np.tile(row, (height, 1))[..., None], 3, axis=2)


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (40, 50)])
def test_superpixels_are_numbered_without_gaps(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    regions = segment_superpixels(image, 20)
    assert regions.shape == size
    np.testing.assert_array_equal(np.unique(regions), np.arange(regions.max() + 1))


def test_superpixels_follow_colour():
    image, inside = disc()
    regions = segment_superpixels(image, 100)
    share = np.bincount(regions.ravel(), inside.ravel()) / np.bincount(regions.ravel())
    assert iou(share[regions] > 0.5, inside) > 0.95


def test_compactness_decides_between_colour_and_squares(monkeypatch):
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 7:] = 90
    image[:, 33:] = 200
    mixed = []
    for compactness in (0.1, 1000):
        monkeypatch.setattr(superpixels, "_COMPACTNESS", compactness)
        regions = segment_superpixels(image, 16)
        size = np.bincount(regions.ravel())
        mean = np.bincount(regions.ravel(), image[..., 0].ravel()) / size
        mixed.append(np.abs(image[..., 0] - mean[regions]).mean())
    assert mixed[0] == 0
    assert mixed[1] > 5


def test_a_superpixel_takes_the_class_of_most_of_its_marks(monkeypatch):
    monkeypatch.setattr(superpixels, "_COUNT", 2)
    image = stripes(0, 255)
    known = unknown(10, 20)
    known[5, 2:5], known[7, 2:4], known[5, 12:14] = 3, 1, 0
    label_map = seeded(superpixel_votes, *stroked(image, known))
    expected = np.repeat([[3, 0]], 10, axis=1).repeat(10, axis=0)
    expected[7, 2:4] = 1
    np.testing.assert_array_equal(label_map, expected)


def test_without_spreading_unmarked_superpixels_are_ignore(monkeypatch):
    monkeypatch.setattr(superpixels, "_COUNT", 3)
    known = unknown(10, 30)
    known[5, 5], known[5, 15] = 1, 0
    image, constraints = stroked(stripes(0, 120, 130), known)
    monkeypatch.setattr(superpixels, "_COMPACTNESS", 0.1)
    monkeypatch.setattr(superpixels, "_MAX_CHANGE", 0)
    found = seeded(superpixel_votes, image, constraints)
    np.testing.assert_array_equal(found[0, ::10], [1, 0, IGNORE])
    monkeypatch.setattr(superpixels, "_MAX_CHANGE", 20)
    found = seeded(superpixel_votes, image, constraints)
    np.testing.assert_array_equal(found[0, ::10], [1, 0, 0])


def test_classes_spread_along_the_least_change_of_colour_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(superpixels, "_COUNT", 5)
    known = unknown(10, 50)
    known[5, 5], known[5, 45] = 1, 0
    image, constraints = stroked(stripes(0, 10, 20, 200, 255), known)
    monkeypatch.setattr(superpixels, "_COMPACTNESS", 0.1)
    monkeypatch.setattr(superpixels, "_MAX_CHANGE", 200)
    far = seeded(superpixel_votes, image, constraints)
    np.testing.assert_array_equal(far[0, ::10], [1, 1, 1, 0, 0])
    monkeypatch.setattr(superpixels, "_MAX_CHANGE", 10)
    near = seeded(superpixel_votes, image, constraints)
    np.testing.assert_array_equal(near[0, ::10], [1, 1, 1, IGNORE, 0])
