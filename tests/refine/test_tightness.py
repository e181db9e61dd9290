import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsseg.data.annotation import Box
from wsseg.refine.tightness import fit_segment, grow_to_sides, side_gaps

SIZE = (40, 50)
BOX = Box(1, left=10, top=8, right=30, bottom=28)


def centred(*margins, shape=(20, 20)):
    top, bottom, left, right = margins
    segment = np.zeros(shape, bool)
    segment[top : shape[0] - bottom, left : shape[1] - right] = True
    return segment


@given(st.tuples(*[st.integers(0, 9)] * 4))
def test_gaps_are_the_margins(margins):
    assert side_gaps(centred(*margins), BOX, SIZE).tolist() == [*margins]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(1, 0, 8, 20, 28), [1, 2, 4]),
        (Box(1, 30, 20, 50, 40), [1, 3]),
        (Box(1, 0, 0, 20, 20), [2, 4]),
    ],
)
def test_sides_on_the_border_of_the_image_do_not_count(box, expected):
    assert side_gaps(centred(1, 2, 3, 4), box, SIZE).tolist() == expected


def test_an_empty_segment_is_as_far_away_as_the_box_is_long():
    box = Box(1, 4, 4, 14, 24)
    assert side_gaps(np.zeros((20, 10), bool), box, SIZE).tolist() == [20, 20, 10, 10]


def test_a_box_that_is_the_image_has_no_sides():
    box, segment = Box(1, 0, 0, 50, 40), np.zeros(SIZE, bool)
    segment[5:9, 5:9] = True
    assert not side_gaps(segment, box, SIZE).size
    np.testing.assert_array_equal(grow_to_sides(segment, box, SIZE), segment)
    np.testing.assert_array_equal(fit_segment(segment * 0.6, box, SIZE, 0.02), segment)


@pytest.mark.parametrize(
    ("peak", "margin"),
    [(0.9, 0), (0.52, 0), (0.12, 0), (0.09, None)],
)
def test_the_highest_threshold_that_fits_decides(peak, margin):
    """A square of one share; shares outside of it are too small for every threshold."""
    share = np.full((20, 20), 0.05)
    share[0:20, 0:20] = peak
    segment = fit_segment(share, BOX, SIZE, 0.02)
    expected = np.zeros((20, 20), bool) if margin is None else centred(*[margin] * 4)
    np.testing.assert_array_equal(segment, expected)


def test_a_segment_stops_growing_where_it_fits():
    rings = [(0, 0.2), (1, 0.34), (4, 0.44), (6, 0.8)]
    share = np.zeros((20, 20))
    for margin, value in rings:
        share[centred(*[margin] * 4)] = value
    for gap, margin in ((0.3, 6), (0.2, 4), (0.02, 1)):
        expected = centred(*[margin] * 4)
        np.testing.assert_array_equal(fit_segment(share, BOX, SIZE, gap), expected)


@given(st.integers(0, 2**32 - 1))
def test_fitting_only_adds_pixels(seed):
    share = np.random.default_rng(seed).random((20, 20)) ** 3
    segment = fit_segment(share, BOX, SIZE, 0.02)
    assert segment[share > 0.5].all() and not segment[share <= 0.1].any()


@pytest.mark.parametrize(
    ("margins", "radius"), [((1, 1, 1, 1), 1), ((0, 0, 9, 9), 1), ((0, 0, 0, 9), 0)]
)
def test_growth_is_the_median_gap_up_to_a_twentieth_of_the_box(margins, radius):
    segment = centred(*margins)
    grown = grow_to_sides(segment, BOX, SIZE)
    np.testing.assert_array_equal(
        grown[:, 10], centred(*[max(m - radius, 0) for m in margins])[:, 10]
    )
    assert grown[segment].all()


def test_large_boxes_grow_by_at_most_five_pixels():
    box = Box(1, 5, 5, 305, 305)
    grown = grow_to_sides(centred(20, 20, 20, 20, shape=(300, 300)), box, (400, 400))
    assert side_gaps(grown, box, (400, 400)).tolist() == [15] * 4
