from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context

import cv2
import numpy as np
import pytest

from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.refine.crf import batched
from wsseg.refine.crf.backends import BACKENDS, Backend, choose_backend, warm_up
from wsseg.refine.crf.dense import dense_crf, dense_crf_batch
from wsseg.refine.params import IRN, SDI, CRFParams


def crf_params(*values):
    names = (
        *("gaussian_sxy", "gaussian_compat", "bilateral_sxy", "bilateral_srgb"),
        *("bilateral_compat", "iterations"),
    )
    return CRFParams(**dict(zip(names, values, strict=False)))


def changed(params, **values):
    return params.model_copy(update=values)


SHORT = changed(SDI, iterations=3)
GENTLE = crf_params(1, 1, 6, 20, 2, 5)  # leaves small images with pixels that are unsure


@pytest.fixture(params=BACKENDS)
def backend(request):
    name: str = request.param
    if not BACKENDS[name].is_installed():
        pytest.skip(f"{name} is not installed")
    return name


def random_problem(seed=0, size=(32, 44), n_classes=3):
    """A textured RGB image of a few regions, and unsure scores (C, H, W)."""
    rng = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(rng.random((*size, 3), np.float32), (0, 0), size[0] / 6)
    regions = (smooth > np.median(smooth, axis=(0, 1))).astype(np.float32)
    image = 60 + 120 * regions + rng.normal(0, 6, regions.shape)
    noise = cv2.GaussianBlur(rng.random((*size, n_classes), np.float32), (0, 0), 3)
    logits = 20 * noise.reshape(*size, n_classes)
    logits[..., 0] += 2 * regions[..., 0]
    powers = np.exp(logits - logits.max())
    scores = (powers / powers.sum(axis=2, keepdims=True)).transpose(2, 0, 1)
    return image.clip(0, 255).astype(np.uint8), np.ascontiguousarray(scores)


def mean_field(image, scores, params):
    """The same model with every pair of pixels written out, (N, N), in float64."""
    places = np.indices(image.shape[:2]).reshape(2, -1).T.astype(float)
    colours = image.reshape(-1, 3) / params.bilateral_srgb
    appearance = np.hstack([places / params.bilateral_sxy, colours])
    pairwise = np.zeros((len(places), len(places)))
    for weight, features in (
        (params.gaussian_compat, places / params.gaussian_sxy),
        (params.bilateral_compat, appearance),
    ):
        apart = ((features[:, None] - features[None]) ** 2).sum(axis=2)
        kernel = np.exp(-apart / 2)
        norm = kernel.sum(axis=1) ** -0.5
        pairwise += weight * norm[:, None] * kernel * norm
    logs = np.log(scores.reshape(len(scores), -1).astype(float).clip(1e-5))
    field = np.exp(logs) / np.exp(logs).sum(axis=0)
    for _ in range(params.iterations):
        logits = logs + field @ pairwise
        field = np.exp(logits - logits.max(axis=0))
        field /= field.sum(axis=0)
    return field.reshape(scores.shape)


@pytest.mark.parametrize("params", [GENTLE, crf_params(1, 1, 8, 15, 3, 5), SDI])
@pytest.mark.parametrize(("seed", "size"), [(3, (8, 8)), (1, (16, 20)), (1, (24, 30))])
def test_agrees_with_every_pair_written_out(backend, seed, size, params):
    image, scores = random_problem(seed, size)
    found = dense_crf(image, scores, params=changed(params, backend=backend))
    expected = mean_field(image, scores, params)
    assert np.abs(expected - scores).mean() > 0.1
    assert np.abs(found - expected).mean() < 0.006
    assert np.mean(found.argmax(axis=0) == expected.argmax(axis=0)) > 0.99


