"""The demo as a first-time user calls it: from any folder, with nothing but the package."""

import json
from pathlib import Path

import pytest
import yaml
from helpers.running import wsseg

from wsseg.runs import recipes

SEEDS_ONLY = ["rounds.count=0", "machine.workers=1"]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of a user's, in which a file has the name of the demo's settings."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo_boxes.yaml").write_text("pipeline: none of the demo's")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_needs_nothing_and_writes_to_the_given_folder(elsewhere):
    assert wsseg("demo", *SEEDS_ONLY, "--out", "a: b/1") == 0  # a name that YAML would misread
    run = elsewhere / "a: b" / "1"
    settings = yaml.safe_load((run / "config.yaml").read_text())
    assert settings["pipeline"] == "weak" and settings["rounds"]["count"] == 0
    assert Path(settings["data"]["root"]) == elsewhere / "a: b" / "demo_scenes"
    assert len([*(elsewhere / "a: b" / "demo_scenes" / "JPEGImages").iterdir()]) == 160
    assert len([*(run / "seeds" / "labels").iterdir()]) == 120
    stages = json.loads((run / "report" / "summary.json").read_text())["stages"]
    assert [stage["name"] for stage in stages] == ["seeds"]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["a: b", "configs"]


def test_bad_settings_are_refused(elsewhere, capsys):
    assert wsseg("demo", "rounds.cuont=1") == 2
    assert "did you mean 'count'?" in capsys.readouterr().err
    assert sorted(path.name for path in elsewhere.iterdir()) == ["configs"]


def test_without_a_name_it_is_the_folder_of_the_documents():
    settings = yaml.safe_load(recipes.shipped_config("demo_boxes.yaml").read_text())
    assert settings["run_dir"] == "runs/demo_boxes"
    assert settings["data"]["root"] == "runs/demo_scenes"
