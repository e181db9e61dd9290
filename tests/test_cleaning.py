from functools import partial

import numpy as np
import pytest
from helpers.examples import example_from

from wsseg.cleaning import RULES, clean, islands
from wsseg.data.annotation import Box, Boxes, Tags
from wsseg.data.constraints import Constraints
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.params import CleaningParams, CRFParams

SIZE = (20, 24)
NO_CRF = partial(dense_crf, params=CRFParams(iterations=0))
CRF = partial(dense_crf, params=CRFParams(iterations=3))


def constrained(*boxes):
    classes = np.unique([0, *(box.label for box in boxes)]).astype(np.uint8)
    allowed = np.zeros((len(classes), *SIZE), bool)
    allowed[0] = True
    for box in boxes:
        allowed[(classes == box.label, *box.slices)] = True
    return Constraints(classes, allowed)


def filled(*boxes):
    """The boxes, the last in front."""
    label_map = np.zeros(SIZE, np.uint8)
    for box in boxes:
        label_map[box.slices] = IGNORE if box.crowd else box.label
    return label_map


def sure(label_map, constraints):
    """Scores that say a label map; classes beyond the constraints get lost."""
    scores = np.where(label_map == constraints.classes[:, None, None], 0.96, 0.02)
    return scores / scores.sum(axis=0)


def cleaned(
    label_map,
    *boxes,
    first=None,
    refine=NO_CRF,
    image=None,
    tagged=(),
    constraints=None,
    **rules,
):
    constraints = constrained(*boxes) if constraints is None else constraints
    image = np.full((*SIZE, 3), 90, np.uint8) if image is None else image
    first = filled(*boxes) if first is None else first
    params = CleaningParams(**{"first_weight": 0, "box_gap": None, **rules})
    example = example_with(image, constraints, boxes, tagged)
    return clean(sure(label_map, constraints), example, first, params, refine)


def example_with(image, constraints, boxes=(), tagged=()):
    return example_from(image, Boxes(tuple(boxes)), Tags(tuple(tagged)), constraints=constraints)


COW = Box(1, left=4, top=4, right=14, bottom=14)


def part(result, rule):
    """Share of the image's pixels that have their label from a rule."""
    return float((result.rules == RULES.index(rule)).mean())


def test_prediction_that_fits_stays():
    label_map = filled(COW)
    label_map[4:7, 4:14] = 0
    result = cleaned(label_map, COW)
    np.testing.assert_array_equal(result.label_map, label_map)
    assert result.resets == (False,) and part(result, "average") == 0


def test_rule_1_outside_all_boxes_is_background():
    label_map = np.ones(SIZE, np.uint8)
    np.testing.assert_array_equal(cleaned(label_map, COW).label_map, filled(COW))


def test_rule_1_each_class_inside_its_own_boxes():
    sheep = Box(2, left=16, top=2, right=23, bottom=18)
    label_map = filled(COW, sheep)
    label_map[6:9, 6:9] = 2
    label_map[3:5, 17:19] = 1
    result = cleaned(label_map, COW, sheep).label_map
    np.testing.assert_array_equal(np.unique(result[COW.slices]), [0, 1])
    np.testing.assert_array_equal(np.unique(result[sheep.slices]), [0, 2])


@pytest.mark.parametrize(("rows", "reset"), [(5, False), (4, True), (0, True)])
def test_rule_4_box_that_is_covered_too_little(rows, reset):
    label_map = np.zeros(SIZE, np.uint8)
    label_map[4 : 4 + rows, 4:14] = 1
    result = cleaned(label_map, COW)
    assert result.resets == (reset,)
    np.testing.assert_array_equal(result.label_map, filled(COW) if reset else label_map)


def test_rule_4_brings_back_core_and_ignore_exactly():
    first = np.zeros(SIZE, np.uint8)
    first[COW.slices] = IGNORE
    first[7:11, 7:11] = 1
    for refine in (NO_CRF, CRF):
        result = cleaned(np.zeros(SIZE, np.uint8), COW, first=first, refine=refine)
        assert result.resets == (True,)
        np.testing.assert_array_equal(result.label_map, first)


def test_rule_4_looks_at_the_visible_part_only():
    behind = Box(1, left=0, top=0, right=20, bottom=10)
    front = Box(2, left=1, top=0, right=20, bottom=9)
    hidden_part_only = filled(behind, front)
    result = cleaned(hidden_part_only, behind, front)
    # class 1 has 29 of the 200 pixels of its box, but all that can be seen of it
    assert result.resets == (False, False)
    np.testing.assert_array_equal(result.label_map, hidden_part_only)


