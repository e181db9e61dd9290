from dataclasses import dataclass

import numpy as np
import pytest
from helpers.examples import example_from
from helpers.sam import Scripted

from wsseg.data.annotation import Box, Boxes, Region, Regions
from wsseg.data.custom import CustomAnnotation
from wsseg.data.strokes import Scribble, Strokes
from wsseg.labelmaps import IGNORE
from wsseg.seeds.apply import find_seed
from wsseg.seeds.contact_sheet import contact_sheet
from wsseg.seeds.params import SeedParams
from wsseg.seeds.sam import label_objects

SIZE = 60, 80
BOX = Box(2, 20, 10, 60, 50)


def rectangle(left, top, right, bottom, size=SIZE):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


TALL, EMPTY = rectangle(25, 10, 55, 50), rectangle(0, 0, 0, 0)
WIDE = rectangle(20, 20, 60, 40) | TALL


def fill(example, _rng):
    """A seed that fills boxes, and keeps marks."""
    label_map = example.constraints.known.copy()
    for box in example.sample.boxes:
        label_map[box.slices] = IGNORE if box.crowd else box.label
    return label_map


def label(model, *annotations, fallback=fill, size=SIZE, seed=0):
    example = example_from(None, *annotations, size=size)
    result = label_objects(example, model, fallback, np.random.default_rng(seed))
    return result, example.constraints.project(result.label_map)


def always(*masks):
    return Scripted(lambda _prompt, _size: masks if len(masks) == 3 else [masks[0]] * 3)


def test_a_known_mask_becomes_the_object():
    result, label_map = label(always(WIDE), Boxes((BOX,)))
    assert (label_map == np.where(WIDE, 2, 0)).all()
    assert result.stats[2]["consensus"] == result.stats[2]["box_iou"] == 1
    assert result.stats[2]["spread"] == result.stats[2]["fallback"] == 0
    assert result.stats[2]["predicted_iou"] == pytest.approx(0.9)


def test_masks_are_clipped_to_the_box():
    beyond = WIDE | rectangle(55, 20, 70, 30)
    _, label_map = label(always(beyond), Boxes((BOX,)))
    assert (label_map == np.where(WIDE, 2, 0)).all()


def test_a_mask_that_leaves_the_box_scores_lower():
    model = Scripted(
        lambda _prompt, _size: [WIDE | rectangle(0, 20, 80, 40), WIDE, WIDE], (0.95, 0.9, 0.9)
    )
    result, label_map = label(model, Boxes((BOX,)))
    assert result.stats[2]["predicted_iou"] == pytest.approx(0.9)
    assert (label_map == np.where(WIDE, 2, 0)).all()


def test_the_mask_that_fits_the_box_beats_a_surer_part():
    model = Scripted(lambda _prompt, _size: [rectangle(30, 20, 40, 30), WIDE, EMPTY], (1, 0.6, 0.9))
    _, label_map = label(model, Boxes((BOX,)))
    assert (label_map == np.where(WIDE, 2, 0)).all()


@pytest.mark.parametrize(
    "mask",
    [
        EMPTY,
        rectangle(0, 0, 15, 9),
        rectangle(30, 20, 38, 28),
        rectangle(20, 10, 21, 50),
        rectangle(0, 0, 80, 60),
        rectangle(0, 0, 60, 60),
    ],
    ids=["empty", "outside", "tiny", "thin", "whole image", "three quarters"],
)
def test_an_object_without_a_fitting_mask_falls_back(mask):
    result, label_map = label(always(mask), Boxes((BOX,)))
    assert (label_map == np.where(rectangle(20, 10, 60, 50), 2, 0)).all()
    assert result.stats[2]["fallback"] == result.stats[2]["fallbacks"] == 1
    assert result.candidates[0].best == -1


def test_ignore_of_the_fallback_stays():
    def doubtful(example, rng):
        label_map = fill(example, rng)
        label_map[10:20, 20:60] = IGNORE
        return label_map

    _, label_map = label(always(EMPTY), Boxes((BOX,)), fallback=doubtful)
    assert (label_map[10:20, 20:60] == IGNORE).all()
    assert (label_map[20:50, 20:60] == 2).all()


