import math
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

import cv2
import numpy as np
import pytest
from skimage.color import rgb2lab

from wsseg.errors import InputError
from wsseg.refine import affinity as module
from wsseg.refine.affinity import Affinity, _chebyshev, propagate
from wsseg.refine.params import WalkParams


@dataclass(frozen=True)
class Walk:
    """A walk with its affinity; colours that look alike up to ``colour_sigma``."""

    affinity: str = "colour"
    radius: int = 5
    beta: float = 10
    t: int = 8
    stride: int = 4
    colour_sigma: float = 5

    @property
    def params(self):
        colours = self.affinity in ("colour", "boundary")
        beta = self.beta * (module._COLOUR_SIGMA / self.colour_sigma) ** 2 if colours else self.beta
        return WalkParams(radius=self.radius, beta=beta, t=self.t, stride=self.stride)


def walked(maps, image, params=Walk(), features=None):
    return propagate(maps, image, params.params, params.affinity, features)


def random_walk(image, scores, params=Walk(), **others):
    walk = params.params
    return module.random_walk(image, scores, params=walk, affinity=params.affinity, **others)


def _transition(image, params, features=None):
    return module._transition(image, params.params, params.affinity, features)


CELLS = Walk(stride=1, colour_sigma=15)
NAMES = get_args(Affinity)
EVERY = pytest.mark.parametrize("affinity", NAMES)
UNTRAINED = pytest.mark.parametrize("affinity", ["colour", "boundary"])
SIZES = [(1, 1), (1, 7), (7, 1), (2, 3), (3, 3), (5, 4), (13, 22)]


