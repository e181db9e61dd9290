"""Many runs from one file: planned, made where they are missing, compared."""

import pytest
from helpers.running import ROOT, wsseg
from omegaconf import OmegaConf

from wsseg.errors import InputError
from wsseg.runs.config import Config
from wsseg.stages.study import run_study
from wsseg.synthetic.scenes import write_scenes

TINY = """
pipeline: mixed
run_dir: unset
workers: 1
data: {{format: voc, root: {folder}/scenes, weak: none}}
rounds: {{count: 0}}
"""
STUDY = """
folder: {folder}/study
data: {folder}/scenes
simulate:
  points: {{kinds: points}}
  scribbles: {{kinds: scribbles, length: 0.5}}
recipes:
  - name: <marks>-<seed>
    config: {folder}/tiny.yaml
    grid:
      marks: [points, scribbles]
      seed: {{spread: superpixel_votes, bare: strokes}}
    set: ["data.annotations=[<folder>/<marks>.jsonl]", seeds.strokes=<seed>]
  - name: twice
    config: {folder}/tiny.yaml
    set: ["data.annotations=[<folder>/points.jsonl]"]
    seeds: [0, 7]
"""


@pytest.fixture
def study(tmp_path):
    write_scenes(tmp_path / "scenes", train=4, val=2, seed=0, sides=(48, 64))
    (tmp_path / "tiny.yaml").write_text(TINY.format(folder=tmp_path))
    (tmp_path / "study.yaml").write_text(STUDY.format(folder=tmp_path))
    return tmp_path / "study.yaml"


def planned(path):
    found: dict[str, Config] = {}
    folders = run_study(path, lambda config, _: found.update({config.run_dir.name: config}))
    assert [folder.name for folder in folders] == list(found)
    return found


def test_every_combination_and_seed_is_a_run(study):
    runs = planned(study)
    grid = [f"{marks}-{seed}" for marks in ("points", "scribbles") for seed in ("spread", "bare")]
    assert list(runs) == [*grid, "twice-s0", "twice-s7"]
    assert runs["points-spread"].seeds.strokes == "superpixel_votes"
    assert runs["scribbles-bare"].seeds.strokes == "strokes"
    annotations = (study.parent / "study" / "scribbles.jsonl",)
    assert runs["scribbles-bare"].data.annotations == annotations
    assert (runs["twice-s0"].seed, runs["twice-s7"].seed) == (0, 7)
    assert runs["twice-s7"].run_dir == study.parent / "study" / "twice-s7"


def test_annotations_are_drawn_once(study):
    planned(study)
    drawn = study.parent / "study" / "points.jsonl"
    before = drawn.stat().st_mtime_ns, drawn.read_bytes()
    planned(study)
    assert (drawn.stat().st_mtime_ns, drawn.read_bytes()) == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: <marks>-<seed>", "name: <marks>", "of distinct names, got 'points' twice"),
        ("simulate:", "simulat:", "did you mean 'simulate'"),
        ("kinds: points", "kind: points", "did you mean 'kinds'"),
        ("grid:", "gird:", "did you mean 'grid'"),
        ("kinds: points", "mix: 'points=2'", "points=2"),
        ("{kinds: points}", "{}", "simulate.points must be drawn from 'data', by 'kinds' or 'mix'"),
        ("seeds.strokes=<seed>", "seeds.storks=<seed>", "did you mean 'strokes'"),
        ("tiny.yaml", "missing.yaml", "missing.yaml must be a YAML file"),
        ("folder:", "folder: [", "must be a YAML file of a study"),
    ],
)
def test_a_study_that_cannot_be_run_says_why_before_any_run(study, old, new, message):
    study.write_text(study.read_text().replace(old, new))
    with pytest.raises(InputError) as raised:
        run_study(study, lambda *_: pytest.fail("ran"))
    assert message in str(raised.value)


def test_one_command_runs_and_compares(study, tmp_path, capsys):
    assert wsseg("compare", study, "--out", tmp_path / "page") == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 1 + 4 + 1
    assert any("twice-s0" in line and "twice-s7" in line for line in table)
    assert "What to annotate" not in (tmp_path / "page" / "index.html").read_text()
    assert wsseg("compare", study) == 0
    assert "seeds: up to date" in capsys.readouterr().err


def test_the_shipped_study_can_be_planned(monkeypatch, shared_data, tmp_path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("WSSEG_DATA", str(shared_data))
    text = (ROOT / "configs" / "studies" / "msrc_marks.yaml").read_text()
    path = tmp_path / "study.yaml"
    path.write_text(text.replace("folder: runs/msrc_marks", f"folder: {tmp_path}/runs"))
    (tmp_path / "runs").mkdir()
    for name in OmegaConf.load(path).simulate:  # drawn already: what is planned is no other
        (tmp_path / "runs" / f"{name}.jsonl").touch()
    runs = planned(path)
    assert len(runs) == 3 + 20 + 10 + 2 + 2 + 6
    assert runs["tags"].pipeline == "tags"
    assert runs["points-tree_energy"].trainer.loss == {"partial_ce": 1, "tree_energy": 0.4}
    assert runs["mixed-none"].trainer.loss == {"partial_ce": 1}
    assert {config.trainer.steps for config in runs.values()} == {400}
