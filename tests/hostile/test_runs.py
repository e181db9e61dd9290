"""Hostile data sets, settings, weights and runs through the commands that use them."""

import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from formats import FORMATS, mask
from hostile.bombs import YAML_LAUGHS, Trap, npz, pickled, png
from hostile.changes import Change, both, coco, fifo, link, put
from hostile.commands import MEMORY, Commands, Done, files
from running import wsseg

from wsseg.errors import InputError
from wsseg.labels import read_scores
from wsseg.learning.weights import load_encoder_weights

SCRIPT = """
from wsseg.annotations.readers.weak import read_weak
from wsseg.rounds import check_settings, seed_labels
from wsseg.run.engine import announce
from wsseg.run.stage import open_run


def main(config):
    check_settings(config)
    with open_run(config) as run:
        dataset = read_weak(config.data)
        announce(dataset.problems, config.strict)
        seed_labels(run, dataset)
"""
SETTINGS = """
pipeline: {script}
run_dir: {run}
workers: 1
data: {{format: {format}, root: {root}, val: null}}
seeds: {{name: box}}
model:
  architecture: Unet
  encoder: tu-mobilenetv3_small_050
  weights: null
  decoder_kwargs: {{decoder_channels: [32, 16, 16, 8, 8]}}
trainer: {{steps: 2, batch_size: 2, crop: [24, 24], accelerator: cpu}}
"""


@dataclass(frozen=True)
class RunCase:
    """One hostile input of a run's first stage.

    Args:
        tried: What is hostile about it, in words.
        format: A key of ``formats.FORMATS``.
        change: Makes the data set so.
        overrides: Settings; ROOT stands for the data set's folder.
        aside: Images that are set aside or left out; None where the run is refused.
        says: What is said.
    """

    tried: str
    format: str
    change: Change
    overrides: tuple[str, ...]
    aside: tuple[str, ...] | None
    says: str


def _seeds(content: bytes) -> Change:
    return both(put("seeds/a.png", content), put("seeds/b.png", mask()))


_FOLDER = ("seeds.name=folder", "seeds.folder=ROOT/seeds")
_OVER = ("data.annotations=[ROOT/over]",)
RUNS = (
    RunCase(
        "image that claims 13,000 x 13,000 pixels",
        "coco",
        coco(image_height=13_000, image_width=13_000),
        (),
        ("a",),
        "of the annotated size",
    ),
    RunCase(
        "PNG that claims 50,000 x 50,000 pixels",
        "voc",
        put("JPEGImages/a.png", png(50_000, 50_000)),
        (),
        ("a",),
        "more than 178,956,970 pixels",
    ),
    RunCase("pipe named a.png", "voc", fifo("JPEGImages/a.png"), (), ("a",), "no regular file"),
    RunCase(
        "image linked to a file outside",
        "voc",
        link("JPEGImages/a.png", "../moved"),
        (),
        (),
        "left out: a: ",
    ),
    RunCase(
        "the same in a strict run",
        "voc",
        link("JPEGImages/a.png", "../moved"),
        ("strict=true",),
        None,
        "set strict=false",
    ),
    RunCase(
        "pickle in the folder of label maps",
        "voc",
        _seeds(pickle.dumps(1)),
        _FOLDER,
        ("a",),
        "a readable label map",
    ),
    RunCase(
        "label map that claims 50,000 x 50,000 pixels",
        "voc",
        _seeds(png(50_000, 50_000)),
        _FOLDER,
        ("a",),
        "more than 178,956,970 pixels",
    ),
    RunCase(
        "label map of another size",
        "voc",
        _seeds(png(5, 4, pixels=b"")),
        _FOLDER,
        ("a",),
        "a.png must be",
    ),
    RunCase(
        "pipe in the folder of label maps",
        "voc",
        both(_seeds(b""), fifo("seeds/a.png")),
        _FOLDER,
        ("a",),
        "no regular file",
    ),
    RunCase(
        "annotations that are a pickle",
        "voc",
        put("over", pickle.dumps({})),
        _OVER,
        None,
        "of a known format",
    ),
    RunCase(
        "annotations that are a pipe",
        "voc",
        both(put("over", b""), fifo("over")),
        _OVER,
        None,
        "of a known format",
    ),
    RunCase(
        "annotations that are an empty folder",
        "voc",
        lambda root: (root / "over").mkdir(),
        _OVER,
        None,
        "of a known format",
    ),
)


def run(command: Commands, folder: Path, settings: str, *overrides: str) -> Done:
    """Run what settings say, and what holds whatever comes of it."""
    (folder / "settings.yaml").write_bytes(settings.encode("utf-8", "surrogateescape"))
    before = _others(folder)
    done = command("run", folder / "settings.yaml", *overrides)
    assert _others(folder) == before
    assert done.code in {0, 2} and "Traceback" not in done.err, done
    assert done.memory < MEMORY
    return done


