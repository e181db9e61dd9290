"""Tags and points with tiny CLIP, SAM 3 and DINO models, from the command line."""

import json
import shutil

import numpy as np
import pytest
from helpers.builders import TINY, write_settings
from helpers.foundation import tiny_clip
from helpers.running import hashes, wsseg

from wsseg.labelmaps import IGNORE, read_label_map, read_scores
from wsseg.runs import engine
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=6, val=3, seed=0, sides=(48, 64))
    return folder


@pytest.fixture(scope="module")
def config_file(tmp_path_factory, clip_folder, dino_folder):
    return write_settings(
        tmp_path_factory.mktemp("configs") / "tiny.yaml",
        data={"weak": "tags"},
        cam={
            "method": "clip",
            "clip": {"model": str(clip_folder)},
            "affinity": "dino",
            "dino": {"model": str(dino_folder)},
        },
        seeds={"name": "dino_walker", "dino": {"model": str(dino_folder)}},
        trainer={**TINY["trainer"], "steps": 4},
        rounds={"count": 1},
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory, scenes, config_file):
    folder = tmp_path_factory.mktemp("runs") / "clip"
    assert wsseg("run", config_file, f"run_dir={folder}", f"data.root={scenes}") == 0
    return folder


def manifest(run, stage):
    return json.loads((run / stage / "manifest.json").read_text())


def test_no_classifier_is_trained_and_maps_are_those_of_clip(finished):
    assert not (finished / "classifier").exists()
    for stage in ("cams", "spread"):
        files = sorted((finished / stage / "scores").glob("*.npz"))
        assert len(files) == 6
        for file in files:
            labels, maps = read_scores(file)
            assert len(maps) == len(labels) and maps.max(axis=(1, 2)) == pytest.approx(1)
    labels = [read_label_map(path) for path in (finished / "seeds" / "labels").glob("*.png")]
    assert any(((found > 0) & (found != IGNORE)).any() for found in labels)
    assert (finished / "round-1" / "model" / "model.ckpt").is_file()
    assert (finished / "report" / "index.html").is_file()


def test_the_run_records_its_models(finished, clip_folder):
    assert manifest(finished, "cams")["results"]["models"].keys() == {"cam.clip.model"}
    record = manifest(finished, "cams")["results"]["models"]["cam.clip.model"]
    assert (
        record["name"] == str(clip_folder)
        and record["licence"] == "not stated (published weights: MIT)"
    )
    assert manifest(finished, "spread")["results"]["models"].keys() == {"cam.dino.model"}
    assert "models" not in manifest(finished, "seeds")["results"]  # every image has tags alone


def test_a_second_call_does_nothing_and_another_run_is_the_same(
    finished, scenes, config_file, tmp_path
):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("**/*.npz")}
    assert wsseg("run", config_file, f"run_dir={finished}", f"data.root={scenes}") == 0
    assert before and {path: path.stat().st_mtime_ns for path in before} == before
    again = tmp_path / "again"
    arguments = [f"run_dir={again}", f"data.root={scenes}", "rounds.count=0"]
    assert wsseg("run", config_file, *arguments) == 0
    assert hashes(again).items() <= hashes(finished).items()


def test_a_killed_stage_resumes_with_the_images_that_are_missing(
    finished, scenes, config_file, tmp_path
):
    run = shutil.copytree(finished, tmp_path / "run")
    stage = run / "cams"
    first, *_ = kept = sorted((stage / "scores").glob("*.npz"))
    whole = first.read_bytes()
    lines = [[path.stem, []] for path in kept[1:]]
    (stage / "stats.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (stage / "manifest.json").unlink()
    first.unlink()
    times = {path: path.stat().st_mtime_ns for path in kept[1:]}
    arguments = [f"run_dir={run}", f"data.root={scenes}", "rounds.count=0"]
    assert wsseg("run", config_file, *arguments) == 0
    assert {path: path.stat().st_mtime_ns for path in kept[1:]} == times
    _, maps = read_scores(first)
    (tmp_path / "whole.npz").write_bytes(whole)
    np.testing.assert_array_equal(maps, read_scores(tmp_path / "whole.npz")[1])


def test_other_weights_make_other_maps_and_other_words_too(finished, scenes, config_file, tmp_path):
    other = tiny_clip(tmp_path / "clip", seed=1)
    for number, change in enumerate(
        (f"cam.clip.model={other}", "cam.clip.prompt=a photo of a {}.", "cam.clip.background=[sky]")
    ):
        run = shutil.copytree(finished, tmp_path / f"run-{number}")
        arguments = [f"run_dir={run}", f"data.root={scenes}", "rounds.count=0", change]
        assert wsseg("run", config_file, *arguments) == 0
        assert manifest(run, "cams")["key"] != manifest(finished, "cams")["key"]
        files = sorted((run / "cams" / "scores").glob("*.npz"))
        pairs = [(read_scores(f)[1], read_scores(finished / f.relative_to(run))[1]) for f in files]
        assert not all(np.array_equal(*pair) for pair in pairs)


def test_sam3_finds_tags_by_their_names(scenes, config_file, sam3_folder, tmp_path):
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "rounds.count=0"]
    model = ["cam.method=sam3", f"cam.sam3.model={sam3_folder}"]
    assert wsseg("run", config_file, *arguments, *model) == 0
    record = manifest(tmp_path / "run", "cams")["results"]["models"]["cam.sam3.model"]
    assert record["type"] == "sam3"


def test_points_spread_by_dino(scenes, config_file, tmp_path):
    run, points = tmp_path / "run", tmp_path / "points.jsonl"
    assert wsseg("simulate", scenes, points, "--mix", "points=1", "--workers", "1") == 0
    data = [f"data.root={scenes}", "data.weak=none", f"data.annotations=[{points}]"]
    arguments = [f"run_dir={run}", *data, "rounds.count=0"]
    assert wsseg("run", config_file, *arguments) == 0
    assert manifest(run, "seeds")["results"]["models"].keys() == {"seeds.dino.model"}
    assert not (run / "cams").exists()
    labels = [read_label_map(path) for path in (run / "seeds" / "labels").glob("*.png")]
    assert len(labels) == 6 and any((found == 0).any() for found in labels)


def test_a_class_that_no_image_has_is_refused_before_the_work(
    scenes, config_file, tmp_path, capsys
):
    arguments = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]
    assert wsseg("run", config_file, *arguments, "cam.clip.names={unicorn: horse}") == 2
    assert "cam.clip.names must be names of classes" in capsys.readouterr().err
    assert not (tmp_path / "run" / "cams").exists()


def test_threads_that_share_a_model_make_the_same_labels(
    finished, scenes, config_file, tmp_path, monkeypatch
):
    monkeypatch.setattr("wsseg.stages.foundation.device_of", lambda _: "cuda")
    used = []
    original = engine.map_in_threads

    def map_in_threads(function, samples, batches, _, strict):
        used.append(samples)
        return original(function, samples, batches, 3, strict)

    monkeypatch.setattr(engine, "map_in_threads", map_in_threads)
    run = tmp_path / "run"
    arguments = [f"run_dir={run}", f"data.root={scenes}", "rounds.count=0"]
    assert wsseg("run", config_file, *arguments) == 0
    assert len(used) == 2  # the maps, and their propagation
    assert hashes(run).items() <= hashes(finished).items()
