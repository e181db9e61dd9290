import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsseg.data.annotation import Box
from wsseg.refine.tightness import fit_segment, grow_to_sides, reached_sides, side_gaps

SIZE = (40, 50)
ALL, NONE = [True] * 4, [False] * 4


def centred(*margins, shape=(20, 20)):
    top, bottom, left, right = margins
    segment = np.zeros(shape, bool)
    segment[top : shape[0] - bottom, left : shape[1] - right] = True
    return segment


@given(st.tuples(*[st.integers(0, 9)] * 4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_gaps_are_the_margins(margins, sides):
    expected = [margin for margin, side in zip(margins, sides, strict=True) if side]
    assert side_gaps(centred(*margins), sides).tolist() == expected


def test_an_empty_segment_is_as_far_away_as_the_box_is_long():
    assert side_gaps(np.zeros((20, 10), bool), ALL).tolist() == [20, 20, 10, 10]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(1, 10, 8, 30, 28), [1, 1, 1, 1]),
        (Box(1, 0, 8, 20, 28), [1, 1, 0, 1]),
        (Box(1, 30, 20, 50, 40), [1, 0, 1, 0]),
        (Box(1, 0, 0, 50, 40), [0, 0, 0, 0]),
    ],
)
def test_sides_on_the_border_of_the_image_do_not_count(box, expected):
    visible = np.ones((box.bottom - box.top, box.right - box.left), bool)
    assert reached_sides(box, visible, SIZE) == [bool(side) for side in expected]


def test_sides_that_another_box_hides_in_part_do_not_count():
    visible = np.ones((20, 20), bool)
    visible[5:9, :6] = False
    assert reached_sides(Box(1, 10, 8, 30, 28), visible, SIZE) == [True, True, False, True]


def test_a_segment_stops_growing_where_it_fits():
    rings = [(0, 0.2), (1, 0.34), (4, 0.44), (6, 0.8)]
    share = np.zeros((20, 20))
    for margin, value in rings:
        share[centred(*[margin] * 4)] = value
    for gap, margin in ((0.3, 6), (0.2, 4), (0.02, 1)):
        np.testing.assert_array_equal(fit_segment(share, ALL, gap), centred(*[margin] * 4))
    np.testing.assert_array_equal(fit_segment(share, NONE, 0.02), centred(6, 6, 6, 6))


def test_a_segment_that_comes_no_nearer_does_not_grow():
    share = np.zeros((40, 40))
    share[6:34, 6:34] = 0.9
    share[15:25, 15:25] = 0.15  # a hole
    np.testing.assert_array_equal(fit_segment(share, ALL, 0.02), share == 0.9)
    share[3:6, 20] = 0.3  # nearer to one side at .25
    np.testing.assert_array_equal(fit_segment(share, ALL, 0.02), share >= 0.3)


def test_an_object_of_one_pixel_is_not_lost():
    assert fit_segment(np.full((1, 1), 0.4), ALL, 0.02).all()
    assert fit_segment(np.full((1, 30), 0.12), ALL, 0.02).all()
    assert not fit_segment(np.full((1, 1), 0.1), ALL, 0.02).any()


@given(st.integers(0, 2**32 - 1))
def test_fitting_only_adds_pixels(seed):
    share = np.random.default_rng(seed).random((20, 20)) ** 3
    segment = fit_segment(share, ALL, 0.02)
    assert segment[share > 0.5].all() and not segment[share <= 0.1].any()


@pytest.mark.parametrize(
    ("margins", "radius"), [((1, 1, 1, 1), 1), ((0, 0, 9, 9), 1), ((0, 0, 0, 9), 0)]
)
def test_growth_is_the_median_gap_up_to_a_twentieth_of_the_box(margins, radius):
    segment = centred(*margins)
    grown = grow_to_sides(segment, ALL)
    expected = centred(*[max(margin - radius, 0) for margin in margins])
    np.testing.assert_array_equal(grown[:, 10], expected[:, 10])
    assert grown[segment].all()


def test_large_boxes_grow_by_at_most_five_pixels():
    grown = grow_to_sides(centred(20, 20, 20, 20, shape=(300, 300)), ALL)
    assert side_gaps(grown, ALL).tolist() == [15] * 4


@pytest.mark.parametrize("sides", [NONE, [False, True, False, False]])
def test_fewer_than_two_sides_say_nothing(sides):
    segment = centred(9, 9, 0, 0)
    np.testing.assert_array_equal(grow_to_sides(segment, sides), segment)
