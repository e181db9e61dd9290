from pathlib import Path

import pytest
from helpers.builders import write

from wsseg.errors import InputError
from wsseg.runs.config import load_config
from wsseg.stages.selection.params import SelectionParams
from wsseg.stages.selection.selecting import prediction_params, select_images


def params(budget=3, **changes):
    return SelectionParams(dataset="data", out="out", budget=budget, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget in SelectionParams must be greater than 0, got 0"),
        ({"quota": -1}, "quota in SelectionParams must be greater than or equal to 0, got -1"),
        ({"seed": -1}, "seed in SelectionParams must be greater than or equal to 0, got -1"),
        ({"method": "best"}, "method .* must be 'medoids', 'k_centre' or 'random', got 'best'"),
        ({"uncertainty": "doubt"}, "uncertainty .* must be 'margin' or 'vote_entropy'"),
        ({"encoder": "clip"}, "encoder .* must be 'classifier', 'model' or 'run'"),
        ({"uncertainty": "margin"}, "uncertainty needs a run; name it"),
        (
            {"uncertainty": "margin", "run": Path("run"), "method": "random"},
            "uncertainty works with the method k_centre, not with random",
        ),
        ({"scales": (1.0,)}, "scales are set, but no uncertainty"),
        ({"uncertainty": "margin", "run": "run", "scales": "1,0"}, "scales.1 .* greater than 0"),
        ({"uncertainty": "margin", "run": "run", "scales": "0.5;1"}, "scales.0 .* valid number"),
    ],
)
def test_invalid_parameters_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        params(**changes)


def test_the_default_method_depends_on_the_uncertainty():
    assert params().used_method == "medoids"
    assert params(run="run", uncertainty="margin").used_method == "k_centre"
    assert params(method="random").used_method == "random"


def test_a_misspelt_key_of_the_configuration_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("model: {encoder: resnet18, weight: null}\n")
    with pytest.raises(InputError, match="did you mean 'weights'"):
        select_images(params(config=tmp_path / "a.yaml"))


def test_scales_are_those_of_the_run_unless_others_are_given(tmp_path):
    written = "run_dir: x\ndata: {root: y}\nprediction: {scales: [0.5], flip: false}\n"
    config = load_config(write(tmp_path / "mine.yaml", written))
    write(tmp_path / "config.yaml", config.model_dump_json())
    assert prediction_params(tmp_path, None).scales == (0.5,)
    changed = prediction_params(tmp_path, (1.0, 2.0))
    assert changed.scales == (1.0, 2.0) and not changed.flip
    assert params(run="run", uncertainty="margin", scales="0.75,1").scales == (0.75, 1.0)
