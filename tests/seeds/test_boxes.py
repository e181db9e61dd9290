import math

import numpy as np
import pytest
from helpers.examples import example_from

from wsseg.data.annotation import Box, Boxes
from wsseg.labelmaps import IGNORE
from wsseg.seeds.apply import find_seed
from wsseg.seeds.boxes import core
from wsseg.seeds.params import BoxInnerParams, SeedParams


def seeded(name, boxes, size, **settings):
    annotations = () if boxes is None else (Boxes(tuple(boxes)),)
    seed = find_seed(SeedParams(name=name, **settings))
    return seed(example_from(None, *annotations, size=size), np.random.default_rng(0))


def mirrored(box, width):
    return Box(box.label, width - box.right, box.top, width - box.left, box.bottom, box.crowd)


def test_box_fills_with_the_smaller_box_in_front():
    boxes = [Box(2, 1, 1, 3, 2), Box(1, 0, 0, 4, 2)]
    assert seeded("box", boxes, (3, 5)).tolist() == [
        [1, 1, 1, 1, 0],
        [1, 2, 2, 1, 0],
        [0, 0, 0, 0, 0],
    ]


def test_a_crowd_is_ignored_except_where_a_smaller_box_is_in_front():
    boxes = [Box(1, 0, 0, 4, 1, crowd=True), Box(2, 3, 0, 5, 1)]
    for name in ("box", "grabcut", "grabcut_votes"):
        assert seeded(name, boxes, (1, 6)).tolist() == [[IGNORE] * 3 + [2, 2, 0]]


def test_box_inner_keeps_the_core_and_ignores_the_rest():
    label_map = seeded("box_inner", [Box(1, 1, 0, 6, 5)], (5, 7), box_inner={"share": 0.04})
    expected = np.full((5, 7), IGNORE)
    expected[:, [0, 6]] = 0
    expected[2, 3] = 1
    assert label_map.tolist() == expected.tolist()


def test_a_smaller_box_hides_the_core_behind_it():
    boxes = [Box(1, 0, 0, 10, 10), Box(2, 4, 4, 9, 9)]
    label_map = seeded("box_inner", boxes, (10, 10))
    assert (label_map == 1).sum() == 7  # a core of 4 x 4 at (3, 3), less 3 x 3
    assert (label_map == 2).sum() == 9  # margins of round(5 (1 - 0.447) / 2) = 1
    assert label_map[4, 4] == IGNORE


@pytest.mark.parametrize("share", [0.04, 0.2, 0.5])
def test_the_core_has_the_asked_share_in_the_middle(share):
    rows, columns = core(Box(1, 100, 50, 1100, 550), BoxInnerParams(share=share))
    part = (rows.stop - rows.start) * (columns.stop - columns.start) / 500_000
    assert part == pytest.approx(share, rel=0.01)
    assert (rows.start + rows.stop, columns.start + columns.stop) == (600, 1200)
    assert (columns.stop - columns.start) / 1000 == pytest.approx(math.sqrt(share), rel=0.01)


def test_a_fifth_of_each_side_is_a_share_of_its_square():
    params = BoxInnerParams(share=0.2**2)
    rows, columns = core(Box(1, 100, 50, 1100, 550), params)
    assert (rows, columns) == (slice(250, 350), slice(500, 700))
    label_map = seeded("box_inner", [Box(1, 0, 0, 10, 10)], (10, 10), box_inner=params)
    assert (label_map == 1).sum() == 2 * 2


@pytest.mark.parametrize("side", [1, 2, 3, 8])
def test_even_the_smallest_core_has_a_pixel(side):
    rows, columns = core(Box(1, 0, 0, side, 1), BoxInnerParams(share=0.0001))
    assert rows == slice(0, 1)
    assert 0 <= columns.start < columns.stop <= side


@pytest.mark.parametrize("name", ["box", "box_inner"])
def test_flips_commute_with_box_seeds(name):
    rng = np.random.default_rng(5)
    for _ in range(20):
        corners = np.sort(rng.integers(0, 12, (3, 2, 2)), axis=2)
        boxes = [
            Box(k + 1, *(int(v) for v in (x[0], y[0], x[1] + 1, y[1] + 1)))
            for k, (x, y) in enumerate(corners)
        ]
        there = seeded(name, boxes, (12, 12))
        back = seeded(name, [mirrored(box, 12) for box in boxes], (12, 12))
        np.testing.assert_array_equal(back, there[:, ::-1])


@pytest.mark.parametrize("name", ["box", "box_inner", "grabcut", "grabcut_votes"])
def test_no_object_is_background_and_no_annotation_is_unknown(name):
    assert (seeded(name, [], (4, 5)) == 0).all()
    assert (seeded(name, None, (4, 5)) == IGNORE).all()
