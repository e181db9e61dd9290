"""The package that docs/plugins.md builds, installed and run as it stands there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.running import hashes

from wsseg.data.formats.table import read_dataset
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.synthetic.scenes import write_scenes

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text()

SETTINGS = """
run_dir: {folder}/run
machine: {{workers: 2, device: cpu}}
data: {{format: voc, root: {folder}/scenes, weak: none, annotations: [{folder}/circles.jsonl]}}
seeds: {{name: cores}}
model:
  architecture: Unet
  encoder: tu-mobilenetv3_small_050
  weights: null
  decoder_kwargs: {{decoder_channels: [32, 16, 16, 8, 8]}}
trainer: {{steps: 8, batch_size: 4, crop: [48, 48]}}
prediction: {{scales: [1.0], flip: false}}
rounds: {{count: 1, refiner: smooth}}
"""


def block(language):
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder as an installer leaves it: the module, and its metadata with entry points."""
    site = tmp_path_factory.mktemp("site")
    (site / "circles.py").write_text(block("python"))
    about = site / "circles-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: circles\nVersion: 0.1\n")
    groups = re.findall(r'\[project\.entry-points\."(.+?)"\]\n(.+?) = "(.+?)"', block("toml"))
    assert len(groups) == 3
    lines = [f"[{group}]\n{name} = {value}\n" for group, name, value in groups]
    (about / "entry_points.txt").write_text("\n".join(lines))
    return site


def circled(box, name):
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    radius = float(np.hypot(box.right - box.left, box.bottom - box.top)) / 2
    return {"type": "circle", "class": name, "x": x, "y": y, "radius": radius}


def run(folder, site, *overrides):
    path = [str(ROOT), *([str(site)] if site else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(path)}
    script = [sys.executable, str(ROOT / "pipelines" / "weak.py"), str(folder / "c.yaml")]
    return subprocess.run(
        [*script, *overrides], env=environment, check=False, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugged")
    write_scenes(folder / "scenes", train=6, val=2, seed=0, sides=(48, 64))
    dataset = read_dataset(folder / "scenes", "voc", ["train"])
    pages = [
        {
            "image": sample.image.name,
            "marks": [circled(box, dataset.classes.names[box.label]) for box in sample.boxes],
        }
        for sample in dataset.samples
    ]
    pages[0]["marks"].append({"type": "circle", "class": "disc", "x": "left"})
    (folder / "circles.jsonl").write_text("\n".join(map(json.dumps, pages)))
    (folder / "c.yaml").write_text(SETTINGS.format(folder=folder))
    return folder


def test_the_page_is_short():
    assert len(block("python").splitlines()) <= 42


def test_an_installed_plug_in_runs_through_the_pipeline(folder, installed):
    done = run(folder, installed)
    assert done.returncode == 0, done.stderr
    assert "marks[2]: circle left out" in done.stderr
    dataset = read_dataset(folder / "scenes", "voc", ["train"])
    for sample in dataset.samples[1:]:
        rows, columns = np.indices(sample.size) + 0.5
        circles = [circled(box, "") for box in sample.boxes]
        outside = np.all(
            [np.hypot(rows - c["y"], columns - c["x"]) > c["radius"] for c in circles], axis=0
        )
        for stage in ("seeds", "round-1"):
            label_map = read_label_map(folder / "run" / stage / "labels" / f"{sample.id}.png")
            assert (label_map[outside] == 0).all()
        seeds = read_label_map(folder / "run" / "seeds" / "labels" / f"{sample.id}.png")
        assert (seeds == IGNORE).any() and ((seeds > 0) & (seeds < IGNORE)).any()
    # In the first image a disc may be anywhere: its circle could not be read.
    first = folder / "run/seeds/labels" / f"{dataset.samples[0].id}.png"
    assert not (read_label_map(first) == 0).any()
    refined = hashes(folder / "run")
    done = run(folder, installed, "rounds.refiner=none")  # repeats only the labels of the round
    assert done.returncode == 0, done.stderr
    assert refined != hashes(folder / "run")


def test_without_the_plug_in_the_names_are_unknown(folder):
    done = run(folder, None, f"run_dir={folder}/other")
    assert done.returncode == 2
    assert "seeds.name must be a known name, got 'cores'" in done.stderr
