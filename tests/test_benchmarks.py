"""Benchmarks that other figures depend on, and plans of those that take hours to run."""

import importlib
import re
import runpy
import shutil

import numpy as np
import pytest
from helpers.builders import write_settings
from helpers.running import ROOT, hashes
from PIL import Image

from wsseg.data.truth import read_truth
from wsseg.errors import InputError
from wsseg.labelmaps import read_label_map
from wsseg.metrics.segmentation import evaluate
from wsseg.runs.config import load_config
from wsseg.runs.recipes import run_pipeline
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


@pytest.fixture(scope="module")
def suite():
    """The module of the evidence suite."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.accuracy")


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """Folder of 9 scenes and the files of three tiny recipes."""
    folder = tmp_path_factory.mktemp("recipes")
    write_scenes(folder / "scenes", train=6, val=3, seed=0, sides=(48, 64))
    short = {"data": {"root": str(folder / "scenes")}, "trainer": {"steps": 4, "crop": [32, 32]}}
    boxes = {**short, "seeds": {"name": "grabcut"}, "rounds": {"count": 1}}
    write_settings(folder / "tiny_boxes.yaml", **boxes)
    marks = {"root": str(folder / "scenes"), "weak": "none", "annotations": ["unset.jsonl"]}
    write_settings(folder / "tiny_points.yaml", **{**boxes, "seeds": {}, "data": marks})
    base = {"pipeline": "finetune", "finetune": {"base": "runs/tiny_boxes"}}
    write_settings(folder / "tiny_finetune.yaml", **short, **base)
    return folder


@pytest.fixture(scope="module")
def validated(suite, recipes, tmp_path_factory):
    """A finished study and the lines that it printed."""
    names = [str(recipes / name) for name in ("tiny_points", "tiny_finetune.yaml")]
    study = suite.plan(names, ["seed=1"], tmp_path_factory.mktemp("study"), folds=2)
    return study, [*suite.cross_validate(study)]


def test_every_image_with_a_mask_is_held_out_once(suite, recipes, validated):
    study, lines = validated
    assert [recipe.name for recipe in study.recipes] == [
        *("full", "tiny_points", "tiny_boxes", "tiny_finetune")
    ]
    assert lines[0] == "9 images in 2 folds, seed 1"
    truth = read_truth(recipes / "scenes")
    maps = {s.id: truth.label_map(s) for split in ("train", "val") for s in truth.samples(split)}
    for recipe in study.recipes:
        stage = "finetuned" if recipe.name == "tiny_finetune" else "round-1"
        folders = [study.run_dir(recipe, fold) / stage / "val" / "labels" for fold in (1, 2)]
        predicted = {p.stem: read_label_map(p) for f in folders for p in f.glob("*.png")}
        assert predicted.keys() == maps.keys()
        assert len({*folders[0].glob("*.png")}) in (4, 5)
        quality = suite.measured(study, recipe)
        alone = evaluate(predicted, maps, truth.classes)
        assert np.array_equal(quality.matrix, alone.matrix)
        (line,) = [line for line in lines[2:6] if line.startswith(f"{recipe.name} ")]
        assert float(line.split()[1]) == pytest.approx(100 * alone.miou, abs=0.05)


def test_table_tells_the_share_of_full_masks_and_what_is_chance(suite, validated):
    study, lines = validated
    full, points = (suite.measured(study, recipe) for recipe in study.recipes[:2])
    name, _, share, low, _, high, _, chance = lines[3].split()
    assert name == "tiny_points"
    assert float(share) == pytest.approx(100 * points.miou / full.miou, abs=0.05)
    assert float(low) <= float(share) <= float(high)
    assert float(chance) == pytest.approx((float(high) - float(low)) / 2, abs=0.11)
    assert lines[2].split()[2:7] == ["100.0", "100.0", "to", "100.0", "±"]
    assert "against tiny_points" in lines[1]
    (disc,) = [line for line in lines if line.startswith("disc")]
    assert float(disc.split()[1].rstrip("*")) == pytest.approx(
        100 * full.per_class["disc"], abs=0.05
    )


def test_a_finished_study_trains_nothing(suite, validated, monkeypatch):
    study, lines = validated
    monkeypatch.setattr("wsseg.stages.training.fit_in_stage", None)
    monkeypatch.setattr("wsseg.stages.rounds.find_seed", lambda *_: None)
    assert [*suite.cross_validate(study)] == lines


@pytest.mark.parametrize("number", [1, 2])
def test_shared_first_labels_give_the_same_run_as_its_own(validated, tmp_path, number):
    study, _ = validated
    recipe = study.recipes[number]
    config = study.own_config(recipe, 2)
    assert config.seeds.name != study.config(recipe, 2).seeds.name == "folder"
    run_pipeline(config.model_copy(update={"run_dir": tmp_path / "own"}), tmp_path)
    assert hashes(tmp_path / "own") == hashes(study.run_dir(recipe, 2))


@pytest.mark.parametrize("number", [0, 2, 3])
def test_masks_of_held_out_images_change_no_label(validated, tmp_path, number):
    study, _ = validated
    recipe = study.recipes[number]
    config = study.config(recipe, 1)
    scenes = shutil.copytree(config.data.root, tmp_path / "scenes")
    for id in study.folds[1].read_text().split():
        mask = scenes / "SegmentationClass" / f"{id}.png"
        with Image.open(mask) as image:
            blank = image.copy()
        blank.paste(3, (0, 0, *blank.size))
        blank.save(mask)
    data = config.data.model_copy(update={"root": scenes})
    run_pipeline(config.model_copy(update={"run_dir": tmp_path / "run", "data": data}), tmp_path)
    assert hashes(tmp_path / "run") == hashes(study.run_dir(recipe, 1))


def test_masks_of_a_fine_tuning_are_those_of_training_images(validated):
    study, _ = validated
    for number, path in study.folds.items():
        masks = study.config(study.recipes[3], number).data.masks.read_text().split()
        assert masks and not {*masks} & {*path.read_text().split()}


def test_screening_takes_two_folds_one_round_and_half_of_the_steps(suite, recipes, validated):
    out = validated[0].out
    names = [str(recipes / "tiny_boxes")]
    study = suite.plan(names, ["rounds.count=3", "seed=1"], out, folds=2, screen=True)
    config = study.config(study.recipes[1], 2)
    assert (config.rounds.count, config.trainer.steps) == (1, 2)
    assert config.run_dir == out / "screen" / "tiny_boxes" / "fold-2"
    assert config.seeds.folder == out / "tiny_boxes" / "all" / "seeds" / "labels"
    assert [*suite.plan(names, [], out, folds=5, screen=True).folds] == [1, 2]


def test_hours_are_those_of_finished_runs(suite, recipes, validated, tmp_path):
    study, _ = validated
    assert suite.remaining(study) == "0 of 8 runs are missing"
    names = [str(recipes / "tiny_boxes")]
    longer = suite.plan(names, ["seed=1"], study.out, folds=2, screen=True)
    text = suite.remaining(longer)
    assert re.match(r"4 of 4 runs are missing: about \d+\.\d hours, at \d+\.\d\d s a step", text)
    assert "is unknown" in suite.remaining(suite.plan(names, [], tmp_path, folds=2))


def test_a_number_of_rounds_that_held_out_images_choose_is_refused(suite, recipes, tmp_path):
    with pytest.raises(InputError, match="is auto, which looks at held-out images"):
        suite.plan([str(recipes / "tiny_boxes")], ["rounds.count=auto"], tmp_path, folds=2)
