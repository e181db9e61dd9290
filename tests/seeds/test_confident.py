import cv2
import numpy as np
import pytest
from helpers.examples import example_from
from hypothesis import given
from hypothesis import strategies as st

from wsseg.data.annotation import Box, Boxes, MaskFile, Tags
from wsseg.data.constraints import Constraints, constraints_of
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map
from wsseg.refine.refiners import identity
from wsseg.seeds.confident import confident_labels, with_background
from wsseg.seeds.params import CAMParams

PLAIN = CAMParams(refiner="none", foreground=0.3, background=0.05)
POWER = CAMParams(refiner="none", threshold="power", foreground=4, background=24)


def free(classes, size):
    """Tags only: every class may be everywhere."""
    return Constraints(np.array(classes, np.uint8), np.ones((len(classes), *size), bool))


def confident(maps, labels, constraints=None, settings=PLAIN, refine=identity, size=None):
    maps = np.asarray(maps, np.float32)
    size = size or maps.shape[1:]
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    constraints = constraints or free([0, *sorted(labels)], size)
    labels = np.array(labels, np.uint8)
    given = image, maps, labels, constraints.classes, constraints.allowed
    copies = [each.copy() for each in given]
    example = example_from(image, constraints=constraints)
    found = confident_labels(example, maps, labels, settings, refine)
    for each, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(each, copy)
    assert found.dtype == np.uint8 and found.shape == tuple(size)
    return found


def smooth_maps(count, size, seed=0):
    rng = np.random.default_rng(seed)
    maps = np.stack([cv2.GaussianBlur(rng.random(size), (0, 0), 2) for _ in range(count)])
    maps -= maps.min(axis=(1, 2), keepdims=True)
    maps = maps / maps.max(axis=(1, 2), keepdims=True)
    return np.clip((maps - 0.5) * 2, 0, 1).astype(np.float32)


def test_constants_leave_what_lies_between_them_ignored():
    maps = [[[0.0, 0.04, 0.06, 0.29, 0.31, 1.0]]]
    assert confident(maps, [7]).tolist() == [[0, 0, IGNORE, IGNORE, 7, 7]]


def test_the_class_that_is_ahead_is_the_foreground():
    maps = [[[0.9, 0.5, 0.2, 0.04]], [[0.8, 0.6, 0.1, 0.01]]]
    assert confident(maps, [2, 5]).tolist() == [[2, 5, IGNORE, 0]]


def test_powers_decide_by_the_largest_map():
    """(1 - m)^4 = m at 0.2755, (1 - m)^24 = m at 0.0902."""
    maps = [[[0.0, 0.085, 0.095, 0.27, 0.28]], [[0.0] * 5]]
    assert confident(maps, [2, 5], settings=POWER).tolist() == [[0, 0, IGNORE, IGNORE, 2]]


@pytest.mark.parametrize("settings", [PLAIN, POWER])
def test_the_rule_in_its_own_words(settings):
    maps, labels = smooth_maps(2, (30, 40)), np.array([4, 2])
    most, best = maps.max(axis=0), labels[maps.argmax(axis=0)]
    levels = settings.foreground, settings.background
    constant = settings.threshold == "constant"
    high, low = (level if constant else (1 - most) ** level for level in levels)
    expected = np.where(most > high, best, np.where(most > low, IGNORE, 0))
    found = confident(maps, [4, 2], settings=settings)
    np.testing.assert_array_equal(found, expected)
    assert set(np.unique(found)) == {0, 2, 4, IGNORE}


def test_the_score_of_the_background_stands_before_the_maps():
    maps = smooth_maps(2, (5, 6))
    scores = with_background(maps, 0.3, "constant")
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, np.concatenate([np.full((1, 5, 6), 0.3, "f4"), maps]))
    np.testing.assert_allclose(with_background(maps, 3, "power")[0], (1 - maps.max(0)) ** 3)


def test_otsu_finds_the_level_between_two_kinds_of_places():
    maps = np.full((1, 20, 20), 0.1, np.float32)
    maps[:, 5:12, 5:12] = 0.5
    settings = CAMParams(refiner="none", threshold="otsu", foreground=0.9, background=0.9)
    found = confident(maps, [2], settings=settings)
    np.testing.assert_array_equal(found, np.where(maps[0] > 0.3, 2, 0))


