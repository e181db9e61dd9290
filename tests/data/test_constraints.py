from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from helpers import builders
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.constraints import constraints_of, label_map_of, region_mask
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map

SIZE = (8, 10)
SQUARE = (2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0)

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


sample = partial(builders.sample, size=SIZE)


def test_boxes_allow_their_class_inside_and_background_everywhere():
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),))), 5)
    inside = np.zeros(SIZE, bool)
    inside[1:5, 2:6] = True
    assert found.classes.tolist() == [0, 3]
    assert found.allowed[0].all()
    assert (found.allowed[1] == inside).all()
    assert (found.known == np.where(inside, IGNORE, 0)).all()


def test_no_box_is_all_background_and_no_annotation_allows_all():
    empty, nothing = constraints_of(sample(Boxes(())), 4), constraints_of(sample(), 4)
    assert empty.classes.tolist() == [0] and (empty.known == 0).all()
    assert nothing.classes.tolist() == [0, 1, 2, 3] and nothing.allowed.all()


def test_tags_allow_their_classes_and_the_background_anywhere():
    found = constraints_of(sample(Tags((3,), unsure=(1,))), 5)
    assert found.classes.tolist() == [0, 1, 3]
    assert found.allowed.all() and found.allowed.shape == (3, *SIZE)
    assert (found.known == IGNORE).all()
    assert not found.allows(np.full(SIZE, 2, np.uint8)).any()


def test_tags_of_no_object_make_all_background():
    found = constraints_of(sample(Tags(())), 4)
    assert found.classes.tolist() == [0] and (found.known == 0).all()


def test_what_boxes_or_tags_name_can_be_there_and_boxes_confine_their_class():
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),)), Tags((1, 3))), 5)
    assert found.classes.tolist() == [0, 1, 3]
    assert found.allowed[1].all() and found.allowed[2].sum() == 16 and found.allowed[0].all()
    boxed = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),)), Tags((3,))), 5)
    assert (boxed.known == 0).sum() == 80 - 16


def test_a_mask_wins_over_tags_and_boxes(tmp_path):
    label_map = np.full(SIZE, 2, np.uint8)
    label_map[4:] = IGNORE
    write_label_map(tmp_path / "a.png", label_map)
    mask = MaskFile(tmp_path / "a.png")
    for other in (Tags((1,)), Boxes((Box(1, 0, 0, 3, 3),)), Boxes((Box(2, 0, 0, 3, 3),))):
        found = constraints_of(sample(other, mask), 4)
        assert (found.known[:4] == 2).all()
        assert found.classes.tolist() in ([0, 1, 2], [0, 2])


def test_mask_fixes_its_pixels_except_ignored_ones(tmp_path):
    label_map = np.zeros(SIZE, np.uint8)
    label_map[2:4], label_map[4:] = 2, IGNORE
    write_label_map(tmp_path / "a.png", label_map)
    found = constraints_of(sample(MaskFile(tmp_path / "a.png")), 4)
    assert (found.known == label_map).all()
    assert found.allowed[:, label_map == IGNORE].all()


@given(scores=arrays(np.float32, (2, *SIZE), elements=st.floats(-9, 9, width=32)))
def test_best_class_is_always_permitted(scores):
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),))), 5)
    before = scores.copy()
    best = found.argmax(scores)
    assert found.allows(best).all()
    assert (scores == before).all()
    inside = found.allowed[1]
    expected = np.where(scores[1] > scores[0], 3, 0)
    assert (best[inside] == expected[inside]).all()


def test_permits_ignore_and_refuses_what_is_forbidden():
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),))), 5)
    assert found.allows(np.full(SIZE, IGNORE, np.uint8)).all()
    assert (found.allows(np.full(SIZE, 3, np.uint8)) == found.allowed[1]).all()
    assert not found.allows(np.full(SIZE, 1, np.uint8)).any()


@pytest.mark.parametrize(
    ("label_map", "n_classes", "rule"),
    [
        (np.zeros((3, 3), np.uint8), 2, r"image's size \(8, 10\)"),
        (np.full(SIZE, 7, np.uint8), 3, "labels 0 to 2 and 255, got label 7"),
    ],
)
def test_masks_that_do_not_fit_are_refused(tmp_path, label_map, n_classes, rule):
    write_label_map(tmp_path / "a.png", label_map)
    with pytest.raises(InputError, match=rule):
        label_map_of(MaskFile(tmp_path / "a.png"), SIZE, n_classes)


