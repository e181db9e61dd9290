import cv2
import numpy as np
import pytest
from helpers.examples import example_from
from PIL import Image

from wsseg.data.annotation import Box, Boxes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.tightness import side_gaps
from wsseg.seeds import grabcut as module
from wsseg.seeds.boxes import core
from wsseg.seeds.grabcut import grabcut, grabcut_votes, vote_share
from wsseg.seeds.params import GrabCutParams

DISC = Box(1, 20, 15, 60, 55)
BOTH = pytest.mark.parametrize("name", ["grabcut", "grabcut_votes"])


def disc(size=(70, 80), centre=(35, 40), radius=20):
    """A red disc on green, both with noise, and where it is."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    inside = (rows + 0.5 - centre[0]) ** 2 + (columns + 0.5 - centre[1]) ** 2 <= radius**2
    colours = np.where(inside[..., None], (200, 60, 40), (40, 160, 70))
    noise = np.random.default_rng(1).normal(0, 8, (*size, 3))
    return (colours + noise).clip(0, 255).astype(np.uint8), inside


def uniform(size=(70, 80)):
    return np.full((*size, 3), 90, np.uint8)


def example_of_boxes(image, boxes):
    return example_from(image, Boxes(tuple(boxes)), n_classes=4)


def segment(name, example, seed=0, **chosen):
    """The label map of one of both seeds, with few votes."""
    if name == "grabcut":
        return grabcut(example, GrabCutParams(**chosen))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wsseg.seeds.grabcut._VOTES", 10)
        return grabcut_votes(example, GrabCutParams(**chosen), np.random.default_rng(seed))


def segment_boxes(name, image, boxes, **chosen):
    return segment(name, example_of_boxes(image, boxes), **chosen)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@BOTH
def test_an_object_of_its_own_colour_is_found(name):
    image, inside = disc()
    label_map = segment_boxes(name, image, [DISC])
    assert iou(label_map == 1, inside) > 0.9
    assert label_map[16, 21] == 0  # a corner of the box


@BOTH
def test_a_box_at_the_image_border_is_no_problem(name):
    image, inside = disc(size=(70, 60), centre=(35, 10))
    label_map = segment_boxes(name, image, [Box(1, 0, 15, 30, 55)])
    assert iou(label_map == 1, inside) > 0.9


@BOTH
def test_the_same_rng_gives_the_same_labels(name):
    image, _ = disc()
    one, other = (segment_boxes(name, image, [DISC], seed=4) for _ in range(2))
    np.testing.assert_array_equal(one, other)


@BOTH
def test_the_smaller_object_is_in_front(name):
    image, inside = disc()
    image[30:40, 35:45] = (20, 20, 230)
    label_map = segment_boxes(name, image, [Box(2, 35, 30, 45, 40), DISC])
    assert (label_map[32:38, 37:43] == 2).all()
    assert iou(np.isin(label_map, (1, 2)), inside) > 0.85


@BOTH
def test_boxes_too_small_for_colour_statistics_are_filled(name):
    image, _ = disc()
    for box in (Box(1, 40, 30, 41, 31), Box(1, 30, 30, 38, 60)):
        label_map = segment_boxes(name, image, [box])
        assert (label_map[box.slices] == 1).all()
        assert (label_map == 1).sum() == box.area


@pytest.mark.parametrize("box", [DISC, Box(1, 0, 0, 80, 70), Box(1, 0, 0, 30, 20)])
def test_where_colour_says_nothing_grabcut_falls_back_to_the_box(box):
    label_map = segment_boxes("grabcut", uniform(), [box])
    assert (label_map[box.slices] == 1).all()
    assert (label_map == 1).sum() == box.area


def test_where_colour_says_nothing_votes_fall_back_to_the_core():
    label_map = segment_boxes("grabcut_votes", uniform(), [DISC])
    expected = np.zeros((70, 80))
    expected[DISC.slices] = IGNORE
    expected[core(DISC)] = 1
    np.testing.assert_array_equal(label_map, expected)


def test_a_tiny_result_counts_as_failed(monkeypatch):
    image, inside = disc(radius=9)
    refused = segment_boxes("grabcut", image, [DISC])
    monkeypatch.setattr(module, "MIN_FILL", 0.1)
    monkeypatch.setattr(module, "grow_to_sides", lambda mask, *_: mask)  # the box is not tight
    kept = segment_boxes("grabcut", image, [DISC])
    assert iou(kept == 1, inside) > 0.9  # a disc of 254 pixels in a box of 1600
    assert (refused[DISC.slices] == 1).all()


@BOTH
def test_a_box_that_is_the_whole_image_still_finds_its_object(name):
    image, inside = disc()
    image, inside = image[DISC.slices], inside[DISC.slices]
    label_map = segment_boxes(name, image, [Box(1, 0, 0, 40, 40)])
    assert iou(label_map == 1, inside) > 0.85


def test_a_neighbour_of_the_same_class_is_no_background():
    image, _ = disc(size=(60, 130), centre=(30, 35))
    other, _ = disc(size=(60, 130), centre=(30, 85))
    image[:, 60:] = other[:, 60:]
    boxes = [Box(1, 15, 10, 55, 50), Box(1, 65, 10, 105, 50)]
    label_map = segment_boxes("grabcut", image, boxes)
    assert 2 * 1100 < (label_map == 1).sum() < 2 * 1400  # two discs of 1257 pixels


def test_large_crops_are_downscaled_and_their_masks_upscaled(monkeypatch):
    monkeypatch.setattr(module, "MAX_SIDE", 64)
    image, inside = disc(size=(300, 320), centre=(150, 160), radius=80)
    box = Box(1, 80, 70, 240, 230)
    label_map = segment_boxes("grabcut", image, [box])
    assert iou(label_map == 1, inside) > 0.9


def test_vote_shares_are_certain_in_the_middle_of_the_object():
    example = example_of_boxes(disc()[0], [DISC])
    rng = np.random.default_rng(0)
    share = vote_share(example.image, example.constraints, DISC, 10, rng)
    assert share.dtype == np.float32 and share.shape == (40, 40)
    assert share[20, 20] == 1
    assert 0 <= share.min() <= share.max() <= 1


def pair(scale):
    """A red and a blue square in one box on green; blue is also at the image's sides."""
    colours = np.full((70, 110, 3), (40, 160, 70))
    colours[20:50, 25:50] = 200, 60, 40
    colours[20:50, 60:85] = colours[:, :20] = colours[:, -20:] = 50, 60, 220
    colours = colours.repeat(scale, axis=0).repeat(scale, axis=1)
    noise = np.random.default_rng(1).normal(0, 8, colours.shape)
    corners = (scale * c for c in (20, 15, 90, 55))
    return (colours + noise).clip(0, 255).astype(np.uint8), Box(1, *corners)


