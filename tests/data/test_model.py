from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsseg.data.annotation import Box, Boxes, MaskFile, Tags
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.stacking import smaller_in_front, visible_box_index
from wsseg.errors import InputError

SIZE = (12, 15)


@st.composite
def boxes(draw):
    left, top = draw(st.integers(0, SIZE[1] - 1)), draw(st.integers(0, SIZE[0] - 1))
    right = draw(st.integers(left + 1, SIZE[1]))
    bottom = draw(st.integers(top + 1, SIZE[0]))
    return Box(draw(st.integers(1, 3)), left, top, right, bottom)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ((0, 0, 0, 1, 1), "class from 1 to 254"),
        ((255, 0, 0, 1, 1), "class from 1 to 254"),
        ((1, -1, 0, 1, 1), "left < right"),
        ((1, 3, 0, 3, 1), "left < right"),
        ((1, 0, 5, 3, 4), "top < bottom"),
        ((1, float("nan"), 0, 3, 4), "left < right"),
    ],
)
def test_impossible_boxes_are_refused(values, rule):
    with pytest.raises(InputError, match=rule):
        Box(*values)


@pytest.mark.parametrize(
    ("present", "unsure", "rule"),
    [
        ((0,), (), "class from 1 to 254, got 0"),
        ((), (255,), "class from 1 to 254, got 255"),
        ((1, 2), (3, 2), "present or unsure, got 2 as both"),
    ],
)
def test_impossible_tags_are_refused(present, unsure, rule):
    with pytest.raises(InputError, match=rule):
        Tags(present, unsure)


def test_tags_of_a_sample_tell_no_object_from_nothing_said():
    box = Boxes((Box(1, 0, 0, 1, 1),))
    assert Sample("a", Path("a.jpg"), (2, 2), (box, Tags(())), "train").tags == Tags(())
    assert Sample("a", Path("a.jpg"), (2, 2), (box,), "train").tags is None


def test_box_area_and_slices_agree():
    box = Box(2, 3, 1, 7, 5)
    array = np.zeros(SIZE, bool)
    array[box.slices] = True
    assert array.sum() == box.area == 16
    assert array[1:5, 3:7].all()


@pytest.mark.parametrize(
    ("names", "got"),
    [
        (("background",), "1 names"),
        (tuple(map(str, range(256))), "256 names"),
        (("background", "cow", "cow"), "'cow' twice"),
    ],
)
def test_impossible_classes_are_refused(names, got):
    with pytest.raises(InputError, match=got):
        Classes(names)


def test_unknown_class_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean 'sheep'"):
        Classes(("background", "cow", "sheep")).index("shep")


@pytest.mark.parametrize("id", ["", "/etc/passwd", "../a", "a/../../b", "a\\b"])
def test_ids_that_lead_elsewhere_are_refused(id):
    with pytest.raises(InputError, match=r"relative name without '\.\.'"):
        Sample(id, Path("a.jpg"), (1, 1), (), "train")


def test_sample_lists_the_boxes_of_all_annotations():
    one, other = Box(1, 0, 0, 1, 1), Box(2, 0, 0, 2, 2)
    drawn = (Boxes((one,)), MaskFile(Path("a.png")), Boxes((other,)))
    assert Sample("a", Path("a.jpg"), (2, 2), drawn, "train").boxes == (one, other)


def test_unknown_split_names_the_known_ones():
    sample = Sample("a", Path("a.jpg"), (2, 2), (), "train")
    dataset = Dataset(Classes(("background", "cow")), (sample,))
    assert dataset.split("train") == (sample,)
    with pytest.raises(InputError, match="known: train"):
        dataset.split("val")


@given(st.lists(boxes(), max_size=5).map(tuple))
def test_front_box_is_the_smallest_around_each_pixel(drawn):
    front = visible_box_index(drawn, SIZE)
    for place in np.ndindex(SIZE):
        around = [b for b in drawn if b.top <= place[0] < b.bottom and b.left <= place[1] < b.right]
        if around:
            assert drawn[front[place]].area == min(box.area for box in around)
        else:
            assert front[place] == len(drawn)


@given(st.lists(boxes(), max_size=6).map(tuple))
def test_smaller_boxes_are_painted_last(drawn):
    areas = [box.area for box in smaller_in_front(drawn)]
    assert areas == sorted(areas, reverse=True)
    assert sorted(map(repr, smaller_in_front(drawn))) == sorted(map(repr, drawn))


def test_smaller_box_hides_the_larger_one_and_a_crowd_hides_nothing():
    large, small, crowd = Box(1, 0, 0, 6, 6), Box(2, 2, 2, 4, 4), Box(2, 0, 0, 2, 1, crowd=True)
    counts = np.bincount(visible_box_index((large, small, crowd), SIZE).ravel())
    assert counts.tolist() == [32, 4, 0, SIZE[0] * SIZE[1] - 36]