def test_pixels_on_which_masks_disagree_are_ignored():
    def answer(prompt, _size):
        # Half of the prompts see a part more, with an IoU above .7.
        moved = prompt.box != (20, 10, 60, 50)
        whole = rectangle(20, 10, 60, 50)
        more = whole if moved and prompt.box[0] < 20 else whole & ~rectangle(50, 10, 60, 18)
        return [more, more, more]

    result, label_map = label(Scripted(answer), Boxes((BOX,)))
    assert (label_map[rectangle(50, 10, 60, 18)] == IGNORE).all()
    assert (label_map[rectangle(20, 18, 60, 50)] == 2).all()
    assert 0 < result.stats[2]["spread"] < 0.5


def test_contradictory_masks_do_not_mix():
    left, right = rectangle(20, 10, 40, 50), rectangle(40, 10, 60, 50)
    model = Scripted(lambda _prompt, _size: [left, right, rectangle(20, 10, 60, 50)])
    result, label_map = label(model, Boxes((BOX,)))
    assert (label_map == np.where(rectangle(20, 10, 60, 50), 2, 0)).all()
    assert result.stats[2]["predicted_iou"] == pytest.approx(0.7)


def test_small_holes_are_filled_and_crumbs_doubted():
    mask = rectangle(20, 10, 60, 44) & ~rectangle(30, 20, 33, 23)
    _, label_map = label(always(mask | rectangle(30, 47, 33, 50)), Boxes((BOX,)))
    assert (label_map[20:23, 30:33] == 2).all()
    assert (label_map[47:50, 30:33] == IGNORE).all()
    ring = rectangle(20, 10, 60, 50) & ~rectangle(30, 20, 50, 40)
    assert (label(always(ring), Boxes((BOX,)))[1][20:40, 30:50] == 0).all()


@pytest.mark.parametrize("level", [4.0, 15.0])
@pytest.mark.parametrize("order", [1, -1])
def test_where_objects_overlap_the_surer_one_wins(level, order):
    small, large = Box(1, 30, 20, 50, 40), BOX

    def answer(prompt, _size):
        is_small = prompt.box[2] - prompt.box[0] < 30
        mask = rectangle(30, 20, 50, 40) if is_small else rectangle(20, 10, 60, 50)
        return [np.where(mask, 2 * level if is_small else level, -8.0)] * 3

    _, label_map = label(Scripted(answer), Boxes((large, small)[::order]))
    assert (label_map[20:40, 30:50] == 1).all()
    assert (label_map[10:20, 20:60] == 2).all()


@pytest.mark.parametrize("order", [1, -1])
def test_a_crowd_is_ignored_wherever_its_box_stands(order):
    boxes = (Box(2, 20, 10, 60, 50, crowd=True), Box(1, 50, 40, 70, 58))
    mask = rectangle(50, 40, 70, 58)
    _, label_map = label(always(mask), Boxes(boxes[::order]))
    expected = np.where(mask, 1, np.where(rectangle(20, 10, 60, 50), IGNORE, 0))
    assert (label_map == expected).all()


def test_full_masks_stay_as_they_are_and_need_no_model():
    crowd = Region(2, ((5.0, 5.0, 25.0, 5.0, 25.0, 20.0, 5.0, 20.0),), crowd=True)
    solid = Region(1, ((30.0, 20.0, 50.0, 20.0, 50.0, 40.0, 30.0, 40.0),))
    example = example_from(None, Regions((crowd, solid)), size=SIZE)
    seed = find_seed(SeedParams(name="sam"))  # without a model
    label_map = seed(example, np.random.default_rng(0))
    assert (label_map == example.constraints.known).all()
    assert (label_map[6:19, 6:24] == IGNORE).all()


@dataclass(frozen=True)
class Disc(CustomAnnotation):
    """An annotation of a plug-in, which says where its class may be."""

    label: int

    def allowed(self, classes, size):
        return (classes != self.label)[:, None, None] | rectangle(10, 10, 30, 30, size)


def test_classes_without_a_prompt_have_the_labels_of_the_fallback():
    marks = Strokes((Scribble(1, ((60.5, 30.5),), 3), Scribble(0, ((70.5, 5.5),), 3)))

    def with_disc(example, _rng):
        label_map = example.constraints.known.copy()
        label_map[rectangle(12, 12, 28, 28)] = 2
        return label_map

    mask = rectangle(50, 20, 70, 40)
    _, label_map = label(always(mask), marks, Disc(2), fallback=with_disc)
    assert (label_map[mask] == 1).all()
    assert (label_map[rectangle(12, 12, 28, 28)] == 2).all()


