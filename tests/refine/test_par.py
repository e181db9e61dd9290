import math
from dataclasses import replace
from itertools import product

import cv2
import numpy as np
import pytest
import torch

from wsseg.errors import InputError
from wsseg.refine import par as module
from wsseg.refine.par import _batches, _refine, par, par_batch
from wsseg.refine.params import PARParams
from wsseg.refine.scores import check_scores, normalise

PAR, PAMR = PARParams(), PARParams(variant="pamr")
PUBLISHED = pytest.mark.parametrize("params", [PAR, PAMR], ids=["PAR", "PAMR"])
STEPS = [step for step in product((-1, 0, 1), repeat=2) if step != (0, 0)]


def random_problem(seed=0, size=(16, 22), n_classes=3):
    """A textured RGB image of a few regions, and unsure scores (C, H, W)."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.random((*size, 3), np.float32), (0, 0), 3).reshape(*size, 3)
    image = 60 + 120 * (smooth > np.median(smooth, axis=(0, 1))) + rng.normal(0, 8, (*size, 3))
    scores = rng.random((n_classes, *size), np.float32)
    return image.clip(0, 255).astype(np.uint8), scores / scores.sum(axis=0)


def neighbours(size, y, x, params):
    return [
        (min(max(y + d * dy, 0), size[0] - 1), min(max(x + d * dx, 0), size[1] - 1))
        for d in params.dilations
        for dy, dx in STEPS
    ]


def soft(energies):
    powers = np.exp(energies - energies.max())
    return np.asarray(powers / powers.sum())


def pixel_weights(image, y, x, params):
    form = module._VARIANTS[params.variant]
    around = np.array([image[place] for place in neighbours(image.shape[:2], y, x, params)], float)
    itself = np.repeat(image[y : y + 1, x], len(params.dilations), axis=0)
    samples = np.vstack([around, itself]) if form.counts_itself else around
    deviation = samples.std(axis=0, ddof=1) + 1e-8
    scaled = np.abs(around - image[y, x]) / (form.colour_temperature * deviation)
    colour = soft(-(scaled**form.exponent).mean(axis=1))
    lengths = np.array([d * math.hypot(*step) for d in params.dilations for step in STEPS])
    apart = lengths / (form.position_temperature * lengths.std(ddof=1))
    mixed = colour + form.position_weight * soft(-(apart**form.exponent))
    return np.asarray(mixed / mixed.sum())


def pixel_by_pixel(
    image,
    scores,
    allowed,
    params,
):
    """The formula written out in float64."""
    size, field = image.shape[:2], np.where(allowed, scores, 0).astype(float)
    field /= field.sum(axis=0)
    for _ in range(params.iterations):
        before = field.copy()
        for y, x in np.ndindex(*size):
            places = neighbours(size, y, x, params)
            values = np.array([before[:, row, column] for row, column in places])
            spread = allowed[:, y, x] * (pixel_weights(image, y, x, params) @ values)
            if spread.sum() > 0:
                field[:, y, x] = spread / spread.sum()
    return field


@PUBLISHED
@pytest.mark.parametrize("size", [(8, 9), (5, 12), (1, 6), (2, 2), (1, 1)])
def test_agrees_with_the_formula_written_out(params, size):
    params = params.model_copy(update={"iterations": 3})
    image, scores = random_problem(size=size)
    allowed = np.random.default_rng(1).random(scores.shape) < 0.7
    allowed[0] |= ~allowed.any(axis=0)
    for mask in (np.ones_like(allowed), allowed):
        found = par(image, scores, allowed=mask, params=params)
        expected = pixel_by_pixel(image, scores, mask, params)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def form(monkeypatch, **changes):
    """Change constants of the variant "par"."""
    monkeypatch.setitem(module._VARIANTS, "par", replace(module._VARIANTS["par"], **changes))


@pytest.mark.parametrize(
    "change",
    [
        {"colour_temperature": 0.6},
        {"position_temperature": 0.9},
        {"position_weight": 0.5},
        {"exponent": 1.5},
        {"counts_itself": True},
        {"dilations": (1, 3)},
        {"iterations": 2},
    ],
)
def test_every_constant_and_every_parameter_matters(change, monkeypatch):
    image, scores = random_problem(size=(7, 8))
    params = PARParams(dilations=(1, 2), iterations=1)
    form(monkeypatch, position_weight=1)
    before = par(image, scores, params=params)
    if {*change} <= {*PARParams.model_fields}:
        params = params.model_copy(update=change)
    else:
        form(monkeypatch, **change)
    found = par(image, scores, params=params)
    expected = pixel_by_pixel(image, scores, np.ones(scores.shape, bool), params)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - before).max() > 1e-3


@PUBLISHED
def test_flat_image_leaves_constant_scores_alone(params):
    scores = np.empty((2, 9, 11))
    scores[0], scores[1] = 0.3, 0.7
    found = par(np.full((9, 11, 3), 200, np.uint8), scores, params=params)
    np.testing.assert_allclose(found, scores, atol=1e-6)


@PUBLISHED
def test_follows_the_edge_of_the_image(params):
    image = np.random.default_rng(0).integers(30, 50, (20, 30, 3)).astype(np.uint8)
    image[:, 15:] += 150
    scores = np.full((2, 20, 30), 0.5)
    scores[:, :, :11] = [[[0.9]], [[0.1]]]
    scores[:, :, 19:] = [[[0.1]], [[0.9]]]
    sharp = par(image, scores, params=params)
    assert not sharp.argmax(axis=0)[:, :15].any() and sharp.argmax(axis=0)[:, 15:].all()
    assert (np.abs(sharp[0, :, 14] - sharp[0, :, 15]) > 0.5).all()


def test_channel_that_tells_no_neighbour_from_another_is_left_out(monkeypatch):
    image, scores = random_problem(size=(5, 5))
    image[..., 0] = 255
    image[2, 2, 0] = 0
    form(monkeypatch, position_weight=0)
    params = PARParams(dilations=(1,), iterations=1)
    energies = []
    around = np.array([image[2 + dy, 2 + dx, 1:] for dy, dx in STEPS], float)
    for neighbour in around:
        scaled = (neighbour - image[2, 2, 1:]) / (0.3 * around.std(axis=0, ddof=1))
        energies.append(-(scaled**2).sum() / 3)
    expected = soft(np.array(energies)) @ [scores[:, 2 + dy, 2 + dx] for dy, dx in STEPS]
    np.testing.assert_allclose(par(image, scores, params=params)[:, 2, 2], expected, atol=1e-5)


@PUBLISHED
def test_probabilities(params):
    image, scores = random_problem()
    sharp = par(image, scores, params=params)
    assert sharp.dtype == np.float32 and sharp.shape == scores.shape
    np.testing.assert_allclose(sharp.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(sharp, par(image, scores, params=params))
    assert np.abs(sharp - scores).max() > 0.1


def test_order_of_classes_does_not_matter():
    image, scores = random_problem()
    turned = par(image, scores[[2, 0, 1]])
    np.testing.assert_allclose(turned, par(image, scores)[[2, 0, 1]], atol=1e-6)


@PUBLISHED
@pytest.mark.parametrize("axis", [0, 1])
def test_flips_with_the_image(params, axis):
    image, scores = random_problem()
    flipped = par(np.flip(image, axis), np.flip(scores, axis + 1), params=params)
    expected = np.flip(par(image, scores, params=params), axis + 1)
    np.testing.assert_allclose(flipped, expected, atol=1e-5)


def test_unused_class_changes_nothing():
    image, scores = random_problem()
    allowed = np.insert(np.ones(scores.shape, bool), 1, values=False, axis=0)
    found = par(image, np.insert(scores, 1, 0.3, axis=0), allowed=allowed)
    np.testing.assert_allclose(found, np.insert(par(image, scores), 1, 0, axis=0), atol=1e-6)


def test_forbidden_class_neither_appears_nor_spreads():
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    allowed[2, :, 12:] = False
    scores[2, :, 12:] = 0.9
    found = par(image, scores, allowed=allowed)
    assert not found[~allowed].any()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_array_equal(found, par(image, np.where(allowed, scores, 0), allowed=allowed))


def test_pixel_keeps_its_own_where_neighbours_know_nothing_it_may_take(monkeypatch):
    image, _ = random_problem(size=(5, 5))
    scores = np.zeros((3, 5, 5))
    allowed = np.zeros(scores.shape, bool)
    scores[0], allowed[0] = 1, True
    allowed[:, 2, 2], scores[:, 2, 2] = [False, True, True], [5, 0.2, 0.6]
    form(monkeypatch, position_weight=1)
    params = PARParams(dilations=(1, 2))
    found = par(image, scores, allowed=allowed, params=params)
    np.testing.assert_allclose(found[:, 2, 2], [0, 0.25, 0.75], rtol=1e-6)
    assert (np.delete(found[0].ravel(), 12) == 1).all()


def test_silent_scores_are_equally_likely():
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    allowed[2] = False
    scores[:2] = 0
    np.testing.assert_allclose(par(image, scores, allowed=allowed)[:2], 0.5, atol=1e-6)


def test_one_class_is_certain():
    image, scores = random_problem(n_classes=1)
    np.testing.assert_array_equal(par(image, 0.2 * scores), np.ones_like(scores))


def test_no_iteration_normalises_the_scores():
    image, scores = random_problem()
    found = par(image, 3 * scores, params=PARParams(iterations=0))
    np.testing.assert_allclose(found, scores, rtol=1e-6)


def test_dilation_far_beyond_the_image_is_its_border(monkeypatch):
    form(monkeypatch, position_weight=0)
    image, scores = random_problem(size=(6, 9))
    far, near = (PARParams(dilations=(1, d)) for d in (10**9, 9))
    np.testing.assert_array_equal(par(image, scores, params=far), par(image, scores, params=near))


def test_inputs_stay_as_they_were():
    image, scores = random_problem()
    arrays = image, scores, np.ones(scores.shape, bool)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.setflags(write=False)
    for iterations in (0, 2):
        found = par(image, scores, allowed=arrays[2], params=PARParams(iterations=iterations))
        assert found.flags.writeable and not np.shares_memory(found, scores)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_views_are_welcome():
    image, scores = random_problem()
    turned = image.transpose(1, 0, 2)[::-1, ::2], scores.transpose(0, 2, 1)[:, ::-1, ::2]
    copies = (np.ascontiguousarray(view) for view in turned)
    np.testing.assert_array_equal(par(*turned), par(*copies))


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.int32, np.uint8, bool])
def test_numbers_of_any_kind_are_welcome(kind):
    image, scores = random_problem()
    given = (4 * scores).round().astype(kind)
    np.testing.assert_allclose(par(image, given), par(image, given.astype(np.float32)), atol=1e-5)


@PUBLISHED
def test_batch_of_mixed_sizes_equals_one_by_one(params):
    problems = [
        random_problem(seed, size, n_classes)
        for seed, (size, n_classes) in enumerate(
            [((12, 9), 3), ((30, 40), 3), ((12, 9), 2), ((12, 9), 3), ((1, 1), 3)]
        )
    ]
    images, scores = zip(*problems, strict=True)
    allowed = [None, np.random.default_rng(0).random(scores[1].shape) < 0.8, None, None, None]
    allowed[1][0] = True
    found = par_batch(images, scores, allowed=allowed, params=params)
    for one, image, score, mask in zip(found, images, scores, allowed, strict=True):
        np.testing.assert_allclose(one, par(image, score, allowed=mask, params=params), atol=1e-6)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_only_images_of_one_shape_are_computed_batches(device):
    scores = [random_problem(size=size)[1] for size in ((3, 4), (4, 3), (3, 4))]
    expected = {"cpu": [[0], [1], [2]], "cuda": [[0, 2], [1]]}[device]
    assert _batches(scores, torch.device(device)) == expected


@PUBLISHED
def test_images_computed_batches_equal_each_alone(params):
    images, scores = (
        np.stack(arrays) for arrays in zip(*map(random_problem, range(3)), strict=True)
    )
    allowed = np.random.default_rng(0).random(scores.shape) < 0.8
    allowed[:, 0] = True
    start = np.stack([normalise(*pair) for pair in zip(scores, allowed, strict=True)])
    found = _refine(*map(torch.from_numpy, (images, start, allowed)), params)
    alone = par_batch(images, scores, allowed=allowed, params=params)
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_batch_of_none_is_none():
    assert par_batch([], []) == []


BAD = pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 5, 3), np.float32)}, "image must be uint8 RGB of shape"),
        ({"image": np.zeros((4, 6, 3), np.uint8)}, r"got uint8 of shape \(4, 6, 3\)"),
        ({"image": [[0]]}, "image must be .* got list"),
        ({"scores": np.full((2, 4, 5), np.nan)}, "scores must be finite"),
        ({"scores": np.full((2, 4, 5), np.inf)}, "scores must be finite"),
        ({"scores": np.full((2, 4, 5), -0.1)}, "scores must be finite and at least 0, got -0.1"),
        ({"scores": np.full((4, 5), 0.5)}, r"scores must be a \(C, H, W\) array .* \(4, 5\)"),
        ({"scores": np.zeros((0, 4, 5))}, "with at least one class, got float64 of shape"),
        ({"scores": np.zeros((2, 4, 5), complex)}, "array of numbers .* got complex128"),
        ({"scores": np.full((2, 4, 5), "a")}, "array of numbers .* got <U1"),
        ({"scores": None}, "array of numbers .* got NoneType"),
        ({"allowed": np.ones((3, 4, 5), bool)}, r"got bool of shape \(3, 4, 5\)"),
        ({"allowed": np.ones((2, 4, 5))}, "allowed must be bool of shape .* got float64"),
        ({"allowed": np.zeros((2, 4, 5), bool)}, "allowed must be .* got pixels without one"),
    ],
)


@BAD
def test_wrong_arguments(change, message):
    given: dict[str, object] = {"image": np.zeros((4, 5, 3), np.uint8)}
    given |= {"scores": np.full((2, 4, 5), 0.5), "allowed": None, **change}
    with pytest.raises(InputError, match=message):
        par(**given)
    with pytest.raises(InputError, match=message):
        check_scores(**given)


def test_image_without_pixels():
    with pytest.raises(InputError, match="image must be"):
        par(np.zeros((0, 5, 3), np.uint8), np.zeros((2, 0, 5)))


@pytest.mark.parametrize("device", ["gpu7", "meta:x", "cuda:99"])
def test_device_that_is_not_there(device):
    with pytest.raises(InputError, match=f"device must be .* got '{device}'; choose auto"):
        par(*random_problem(), device=device)


def test_numbers_of_images_and_scores_differ():
    image, scores = random_problem()
    with pytest.raises(InputError, match="scores must be one an image, 2 in all, got 1"):
        par_batch([image, image], [scores])
    with pytest.raises(InputError, match="allowed must be one an image, 1 in all, got 2"):
        par_batch([image], [scores], allowed=[None, None])


@pytest.mark.parametrize(
    "values",
    [
        {"dilations": ()},
        {"dilations": (1, 0)},
        {"dilations": (1.5,)},
        {"iterations": -1},
        {"iterations": float("nan")},
        {"variant": "pam"},
    ],
)
def test_wrong_parameters(values):
    with pytest.raises(InputError, match=rf"{next(iter(values))}(\.\d)? in PARParams must be"):
        PARParams(**values)


@pytest.mark.parametrize("magnitude", [1e-300, 1e300])
def test_scores_of_any_magnitude_become_probabilities(magnitude):
    scores = magnitude * np.array([[[3.0]], [[1.0]]])
    np.testing.assert_allclose(normalise(scores), [[[0.75]], [[0.25]]])
