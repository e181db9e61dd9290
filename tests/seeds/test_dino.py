import numpy as np
import pytest
from helpers.examples import example_from
from helpers.stroked import cross, disc, stroked, unknown

from wsseg.data.annotation import Tags
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.affinity import feature_weights
from wsseg.seeds import dino
from wsseg.seeds.apply import find_seed
from wsseg.seeds.dino import dino_walker, first_mark_probabilities
from wsseg.seeds.markers import Markers
from wsseg.seeds.params import CAMParams, DINOParams, SeedParams
from wsseg.seeds.spreading import spread


def markers_from(rows):
    markers = np.array(rows, np.int32)
    return Markers(np.zeros((*markers.shape, 3), np.uint8), markers)


def halves(height, width):
    """Features of two kinds, left and right."""
    features = np.zeros((2, height, width), np.float32)
    features[0, :, : width // 2], features[1, :, width // 2 :] = 1, 1
    return features


@pytest.fixture
def scripted(monkeypatch):
    """Replace the model by features that a test sets."""

    def set_features(features):
        monkeypatch.setattr(dino, "find_weights", lambda *_: None)
        monkeypatch.setattr(dino, "load_model", lambda *_: None)
        monkeypatch.setattr(dino, "patch_features", lambda *_: features)

    return set_features


def walk(image, constraints):
    example = example_from(image, constraints=constraints)
    return dino_walker(example, DINOParams(model="unused"))


def test_the_weights_are_powers_of_cosines_within_the_radius():
    features = np.random.default_rng(0).normal(size=(3, 6, 8)).astype(np.float32)
    weights = feature_weights(features, (6, 8)).toarray()
    vectors = features.reshape(3, -1) / np.linalg.norm(features.reshape(3, -1), axis=0)
    y, x = np.divmod(np.arange(48), 8)
    near = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2 < 25
    expected = np.where(near, (vectors.T @ vectors).clip(0, 1) ** 10, 0)
    np.testing.assert_allclose(weights, expected, atol=1e-5)
    np.testing.assert_array_equal(weights, weights.T)


def test_probabilities_are_those_of_a_walk_that_is_simulated():
    random = np.random.default_rng(0)
    features = random.random((3, 4, 5)).astype(np.float32)
    marks = markers_from([[1, 0, 0, 0, 0]] + [[0] * 5] * 2 + [[0, 0, 0, 3, 0]])
    found = first_mark_probabilities(marks, features)
    weights = feature_weights(features, (4, 5)).toarray()
    chances = weights / weights.sum(axis=1, keepdims=True)
    expected = np.stack([(marks.markers.ravel() == m).astype(float) for m in (1, 3)])
    fixed = expected.copy()
    for _ in range(500):
        expected = np.where(marks.markers.ravel() > 0, fixed, expected @ chances.T)
    np.testing.assert_allclose(found.reshape(2, -1), expected, atol=1e-4)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-4)


def test_a_cell_that_looks_like_no_other_is_reached_by_no_mark():
    features = np.zeros((2, 3, 9), np.float32)
    features[0] = 1
    features[:, 1, 4] = 0, 1
    marks = markers_from([[1] + [0] * 7 + [2]] + [[0] * 9] * 2)
    found = first_mark_probabilities(marks, features)
    assert (found[:, 1, 4] == 0).all()
    np.testing.assert_allclose(np.delete(found.sum(axis=0), 13), 1, atol=1e-4)


def test_each_mark_fills_the_half_that_looks_like_it(scripted):
    scripted(halves(8, 16))
    known = unknown(32, 64)
    known[4, 4], known[28, 60] = 0, 3
    label_map = walk(*stroked(np.zeros((32, 64, 3), np.uint8), known))
    assert (label_map[:, :28] == 0).all() and (label_map[:, 36:] == 3).all()


def test_where_nothing_tells_the_marks_apart_the_middle_is_ignore(scripted):
    scripted(np.ones((1, 2, 16), np.float32))
    known = unknown(8, 64)
    known[:, 0], known[:, 63] = 0, 1
    label_map = walk(*stroked(np.zeros((8, 64, 3), np.uint8), known))
    assert (label_map[:, :4] == 0).all() and (label_map[:, 60:] == 1).all()
    assert (label_map[:, 30:34] == IGNORE).all()


def test_a_class_is_never_where_it_may_not_be(scripted):
    scripted(np.ones((1, 2, 16), np.float32))
    known = unknown(8, 64)
    known[:, 0], known[:, 63] = 0, 1
    image, constraints = stroked(np.zeros((8, 64, 3), np.uint8), known)
    constraints.allowed[constraints.classes == 0, :, 8:] = False
    label_map = walk(image, constraints)
    assert (label_map[:, :4] == 0).all() and (label_map[:, 8:] == 1).all()


def test_one_kind_of_mark_spreads_against_the_border_only(scripted):
    scripted(np.ones((1, 8, 8), np.float32))
    known = unknown(32, 32)
    known[14:18, 14:18] = 3
    label_map = walk(*stroked(np.zeros((32, 32, 3), np.uint8), known))
    assert {*np.unique(label_map)} == {3, IGNORE}
    full = np.full((32, 32), 3, np.uint8)
    assert (walk(*stroked(np.zeros((32, 32, 3), np.uint8), full)) == 3).all()


@pytest.mark.parametrize("size", [(40, 60), (1, 50), (700, 90)])
def test_with_a_model_marks_stay_and_the_seed_is_repeatable(dino_folder, size):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    height, width = size
    strokes = Strokes(
        (
            Scribble(2, ((width - 1.5, height - 0.5),), width=2),
            Scribble(0, ((0.5, 0.5), (width / 3, 0.5)), width=2),
        )
    )
    example = example_from(image, strokes, Tags((2, 5)))
    seed = find_seed(SeedParams(name="dino_walker", dino={"model": str(dino_folder)}), "cpu")
    label_map = seed(example, np.random.default_rng(0))
    known = example.constraints.known
    assert (label_map[known != IGNORE] == known[known != IGNORE]).all()
    assert {*np.unique(label_map)} <= {0, 2, IGNORE}
    np.testing.assert_array_equal(seed(example, np.random.default_rng(1)), label_map)


def test_a_seed_without_a_model_says_what_to_set():
    seed = find_seed(SeedParams(name="auto", strokes="dino_walker"))
    image, constraints = stroked(disc()[0], cross(disc()[1].shape))
    with pytest.raises(InputError, match=r"seeds\.dino\.model must be the name of a DINO model"):
        seed.arguments["strokes"](
            example_from(image, constraints=constraints), np.random.default_rng(0)
        )


def test_maps_spread_to_the_patches_that_look_alike():
    image = np.zeros((64, 96, 3), np.uint8)
    maps = np.zeros((2, 16, 24), np.float32)
    maps[0, 4:8, 2:5] = maps[1, 8:12, 14:18] = 1
    spread_maps = spread(image, maps, CAMParams(affinity="dino"), halves(4, 6))
    assert spread_maps.shape == maps.shape
    np.testing.assert_allclose(spread_maps.max(axis=(1, 2)), 1)
    assert (spread_maps[0, :, :10] > 0.8).all() and (spread_maps[0, :, 14:] < 0.01).all()
    assert (spread_maps[1, :, 14:] > 0.8).all() and (spread_maps[1, :, :10] < 0.01).all()