@BOTH
@pytest.mark.parametrize("scale", [1, 5])
def test_a_scribble_in_a_box_decides_what_belongs_to_its_object(name, scale, monkeypatch):
    monkeypatch.setattr(module, "MAX_SIDE", 100)
    image, box = pair(scale)
    red, blue = (np.s_[20 * scale : 50 * scale, x * scale : (x + 25) * scale] for x in (25, 60))
    for label in (0, 1):
        case = example_of_boxes(image, [box])
        where = np.s_[:, 35 * scale : 35 * scale + 3, 63 * scale : 82 * scale]
        case.constraints.allowed[where] = np.array([0, 1])[:, None, None] == label
        label_map = segment(name, case)
        assert (label_map[red] == 1).mean() > 0.95
        assert abs((label_map[blue] == 1).mean() - label) < 0.15


def test_marks_of_all_of_a_box_need_no_cut():
    example = example_of_boxes(disc()[0], [Box(1, 0, 0, 80, 70)])
    example.constraints.allowed[0] = False
    assert (segment("grabcut", example) == 1).all()


def test_what_is_known_to_be_no_object_does_not_count_as_missed():
    image, inside = disc(radius=9)
    example = example_of_boxes(image, [DISC])
    example.constraints.allowed[1][~inside & (np.arange(80) < 52)] = False
    example.constraints.allowed[1, :24] = False
    assert iou(segment("grabcut", example) == 1, inside) > 0.9


@pytest.mark.parametrize("column", [20, 28, 36])
def test_an_edge_map_moves_the_boundary(column, tmp_path):
    """Noise says nothing of the object: only the edge says where it ends left of its known part."""
    noise = np.random.default_rng(2).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    example = example_of_boxes(noise, [Box(1, 10, 8, 50, 32)])
    example.constraints.allowed[0, 8:32, 40:50] = False
    edges = np.zeros(noise.shape[:2], np.uint8)
    edges[8:32, column] = 255
    edges[[8, 31], column:50] = 255
    Image.fromarray(edges).save(tmp_path / "a.png")
    label_map = segment("grabcut", example, iterations=1, edges=tmp_path)
    starts = (label_map[10:30] == 1).argmax(axis=1)
    assert (abs(starts - column) <= 1).all()


@BOTH
def test_edges_are_read_from_their_folder(name, tmp_path):
    image, inside = disc()
    contour = cv2.morphologyEx(inside.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3)))
    Image.fromarray(contour * 255).save(tmp_path / "a.png")
    assert iou(segment_boxes(name, image, [DISC], edges=tmp_path) == 1, inside) > 0.85


@BOTH
def test_edges_that_do_not_fit_are_refused(name, tmp_path):
    image, _ = disc()
    with pytest.raises(InputError, match="no such file"):
        segment_boxes(name, image, [DISC], edges=tmp_path)
    Image.new("L", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"\(70, 80\), got \(10, 10\)"):
        segment_boxes(name, image, [DISC], edges=tmp_path)


def test_an_object_that_stops_short_of_its_box_grows():
    image, inside = disc(radius=18)  # two pixels from each side
    label_map = segment_boxes("grabcut", image, [DISC])
    assert side_gaps(label_map[DISC.slices] == 1, [True] * 4).tolist() == [0] * 4
    assert (label_map == 1)[inside].all() and inside[label_map == 1].mean() > 0.75
