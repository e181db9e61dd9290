"""Benchmarks that other figures depend on, and plans of those that take hours to run."""

import importlib
import runpy

import numpy as np
import pytest
from helpers.running import ROOT

from wsseg.runs.config import load_config
from wsseg.synthetic.scenes import write_scenes


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


@pytest.fixture
def training(monkeypatch):
    """The module that trains the tiny SAM, with steps of one image."""
    pytest.importorskip("transformers")
    monkeypatch.syspath_prepend(str(ROOT))
    module = importlib.import_module("benchmarks.tiny_sam_training")
    for name, value in {"IMAGES": 1, "WARM_UP": 1, "REPORT_EVERY": 2, "HELD_OUT": 1}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_a_stopped_training_of_the_tiny_sam_continues_as_if_it_had_not(
    training, monkeypatch, tmp_path
):
    monkeypatch.setattr(training, "SAVE_EVERY", -1)
    training.train(tmp_path / "whole", steps=3)
    step, seeds = training._step, []

    def stop(model, optimizer, rng):
        seeds.append(rng)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return step(model, optimizer, rng)

    monkeypatch.setattr(training, "_step", stop)
    with pytest.raises(KeyboardInterrupt):
        training.train(tmp_path / "stopped", steps=3)
    assert (tmp_path / "stopped" / "training.ckpt").exists()
    training.train(tmp_path / "stopped", steps=3)
    assert len(seeds) == 4
    whole, stopped = (_files(tmp_path / name) for name in ("whole", "stopped"))
    assert whole.keys() == stopped.keys() >= {"config.json", "model.safetensors"}
    assert whole == stopped


def _files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_scenes_of_the_tiny_sam_have_masks_of_visible_objects(training):
    scenes = [training.generate_scene(np.random.default_rng(seed)) for seed in range(20)]
    assert all(scene.masks.any(axis=(1, 2)).all() for scene in scenes)
    assert all(scene.masks.shape[1:] == scene.image.shape[:2] for scene in scenes)
    batch = training.batch_of(scenes[:2], np.random.default_rng(0))
    low = batch.boxes / training.SIDE * training.LOW
    for mask, (left, top, right, bottom) in zip(batch.masks, low.tolist(), strict=True):
        rows, columns = mask.nonzero().T
        assert abs(columns.min() - left) <= 1.5 and abs(columns.max() + 1 - right) <= 1.5
        assert abs(rows.min() - top) <= 1.5 and abs(rows.max() + 1 - bottom) <= 1.5


@pytest.mark.parametrize("kind", ["box", "box and point", "points", "mask and box", "mask"])
def test_prompts_of_the_tiny_sam_describe_the_object(training, kind):
    rng = np.random.default_rng(0)
    batch = training.batch_of([training.generate_scene(rng) for _ in range(3)], rng)
    prompts = training.first_prompts(batch, kind, rng)
    assert ("input_boxes" in prompts) == ("box" in kind)
    assert ("input_masks" in prompts) == ("mask" in kind)
    if "point" in kind:
        column, row = (prompts["input_points"][:, 0, 0].T * training.LOW / training.SIDE).long()
        values = batch.masks[np.arange(len(batch.masks)), row, column]
        assert (values > 0.5).all()
    model = training.new_model().eval()
    embeddings = model.vision_encoder(batch.pixels)[0]
    logits, scores = training.decode(model, embeddings, prompts)
    assert logits.shape == (len(batch.masks), 3, training.LOW, training.LOW)
    assert scores.shape == logits.shape[:2]


def test_comparison_with_the_tiny_sam_prints_each_kind_of_labels(training, capsys, tmp_path):
    training.train(tmp_path / "model", steps=1)
    write_scenes(tmp_path / "scenes", train=2, val=1, seed=0)
    benchmark = importlib.import_module("benchmarks.tiny_sam")
    capsys.readouterr()
    benchmark.compare(tmp_path / "model", tmp_path / "scenes", images=2)
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert float(rows["grabcut"][0]) > 0.7
    assert 0 < float(rows["plain"][0]) < 1
    assert float(rows["sam"][0]) > 0.7 and rows["sam"][3] == "100%"  # an untrained model