@pytest.mark.parametrize("name", ["torch", "pydensecrf"])
@pytest.mark.parametrize("params", [IRN, SDI, changed(IRN, bilateral_srgb=0.6)])
def test_backends_agree_on_generated_images(name, params):
    if not BACKENDS[name].is_installed():
        pytest.skip(f"{name} is not installed")
    for seed, n_classes in enumerate((2, 3, 4, 5, 9)):
        image, scores = random_problem(seed, (60, 80), n_classes)
        one, other = (
            dense_crf(image, scores, params=changed(params, backend=b)) for b in ("native", name)
        )
        assert np.abs(one - other).max() < 2e-2
        assert np.abs(one - other).mean() < 1e-5
        assert np.mean(one.argmax(axis=0) == other.argmax(axis=0)) > 0.9999


@pytest.mark.parametrize("name", ["torch", "pydensecrf"])
def test_backends_agree_on_real_images(shared_data, name):
    if not BACKENDS[name].is_installed():
        pytest.skip(f"{name} is not installed")
    paths = sorted((shared_data / "msrc15" / "JPEGImages").iterdir())[::120]
    assert len(paths) == 3
    for path, params, n_classes in zip(paths, (IRN, SDI, IRN), (2, 4, 21), strict=True):
        image = read_image(path)
        _, scores = random_problem(0, image.shape[:2], n_classes)
        one, other = (
            dense_crf(image, scores, params=changed(params, backend=b)) for b in ("native", name)
        )
        assert np.mean(one.argmax(axis=0) == other.argmax(axis=0)) > 0.9999
        assert np.abs(one - other).mean() < 1e-5


def test_follows_the_edge_of_the_image(backend):
    image = np.full((20, 30, 3), 40, np.uint8)
    image[:, 15:] = 200
    scores = np.full((2, 20, 30), 0.5, np.float32)
    scores[:, :, :11] = [[[0.9]], [[0.1]]]
    scores[:, :, 19:] = [[[0.1]], [[0.9]]]
    sharp = dense_crf(image, scores, params=CRFParams(backend=backend)).argmax(axis=0)
    assert not sharp[:, :15].any() and sharp[:, 15:].all()


def test_probabilities(backend):
    image, scores = random_problem()
    sharp = dense_crf(image, scores, params=changed(SHORT, backend=backend))
    assert sharp.dtype == np.float32 and sharp.shape == scores.shape
    np.testing.assert_allclose(sharp.sum(axis=0), 1, atol=1e-5)
    assert np.abs(sharp - scores).max() > 0.1


def test_order_of_classes_does_not_matter(backend):
    image, scores = random_problem()
    sharp = dense_crf(image, scores, params=changed(GENTLE, backend=backend))
    turned = dense_crf(image, scores[[2, 0, 1]], params=changed(GENTLE, backend=backend))
    np.testing.assert_allclose(turned, sharp[[2, 0, 1]], atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1])
def test_flips_with_the_image(backend, axis):
    image, scores = random_problem()
    sharp = dense_crf(image, scores, params=changed(GENTLE, backend=backend))
    mirrored = np.flip(image, axis), np.flip(scores, axis + 1)
    flipped = np.flip(dense_crf(*mirrored, params=changed(GENTLE, backend=backend)), axis + 1)
    # the lattice itself is not mirrored
    assert np.mean(flipped.argmax(axis=0) == sharp.argmax(axis=0)) > 0.99
    assert np.abs(flipped - sharp).mean() < 0.006


def test_unused_class_changes_nothing(backend):
    image, scores = random_problem()
    unused = np.insert(scores, 1, 0.3, axis=0)
    allowed = np.ones(unused.shape, bool)
    allowed[1] = False
    sharp = dense_crf(image, scores, params=changed(SHORT, backend=backend))
    found = dense_crf(image, unused, allowed=allowed, params=changed(SHORT, backend=backend))
    np.testing.assert_array_equal(found, np.insert(sharp, 1, 0, axis=0))


def test_forbidden_class_neither_appears_nor_spreads(backend):
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    allowed[2, :, 20:] = False
    scores[2, :, 20:] = 0.9
    found = dense_crf(image, scores, allowed=allowed, params=changed(SHORT, backend=backend))
    assert not found[~allowed].any()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    elsewhere = scores.copy()
    elsewhere[2, :, 20:] = 0
    same = dense_crf(image, elsewhere, allowed=allowed, params=changed(SHORT, backend=backend))
    np.testing.assert_allclose(found, same, atol=1e-4)