def test_otsu_of_a_flat_map_is_what_the_tag_says():
    flat = np.ones((1, 6, 7), np.float32)
    settings = CAMParams(refiner="none", threshold="otsu")
    assert (confident(flat, [2], settings=settings) == 2).all()
    assert (confident(0 * flat, [2], settings=settings) == 0).all()


def test_the_order_of_the_labels_does_not_matter():
    maps, constraints = smooth_maps(3, (20, 30)), free([0, 2, 4, 9], (20, 30))
    one = confident(maps, [9, 2, 4], constraints)
    other = confident(maps[[1, 2, 0]], [2, 4, 9], constraints)
    np.testing.assert_array_equal(one, other)
    assert set(np.unique(one)) == {0, 2, 4, 9, IGNORE}


def test_an_unsure_tag_without_a_map_is_never_found():
    sample = Sample("a", None, (20, 30), (Tags((5,), (2, 7)),), "train")
    found = confident(smooth_maps(1, (20, 30)), [5], constraints_of(sample, 9))
    assert set(np.unique(found)) == {0, 5, IGNORE}


def test_without_maps_nothing_is_known():
    found = confident(np.zeros((0, 5, 7)), [], free([0, 1], (20, 30)), size=(20, 30))
    assert (found == IGNORE).all()


@pytest.mark.parametrize("shape", [(5, 8), (1, 1), (33, 50), (40, 64)])
def test_maps_of_another_size_are_made_as_large_as_the_image(shape):
    maps, size = smooth_maps(2, shape) if shape != (1, 1) else np.full((2, 1, 1), 0.6), (40, 64)
    maps = np.asarray(maps, np.float32)
    large = np.stack(
        [cv2.resize(each, size[::-1], interpolation=cv2.INTER_LINEAR) for each in maps]
    )
    found = confident(maps, [1, 3], free([0, 1, 3], size), size=size)
    np.testing.assert_array_equal(found, confident(large, [1, 3]))


def forbidding(rng, classes, size):
    allowed = rng.random((len(classes), *size)) < 0.6
    allowed[0] |= ~allowed.any(axis=0)
    return Constraints(np.array(classes, np.uint8), allowed)


@given(seed=st.integers(0, 99), settings=st.sampled_from([PLAIN, POWER]))
def test_a_class_that_a_pixel_may_not_have_is_never_given(seed, settings):
    rng = np.random.default_rng(seed)
    constraints = forbidding(rng, [0, 2, 4, 9], (12, 15))
    found = confident(smooth_maps(3, (12, 15), seed), [9, 4, 2], constraints, settings)
    assert constraints.allows(found).all()
    held = constraints.project(found)
    known = constraints.known
    np.testing.assert_array_equal(held, np.where(known == IGNORE, found, known))


def test_what_only_a_class_without_a_map_may_be_is_that_class_once_held():
    """A mask of a class that has no map, such as an unsure tag's, cannot stop the refiner."""
    constraints = free([0, 2, 4], (6, 8))
    constraints.allowed[:2, :3] = False
    found = constraints.project(confident(np.ones((1, 6, 8)), [2], constraints))
    assert (found[:3] == 4).all()
    assert (found[3:] == 2).all()


def test_boxes_and_masks_hold_the_labels(tmp_path):
    mask = np.full((20, 30), IGNORE, np.uint8)
    mask[8:10, 12:15], mask[6, 8:12] = 0, 3
    write_label_map(tmp_path / "mask.png", mask)
    drawn = Boxes((Box(3, 8, 5, 20, 15), Box(1, 15, 10, 28, 19)))
    sample = Sample("a", None, (20, 30), (drawn, MaskFile(tmp_path / "mask.png")), "train")
    constraints = constraints_of(sample, 4)
    found = constraints.project(confident(np.full((2, 20, 30), 0.9), [3, 1], constraints))
    assert constraints.allows(found).all()
    assert (found[mask != IGNORE] == mask[mask != IGNORE]).all()
    inside = (slice(11, 14), slice(21, 27))
    assert (found[inside] == 1).all()
    assert (found[:5] == 0).all()