def test_rule_4_leaves_the_box_in_front_alone():
    behind = Box(1, left=0, top=0, right=20, bottom=14)
    front = Box(2, left=4, top=4, right=12, bottom=12)
    label_map = np.zeros(SIZE, np.uint8)
    label_map[4:9, 4:12] = 2
    result = cleaned(label_map, behind, front)
    assert result.resets == (True, False)
    expected = filled(behind)
    expected[front.slices] = label_map[front.slices]
    np.testing.assert_array_equal(result.label_map, expected)


@pytest.mark.parametrize("order", [1, -1])
def test_rule_4_wholly_hidden_box_is_never_reset(order):
    left, right = Box(2, 0, 0, 9, 10), Box(2, 9, 0, 18, 10)
    hidden = Box(1, left=4, top=0, right=14, bottom=10)
    assert hidden.area > left.area
    label_map = filled(left, right)
    boxes = (left, hidden, right)[::order]
    result = cleaned(label_map, *boxes)
    assert result.resets == (False, False, False)
    np.testing.assert_array_equal(result.label_map, label_map)


def test_rule_4_touching_boxes_of_one_class_are_judged_apart():
    left, right = Box(1, 2, 4, 10, 14), Box(1, 10, 4, 20, 14)
    label_map = filled(left)
    result = cleaned(label_map, left, right)
    assert result.resets == (False, True)
    np.testing.assert_array_equal(result.label_map, filled(left, right))


def test_rule_4_threshold_is_a_setting():
    label_map = np.zeros(SIZE, np.uint8)
    label_map[4:8, 4:14] = 1
    assert cleaned(label_map, COW, reset_iou=0.4).resets == (False,)
    assert cleaned(np.zeros(SIZE, np.uint8), COW, reset_iou=0).resets == (False,)


def test_the_crf_follows_the_object():
    image = np.full((*SIZE, 3), 30, np.uint8)
    image[5:13, 5:13] = 220
    label_map = filled(COW)
    result = cleaned(label_map, COW, refine=CRF, image=image)
    expected = np.zeros(SIZE, np.uint8)
    expected[5:13, 5:13] = 1
    np.testing.assert_array_equal(result.label_map, expected)
    assert part(result, "average") == pytest.approx((100 - 64) / label_map.size)
    assert result.resets == (False,)


def test_rules_1_and_4_hold_after_the_crf_leaks():
    # the object looks like the ground around it: the CRF drowns it
    label_map = np.zeros(SIZE, np.uint8)
    label_map[4:10, 4:14] = 1
    first = filled(COW)
    assert cleaned(label_map, COW).resets == (False,)
    result = cleaned(label_map, COW, first=first, refine=CRF)
    assert part(result, "reset") == COW.area / first.size
    assert result.resets == (True,)
    np.testing.assert_array_equal(result.label_map, first)


def test_rule_4_reset_boxes_stay_reset():
    # the CRF would fill the bright box by itself
    image = np.full((*SIZE, 3), 30, np.uint8)
    image[COW.slices] = 220
    label_map = np.zeros(SIZE, np.uint8)
    first = np.full(SIZE, 0, np.uint8)
    first[COW.slices] = IGNORE
    first[6:12, 6:12] = 1
    result = cleaned(label_map, COW, first=first, refine=CRF, image=image)
    assert result.resets == (True,) and part(result, "average") == 0
    np.testing.assert_array_equal(result.label_map, first)


def test_first_labels_outweigh_a_prediction_that_hesitates():
    constraints = constrained(COW)
    scores = np.stack([np.full(SIZE, 0.6), np.full(SIZE, 0.4)])
    example = example_with(np.zeros((*SIZE, 3), np.uint8), constraints, [COW])
    for weight, expected in ((0.4, filled(COW)), (0.1, filled())):
        params = CleaningParams(first_weight=weight, box_gap=None, reset_iou=0)
        result = clean(scores, example, filled(COW), params, NO_CRF)
        # 0.6 x 0.4 + 0.4 = 0.64 is more than a half, 0.9 x 0.4 + 0.1 = 0.46 is not
        np.testing.assert_array_equal(result.label_map, expected)
        assert part(result, "average") == (expected > 0).mean()


