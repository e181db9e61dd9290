"""Plans of benchmarks that take hours to run."""

import runpy

from helpers.running import ROOT

from wsseg.runs.config import load_config


def test_every_run_of_the_study_of_marks_has_valid_settings(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    plan = runpy.run_path(str(ROOT / "benchmarks" / "marks.py"))["plan"]
    runs = {
        name: load_config(ROOT / "configs" / config, [*overrides, f"run_dir={tmp_path / name}"])
        for name, config, overrides in plan(tmp_path)
    }
    assert len(runs) == 3 + 20 + 10 + 2 + 2 + 6
    assert runs["points-tree_energy"].trainer.loss == {"partial_ce": 1, "tree_energy": 0.4}
    assert runs["mixed-none"].trainer.loss == {"partial_ce": 1}
    assert runs["mixed-none"].data.annotations == (tmp_path / "mixed.jsonl",)
    assert {config.trainer.steps for config in runs.values()} == {400}
    assert {runs[f"full-s{seed}"].seed for seed in range(3)} == {0, 1, 2}