def _others(folder: Path) -> dict[str, Any]:
    return {name: of for name, of in files(folder).items() if not name.startswith(f"{folder}/run")}


@pytest.mark.parametrize("case", RUNS, ids=lambda case: case.tried)
def test_first_stage(command: Commands, tmp_path: Path, case: RunCase) -> None:
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
        assert done.code == 0 and {*manifest["set_aside"]} == {*case.aside}
        assert (tmp_path / "run/seeds/labels/b.png").is_file()


SETTINGS_FILES = {
    "aliases of aliases": f"{YAML_LAUGHS}pipeline: *i\n",
    "an alias of itself": "pipeline: &a [*a]\n",
    "a tag that makes an object": "pipeline: !!python/object/apply:os.mkdir [/tmp/never]\n",
    "100,000 levels": "pipeline: " + "[" * 100_000,
    "NUL bytes": "\0\0\0",
    "bytes of no encoding": "pipeline: \udcff\udcfe",
    "nothing": "",
    "a list": "- 1\n- 2\n",
    "numbers of any size": f"pipeline: boxes\nseed: {10**400}\n",
}


@pytest.mark.parametrize("tried", SETTINGS_FILES)
def test_settings(command: Commands, tmp_path: Path, tried: str) -> None:
    done = run(command, tmp_path, SETTINGS_FILES[tried])
    assert done.code == 2 and done.err.count("\n") == 1 and "settings.yaml" in done.err
    assert not (tmp_path / "run").exists()


def _archive(marker: Path) -> bytes:
    """What torch writes, with a pickle in it that must never be read."""
    file = io.BytesIO()
    torch.save({"state_dict": {"a": Trap(marker)}, "classes": [], "model": {}}, file)
    return file.getvalue()


def _of_another(_: Path) -> bytes:
    """Whole, and of no network."""
    file = io.BytesIO()
    content = {"state_dict": {"a": torch.zeros(1)}, "classes": ["background", 7], "model": {"x": 1}}
    torch.save(content, file)
    return file.getvalue()


WEIGHTS: dict[str, Callable[[Path], bytes]] = {
    "a pickle": pickled,
    "a pickle in torch's archive": _archive,
    "nothing": lambda _: b"",
    "a whole one of no network": _of_another,
}


@pytest.mark.parametrize("tried", WEIGHTS)
def test_weights_are_never_unpickled(command: Commands, tmp_path: Path, tried: str) -> None:
    marker, content = tmp_path / "unpickled", WEIGHTS[tried](tmp_path / "unpickled")
    root = FORMATS["voc"]().write(tmp_path / "set")
    for name in ("model.ckpt", "weights.pth"):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "first.py").write_text(SCRIPT)
    named = {"script": "boxes", "run": tmp_path / "run", "root": root, "format": "voc"}
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


def test_a_tensor_is_no_file_of_weights(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "a.pth")
    with pytest.raises(InputError, match="a file of tensors, got Tensor"):
        load_encoder_weights(torch.nn.Linear(1, 1), tmp_path / "a.pth")


@pytest.fixture
def spoilt(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be spoilt."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.mark.parametrize("content", [pickled, lambda _: b"", lambda _: os.urandom(500)])
@pytest.mark.parametrize(
    "name", ["round-2/signals/stats.parquet", "round-2/quality/stats.parquet", "config.yaml"]
)
def test_report_of_a_spoilt_run(
    command: Commands, spoilt: Path, name: str, content: Callable[[Path], bytes]
) -> None:
    marker = spoilt.parent / "unpickled"
    (spoilt / name).write_bytes(content(marker))
    done = command("report", spoilt)
    assert done.code == 2 and "Traceback" not in done.err, done
    assert name in done.err.splitlines()[-1] and not marker.exists()


def test_checkpoint_of_an_interrupted_training_is_never_unpickled(
    spoilt: Path, scenes: Path, config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, marker = spoilt / "round-2/model", spoilt.parent / "unpickled"
    (model / "manifest.json").unlink()
    (model / "checkpoint").mkdir(exist_ok=True)
    (model / "checkpoint/last.ckpt").write_bytes(pickled(marker))
    assert wsseg("run", config_file, f"run_dir={spoilt}", f"data.root={scenes}") == 0
    assert "last.ckpt is damaged" in capsys.readouterr().err
    assert not marker.exists() and (model / "manifest.json").exists()


@pytest.mark.parametrize(
    ("shape", "filled"), [((1, 50_000, 50_000), False), ((1, 200_000, 10_000), True)]
)
def test_scores_that_claim_gigabytes_are_refused_unread(
    tmp_path: Path, shape: tuple[int, ...], filled: bool
) -> None:
    (tmp_path / "a.npz").write_bytes(npz(shape, filled=filled))
    with pytest.raises(InputError, match="bytes of scores, more than 2,147,483,648"):
        read_scores(tmp_path / "a.npz")
