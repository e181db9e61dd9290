import pickle

import numpy as np
import pytest

from wsseg import plugins
from wsseg.errors import InputError
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.par import par
from wsseg.refine.params import CRFParams, PARParams
from wsseg.refine.refiners import find_refiner
from wsseg.refine.scores import normalise


def problem():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 12, 3), np.uint8)
    return image, rng.random((3, 9, 12), np.float32), rng.random((3, 9, 12)) > 0.3


@pytest.mark.parametrize("name", ["crf", "par", "pamr"])
def test_does_what_its_function_does_after_a_journey(name):
    image, scores, allowed = problem()
    allowed[0] = True
    crf = CRFParams(bilateral_srgb=13, iterations=2, scale=0.7)
    found = pickle.loads(pickle.dumps(find_refiner(name, crf).refine))
    if name == "crf":
        expected = dense_crf(image, scores, allowed=allowed, params=crf)
    else:
        expected = par(image, scores, allowed=allowed, params=PARParams(variant=name))
    np.testing.assert_array_equal(found(image, scores, allowed=allowed), expected)


def test_key_holds_what_the_result_depends_on_and_nothing_else():
    plain = find_refiner("crf").key
    assert find_refiner("crf", CRFParams(scale=0.5)).key != plain
    assert find_refiner("crf", CRFParams(backend="torch")).key != plain
    as_par = find_refiner("par").key
    assert as_par != plain
    assert find_refiner("par", CRFParams(scale=0.5)).key == as_par
    assert find_refiner("pamr").key != as_par


def test_none_only_normalises():
    image, scores, allowed = problem()
    allowed[0] = True
    found = find_refiner("none").refine(image, scores, allowed=allowed)
    np.testing.assert_array_equal(found, normalise(scores, allowed))


def test_unknown_backend_is_refused_only_where_it_matters():
    wrong = CRFParams(backend="cuda")
    with pytest.raises(InputError, match="got 'cuda'; choose from native"):
        find_refiner("crf", wrong)
    find_refiner("par", wrong)


class Installed:
    """An entry point of an installed package, as importlib.metadata finds it."""

    name, value, dist = "odd", "odd:refine", None

    def __init__(self, loaded):
        self.loaded = loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def plugged(monkeypatch, loaded):
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [Installed(loaded)])


def test_a_refiner_of_another_package_is_found_and_held_to_its_contract(monkeypatch):
    image, scores = np.zeros((4, 5, 3), np.uint8), np.full((2, 4, 5), 0.5)
    plugged(monkeypatch, lambda _, scores, *, allowed: scores * allowed)
    refiner = find_refiner("odd")
    assert refiner.key == ["odd", "odd:refine"]
    refined = refiner.refine(image, scores, allowed=np.ones(scores.shape, bool))
    assert refined.dtype == np.float32 and (refined == 0.5).all()
    for bad in (lambda _, scores, **__: scores[:1], lambda _, scores, **__: scores * np.nan):
        plugged(monkeypatch, bad)
        with pytest.raises(InputError, match="result of refiner 'odd' must be finite and of shape"):
            find_refiner("odd").refine(image, scores)


def test_unknown_refiners_and_those_that_cannot_be_imported(monkeypatch):
    plugged(monkeypatch, ModuleNotFoundError("No module named 'odd'"))
    with pytest.raises(InputError, match="choose one of crf, par, pamr, sam, none, odd"):
        find_refiner("mine")
    with pytest.raises(InputError, match="plug-in 'odd' must be odd:refine of an importable"):
        find_refiner("odd")
