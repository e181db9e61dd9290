from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsseg.annotations.constraints import constraints_of, label_map_of, region_mask
from wsseg.annotations.model import Box, Boxes, MaskFile, Region, Regions, Sample, Tags
from wsseg.errors import InputError
from wsseg.labels import IGNORE, write_label_map

SIZE = (8, 10)
SQUARE = (2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0)

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def sample(*annotations):
    return Sample("a", Path("a.jpg"), SIZE, annotations, "train")


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
    assert not found.permits(np.full(SIZE, 2, np.uint8)).any()


def test_tags_of_no_object_make_all_background():
    found = constraints_of(sample(Tags(())), 4)
    assert found.classes.tolist() == [0] and (found.known == 0).all()


def test_tags_and_boxes_hold_both():
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5), Box(1, 0, 0, 2, 2))), Tags((3,))), 5)
    assert found.classes.tolist() == [0, 3]
    assert found.allowed[1].sum() == 16 and found.allowed[0].all()


def test_a_mask_that_its_tags_call_absent_is_refused(tmp_path):
    write_label_map(tmp_path / "a.png", np.full(SIZE, 2, np.uint8))
    mask = MaskFile(tmp_path / "a.png")
    assert (constraints_of(sample(Tags((2,)), mask), 4).known == 2).all()
    with pytest.raises(InputError, match="without contradiction"):
        constraints_of(sample(Tags((1,)), mask), 4)


def test_mask_fixes_its_pixels_except_ignored_ones(tmp_path):
    label_map = np.zeros(SIZE, np.uint8)
    label_map[2:4], label_map[4:] = 2, IGNORE
    write_label_map(tmp_path / "a.png", label_map)
    found = constraints_of(sample(MaskFile(tmp_path / "a.png")), 4)
    assert (found.known == label_map).all()
    assert found.allowed[:, label_map == IGNORE].all()


def test_contradicting_annotations_are_refused(tmp_path):
    write_label_map(tmp_path / "a.png", np.full(SIZE, 2, np.uint8))
    drawn = sample(Boxes((Box(2, 0, 0, 3, 3),)), MaskFile(tmp_path / "a.png"))
    with pytest.raises(InputError, match="without contradiction"):
        constraints_of(drawn, 4)


@given(scores=arrays(np.float32, (2, *SIZE), elements=st.floats(-9, 9, width=32)))
def test_best_class_is_always_permitted(scores):
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),))), 5)
    before = scores.copy()
    best = found.best(scores)
    assert found.permits(best).all()
    assert (scores == before).all()
    inside = found.allowed[1]
    expected = np.where(scores[1] > scores[0], 3, 0)
    assert (best[inside] == expected[inside]).all()


def test_permits_ignore_and_refuses_what_is_forbidden():
    found = constraints_of(sample(Boxes((Box(3, 2, 1, 6, 5),))), 5)
    assert found.permits(np.full(SIZE, IGNORE, np.uint8)).all()
    assert (found.permits(np.full(SIZE, 3, np.uint8)) == found.allowed[1]).all()
    assert not found.permits(np.full(SIZE, 1, np.uint8)).any()


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


def test_run_lengths_of_another_size_are_refused():
    with pytest.raises(InputError, match="image's size"):
        region_mask(Region(1, rle=((3, 3), (9,))), SIZE)


def test_region_without_pixels_is_empty():
    assert not region_mask(Region(1), SIZE).any()