def test_a_click_of_a_neighbour_of_the_same_class_is_not_used():
    one, other = Box(2, 5, 10, 45, 50), Box(2, 40, 15, 70, 40)
    clicks = Strokes((Scribble(2, ((20.5, 30.5),), 3), Scribble(2, ((42.5, 30.5),), 3)))
    model = Scripted(lambda p, _s: [rectangle(5, 10, 45, 50) if p.box[0] < 20 else EMPTY] * 3)
    label(model, Boxes((one, other)), clicks)
    of_one = [p for p in model.prompts if p.box[0] < 20 and len(p.points)]
    assert of_one
    assert all((p.points[p.positive][:, 0] < 30).all() for p in of_one)


def test_a_click_on_a_large_image_is_no_region():
    size = (1200, 1600)
    model = Scripted(lambda _p, s: [rectangle(700, 500, 900, 700, s)] * 3)
    marks = Strokes((Scribble(2, ((800, 600),)), Scribble(0, ((50, 50),))))
    _, label_map = label(model, marks, size=size)
    assert all(p.mask is None and p.box is None for p in model.prompts)
    assert all(p.positive.sum() == 1 for p in model.prompts)
    assert (label_map == np.where(rectangle(700, 500, 900, 700, size), 2, 0)).all()


@pytest.mark.parametrize("side", [8, 12, 20])
def test_small_objects_of_large_images_are_found_by_a_click(side):
    size = (1000, 1400)
    mask = rectangle(800, 600, 800 + side, 600 + side, size)
    centre = (800 + side / 2, 600 + side / 2)
    marks = Strokes((Scribble(2, (centre,), 3), Scribble(0, ((50, 50),))))
    result, label_map = label(always(mask), marks, size=size)
    assert result.stats[2]["fallbacks"] == 0
    assert (label_map == np.where(mask, 2, 0)).all()


@pytest.mark.parametrize("seed", ["intersection", "sam", "auto"])
def test_a_seed_never_falls_back_to_itself(seed):
    params = SeedParams(name=seed, boxes="intersection", strokes="sam", sources=("sam", "box"))
    assert find_seed(params).name == seed


def test_crowds_are_ignored_and_get_no_prompt():
    model = always(EMPTY)
    crowd = Box(2, 20, 10, 60, 50, crowd=True)
    result, label_map = label(model, Boxes((crowd,)))
    assert not model.prompts
    assert not result.stats
    assert (label_map[10:50, 20:60] == IGNORE).all()


def test_marks_in_a_box_become_points_and_stay():
    model = always(WIDE)
    marks = Strokes((Scribble(2, ((23.5, 12.5),), 2), Scribble(0, ((40.5, 15.5),), 2)))
    _, label_map = label(model, Boxes((BOX,)), marks)
    assert label_map[12, 23] == 2
    assert label_map[15, 40] == 0
    (prompt,) = [p for p in model.prompts if len(p.points)]
    assert {tuple(p) for p in prompt.points[prompt.positive].tolist()} <= {
        (x, y) for x in (22, 23, 24) for y in (11, 12, 13)
    }
    assert prompt.positive.tolist().count(False) >= 1


def test_boxes_are_jittered_within_the_image():
    model = always(EMPTY)
    label(model, Boxes((Box(2, 0, 0, 80, 60), Box(1, 79, 59, 80, 60))))
    boxes = np.array([p.box for p in model.prompts])
    assert (boxes >= 0).all()
    assert (boxes <= [80, 60, 80, 60]).all()
    assert (boxes[:, :2] < boxes[:, 2:]).all()


@pytest.mark.parametrize("box", [Box(2, 5, 5, 6, 6), Box(2, 0, 0, 80, 60)], ids=["pixel", "image"])
def test_extreme_boxes_are_labelled(box):
    mask = rectangle(box.left, box.top, box.right, box.bottom)
    _, label_map = label(always(mask), Boxes((box,)))
    assert (label_map == np.where(mask, 2, 0)).all()


def test_points_find_their_object_and_the_rest_is_background_if_some_is_marked():
    marks = Strokes((Scribble(2, ((40.5, 30.5),), 3), Scribble(0, ((5.5, 5.5),), 3)))
    result, label_map = label(always(TALL), marks)
    assert (label_map[TALL] == 2).all()
    assert (label_map[~TALL] == 0).all()
    assert np.isnan(result.stats[2]["box_iou"])
    assert result.stats[2]["fallbacks"] == 0


