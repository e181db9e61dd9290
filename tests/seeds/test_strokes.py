import numpy as np
import pytest
from helpers.stroked import at_most, cross, disc, iou, seeded, stroked, unknown
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsseg.data.constraints import Constraints
from wsseg.labelmaps import IGNORE
from wsseg.seeds import strokes as module
from wsseg.seeds import superpixels
from wsseg.seeds.markers import Markers
from wsseg.seeds.strokes import grabcut_strokes, strokes, watershed_labels
from wsseg.seeds.superpixels import superpixel_votes
from wsseg.seeds.walker import random_walker

GROWING = (random_walker, grabcut_strokes, superpixel_votes)
EACH = pytest.mark.parametrize("seed", [strokes, *GROWING])
EACH_GROWING = pytest.mark.parametrize("seed", GROWING)
SIDE = st.integers(1, 40)


@st.composite
def cases(draw):
    """An image, flat or not, and any constraints, most pixels of which are open."""
    size = draw(SIDE), draw(SIDE)
    classes = sorted(draw(st.sets(st.sampled_from([0, 1, 3, 254]), min_size=1)))
    levels = draw(st.sampled_from([1, 2, 256]))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    image = (random.integers(0, levels, (*size, 3)) * (255 // levels)).astype(np.uint8)
    choice = draw(
        arrays(np.uint8, size, elements=st.integers(0, 2 ** len(classes) - 1), fill=st.just(0))
    )
    allowed = np.stack([(choice >> k) & 1 for k in range(len(classes))]).astype(bool)
    allowed[:, ~allowed.any(axis=0)] = True
    return image, Constraints(np.array(classes, np.uint8), allowed)


@EACH
@settings(deadline=None, max_examples=60)
@given(case=cases())
def test_marks_are_kept_and_nothing_is_forbidden_or_modified(seed, case):
    image, constraints = case
    copies = image.copy(), constraints.allowed.copy()
    quick = {grabcut_strokes: {"iterations": 1}}
    with at_most(16), pytest.MonkeyPatch.context() as patch:
        patch.setattr(superpixels, "_COUNT", 9)
        label_map = seeded(seed, image, constraints, **quick.get(seed, {}))
    known = constraints.known
    assert label_map.dtype == np.uint8
    assert label_map.shape == image.shape[:2]
    assert (label_map[known != IGNORE] == known[known != IGNORE]).all()
    assert constraints.allows(label_map).all()
    assert set(np.unique(label_map)) <= {*np.unique(known), IGNORE}
    np.testing.assert_array_equal(image, copies[0])
    np.testing.assert_array_equal(constraints.allowed, copies[1])


def test_strokes_alone_are_what_is_known():
    known = cross()
    np.testing.assert_array_equal(seeded(strokes, *stroked(disc()[0], known)), known)


@EACH_GROWING
def test_an_object_of_its_own_colour_grows_to_its_edge(seed):
    image, inside = disc()
    label_map = seeded(seed, *stroked(image, cross()))
    assert iou(label_map == 1, inside) > 0.9
    assert iou(label_map == 0, ~inside) > 0.9


@EACH_GROWING
def test_large_images_are_shrunk_and_their_labels_enlarged(seed):
    image, inside = disc((280, 320), (140, 160), 80)
    known = cross((280, 320))
    with at_most(64):
        label_map = seeded(seed, *stroked(image, known))
    assert iou(label_map == 1, inside) > 0.85
    assert (label_map[known != IGNORE] == known[known != IGNORE]).all()


@EACH_GROWING
def test_background_is_never_claimed_without_a_mark_of_it(seed):
    image, inside = disc()
    known = cross()
    known[known == 0] = IGNORE
    label_map = seeded(seed, *stroked(image, known))
    assert iou(label_map == 1, inside) > 0.9
    assert set(np.unique(label_map)) == {1, IGNORE}


@EACH_GROWING
def test_two_classes_meet_at_their_edge(seed):
    image, inside = disc()
    image[:, 40:] = image[:, 40:, [2, 1, 0]]
    known = unknown(70, 80)
    known[35, 28:36], known[35, 44:52], known[4:6, 5:-5] = 1, 3, 0
    known[60:62, 5:-5] = 0
    label_map = seeded(seed, *stroked(image, known))
    left = np.arange(80) < 40
    assert iou(label_map == 1, inside & left) > 0.85
    assert iou(label_map == 3, inside & ~left) > 0.85


@EACH_GROWING
def test_marks_of_one_class_that_compete_with_nothing_stay_alone(seed, monkeypatch):
    known = cross()
    known[known == 1] = IGNORE
    monkeypatch.setattr(superpixels, "_MAX_CHANGE", 0)
    label_map = seeded(seed, *stroked(disc()[0], known))
    assert set(np.unique(label_map)) == {0, IGNORE}
    if seed is not superpixel_votes:
        np.testing.assert_array_equal(label_map, known)


@EACH
def test_without_any_mark_nothing_is_known(seed):
    assert (seeded(seed, *stroked(disc()[0], unknown(70, 80))) == IGNORE).all()


@EACH
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (30, 40)])
def test_where_everything_is_known_it_stays(seed, size):
    known = np.random.default_rng(0).choice([0, 1, 3], size).astype(np.uint8)
    label_map = seeded(seed, *stroked(np.zeros((*size, 3), np.uint8), known))
    np.testing.assert_array_equal(label_map, known)


