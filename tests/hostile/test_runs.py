"""Hostile data sets, settings, weights and runs, and the commands that use them."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from helpers.formats import FORMATS
from helpers.running import wsseg
from hostile.bombs import npz, pickled
from hostile.commands import MEMORY, files
from hostile.run_cases import RUNS, SETTINGS_FILES, WEIGHTS

from wsseg.errors import InputError
from wsseg.labelmaps import read_scores
from wsseg.networks.weights import load_encoder_weights

SCRIPT = """
from wsseg.data.load import read_weak
from wsseg.stages.checks import check_settings
from wsseg.stages.rounds import seed_labels
from wsseg.runs.engine import report_problems
from wsseg.runs.run import open_run


def main(config):
    check_settings(config)
    with open_run(config) as run:
        dataset = read_weak(config.data)
        report_problems(dataset.problems, config.strict)
        seed_labels(run, dataset)
"""
SETTINGS = """
pipeline: {script}
run_dir: {run}
machine: {{workers: 1, device: cpu}}
data: {{format: {format}, root: {root}, weak: boxes, val: null}}
seeds: {{name: box}}
model:
  architecture: Unet
  encoder: tu-mobilenetv3_small_050
  weights: null
  decoder_kwargs: {{decoder_channels: [32, 16, 16, 8, 8]}}
trainer: {{steps: 2, batch_size: 2, crop: [24, 24]}}
"""


def run(command, folder, settings, *overrides):
    """Run a pipeline, and assert what holds for every result."""
    (folder / "settings.yaml").write_bytes(settings.encode("utf-8", "surrogateescape"))
    before = _others(folder)
    done = command("run", folder / "settings.yaml", *overrides)
    assert _others(folder) == before
    assert done.code in {0, 2} and "Traceback" not in done.err, done
    assert done.memory < MEMORY
    return done


def _others(folder):
    return {name: of for name, of in files(folder).items() if not name.startswith(f"{folder}/run")}


@pytest.mark.parametrize("case", RUNS, ids=lambda case: case.tried)
def test_first_stage(command, tmp_path, case):
    root = FORMATS[case.format]().write(tmp_path / "set")
    case.change(root)
    (tmp_path / "first.py").write_text(SCRIPT)
    named = {"script": "first.py", "run": tmp_path / "run", "root": root, "format": case.format}
    overrides = [override.replace("ROOT", str(root)) for override in case.overrides]
    done = run(command, tmp_path, SETTINGS.format(**named), *overrides)
    assert case.says in done.err, done
    if case.aside is None:
        assert done.code == 2 and done.err.splitlines()[-1].startswith("error: ")
    else:
        manifest = json.loads((tmp_path / "run/seeds/manifest.json").read_text())
        assert done.code == 0 and {*manifest["results"]["skipped"]} == {*case.aside}
        assert (tmp_path / "run/seeds/labels/b.png").is_file()


@pytest.mark.parametrize("tried", SETTINGS_FILES)
def test_settings(command, tmp_path, tried):
    done = run(command, tmp_path, SETTINGS_FILES[tried])
    assert done.code == 2 and done.err.count("\n") == 1 and "settings.yaml" in done.err
    studied = command("compare", tmp_path / "settings.yaml")
    assert studied.code == 2 and studied.err.count("\n") == 1 and "settings.yaml" in studied.err
    assert not (tmp_path / "run").exists() and not Path("never").exists()


@pytest.mark.parametrize("tried", WEIGHTS)
def test_weights_are_never_unpickled(command, tmp_path, tried):
    marker, content = tmp_path / "unpickled", WEIGHTS[tried](tmp_path / "unpickled")
    root = FORMATS["voc"]().write(tmp_path / "set")
    for name in ("model.ckpt", "weights.pth"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "first.py").write_text(SCRIPT)
    named = {"script": "weak", "run": tmp_path / "run", "root": root, "format": "voc"}
    weights = f"model.weights={tmp_path / 'weights.pth'}"
    ran = run(command, tmp_path, SETTINGS.format(**named), weights)
    predicted = command(
        "predict", tmp_path / "model.ckpt", root / "JPEGImages", "--out", tmp_path / "out"
    )
    selected = command(
        *("select", root, "--budget", 1, "--out", tmp_path / "chosen"),
        *("--run", tmp_path / "model.ckpt", "--encoder", "run"),
    )
    for done, name in ((ran, "weights.pth"), (predicted, "model.ckpt"), (selected, "model.ckpt")):
        assert done.code == 2 and name in done.err.splitlines()[-1], done
        assert "Traceback" not in done.err
    assert not marker.exists()


def test_a_tensor_is_no_file_of_weights(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "a.pth")
    with pytest.raises(InputError, match="a file of tensors, got Tensor"):
        load_encoder_weights(torch.nn.Linear(1, 1), tmp_path / "a.pth")


@pytest.fixture
def damaged(finished, tmp_path):
    """A copy of a finished run, to be damaged."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize("content", [pickled, lambda _: b"", lambda _: os.urandom(500)])
@pytest.mark.parametrize(
    "name", ["round-2/signals/stats.parquet", "round-2/quality/stats.parquet", "config.yaml"]
)
def test_report_of_a_damaged_run(command, damaged, name, content):
    marker = damaged.parent / "unpickled"
    (damaged / name).write_bytes(content(marker))
    done = command("report", damaged)
    assert done.code == 2 and "Traceback" not in done.err, done
    assert name in done.err.splitlines()[-1] and not marker.exists()


def test_checkpoint_of_an_interrupted_training_is_never_unpickled(
    damaged, scenes, config_file, capsys
):
    model, marker = damaged / "round-2/model", damaged.parent / "unpickled"
    (model / "manifest.json").unlink()
    (model / "checkpoint").mkdir(exist_ok=True)
    (model / "checkpoint/last.ckpt").write_bytes(pickled(marker))
    assert wsseg("run", config_file, f"run_dir={damaged}", f"data.root={scenes}") == 0
    assert "last.ckpt is damaged" in capsys.readouterr().err
    assert not marker.exists() and (model / "manifest.json").exists()


@pytest.mark.parametrize(
    ("shape", "filled"), [((1, 50_000, 50_000), False), ((1, 200_000, 10_000), True)]
)
def test_scores_that_claim_gigabytes_are_refused_unread(tmp_path, shape, filled):
    (tmp_path / "a.npz").write_bytes(npz(shape, filled=filled))
    with pytest.raises(InputError, match="bytes of scores, more than 2,147,483,648"):
        read_scores(tmp_path / "a.npz")
