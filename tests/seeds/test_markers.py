import numpy as np
import pytest
from helpers.examples import example_from
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsseg.data.constraints import Constraints
from wsseg.labelmaps import IGNORE
from wsseg.seeds.markers import (
    BACKGROUND,
    OUTSIDE,
    UNMARKED,
    count_in_cells,
    downscale_marks,
    downscaled_size,
    labels_of,
    markers_of,
)

SIDES = st.integers(1, 20)


def constraints_from(known, classes=(0, 1, 3)):
    allowed = np.ones((len(classes), *known.shape), bool)
    fixed = known != IGNORE
    allowed[:, fixed] = np.array(classes)[:, None] == known[fixed]
    return Constraints(np.array(classes, np.uint8), allowed)


def unknown(*size):
    return np.full(size, IGNORE, np.uint8)


@given(st.data(), SIDES, SIDES)
def test_cells_count_every_pixel_once(data, height, width):
    mask = data.draw(arrays(bool, (height, width)))
    size = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    counts = count_in_cells(mask, size)
    assert counts.shape == size
    assert counts.sum() == mask.sum()
    assert count_in_cells(np.ones_like(mask), size).min() >= 1


@given(st.data(), SIDES, SIDES)
def test_no_mark_gets_lost_and_none_appears(data, height, width):
    known = data.draw(arrays(np.uint8, (height, width), elements=st.sampled_from([2, IGNORE])))
    size = downscaled_size(known.shape, data.draw(st.integers(1, 25)))
    small = downscale_marks(known, size)
    np.testing.assert_array_equal(small == 2, count_in_cells(known == 2, size) > 0)


def test_a_cell_takes_the_class_of_most_known_pixels():
    known = unknown(4, 8)
    known[0, :3] = 0, 3, 3
    known[3, 4:6] = 3, 0
    np.testing.assert_array_equal(downscale_marks(known, (1, 2)), [[3, 0]])


def test_a_thin_scribble_stays_connected_at_a_tenth_of_the_size():
    known = unknown(300, 400)
    known[np.arange(300), np.arange(300)] = 1
    marks = markers_of(
        example_from(np.zeros((300, 400, 3), np.uint8), constraints=constraints_from(known)), 40
    )
    assert marks.pixels.shape == (30, 40, 3)
    assert (marks.markers[np.arange(30), np.arange(30)] == 2).all()


def test_marks_at_full_size_are_the_known_pixels():
    known = unknown(5, 6)
    known[1, 2], known[3, 3:5] = 3, 0
    image = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    marks = markers_of(example_from(image, constraints=constraints_from(known)), 400)
    np.testing.assert_array_equal(labels_of(marks.markers), known)
    np.testing.assert_array_equal(marks.pixels, image)
    assert marks.distinct.tolist() == [BACKGROUND, 4]


@pytest.mark.parametrize("longest", [100, 16])
def test_without_background_marks_the_free_frame_is_outside(longest):
    known = unknown(32, 48)
    known[:6, :6] = 1
    marks = markers_of(
        example_from(np.zeros((32, 48, 3), np.uint8), constraints=constraints_from(known)), longest
    )
    inner = marks.markers[1:-1, 1:-1]
    assert marks.markers[0, 0] == 2
    assert (marks.markers[-1] == OUTSIDE).all()
    assert (marks.markers[:, -1] == OUTSIDE).all()
    assert not (inner == OUTSIDE).any()
    assert (inner == UNMARKED).any()


def test_where_background_is_impossible_the_frame_says_nothing():
    known = unknown(6, 6)
    known[2, 2] = 1
    marks = markers_of(
        example_from(np.zeros((6, 6, 3), np.uint8), constraints=constraints_from(known, (1, 3))),
        400,
    )
    assert marks.distinct.tolist() == [2]