def test_inputs_stay_as_they_were(backend):
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    before = image.copy(), scores.copy(), allowed.copy()
    for array in (image, scores, allowed):
        array.setflags(write=False)
    dense_crf(image, scores, allowed=allowed, params=changed(SHORT, backend=backend))
    for array, copy in zip((image, scores, allowed), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_views_and_doubles_are_welcome(backend):
    image, scores = random_problem()
    turned = image.transpose(1, 0, 2), scores.transpose(0, 2, 1).astype(np.float64)
    assert not turned[0].flags.c_contiguous
    copies = np.ascontiguousarray(turned[0]), np.ascontiguousarray(turned[1], np.float32)
    found = dense_crf(*turned, params=changed(SHORT, backend=backend))
    np.testing.assert_allclose(
        found, dense_crf(*copies, params=changed(SHORT, backend=backend)), atol=1e-4
    )


def test_repeats_itself(backend):
    image, scores = random_problem(size=(60, 80))
    one, other = (
        dense_crf(image, scores, params=changed(SHORT, backend=backend)) for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


def test_threads_do_not_disturb_each_other(backend):
    problems = [random_problem(seed, (40, 50), 2 + seed % 3) for seed in range(8)]
    refine = partial(dense_crf, params=changed(SHORT, backend=backend))
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda problem: refine(*problem), problems))
    for found, problem in zip(together, problems, strict=True):
        np.testing.assert_array_equal(found, refine(*problem))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_worker_processes_find_the_same(start):
    warm_up("native")
    problems = [random_problem(seed) for seed in range(2)]
    refine = partial(dense_crf, params=SHORT)
    with ProcessPoolExecutor(1, get_context(start)) as pool:
        found = list(pool.map(refine, *zip(*problems, strict=True)))
    for one, problem in zip(found, problems, strict=True):
        np.testing.assert_array_equal(one, refine(*problem))


@pytest.mark.parametrize("iterations", [0, 3])
def test_batch_of_mixed_sizes_and_classes(backend, iterations):
    sizes = [((20, 30), 3), ((1, 1), 2), ((25, 8), 4), ((9, 9), 1)]
    problems = [random_problem(n, size, n_classes) for n, (size, n_classes) in enumerate(sizes)]
    images, scores = map(list, zip(*problems, strict=True))
    allowed = [None, None, np.ones(scores[2].shape, bool), None]
    allowed[2][1] = False
    params = changed(SHORT, iterations=iterations)
    found = dense_crf_batch(
        images, scores, allowed=allowed, params=changed(params, backend=backend)
    )
    for n, one in enumerate(found):
        alone = dense_crf(*problems[n], allowed=allowed[n], params=changed(params, backend=backend))
        np.testing.assert_allclose(one, alone, atol=1e-5)


def test_empty_batch(backend):
    assert dense_crf_batch([], [], params=CRFParams(backend=backend)) == []


def test_images_in_one_torch_batch_do_not_meet():
    problems = [
        random_problem(0, (20, 30), 3),
        random_problem(0, (20, 30), 2),
        random_problem(2, (12, 9), 4),
    ]
    images = [image for image, _ in problems]
    energies = [-np.log(scores.clip(1e-5)) for _, scores in problems]
    device = batched.torch.device("cpu")
    found = batched._infer(images, energies, GENTLE, device)
    for one, image, energy in zip(found, images, energies, strict=True):
        alone = batched._infer([image], [energy], GENTLE, device)[0]
        np.testing.assert_allclose(one, alone, atol=1e-5)


def test_torch_batches_hold_no_more_than_fits():
    sizes = [(2, 5, 8), (2, 6, 10), (3, 1, 1), (2, 30, 40), (2, 2, 2), (9, 3, 3)]
    energies = [np.zeros(size, np.float32) for size in sizes]
    assert list(batched._batches(energies, 100 * 540)) == [[0, 1], [2], [3], [4, 5]]
    assert list(batched._batches(energies, 0)) == [[n] for n in range(6)]
    assert list(batched._batches(energies, 10**9)) == [list(range(6))]
    assert list(batched._batches([], 0)) == []