def test_first_labels_that_are_unknown_leave_the_prediction_alone():
    label_map = filled(COW)
    label_map[4:7, 4:14] = 0
    first = np.full(SIZE, IGNORE, np.uint8)
    result = cleaned(label_map, COW, first=first, first_weight=0.9)
    np.testing.assert_array_equal(result.label_map, label_map)


def test_the_scores_and_what_a_refiner_makes_of_them_are_averaged():
    def swap(_image, scores, **_):
        return scores[::-1] ** 4

    constraints = constrained(COW)
    scores = np.stack([np.full(SIZE, 0.45), np.full(SIZE, 0.55)])
    example = example_with(np.zeros((*SIZE, 3), np.uint8), constraints, [COW])
    params = CleaningParams(first_weight=0, box_gap=None, reset_iou=0)
    result = clean(scores, example, filled(COW), params, swap)
    # 0.55 and 0.45^4 / (0.45^4 + 0.55^4) = 0.31 have a mean of 0.43
    np.testing.assert_array_equal(result.label_map, filled())
    for weight, expected in ((0.25, filled()), (0.2, filled(COW))):
        # 0.75 x 0.55 + 0.25 x 0.31 = 0.490, 0.8 x 0.55 + 0.2 x 0.31 = 0.502
        found = clean(scores, example, filled(COW), params, swap, refined_weight=weight)
        np.testing.assert_array_equal(found.label_map, expected)
    with pytest.raises(InputError, match=r"refined_weight must be 0 to 1, got 1\.5"):
        clean(scores, example, filled(COW), params, swap, refined_weight=1.5)


def test_a_segment_grows_to_the_sides_of_its_box():
    constraints = constrained(COW)
    object_share = np.zeros(SIZE)
    object_share[COW.slices] = 0.3
    object_share[5:13, 5:13] = 0.45
    object_share[7:11, 7:11] = 0.9
    scores = np.stack([1 - object_share, object_share])
    example = example_with(np.zeros((*SIZE, 3), np.uint8), constraints, [COW])
    for gap, side in ((None, 4), (0.02, 8)):  # one pixel from the sides is near enough
        params = CleaningParams(first_weight=0, box_gap=gap, reset_iou=0)
        grown = clean(scores, example, filled(COW), params, NO_CRF).label_map
        assert grown.sum() == side**2


def test_a_segment_grows_neither_into_a_box_in_front_nor_into_known_pixels():
    behind, front = Box(1, 1, 1, 21, 17), Box(2, 8, 4, 16, 12)
    constraints = constrained(behind, front)
    constraints.allowed[1:, 2, 3] = False
    scores = np.stack([np.full(SIZE, value) for value in (0.5, 0.4, 0.0)])
    scores[:, 4:12, 8:16] = np.array([0.6, 0.35, 0.05])[:, None, None]
    example = example_with(np.zeros((*SIZE, 3), np.uint8), constraints, [behind, front])
    params = CleaningParams(first_weight=0, reset_iou=0)
    result = clean(scores, example, filled(behind, front), params, NO_CRF).label_map
    expected = filled(behind)
    expected[front.slices] = 0
    expected[2, 3] = 0
    np.testing.assert_array_equal(result, expected)


def test_a_side_behind_another_box_is_not_grown_to():
    behind, front = Box(1, 8, 2, 22, 16), Box(2, 4, 1, 15, 17)
    scores = np.stack([np.full(SIZE, value) for value in (0.8, 0.2, 0.0)])
    seen = np.zeros(SIZE, bool)
    seen[2:16, 15:22] = True  # the object that shows from top to bottom, and on the right
    seen[5:8, 15:18] = False  # a gap that growth would fill
    scores[:, seen] = np.array([0.1, 0.9, 0.0])[:, None]
    example = example_with(
        np.zeros((*SIZE, 3), np.uint8), constrained(behind, front), [behind, front]
    )
    params = CleaningParams(first_weight=0, reset_iou=0)
    result = clean(scores, example, filled(behind, front), params, NO_CRF).label_map
    np.testing.assert_array_equal(result == 1, seen)


def test_crowds_are_ignored_and_never_reset():
    crowd = Box(1, left=0, top=0, right=24, bottom=8, crowd=True)
    result = cleaned(filled(COW), COW, crowd)
    assert result.resets == (False, False)
    expected = filled(crowd, COW)
    np.testing.assert_array_equal(result.label_map, expected)