def random_problem(seed=0, size=(16, 22), n_classes=3):
    """A textured RGB image of a few regions, and maps (C, H, W) of 0 to 1."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.random((*size, 3), np.float32), (0, 0), 3).reshape(*size, 3)
    image = 60 + 60 * (smooth > np.median(smooth, axis=(0, 1))) + rng.normal(0, 8, (*size, 3))
    return image.clip(0, 255).astype(np.uint8), rng.random((n_classes, *size), np.float32)


def vectors(params, size, depth=4):
    """Features as the affinity of some parameters wants them, some pointing away from others."""
    if params.affinity not in ("feature", "embedding"):
        return None
    found = np.random.default_rng(5).normal(0.5, 1, (depth, *size)).astype(np.float32)
    return found / 4 if params.affinity == "embedding" else found


def alike(some, others, params):
    if params.affinity == "feature":
        lengths = np.linalg.norm(some) * np.linalg.norm(others)
        return max(0.0, float(some @ others / lengths))
    if params.affinity == "embedding":
        return math.exp(-np.abs(some - others).sum())
    return math.exp(-((some - others) ** 2).sum() / (2 * params.colour_sigma**2))


def way(start, end):
    """Cells between two others, by the distance from the straight line."""
    (top, left), (bottom, right) = np.sort([start, end], axis=0)
    along = np.subtract(end, start)
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    return [
        cell
        for cell in product(range(top, bottom + 1), range(left, right + 1))
        if abs(normal @ np.subtract(cell, start)) < 1 - 1e-9 and cell not in (start, end)
    ]


def written_out(field, params):
    """T from (h, w, D) colours or features, cell by cell, dense and in float64."""
    places = list(np.ndindex(*field.shape[:2]))
    weights = np.eye(len(places))
    for (i, start), (j, end) in product(enumerate(places), repeat=2):
        if i == j or math.dist(start, end) >= params.radius:
            continue
        found = [alike(field[start], field[end], params)]
        if params.affinity == "boundary":
            for cell in way(start, end):
                found += [alike(field[start], field[cell], params)]
                found += [alike(field[cell], field[end], params)]
        weights[i, j] = min(found) ** params.beta
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@EVERY
@pytest.mark.parametrize("size", [(8, 9), (1, 7), (4, 3), (1, 1)])
def test_agrees_with_the_formula_written_out(affinity, size):
    params = replace(CELLS, affinity=affinity, beta=3)
    image, maps = random_problem(size=size)
    features = vectors(params, size)
    field = rgb2lab(image) if features is None else np.moveaxis(features, 0, -1).astype(float)
    expected = written_out(field, params)
    found = _transition(image, params, features)
    np.testing.assert_allclose(found.toarray(), expected, atol=1e-5)
    for t in (0, 1, 2, 8, 11):
        spread = np.linalg.matrix_power(expected, 2**t) @ maps.reshape(3, -1).T
        after = walked(maps, image, replace(params, t=t), features)
        np.testing.assert_allclose(after.reshape(3, -1).T, spread, atol=1e-4)


def test_every_parameter_matters():
    image, maps = random_problem()
    base = Walk(colour_sigma=30, t=3, stride=2)
    changes = {"affinity": "boundary", "radius": 2, "beta": 2, "t": 4, "stride": 1}
    before = walked(maps, image, base)
    for name, value in {**changes, "colour_sigma": 60}.items():
        after = walked(maps, image, replace(base, **{name: value}))
        assert np.abs(after - before).max() > 1e-3, name


@EVERY
@pytest.mark.parametrize("size", SIZES)
def test_rows_of_the_transition_are_probabilities(affinity, size):
    for stride in (1, 4):
        params = replace(CELLS, affinity=affinity, stride=stride)
        matrix = _transition(random_problem(size=size)[0], params, vectors(params, (3, 2)))
        assert matrix.shape == (math.ceil(size[0] / stride) * math.ceil(size[1] / stride),) * 2
        assert matrix.data.min() > 0 and matrix.diagonal().min() > 0
        np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
        assert matrix.has_canonical_format


@pytest.mark.parametrize("radius", [2, 3, 5])
def test_transition_holds_only_what_is_closer_than_the_radius(radius):
    image = np.full((15, 17, 3), 90, np.uint8)
    for affinity in ("colour", "boundary"):
        params = replace(CELLS, affinity=affinity, radius=radius)
        row = _transition(image, params)[[7 * 17 + 8]].toarray().reshape(15, 17)
        down, right = np.mgrid[-7:8, -8:9]
        near = np.hypot(down, right) < radius
        np.testing.assert_allclose(row, near / near.sum(), rtol=1e-6)


def test_large_grid_stays_sparse():
    """A dense matrix of these 40 000 cells would be 13 GB."""
    image = np.full((200, 200, 3), 90, np.uint8)
    matrix = _transition(image, replace(CELLS, radius=2))
    assert matrix.shape == (40_000, 40_000) and matrix.nnz < 9 * 40_000
    assert matrix.indices.dtype == np.int32


@EVERY
def test_maps_stay_within_their_range(affinity):
    image, maps = random_problem(size=(21, 30))
    maps *= np.array([1, 1e-3, 300], np.float32)[:, None, None]
    params = Walk(affinity=affinity, stride=2)
    after = walked(maps, image, params, vectors(params, (5, 7)))
    assert after.dtype == np.float32 and after.shape == maps.shape
    for one, before in zip(after, maps, strict=True):
        assert before.min() <= one.min() < one.max() <= before.max()


@EVERY
def test_constant_maps_stay_constant(affinity):
    image, _ = random_problem(size=(23, 31))
    maps = np.zeros((40, 23, 31), np.float32)
    maps += np.random.default_rng(0).random((40, 1, 1), np.float32)
    params = Walk(affinity=affinity, stride=3)
    np.testing.assert_array_equal(walked(maps, image, params, vectors(params, (4, 6))), maps)


@UNTRAINED
def test_flat_image_is_levelled(affinity):
    _, maps = random_problem(size=(12, 14))
    params = replace(CELLS, affinity=affinity, t=12)
    after = walked(maps, np.full((12, 14, 3), 70, np.uint8), params)
    assert (np.ptp(after, axis=(1, 2)) < 1e-4).all()


@EVERY
def test_walks_each_map_for_itself(affinity):
    image, maps = random_problem()
    params = Walk(affinity=affinity, stride=2)
    features = vectors(params, (4, 6))
    together = walked(maps, image, params, features)
    for index in range(3):
        alone = walked(maps[index : index + 1], image, params, features)
        np.testing.assert_allclose(together[index], alone[0], atol=1e-6)
    doubled = walked(2 * maps, image, params, features)
    np.testing.assert_allclose(doubled, 2 * together, atol=1e-6)


@EVERY
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("size", [(16, 24), (13, 22)])
def test_flips_with_the_image(affinity, axis, size):
    image, maps = random_problem(size=size)
    params = Walk(affinity=affinity, stride=3, colour_sigma=15)
    features = vectors(params, (3, 5))
    mirrored = None if features is None else np.flip(features, axis + 1)
    flipped = walked(np.flip(maps, axis + 1), np.flip(image, axis), params, mirrored)
    expected = np.flip(walked(maps, image, params, features), axis + 1)
    np.testing.assert_allclose(flipped, expected, atol=1e-4)


@UNTRAINED
def test_order_of_classes_does_not_matter(affinity):
    image, scores = random_problem()
    params = Walk(affinity=affinity, stride=2)
    turned = random_walk(image, scores[[2, 0, 1]], params=params)
    expected = random_walk(image, scores, params=params)[[2, 0, 1]]
    np.testing.assert_allclose(turned, expected, atol=1e-6)


@UNTRAINED
def test_nothing_leaks_across_a_strong_edge(affinity):
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, 24:] = 255
    maps = np.zeros((1, 32, 48), np.float32)
    maps[:, 8:16, 4:12] = 1
    for t in (8, 13):
        after = walked(maps, image, Walk(affinity=affinity, colour_sigma=20, t=t))
        assert after[0, :, :22].min() > 0  # enlarging blurs half a cell either side
        assert not after[0, :, 26:].any()


def test_only_a_boundary_holds_back_what_a_thin_line_parts():
    """One cell wide and slanting: cells on both sides look alike and lie within the radius."""
    image = np.full((20, 20, 3), 200, np.uint8)
    maps = np.zeros((1, 20, 20), np.float32)
    maps[0, :, 0] = 1
    for slope in (0, 1, 0.5):
        lined = image.copy()
        for y in range(20):
            lined[y, min(int(4 + slope * y), 19)] = 0
        beyond = np.cumsum(lined[..., 0] == 0, axis=1) > 0
        params = replace(CELLS, affinity="boundary")
        assert walked(maps, lined, params)[0][~beyond].min() > 0.01
        assert not walked(maps, lined, params)[0][beyond].any()
        assert walked(maps, lined, replace(params, affinity="colour"))[0][beyond].max() > 0.01


def test_spreads_to_all_of_a_region_and_no_further():
    image = np.random.default_rng(0).integers(30, 50, (40, 60, 3)).astype(np.uint8)
    image[8:32, 12:44] += 150
    region = image[..., 0] > 100
    cam = np.zeros((1, 40, 60), np.float32)
    cam[0, 12:20, 16:24] = 1
    after = walked(cam, image, Walk(colour_sigma=15))[0]
    agreement = (after > after.max() / 2) == region
    assert agreement.mean() > 0.95 > ((cam[0] > 0.5) == region).mean()


def test_feature_resolution_is_free():
    image, _ = random_problem(size=(16, 24))
    params = Walk(affinity="feature", stride=4)
    halves = np.zeros((2, 4, 6), np.float32)
    halves[0, :, :3] = halves[1, :, 3:] = 1
    fine = halves.repeat(2, axis=1).repeat(2, axis=2)
    matrices = [_transition(image, params, given).toarray() for given in (halves, fine)]
    np.testing.assert_allclose(*matrices, atol=0.02)
    across = matrices[0].reshape(4, 6, 4, 6)[:, :3, :, 3:]
    assert not across.any()
    row = _transition(image, params, np.full((3, 1, 1), 2, np.float32))[[8]].toarray()
    np.testing.assert_allclose(row, np.full((1, 24), 1 / 24), rtol=1e-5)


def test_feature_without_length_is_like_nothing():
    image, _ = random_problem(size=(3, 4))
    features = np.ones((2, 3, 4), np.float32)
    features[:, 1, 2] = 0
    row = _transition(image, replace(CELLS, affinity="feature"), features)[[6]].toarray()[0]
    np.testing.assert_array_equal(row, np.eye(12)[6])


@EVERY
def test_probabilities(affinity):
    image, scores = random_problem()
    params = Walk(affinity=affinity, stride=2)
    features = vectors(params, (4, 6))
    sharp = random_walk(image, scores, params=params, features=features)
    again = random_walk(image, scores, params=params, features=features)
    assert sharp.dtype == np.float32 and sharp.shape == scores.shape
    np.testing.assert_allclose(sharp.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(sharp, again)
    assert np.abs(sharp - scores / scores.sum(axis=0)).max() > 0.1


@UNTRAINED
@pytest.mark.parametrize("size", SIZES)
def test_images_of_any_size(affinity, size):
    image, scores = random_problem(size=size)
    allowed = np.random.default_rng(1).random(scores.shape) < 0.7
    allowed[0] |= ~allowed.any(axis=0)
    found = random_walk(image, scores, allowed=allowed, params=Walk(affinity=affinity))
    assert found.shape == scores.shape and not found[~allowed].any()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)


def test_image_of_one_cell_takes_its_mean():
    image, maps = random_problem(size=(3, 4))
    expected = np.broadcast_to(maps.mean(axis=(1, 2), keepdims=True), maps.shape)
    np.testing.assert_allclose(walked(maps, image), expected, rtol=1e-5)


def test_forbidden_class_neither_appears_nor_spreads():
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    allowed[2, :, 12:] = False
    scores[2, :, 12:] = 0.9
    found = random_walk(image, scores, allowed=allowed)
    silent = random_walk(image, np.where(allowed, scores, 0), allowed=allowed)
    assert not found[~allowed].any() and found[2, :, :12].all()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(found, silent)


def test_unused_class_changes_nothing():
    image, scores = random_problem()
    allowed = np.insert(np.ones(scores.shape, bool), 1, values=False, axis=0)
    found = random_walk(image, np.insert(scores, 1, 0.3, axis=0), allowed=allowed)
    expected = np.insert(random_walk(image, scores), 1, 0, axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2])
def test_pixel_may_take_only_what_no_other_has(stride):
    image = np.full((9, 9, 3), 90, np.uint8)
    scores, allowed = np.zeros((3, 9, 9)), np.zeros((3, 9, 9), bool)
    scores[0], allowed[0] = 1, True
    allowed[:, 4, 4], scores[:, 4, 4] = [False, True, True], [5, 0.2, 0.6]
    params = replace(CELLS, stride=stride)
    found = random_walk(image, scores, allowed=allowed, params=params)
    np.testing.assert_allclose(found[:, 4, 4], [0, 0.25, 0.75], rtol=1e-5)
    assert (np.delete(found[0].ravel(), 40) == 1).all()


def test_silent_scores_are_equally_likely():
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    allowed[2] = False
    scores[:2] = 0
    np.testing.assert_allclose(random_walk(image, scores, allowed=allowed)[:2], 0.5, atol=1e-6)


def test_inputs_stay_as_they_were():
    image, scores = random_problem()
    params = Walk(affinity="feature", t=2)
    arrays = image, scores, np.ones(scores.shape, bool), vectors(params, (2, 3))
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    random_walk(image, scores, allowed=arrays[2], params=params, features=arrays[3])
    for given in (Walk(), replace(CELLS, t=0, colour_sigma=0.01)):
        assert not np.shares_memory(random_walk(image, scores, params=given), scores)
        assert not np.shares_memory(walked(scores, image, given), scores)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@EVERY
def test_views_are_welcome(affinity):
    image, maps = random_problem()
    turned = maps.transpose(0, 2, 1)[:, ::-1, ::2], image.transpose(1, 0, 2)[::-1, ::2]
    copies = (np.ascontiguousarray(view) for view in turned)
    params = Walk(affinity=affinity, stride=2)
    features = vectors(params, (6, 6))
    view = None if features is None else features[:, ::-1, ::2]
    copy = None if view is None else view.copy()
    expected = walked(*copies, params, copy)
    np.testing.assert_array_equal(walked(*turned, params, view), expected)


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32, np.uint8, bool])
def test_numbers_of_any_kind_are_welcome(kind):
    image, maps = random_problem()
    given = (4 * maps).round().astype(kind)
    expected = walked(given.astype(np.float32), image)
    found = walked(given, image)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 64, 256, 2**12, 2**20])
def test_polynomial_is_the_power(n):
    shares = _chebyshev(n)
    x = np.linspace(-1, 1, 101)
    np.testing.assert_allclose(np.polynomial.chebyshev.chebval(x, shares), x**n, atol=1e-6)
    assert len(shares) <= min(n, 6 * math.sqrt(n)) + 2
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 5, 3), np.float32)}, "image must be uint8 RGB of shape"),
        ({"image": np.zeros((4, 6, 3), np.uint8)}, r"got uint8 of shape \(4, 6, 3\)"),
        ({"scores": np.full((2, 4, 5), np.nan)}, "scores must be finite"),
        ({"scores": np.full((2, 4, 5), -0.1)}, "scores must be finite and at least 0, got -0.1"),
        ({"scores": np.full((4, 5), 0.5)}, r"scores must be a \(C, H, W\) array .* \(4, 5\)"),
        ({"features": np.ones((2, 4, 5))}, "features must be None for the affinity colour"),
    ],
)
def test_wrong_arguments(change, message):
    given: dict[str, object] = {"image": np.zeros((4, 5, 3), np.uint8)}
    given |= {"scores": np.full((2, 4, 5), 0.5), "features": None, **change}
    with pytest.raises(InputError, match=message):
        random_walk(**given)
    given["maps"] = given.pop("scores")
    with pytest.raises(InputError, match=message):
        walked(**given)


def test_pixel_without_an_allowed_class():
    image, scores = random_problem()
    with pytest.raises(InputError, match=r"allowed must be .* got pixels without one"):
        random_walk(image, scores, allowed=np.zeros(scores.shape, bool))


@pytest.mark.parametrize(
    ("features", "got"),
    [
        (None, "NoneType"),
        ([[[1.0]]], "list"),
        (np.ones((4, 5)), r"float64 of shape \(4, 5\)"),
        (np.ones((0, 4, 5)), r"float64 of shape \(0, 4, 5\)"),
        (np.ones((2, 4, 5), np.int64), "int64 of shape"),
        (np.full((2, 4, 5), np.nan), "NaN or infinity"),
    ],
)
def test_wrong_features(features, got):
    image, maps = random_problem()
    with pytest.raises(InputError, match=rf"features must be a finite \(D, h, w\) .* got {got}"):
        walked(maps, image, Walk(affinity="feature"), features)


def test_unknown_affinity():
    image, maps = random_problem()
    with pytest.raises(InputError, match=r"affinity must be one of colour, .* got 'color'"):
        walked(maps, image, Walk(affinity="color"))


@pytest.mark.parametrize(
    "values",
    [
        {"radius": 1},
        {"radius": 2.5},
        {"beta": 0},
        {"beta": float("inf")},
        {"t": -1},
        {"t": 1.5},
        {"t": 21},
        {"stride": 0},
    ],
)
def test_wrong_parameters(values):
    with pytest.raises(InputError, match=f"{next(iter(values))} in WalkParams must be"):
        WalkParams(**values)