@pytest.mark.parametrize("compat", [0.0, 1000.0])
def test_no_weight_buys_a_forbidden_class(backend, compat):
    image, scores = np.full((20, 24, 3), 90, np.uint8), np.zeros((2, 20, 24))
    scores[1] = 1
    allowed = np.ones(scores.shape, bool)
    allowed[1, :4, :4] = False
    params = crf_params(1000, compat, 1000, 1000, 1000)
    found = dense_crf(image, scores, allowed=allowed, params=changed(params, backend=backend))
    np.testing.assert_array_equal(found[:, :4, :4].argmax(axis=0), 0)
    assert not found[~allowed].any()


def test_half_scale_is_nearly_the_same(backend):
    image, scores = random_problem(size=(96, 120))
    params = crf_params(2, 2, 20, 25, 4, 5)
    full = dense_crf(image, scores, params=changed(params, backend=backend))
    half = dense_crf(image, scores, params=changed(changed(params, scale=0.5), backend=backend))
    assert half.shape == full.shape and half.dtype == np.float32
    np.testing.assert_allclose(half.sum(axis=0), 1, atol=1e-5)
    agreement = np.mean(half.argmax(axis=0) == full.argmax(axis=0))
    assert np.mean(scores.argmax(axis=0) == full.argmax(axis=0)) < 0.9
    assert 0.97 < agreement < 1
    assert not np.array_equal(half, full)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (33, 44)])
@pytest.mark.parametrize("scale", [0.02, 0.5, 0.9])
def test_constraints_hold_at_every_scale(size, scale):
    image, scores = random_problem(4, size)
    allowed = np.random.default_rng(0).random(scores.shape) > 0.5
    allowed[0] |= ~allowed.any(axis=0)
    found = dense_crf(image, scores, allowed=allowed, params=changed(SHORT, scale=scale))
    assert not found[~allowed].any() and np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


def test_no_iteration_normalises_the_scores():
    image, scores = random_problem()
    found = dense_crf(image, 3 * scores, params=CRFParams(iterations=0))
    np.testing.assert_allclose(found, scores, rtol=1e-5)


@pytest.mark.parametrize("iterations", [1, 10])
def test_no_kernel_leaves_the_scores(backend, iterations):
    image, scores = random_problem()
    params = CRFParams(gaussian_compat=0, bilateral_compat=0, iterations=iterations)
    found = dense_crf(image, scores, params=changed(params, backend=backend))
    np.testing.assert_allclose(found, scores, atol=2e-5)


def test_one_class_is_certain():
    image, scores = random_problem(n_classes=1)
    np.testing.assert_array_equal(dense_crf(image, 0.2 * scores), np.ones_like(scores))


def test_silent_scores_are_equally_likely(backend):
    image, scores = random_problem()
    allowed = np.ones(scores.shape, bool)
    allowed[2] = False
    scores[:2] = 0
    found = dense_crf(image, scores, allowed=allowed, params=changed(SHORT, backend=backend))
    np.testing.assert_allclose(found[:2], 0.5, atol=1e-5)