@EACH_GROWING
def test_what_a_stroke_encloses_is_its_class(seed):
    known = unknown(40, 40)
    known[10:30, 10:30] = 1
    known[14:26, 14:26] = IGNORE
    known[0] = 0
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:30, 10:30] = 200
    label_map = seeded(seed, *stroked(image, known))
    assert (label_map[10:30, 10:30] == 1).all()


@EACH_GROWING
def test_the_same_rng_gives_the_same_labels(seed):
    image = np.random.default_rng(3).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    case = stroked(image, cross((50, 60)))
    one, other = (seeded(seed, *case, number=4) for _ in range(2))
    np.testing.assert_array_equal(one, other)


def test_nearest_marks_meet_at_the_edge_between_them():
    image = np.zeros((9, 30, 3), np.uint8)
    image[:, 20:] = 200
    markers = np.zeros((9, 30), np.int32)
    markers[4, 2], markers[4, 25] = 1, 4
    nearest = watershed_labels(Markers(image, markers))
    assert (nearest[:, :19] == 0).all()
    assert (nearest[:, 21:] == 3).all()


def cutting(monkeypatch, found):
    monkeypatch.setattr(module, "cut", lambda *given: found(given[1]))


def test_what_two_runs_claim_is_ignore(monkeypatch):
    known = cross()
    known[50, 30:40] = 3
    cutting(monkeypatch, lambda trimap: np.ones(trimap.shape, bool))
    np.testing.assert_array_equal(seeded(grabcut_strokes, *stroked(disc()[0], known)), known)


def test_where_a_run_fails_its_start_is_ignore_and_no_background(monkeypatch):
    image, inside = disc()
    known = cross()
    cutting(monkeypatch, lambda trimap: np.zeros(trimap.shape, bool))
    label_map = seeded(grabcut_strokes, *stroked(image, known))
    assert iou(label_map == 0, ~inside) > 0.9
    assert (label_map[inside & (known == IGNORE)] == IGNORE).mean() > 0.9
    assert (label_map == 1).sum() == (known == 1).sum()


def test_each_run_knows_the_marks_and_where_its_class_may_not_be(monkeypatch):
    known, seen = cross(), []
    known[50, 30:40] = 3
    image, constraints = stroked(disc()[0], known)
    constraints.allowed[1, :, 70:] = False
    cutting(monkeypatch, lambda trimap: seen.append(trimap) or trimap == 1)
    seeded(grabcut_strokes, image, constraints)
    sure = np.isin(seen[0], (0, 1))
    np.testing.assert_array_equal(seen[0] == 1, known == 1)
    forbidden = (np.arange(80) >= 70) | (known != IGNORE)
    np.testing.assert_array_equal(sure, np.broadcast_to(forbidden, known.shape))
    assert len(seen) == 2
