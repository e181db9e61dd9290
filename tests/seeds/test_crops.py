from pathlib import Path

import cv2
import numpy as np
import pytest

from wsseg.data.annotation import Box, Boxes
from wsseg.data.constraints import constraints_of
from wsseg.data.model import Sample
from wsseg.seeds.crops import crop_around, jitter

STRENGTH, BAND = 0.2, (0.1, 0.6)


def crop_of(drawn, others=(), size=(40, 60), padding=0.5):
    sample = Sample("a", Path("a.png"), size, (Boxes((drawn, *others)),), "train")
    pixels = np.arange(size[0] * size[1] * 3, dtype=np.uint32).astype(np.uint8)
    return crop_around(drawn, pixels.reshape(*size, 3), constraints_of(sample, 4), padding)


def test_a_crop_is_padded_by_its_share_of_the_sides_and_clipped():
    crop = crop_of(Box(1, 2, 10, 22, 20))
    assert crop.size == (20, 32)  # 10 + 2 x 5 rows, 2 + 20 + 10 columns
    assert crop.inside == (slice(5, 15), slice(2, 22))
    assert (crop.trimap == cv2.GC_PR_FGD).sum() == 200
    assert (crop.trimap[crop.inside] == cv2.GC_PR_FGD).all()


def test_only_a_neighbour_of_the_same_class_may_look_like_the_object():
    same, different = Box(1, 25, 10, 30, 20), Box(2, 10, 25, 20, 30)
    crop = crop_of(Box(1, 10, 10, 20, 20), (same, different), padding=1.5)
    assert (crop.trimap[10:20, 25:30] == cv2.GC_PR_FGD).all()
    assert (crop.trimap[25:30, 10:20] == cv2.GC_BGD).all()


@pytest.mark.parametrize(("longest", "scale"), [(1000, 1), (40, 0.5), (1, 0.1)])
def test_shrinking_stops_at_the_box_s_shortest_side(longest, scale):
    drawn = Box(1, 30, 20, 70, 40)
    crop = crop_of(drawn, size=(60, 100)).downscale(longest, shortest=2)
    assert crop.trimap.shape == crop.pixels.shape[:2] == (40 * scale, 80 * scale)
    assert crop.box == Box(1, *(int(c * scale) for c in (20, 10, 60, 30)))
    assert (crop.trimap[crop.box.slices] == cv2.GC_PR_FGD).all()


def test_a_shrunk_map_comes_back_at_full_size():
    crop = crop_of(Box(1, 20, 10, 40, 20)).downscale(20, shortest=1)
    share = np.zeros(crop.trimap.shape, np.float32)
    share[crop.box.slices] = 1
    full = crop.uncrop(share)
    assert full.shape == (10, 20)
    assert (full >= 0.5).all()


def clicked(label, size=(60, 100)):
    """A crop of a box with a click of 3 x 3 pixels in its middle."""
    drawn = Box(1, 30, 20, 70, 40)
    sample = Sample("a", Path("a.png"), size, (Boxes((drawn,)),), "train")
    constraints = constraints_of(sample, 4)
    fixed = np.array([0, 1])[:, None, None] == label
    constraints.allowed[:, 29:32, 49:52] = fixed
    return crop_around(drawn, np.zeros((*size, 3), np.uint8), constraints, 0.5)


CLICKS = pytest.mark.parametrize(("label", "sure"), [(0, cv2.GC_BGD), (1, cv2.GC_FGD)])


@CLICKS
@pytest.mark.parametrize("longest", [80, 40, 13, 8])
def test_a_click_in_a_box_survives_shrinking(label, sure, longest):
    crop = clicked(label).downscale(longest, shortest=2)
    inside = crop.trimap[crop.box.slices]
    assert 1 <= (inside == sure).sum() <= 9
    assert (inside == cv2.GC_PR_FGD).sum() == inside.size - (inside == sure).sum()


@CLICKS
def test_a_click_in_a_box_survives_perturbation(label, sure):
    crop, rng = clicked(label), np.random.default_rng(0)
    for _ in range(20):
        window, run = jitter(crop, STRENGTH, BAND, rng)
        whole = np.full(crop.trimap.shape, cv2.GC_BGD, np.uint8)
        whole[window] = run.trimap
        assert (whole[crop.inside][9:12, 19:22] == sure).all()


@pytest.mark.parametrize(("share", "winner"), [(2, cv2.GC_BGD), (3, cv2.GC_FGD), (4, cv2.GC_FGD)])
def test_the_larger_mark_of_a_cell_wins_and_foreground_a_tie(share, winner):
    crop = crop_of(Box(1, 30, 20, 70, 40), size=(60, 100))
    crop.trimap[12:15, 22:28] = cv2.GC_BGD
    crop.trimap[12:15, 22 : 22 + share] = cv2.GC_FGD
    shrunk = crop.downscale(8, shortest=2)
    assert shrunk.trimap.shape == (4, 8)
    assert shrunk.trimap[1, 2] == winner


def test_jittered_boxes_stay_within_jitter_and_band():
    crop = crop_of(Box(1, 20, 10, 40, 30), padding=1)
    rng, seen = np.random.default_rng(0), set()
    for _ in range(50):
        window, run = jitter(crop, STRENGTH, BAND, rng)
        assert run.pixels.shape[:2] == run.trimap.shape == crop.trimap[window].shape
        top = window[0].start + run.box.top
        assert abs(top - crop.box.top) <= 4
        assert (run.trimap[run.box.slices] == cv2.GC_PR_FGD).all()
        assert (run.trimap == cv2.GC_PR_FGD).sum() == run.box.area
        seen.add((top, run.trimap.shape))
    assert len(seen) > 20
    assert (crop.trimap == cv2.GC_PR_FGD).sum() == 400


def test_edges_on_the_image_s_border_do_not_jitter():
    crop, rng = crop_of(Box(1, 0, 10, 20, 40)), np.random.default_rng(0)
    for _ in range(20):
        window, run = jitter(crop, STRENGTH, BAND, rng)
        assert window[1].start + run.box.left == 0
        assert window[0].start + run.box.bottom == crop.size[0]