def test_flips_commute():
    maps, constraints = (
        smooth_maps(2, (10, 16)),
        forbidding(np.random.default_rng(0), [0, 1, 3], (40, 64)),
    )
    one = confident(maps, [1, 3], constraints, size=(40, 64))
    for flip in (np.s_[:, ::-1], np.s_[::-1, :]):
        turned = Constraints(constraints.classes, constraints.allowed[(slice(None), *flip)])
        other = confident(maps[(slice(None), *flip)], [1, 3], turned, size=(40, 64))
        assert (one[flip] != other).mean() < 0.01  # a score at the threshold may round either way


class Recorded:
    """A refiner that returns its scores unchanged and records its arguments."""

    def __init__(self):
        self.scores, self.allowed = [], []

    def __call__(self, image, scores, /, *, allowed=None):
        self.scores.append(scores)
        self.allowed.append(allowed)
        return identity(image, scores, allowed=allowed)


def test_the_crf_receives_a_fixed_probability_of_the_class_that_is_ahead():
    refine, settings = Recorded(), PLAIN.model_copy(update={"refiner": "crf"})
    maps = [[[0.9, 0.5, 0.2, 0.04]], [[0.8, 0.6, 0.1, 0.01]]]
    assert confident(maps, [2, 5], settings=settings, refine=refine).tolist() == [[2, 5, 255, 0]]
    high, low = refine.scores
    ahead = [[1, 2, 0, 0], [1, 2, 1, 0]]
    for received, winners in zip((high, low), ahead, strict=True):
        expected = np.where(np.arange(3)[:, None, None] == np.array([winners]), 0.7, 0.15)
        np.testing.assert_allclose(received, expected, rtol=1e-6)
        assert received.dtype == np.float32


def test_the_crf_receives_only_allowed_classes():
    constraints = free([0, 2, 5], (1, 3))
    constraints.allowed[1, 0, 0] = constraints.allowed[0, 0, 2] = False
    refine = Recorded()
    settings = PLAIN.model_copy(update={"refiner": "crf"})
    maps = [[[0.9, 0.9, 0.01]], [[0.6, 0.6, 0.0]]]
    found = confident(maps, [2, 5], constraints, settings, refine)
    assert found.tolist() == [[5, 2, 2]]
    for received, allowed in zip(refine.scores, refine.allowed, strict=True):
        assert received.argmax(axis=0).tolist() == [[2, 1, 1]]
        np.testing.assert_array_equal(allowed, constraints.allowed)


@pytest.mark.parametrize(
    "change",
    [{"refiner": "par"}, {"refiner": "none"}],
)
def test_other_refiners_receive_the_maps(change):
    refine, maps = Recorded(), smooth_maps(2, (5, 6))
    confident(maps, [1, 3], settings=PLAIN.model_copy(update=change), refine=refine)
    for received, level in zip(refine.scores, (0.3, 0.05), strict=True):
        np.testing.assert_array_equal(received, with_background(maps, level, "constant"))


def test_what_the_refiner_says_is_what_counts():
    def all_background(_image, scores, **_):
        return np.eye(len(scores), dtype=np.float32)[0][:, None, None] * np.ones_like(scores)

    assert (confident(smooth_maps(2, (5, 6)), [1, 3], refine=all_background) == 0).all()


@pytest.mark.parametrize(
    ("maps", "labels", "message"),
    [
        (np.ones((2, 4, 4)), [1], r"\(T, h, w\) with T = 1, got \(2, 4, 4\)"),
        (np.ones((4, 4)), [1], r"\(T, h, w\) with T = 1, got \(4, 4\)"),
        (np.ones((2, 4, 4)), [1, 6], "of the image's tags, got class 6"),
        (np.ones((2, 4, 4)), [0, 1], "of the image's tags, got class 0"),
    ],
)
def test_maps_that_do_not_fit_are_refused(maps, labels, message):
    with pytest.raises(InputError, match=f"activation maps must be {message}"):
        confident(maps, labels, free([0, 1, 3], (4, 4)), size=(4, 4))