def test_regions_paint_small_over_large_and_crowds_behind_all():
    large = Region(1, ((0.0, 0.0, 10.0, 0.0, 10.0, 8.0, 0.0, 8.0),))
    small = Region(2, (SQUARE,))
    crowd = Region(3, ((0.0, 0.0, 10.0, 0.0, 10.0, 8.0, 0.0, 8.0),), crowd=True)
    label_map = label_map_of(Regions((small, large)), SIZE, 4)
    assert (label_map[1:5, 2:6] == 2).all()
    assert (label_map == 1).sum() == 80 - 16
    behind = label_map_of(Regions((small, crowd)), SIZE, 4)
    assert (behind == IGNORE).sum() == 80 - 16
    assert (behind == 2).sum() == 16


def test_polygon_and_run_lengths_give_the_same_pixels():
    runs = [2 * 8 + 1, 4, 4, 4, 4, 4, 4, 4, 4 * 8 + 3]
    from_polygon = region_mask(Region(1, (SQUARE,)), SIZE)
    from_runs = region_mask(Region(1, rle=(SIZE, tuple(runs))), SIZE)
    assert sum(runs) == 80
    assert (from_polygon == from_runs).all()
    assert from_polygon.sum() == 16


def test_later_regions_of_a_partial_mask_are_in_front():
    large = Region(1, ((0.0, 0.0, 10.0, 0.0, 10.0, 8.0, 0.0, 8.0),))
    label_map = label_map_of(Regions((Region(2, (SQUARE,)), large), partial=True), SIZE, 4)
    assert (label_map == 1).all()


def test_run_lengths_of_another_size_are_refused():
    with pytest.raises(InputError, match="image's size"):
        region_mask(Region(1, rle=((3, 3), (9,))), SIZE)


def test_region_without_pixels_is_empty():
    assert not region_mask(Region(1), SIZE).any()


CLICK = Scribble(2, ((4.5, 3.5),), width=1)
GROUND = Scribble(0, ((0.5, 6.5), (7.5, 6.5)), width=1)


def test_strokes_fix_their_pixels_and_name_the_classes():
    found = constraints_of(sample(Strokes((CLICK, GROUND))), 5)
    assert found.classes.tolist() == [0, 2]
    assert found.known[3, 4] == 2 and (found.known[6, :8] == 0).all()
    assert (found.known == IGNORE).sum() == 80 - 9
    assert found.allowed[:, found.known == IGNORE].all()


def test_open_strokes_leave_every_class_possible_elsewhere():
    found = constraints_of(sample(Strokes((CLICK,), closed=False)), 5)
    assert found.classes.tolist() == [0, 1, 2, 3, 4]
    assert found.known[3, 4] == 2 and found.allowed[:, 0, 0].all()
    tagged = constraints_of(sample(Strokes((CLICK,), closed=False), Tags((3,))), 5)
    assert tagged.classes.tolist() == [0, 2, 3]


def test_strokes_win_over_boxes_and_masks(tmp_path):
    write_label_map(tmp_path / "a.png", np.full(SIZE, 2, np.uint8))
    outside = Scribble(3, ((8.5, 7.5),), width=1)
    strokes = Strokes((outside,))
    assert constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),)), strokes), 5).known[7, 8] == 3
    assert (
        constraints_of(sample(strokes, MaskFile(tmp_path / "a.png"), Tags((2,))), 5).known[7, 8]
        == 3
    )


def test_a_partial_mask_says_nothing_of_the_rest():
    regions = Regions(
        (Region(0, (SQUARE,)), Region(2, ((0.0, 6.0, 3.0, 6.0, 3.0, 8.0, 0.0, 8.0),))), partial=True
    )
    found = constraints_of(sample(regions), 5)
    assert found.classes.tolist() == [0, 2]
    assert (found.known[1:5, 2:6] == 0).all() and (found.known[6:, :3] == 2).all()
    assert (found.known == IGNORE).sum() == 80 - 16 - 6
    open_ones = constraints_of(sample(replace(regions, closed=False)), 5)
    assert open_ones.classes.tolist() == [0, 1, 2, 3, 4]


def test_held_keeps_to_the_annotations_whatever_it_is_given():
    found = constraints_of(sample(Strokes((CLICK, GROUND))), 5)
    held = found.project(np.full(SIZE, 4, np.uint8))
    assert (held == found.known).all()
    assert found.allows(held).all()
