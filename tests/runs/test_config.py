from pathlib import Path

import pytest

from wsseg.errors import InputError
from wsseg.runs.config import load_config

MINIMAL = "run_dir: runs/x\ndata: {root: images}\n"


@pytest.fixture
def config_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(MINIMAL)
    return path


def test_overrides_win_over_the_file(config_file):
    config = load_config(config_file, ["rounds.count=2", "run_dir=elsewhere", "seed=7"])
    assert (config.rounds.count, config.run_dir, config.seed) == (2, Path("elsewhere"), 7)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds.cuont=2", "did you mean 'count'"),
        ("modle.scale=2", "did you mean 'model'"),
        ("rounds.count=many", "rounds.count in .* of at least 0, or auto, got 'many'"),
        ("rounds.count=-1", "a whole number of at least 0, or auto, got -1"),
        ("trainer.steps=0", "greater than or equal to 1, got 0"),
        ("rounds.count", "must be key=value"),
        ("run_dir=null", "run_dir in "),
        ("trainer.crop=[1]", "trainer.crop.1"),
        ("trainer.crop=[0,96]", "greater than 0, got 0"),
        ("trainer.zoom=[2,1]", "trainer.zoom .* the lower bound first"),
        ("prediction.scales=[]", "prediction.scales .* at least 1 item"),
        ("data.root=s3://bucket/images", "a path: copy or mount the store, .* got .s3://bucket"),
        ("run_dir=gs://bucket/run", "run_dir in .* copy or mount the store"),
    ],
)
def test_bad_override_names_key_and_remedy(config_file, override, message):
    with pytest.raises(InputError, match=message):
        load_config(config_file, [override])


@pytest.mark.parametrize("text", ["a: [", "- 1\n", "", "data: {root: a}\n", "data: 3\nrun_dir: x"])
def test_bad_file_is_one_clear_line(config_file, text):
    config_file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(config_file)
    assert str(config_file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")))
def test_shipped_configs_are_valid(path):
    assert load_config(path).trainer.steps > 0


def test_losses_on_the_command_line_replace_those_of_the_file(config_file):
    text = config_file.read_text() + "trainer: {loss: {partial_ce: 1, agmm: 1}, steps: 7}\n"
    config_file.write_text(text)
    assert load_config(config_file).trainer.loss == {"partial_ce": 1, "agmm": 1}
    trainer = load_config(config_file, ["trainer.loss={ce: 2}"]).trainer
    assert trainer.loss == {"ce": 2} and trainer.steps == 7
    assert load_config(config_file, ["trainer.loss=dice"]).trainer.loss == {"dice": 1}
    named = load_config(config_file, ["trainer.loss.ce=2"]).trainer.loss
    assert named == {"ce": 2}