def test_crowd_hides_no_box():
    crowd = Box(2, left=5, top=5, right=13, bottom=13, crowd=True)
    result = cleaned(np.zeros(SIZE, np.uint8), COW, crowd, first=filled(COW))
    assert result.resets == (True, False)
    np.testing.assert_array_equal(result.label_map, filled(COW))


def test_crowd_keeps_what_another_annotation_fixes():
    crowd = Box(1, left=0, top=0, right=24, bottom=8, crowd=True)
    constraints = constrained(crowd)
    constraints.allowed[1, :, :10] = False
    scores, image = sure(filled(), constraints), np.zeros((*SIZE, 3), np.uint8)
    example = example_with(image, constraints, [crowd])
    result = clean(scores, example, filled(crowd), refine=NO_CRF)
    assert not result.label_map[:8, :10].any()
    assert (result.label_map[:8, 10:] == IGNORE).all()


@pytest.mark.parametrize("refine", [NO_CRF, CRF])
def test_no_boxes_is_all_background(refine):
    result = cleaned(np.ones(SIZE, np.uint8), refine=refine)
    assert not result.label_map.any() and result.resets == () and part(result, "average") == 0


def test_box_of_one_pixel():
    dot = Box(1, left=3, top=3, right=4, bottom=4)
    for label_map, reset in ((filled(dot), False), (filled(), True)):
        result = cleaned(label_map, dot)
        assert result.resets == (reset,)
        np.testing.assert_array_equal(result.label_map, filled(dot))
    np.testing.assert_array_equal(cleaned(filled(), dot, refine=CRF).label_map, filled(dot))


def test_twin_boxes_are_one_segment():
    result = cleaned(filled(COW), COW, COW)
    assert result.resets == (False, False)
    assert any(cleaned(filled(), COW, COW).resets)
    np.testing.assert_array_equal(cleaned(filled(), COW, COW).label_map, filled(COW))


@pytest.mark.parametrize("refine", [NO_CRF, CRF])
def test_silent_scores(refine):
    constraints = constrained(COW)
    scores, image = np.zeros((2, *SIZE)), np.zeros((*SIZE, 3), np.uint8)
    example = example_with(image, constraints, [COW])
    result = clean(scores, example, filled(COW), refine=refine)
    np.testing.assert_array_equal(result.label_map, filled(COW))


def test_first_label_that_is_not_permitted_counts_as_known_or_ignore():
    first = np.full(SIZE, 7, np.uint8)
    result = cleaned(np.zeros(SIZE, np.uint8), COW, first=first)
    expected = np.zeros(SIZE, np.uint8)
    expected[COW.slices] = IGNORE
    np.testing.assert_array_equal(result.label_map, expected)


@pytest.mark.parametrize("seed", range(6))
def test_result_is_permitted_and_inputs_stay(seed):
    rng = np.random.default_rng(seed)
    boxes = []
    for label in (1, 2, 2, 3, 1):
        left, top = int(rng.integers(0, 16)), int(rng.integers(0, 12))
        right, bottom = left + int(rng.integers(1, 9)), top + int(rng.integers(1, 9))
        boxes.append(Box(label, left, top, right, bottom, crowd=label == 3))
    constraints = constrained(*boxes)
    scores = rng.dirichlet(np.ones(len(constraints.classes)), SIZE).transpose(2, 0, 1)
    image = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    first = filled(*sorted(boxes, key=lambda box: -box.area))
    arrays = (image, scores, first, constraints.allowed, constraints.classes)
    before = [array.copy() for array in arrays]
    example = example_with(image, constraints, boxes)
    result = clean(scores, example, first, refine=CRF)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert constraints.allows(result.label_map).all()
    assert result.label_map.dtype == np.uint8 and len(result.resets) == len(boxes)
    assert not np.shares_memory(result.label_map, first)
    assert 0 <= part(result, "average") <= 1


@pytest.mark.parametrize(
    ("shape", "first", "message"),
    [
        ((3, *SIZE), SIZE, r"scores must be of shape \(2, 20, 24\), got \(3, 20, 24\)"),
        ((2, *SIZE), (10, 24), "first labels must be of size"),
    ],
)
def test_sizes_that_differ(shape, first, message):
    example = example_with(np.zeros((*SIZE, 3), np.uint8), constrained(COW), [COW])
    with pytest.raises(InputError, match=message):
        clean(np.ones(shape), example, np.zeros(first, np.uint8))


def anywhere(*labels):
    """Constraints of tags: classes without places."""
    return Constraints(np.array([0, *labels], np.uint8), np.ones((1 + len(labels), *SIZE), bool))


