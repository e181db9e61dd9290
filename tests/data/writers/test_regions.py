import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from scipy import ndimage

from wsseg.data.writers.regions import (
    coco_counts,
    connected_regions,
    run_lengths,
)
from wsseg.labelmaps import IGNORE

LABEL_MAPS = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=2, max_side=9),
    elements=st.sampled_from([0, 1, 2, 255]),
)
EVERYWHERE = np.ones((3, 3), bool)


def placed(region, size):
    """The region's pixels in its image."""
    pixels = np.zeros(size, bool)
    rows = slice(region.top, region.top + region.height)
    pixels[rows, region.left : region.left + region.width] = region.mask
    return pixels


@given(LABEL_MAPS)
def test_regions_make_up_the_label_map(label_map):
    before, times, again = (
        label_map.copy(),
        np.zeros(label_map.shape, int),
        np.zeros_like(label_map),
    )
    for region in connected_regions(label_map):
        pixels = placed(region, label_map.shape)
        times += pixels
        again[pixels] = region.label
    assert (times == 1).all() and (again == label_map).all()
    assert (before == label_map).all()


@given(LABEL_MAPS)
def test_a_region_is_connected_and_whole_in_a_tight_box(label_map):
    regions = list(connected_regions(label_map))
    for region in regions:
        assert region.mask.any(axis=0)[[0, -1]].all() and region.mask.any(axis=1)[[0, -1]].all()
        assert ndimage.label(region.mask, EVERYWHERE)[1] == 1
        assert region.area == region.mask.sum()
    found = sum(ndimage.label(label_map == label, EVERYWHERE)[1] for label in np.unique(label_map))
    assert len(regions) == found


def test_corners_connect_and_holes_stay():
    ring = np.array([[1, 1, 1, 0], [1, IGNORE, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]], np.uint8)
    regions = list(connected_regions(ring))
    assert [(region.label, region.left, region.top) for region in regions] == [
        (1, 0, 0),
        (0, 0, 0),
        (IGNORE, 1, 1),
    ]
    assert [region.area for region in regions] == [9, 6, 1] and not regions[0].mask[1, 1]


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        ([[0, 0], [0, 1]], [3, 1]),
        ([[1, 1], [1, 1]], [0, 4]),
        ([[0]], [1]),
        ([[1, 0, 1]], [0, 1, 1, 1]),
    ],
)
def test_run_lengths_begin_with_what_is_not_there(pixels, expected):
    assert run_lengths(np.array(pixels, bool)) == expected


@given(LABEL_MAPS)
def test_coco_counts_are_those_of_pycocotools(label_map):
    for region in connected_regions(label_map):
        whole = np.asfortranarray(placed(region, label_map.shape).astype(np.uint8))
        expected = coco_mask.encode(whole)["counts"].decode()
        assert coco_counts(region, label_map.shape) == expected