@pytest.mark.parametrize("weight", ["gaussian_compat", "bilateral_compat"])
def test_kernel_without_weight_is_left_out(backend, weight):
    image, scores = random_problem(size=(24, 30))
    params = changed(GENTLE, **{weight: 0.0})
    found = dense_crf(image, scores, params=changed(params, backend=backend))
    assert np.abs(found - mean_field(image, scores, params)).mean() < 0.006
    assert np.abs(found - mean_field(image, scores, GENTLE)).mean() > 0.02


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_tiny_images(backend, size):
    scores = np.full((2, *size), 0.5, np.float32)
    scores[1, 0, 0] = 0.9
    found = dense_crf(np.zeros((*size, 3), np.uint8), scores, params=CRFParams(backend=backend))
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert found[1, 0, 0] > 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((4, 5, 3), np.float32)}, "image must be uint8 RGB of shape"),
        ({"image": np.zeros((4, 6, 3), np.uint8)}, r"got uint8 of shape \(4, 6, 3\)"),
        ({"scores": np.full((2, 4, 5), np.nan)}, "scores must be finite"),
        ({"scores": np.full((2, 4, 5), -0.1)}, "scores must be finite and at least 0, got -0.1"),
        ({"scores": np.full((2, 4, 5), np.inf)}, "scores must be finite"),
        ({"scores": np.zeros((0, 4, 5))}, r"with at least one class, got float64 of shape \(0, 4"),
        ({"scores": np.zeros((4, 5))}, r"got float64 of shape \(4, 5\)"),
        ({"scores": np.zeros((2, 4, 5), complex)}, "got complex128 of shape"),
        ({"scores": [[[0.5]]]}, "scores must be .* got list"),
        ({"image": np.zeros((0, 5, 3), np.uint8), "scores": np.zeros((2, 0, 5))}, "image must be"),
        ({"allowed": np.ones((3, 4, 5), bool)}, r"got bool of shape \(3, 4, 5\)"),
        ({"allowed": np.ones((2, 4, 5), int)}, "allowed must be bool"),
        ({"allowed": np.zeros((2, 4, 5), bool)}, "allowed must be .* got pixels without one"),
        (
            {"params": CRFParams(backend="cuda")},
            "crf.backend must be a known backend, got 'cuda'; choose from native",
        ),
    ],
)
def test_wrong_arguments(change, message):
    arguments = {"image": np.zeros((4, 5, 3), np.uint8), "scores": np.full((2, 4, 5), 0.5)}
    with pytest.raises(InputError, match=message):
        dense_crf(**{**arguments, **change})


@pytest.mark.parametrize(
    "values",
    [
        {"gaussian_sxy": 0.0},
        {"bilateral_srgb": float("nan")},
        {"bilateral_compat": -1.0},
        {"iterations": -1},
        {"iterations": 2.5},
        {"iterations": "three"},
        {"scale": 0.0},
        {"scale": 1.5},
        {"bilateral_compat": 1e4},
        {"gaussian_sxy": None},
    ],
)
def test_wrong_parameters(values):
    with pytest.raises(InputError, match=f"{next(iter(values))} in CRFParams must be"):
        CRFParams(**values)


def test_wrong_batch():
    image, scores = random_problem()
    with pytest.raises(InputError, match="scores must be one an image, 2 in all, got 1"):
        dense_crf_batch([image, image], [scores])
    with pytest.raises(InputError, match=r"scores\[1\] must be finite and at least 0, got -1"):
        dense_crf_batch([image, image], [scores, scores - 2 * (scores > scores.max() / 2)])


def test_missing_backend_names_its_remedy(monkeypatch):
    missing = replace(BACKENDS["pydensecrf"], module="wsseg.refine.crf.absent")
    monkeypatch.setitem(BACKENDS, "pydensecrf", missing)
    assert not missing.is_installed()
    with pytest.raises(InputError, match=r"crf.backend must be installed.*pip install pydensecrf2"):
        choose_backend("pydensecrf")


def test_torch_takes_the_place_of_a_missing_numba(monkeypatch):
    monkeypatch.setitem(BACKENDS, "native", Backend("wsseg.refine.crf.absent", ""))
    image, scores = random_problem()
    with pytest.warns(RuntimeWarning, match="numba cannot be loaded .*absent.* torch replaces it"):
        found = dense_crf(image, scores, params=SHORT)
    expected = dense_crf(image, scores, params=changed(SHORT, backend="torch"))
    np.testing.assert_array_equal(found, expected)


def test_damaged_cache_is_named_before_any_work(monkeypatch):
    native = pytest.importorskip("wsseg.refine.crf.native")

    def damaged():
        raise EOFError("Ran out of input")

    monkeypatch.setattr(native, "_compile_all", damaged)
    with pytest.raises(
        InputError, match=r"numba's cache /.* must be readable.* set NUMBA_CACHE_DIR"
    ):
        warm_up("native")


def test_warm_up_is_possible_for_all(backend):
    warm_up(backend)
