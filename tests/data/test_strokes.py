import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsseg.data.strokes import Scribble, Strokes, drawing_cost, stroke_map, touches
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE


def drawn(*strokes, size=(40, 60)):
    return stroke_map(Strokes(strokes), size)


def test_a_line_covers_the_pixels_it_runs_through():
    found = drawn(Scribble(3, ((10.5, 5.5), (20.5, 5.5)), width=1))
    assert (found[5, 10:21] == 3).all()
    assert (found == 3).sum() == 11


def test_width_is_that_of_the_line():
    found = drawn(Scribble(0, ((10.5, 20.5), (50.5, 20.5)), width=5))
    assert (found[:, 30] == 0).sum() == 5


def test_the_default_width_grows_with_the_image():
    line = Scribble(1, ((100.5, 200.5), (300.5, 200.5)))
    assert (drawn(line, size=(400, 400))[:, 200] == 1).sum() in (4, 5)
    assert (drawn(line, size=(400, 2000))[:, 200] == 1).sum() in (20, 21)
    assert (drawn(Scribble(1, ((5.5, 5.5),)), size=(40, 40)) == 1).sum() >= 5


def test_later_strokes_are_in_front():
    found = drawn(
        Scribble(1, ((5.5, 0.5), (5.5, 30.5)), width=1),
        Scribble(2, ((0.5, 9.5), (30.5, 9.5)), width=1),
    )
    assert found[9, 5] == 2 and found[8, 5] == 1


@given(
    x=st.floats(0, 60, exclude_max=True),
    y=st.floats(0, 40, exclude_max=True),
    width=st.sampled_from([None, 0.2, 1, 3, 8]),
)
def test_a_click_inside_the_image_is_at_its_place(x, y, width):
    found = drawn(Scribble(7, ((x, y),), width=width))
    rows, columns = np.nonzero(found != IGNORE)
    assert len(rows)
    assert (found[rows, columns] == 7).all()
    assert np.hypot(rows + 0.5 - y, columns + 0.5 - x).min() <= 0.8


@pytest.mark.parametrize(
    ("label", "points", "width", "rule"),
    [
        (255, ((1, 1),), None, "0 to 254"),
        (1, (), None, "one or more"),
        (1, ((float("nan"), 1),), None, "7 digits"),
        (1, ((1e9, 1),), None, "7 digits"),
        (1, ((1, 1),), 0, "positive"),
    ],
)
def test_what_cannot_be_drawn_is_refused(label, points, width, rule):
    with pytest.raises(InputError, match=rule):
        Scribble(label, points, width)


def test_far_corners_are_no_trouble():
    found = drawn(Scribble(1, ((-9e6, 20.5), (9e6, 20.5)), width=1))
    assert (found[20] == 1).all() and (found == 1).sum() == 60


def test_cost_of_drawing_grows_with_length_and_width_up_to_the_image():
    def cost(*points, width=1.0, size=(300, 400)):
        return drawing_cost(Scribble(1, points, width), size)

    assert cost((0, 0)) < cost((0, 0), (300, 0)) < cost((0, 0), (300, 0), width=90)
    assert cost((0, 0), width=1e4) == cost((0, 0), width=1e308) < 2 * (300 * 400 + 10_000)
    assert cost((0, 0), (9e6, 0)) < 100 * cost((0, 0))
    assert cost((0, 0), (1, 1), width=1e4, size=(3000, 4000)) > 3000 * 4000


def test_a_point_beside_the_image_touches_it_only_if_it_labels_a_pixel():
    for y, expected in ((-1.25, False), (-0.9, True)):
        point = Scribble(1, ((10.5, y),))
        assert touches(point, (40, 60)) == expected
        assert (stroke_map(Strokes((point,)), (40, 60)) == 1).any() == expected