def test_without_a_background_mark_the_rest_is_ignored():
    _, label_map = label(always(TALL), Strokes((Scribble(2, ((40.5, 30.5),), 3),)))
    assert (label_map == np.where(TALL, 2, IGNORE)).all()


def test_a_mask_that_misses_its_mark_is_refused():
    marks = Strokes((Scribble(2, ((10.5, 30.5),), 3), Scribble(0, ((70.5, 5.5),), 3)))
    result, label_map = label(always(TALL), marks)
    assert result.stats[2]["fallback"] == 1
    assert (label_map[TALL] != 2).all()
    assert label_map[30, 10] == 2


def test_a_long_stroke_gets_few_points_and_negatives_from_other_classes():
    model = always(TALL)
    marks = Strokes(
        (Scribble(2, ((30.5, 15.5), (30.5, 45.5)), 3), Scribble(1, ((5.5, 5.5), (5.5, 50.5)), 3))
    )
    label(model, marks)
    of_two = [p for p in model.prompts if (p.points[p.positive][:, 0] > 20).all()]
    assert max(p.positive.sum() for p in of_two) <= 3
    assert min(p.positive.sum() for p in of_two) == 1
    assert any(not p.positive.all() for p in of_two)
    assert all(p.points[~p.positive][:, 0].max(initial=0) < 10 for p in of_two)


def test_a_partial_mask_prompts_with_its_region():
    polygon = (30.0, 20.0, 50.0, 20.0, 50.0, 40.0, 30.0, 40.0)
    model = always(TALL)
    _, label_map = label(model, Regions((Region(2, (polygon,)),), partial=True))
    (prompt,) = [p for p in model.prompts if p.mask is not None]
    assert ((prompt.mask > 0) == rectangle(30, 20, 50, 40)).all()
    assert (label_map[TALL] == 2).all()


def test_inputs_stay_as_they_are_and_the_result_repeats():
    example = example_from(None, Boxes((BOX,)), size=SIZE)
    image, known = example.image.copy(), example.constraints.known.copy()
    results = [
        label_objects(example, always(WIDE), fill, np.random.default_rng(3)).label_map
        for _ in range(2)
    ]
    assert (results[0] == results[1]).all()
    assert (example.image == image).all()
    assert (example.constraints.known == known).all()


def test_mirrored_images_get_mirrored_labels():
    mirrored = Box(2, 80 - 60, 10, 80 - 20, 50)
    lopsided = rectangle(20, 10, 40, 50) | rectangle(20, 10, 60, 30)
    _, one = label(always(lopsided), Boxes((BOX,)))
    _, other = label(always(lopsided[:, ::-1]), Boxes((mirrored,)))
    assert (one == other[:, ::-1]).all()


def test_the_contact_sheet_has_a_row_for_each_object_and_frames_the_best_mask():
    boxes = Boxes((BOX, Box(1, 0, 0, 15, 20)))
    model = Scripted(lambda p, _s: [WIDE if p.box[2] > 20 else EMPTY] * 3)
    result, _ = label(model, boxes)
    sheet = contact_sheet(np.zeros((*SIZE, 3), np.uint8), result.candidates)
    assert sheet.shape[0] % 2 == 0
    above, below = np.split(sheet, 2)
    assert (above == (31, 157, 85)).all(axis=2).any()
    assert not (below == (31, 157, 85)).all(axis=2).any()
    assert (below == (204, 51, 51)).all(axis=2).any()


@pytest.mark.parametrize(
    "annotations",
    [
        Boxes((BOX, Box(1, 30, 20, 50, 40), Box(1, 0, 0, 15, 20), Box(3, 55, 5, 78, 58))),
        Strokes(
            tuple(
                Scribble(label, ((x + 0.5, y + 0.5), (x + 4.5, y + 0.5)), 3)
                for label, x, y in [(0, 5, 5), (1, 30, 20), (1, 60, 50), (2, 50, 10)]
            )
        ),
        Strokes((Scribble(2, ((40.5, 30.5),), 3), Scribble(1, ((10.5, 30.5),), 3))),
    ],
    ids=["boxes", "marks", "no background"],
)
def test_if_all_objects_fail_the_labels_are_those_of_the_fallback(annotations):
    image = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    example = example_from(image, annotations)
    classical = find_seed(SeedParams())
    result = label_objects(example, always(EMPTY), classical, np.random.default_rng(1))
    alone = classical(example, np.random.default_rng(1))
    assert len(np.unique(alone)) > 2
    assert (example.constraints.project(result.label_map) == alone).all()
