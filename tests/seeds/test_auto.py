import numpy as np
import pytest
from helpers.examples import example_from

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.strokes import Scribble, Strokes, stroke_map
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map
from wsseg.seeds.apply import find_seed
from wsseg.seeds.params import SeedParams

SIZE = (40, 60)
CLICKS = Strokes((Scribble(1, ((14.5, 14.5),)), Scribble(0, ((55.5, 35.5),))))
OTHER = Strokes((Scribble(2, ((45.5, 30.5),)), Scribble(0, ((55.5, 5.5),))))


@pytest.fixture
def image():
    """Two squares, of one class each, on another background."""
    pixels = np.random.default_rng(0).integers(90, 110, (*SIZE, 3)).astype(np.uint8)
    pixels[8:22, 8:22, 0] += 100
    pixels[25:36, 40:51, 1] += 100
    return pixels


@pytest.fixture(autouse=True, scope="module")
def few_votes():
    """Few votes of "grabcut_votes", to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsseg.seeds.grabcut._VOTES", 5)
        yield


def seeded(image, *annotations, **settings):
    seed = find_seed(SeedParams(**settings))
    return seed(example_from(image, *annotations, n_classes=4), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["grabcut", "grabcut_votes"])
def test_on_boxes_it_is_the_seed_of_boxes_to_the_bit(image, name):
    boxes = Boxes((Box(1, 6, 6, 24, 24), Box(2, 36, 20, 58, 39)))
    np.testing.assert_array_equal(
        seeded(image, boxes, boxes=name),
        seeded(image, boxes, name=name),
    )


def test_on_marks_it_is_the_seed_of_strokes_to_the_bit(image):
    for name in ("strokes", "grabcut_strokes"):
        expected = seeded(image, CLICKS, name=name)
        np.testing.assert_array_equal(seeded(image, CLICKS, strokes=name), expected)


def test_marks_stay_as_they_are_drawn_by_default(image):
    np.testing.assert_array_equal(seeded(image, CLICKS), stroke_map(CLICKS, SIZE))


def test_marks_spread(image):
    label_map = seeded(image, CLICKS, strokes="grabcut_strokes")
    assert (label_map[8:22, 8:22] == 1).mean() > 0.9
    assert (label_map[26:, :35] == 0).mean() > 0.9


def test_boxes_are_cut_and_marks_fill_what_they_leave_open(image):
    boxes = Boxes((Box(1, 6, 6, 24, 24),))
    label_map = seeded(image, boxes, OTHER, strokes="grabcut_strokes")
    assert (label_map[8:22, 8:22] == 1).mean() > 0.9
    assert (label_map[25:36, 40:51] == 2).mean() > 0.9
    alone = seeded(image, boxes)
    assert (alone[25:36, 40:51] == 0).all()


def test_a_click_helps_grabcut_in_its_box(image):
    hole = Scribble(0, ((14.5, 14.5),), width=5)
    label_map = seeded(image, Boxes((Box(1, 6, 6, 24, 24),)), Strokes((hole,)))
    assert label_map[14, 14] == 0


def test_tags_alone_and_nothing_give_no_labels(image):
    assert (seeded(image, Tags((1,))) == IGNORE).all()
    assert (seeded(image) == IGNORE).all()
    assert (seeded(image, Tags(())) == 0).all()


def test_a_full_mask_stays_as_it_is(image, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[8:22, 8:22], mask[:3] = 1, IGNORE
    write_label_map(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(seeded(image, MaskFile(tmp_path / "a.png")), mask)


def test_a_sparse_mask_and_a_polygon_spread_like_marks(image, tmp_path):
    mask = np.full(SIZE, IGNORE, np.uint8)
    mask[12:16, 12:16], mask[30:36, 55:59] = 1, 0
    write_label_map(tmp_path / "a.png", mask)
    spread = {"strokes": "grabcut_strokes"}
    of_file = seeded(image, MaskFile(tmp_path / "a.png"), Tags((1,)), **spread)
    square = Region(1, ((12.0, 12.0, 16.0, 12.0, 16.0, 16.0, 12.0, 16.0),))
    ground = Region(0, ((55.0, 30.0, 59.0, 30.0, 59.0, 36.0, 55.0, 36.0),))
    of_polygons = seeded(image, Regions((square, ground), partial=True), **spread)
    for label_map in (of_file, of_polygons):
        assert (label_map[8:22, 8:22] == 1).mean() > 0.9


@pytest.mark.parametrize(
    "name", ["random_walker", "grabcut_strokes", "superpixel_votes", "strokes"]
)
def test_strokes_stay_whatever_spreads_them(image, name):
    crossing = Scribble(2, ((2.5, 30.5), (50.5, 30.5), (50.5, 5.5)))
    strokes = Strokes((*CLICKS.items, crossing))
    label_map = seeded(image, Boxes((Box(1, 6, 6, 24, 24),)), strokes, strokes=name)
    drawn = stroke_map(strokes, SIZE)
    np.testing.assert_array_equal(label_map[drawn != IGNORE], drawn[drawn != IGNORE])


def test_auto_inside_auto_is_refused(image):
    with pytest.raises(
        InputError, match=r"seeds\.strokes must be the name of a seed other than auto"
    ):
        seeded(image, CLICKS, strokes="auto")
