import pickle
from pathlib import Path

import numpy as np
import pytest

from wsseg import plugins
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.crf.model import IRN, CRFParams
from wsseg.refine.named import crf_params, find_refiner
from wsseg.refine.par import PAR, PARParams, par
from wsseg.refine.scores import normalised
from wsseg.refine.settings import CRFSettings, PARSettings
from wsseg.runs.config import Config
from wsseg.stages.params import RoundParams


def config(**settings):
    data = DataParams(root=Path("data"))
    return Config(run_dir=Path("run"), data=data, **settings)


def picture():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (9, 12, 3), np.uint8)
    return image, rng.random((3, 9, 12), np.float32), rng.random((3, 9, 12)) > 0.3


def test_defaults_are_those_of_the_papers():
    assert crf_params(CRFSettings()) == CRFParams() == IRN
    assert PARParams(**PARSettings().model_dump()) == PARParams() == PAR


@pytest.mark.parametrize("name", ["crf", "par"])
def test_does_what_its_function_does_after_a_journey(name):
    image, scores, allowed = picture()
    allowed[0] = True
    settings = config(
        rounds=RoundParams(refiner=name),
        crf=CRFSettings(bilateral_srgb=13, iterations=2, scale=0.7),
        par=PARSettings(dilations=(1, 2), iterations=3),
    )
    found = pickle.loads(pickle.dumps(find_refiner(settings, settings.rounds.refiner).refine))
    if name == "crf":
        params = CRFParams(bilateral_srgb=13, iterations=2, scale=0.7)
        expected = dense_crf(image, scores, allowed=allowed, params=params)
    else:
        params_of_par = PARParams(dilations=(1, 2), iterations=3)
        expected = par(image, scores, allowed=allowed, params=params_of_par)
    np.testing.assert_array_equal(found(image, scores, allowed=allowed), expected)


def test_key_holds_what_the_result_depends_on_and_nothing_else():
    plain = find_refiner(config(), "crf").key
    assert find_refiner(config(par=PARSettings(iterations=3)), "crf").key == plain
    assert find_refiner(config(crf=CRFSettings(scale=0.5)), "crf").key != plain
    assert find_refiner(config(crf=CRFSettings(backend="torch")), "crf").key != plain
    as_par = find_refiner(config(), "par").key
    assert as_par != plain
    assert find_refiner(config(crf=CRFSettings(scale=0.5)), "par").key == as_par
    assert find_refiner(config(par=PARSettings(iterations=3)), "par").key != as_par


def test_none_only_normalises():
    image, scores, allowed = picture()
    allowed[0] = True
    found = find_refiner(config(), "none").refine(image, scores, allowed=allowed)
    np.testing.assert_array_equal(found, normalised(scores, allowed))


def test_unknown_backend_is_refused_only_where_it_matters():
    wrong = CRFSettings(backend="cuda")
    with pytest.raises(InputError, match="got 'cuda'; choose from native"):
        find_refiner(config(crf=wrong), "crf")
    find_refiner(config(crf=wrong), "par")


class Installed:
    """What importlib.metadata finds of an installed package."""

    name, value, dist = "odd", "odd:refine", None

    def __init__(self, loaded):
        self.loaded = loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


def plugged(monkeypatch, loaded):
    monkeypatch.setattr(plugins, "entry_points", lambda **_: [Installed(loaded)])
    return Config(run_dir=Path("x"), data={"root": "y"})


def test_a_refiner_of_another_package_is_found_and_held_to_its_contract(monkeypatch):
    image, scores = np.zeros((4, 5, 3), np.uint8), np.full((2, 4, 5), 0.5)
    config = plugged(monkeypatch, lambda _, scores, *, allowed: scores * allowed)
    refiner = find_refiner(config, "odd")
    assert refiner.key == ["odd", "odd:refine"]
    refined = refiner.refine(image, scores, allowed=np.ones(scores.shape, bool))
    assert refined.dtype == np.float32 and (refined == 0.5).all()
    for bad in (lambda _, scores, **__: scores[:1], lambda _, scores, **__: scores * np.nan):
        with pytest.raises(InputError, match="result of refiner 'odd' must be finite and of shape"):
            find_refiner(plugged(monkeypatch, bad), "odd").refine(image, scores)


def test_unknown_refiners_and_those_that_cannot_be_imported(monkeypatch):
    config = plugged(monkeypatch, ModuleNotFoundError("No module named 'odd'"))
    with pytest.raises(InputError, match="choose one of crf, par, none, odd"):
        find_refiner(config, "mine")
    with pytest.raises(InputError, match="plug-in 'odd' must be odd:refine of an importable"):
        find_refiner(config, "odd")