def test_tags_forbid_all_other_classes():
    label_map = filled(COW)
    label_map[0:3] = 2
    first = filled(COW)
    result = cleaned(label_map, first=first, tagged=(1,), constraints=anywhere(1))
    assert set(np.unique(result.label_map)) <= {0, 1}


def test_small_islands_become_ignore_and_large_ones_stay():
    label_map = filled(COW)
    label_map[0:2, 20:22] = 1
    label_map[8:9, 8:9] = 0
    result = cleaned(label_map, first=filled(COW), constraints=anywhere(1), min_island=0.02)
    expected = filled(COW)
    expected[0:2, 20:22] = IGNORE
    expected[8:9, 8:9] = IGNORE
    np.testing.assert_array_equal(result.label_map, expected)
    kept = cleaned(label_map, first=filled(COW), constraints=anywhere(1), min_island=0.001)
    np.testing.assert_array_equal(kept.label_map, label_map)


def test_islands_that_touch_at_a_corner_are_one():
    label_map = np.zeros(SIZE, np.uint8)
    label_map[2:4, 2:4] = label_map[4:6, 4:6] = 1
    assert not islands(label_map, 8 / label_map.size).any()
    assert islands(label_map, 9 / label_map.size).sum() == 8


def test_an_island_that_an_annotation_fixes_stays():
    constraints = anywhere(1)
    constraints.allowed[:, 3, 3] = [False, True]
    result = cleaned(
        np.zeros(SIZE, np.uint8), first=filled(COW), constraints=constraints, min_island=0.1
    )
    assert result.label_map[3, 3] == 1


def test_a_tag_that_vanished_gets_its_first_labels_back():
    gone, first = np.zeros(SIZE, np.uint8), filled(COW)
    result = cleaned(gone, first=first, tagged=(1,), constraints=anywhere(1))
    np.testing.assert_array_equal(result.label_map, first)
    assert result.restored == result.missed == (1,)
    left = gone.copy()
    left[5, 5] = 1
    result = cleaned(left, first=first, tagged=(1,), constraints=anywhere(1))
    np.testing.assert_array_equal(result.label_map, left)
    assert result.restored == result.missed == ()


def test_a_box_without_a_predicted_pixel_is_reset_and_missed():
    sheep = Box(2, 16, 4, 22, 12)
    first = filled(COW, sheep)
    result = cleaned(filled(COW), COW, sheep, first=first)
    np.testing.assert_array_equal(result.label_map, first)
    assert result.missed == (2,) and result.resets == (False, True)


def test_a_tag_without_first_labels_stays_away():
    gone = np.zeros(SIZE, np.uint8)
    result = cleaned(gone, first=gone, tagged=(1,), constraints=anywhere(1))
    assert result.restored == () and not result.label_map.any()


def test_rules_say_what_each_pixel_has_its_label_from():
    """One row of pixels for each rule but the average's, which other tests look at."""
    crowd, sheep = Box(1, 0, 16, 24, 19, crowd=True), Box(2, 16, 4, 22, 12)
    label_map = filled(COW, sheep)
    label_map[0] = 2  # no sheep may be there
    label_map[sheep.slices] = 0
    first = filled(COW, sheep)
    result = cleaned(label_map, COW, sheep, crowd, first=first)
    named = np.array(RULES)[result.rules]
    assert (named[0] == "constraint").all()
    assert (named[sheep.slices] == "reset").all()
    only_crowd = np.zeros(SIZE, bool)
    only_crowd[crowd.slices] = True
    for box in (COW, sheep):
        only_crowd[box.slices] = False
    np.testing.assert_array_equal(named == "unsure", only_crowd)
    assert result.share("reset") == {0: 0, 1: 0, 2: 1}
    other = np.where(named == "network", 3, result.label_map).astype(np.uint8)
    over = np.array(RULES)[result.rules_over(other)]
    np.testing.assert_array_equal(over == "constraint", np.isin(named, ["network", "constraint"]))


def test_classes_that_tags_restore_are_reported():
    first = np.zeros(SIZE, np.uint8)
    first[2:4, 2:9] = 1
    constraints = anywhere(1)
    image = np.zeros((*SIZE, 3), np.uint8)
    scores = sure(np.zeros(SIZE, np.uint8), constraints)
    example = example_with(image, constraints, tagged=[1])
    result = clean(scores, example, first, refine=NO_CRF)
    np.testing.assert_array_equal(result.rules == RULES.index("restored"), first == 1)
