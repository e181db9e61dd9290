"""Boxes and points with a tiny SAM model as seed and refiner, from the command line."""

import json

import pandas as pd
import pytest
from helpers.builders import TINY, write_settings
from helpers.running import hashes, wsseg
from helpers.sam import write_tiny_sam

from wsseg.metrics.signals import SEED_SIGNALS
from wsseg.runs import engine
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sam")
    write_scenes(folder / "scenes", train=5, val=2, seed=0, sides=(48, 64))
    write_tiny_sam(folder / "model", 2)
    write_settings(
        folder / "tiny.yaml",
        data={"root": str(folder / "scenes")},
        seeds={"name": "sam", "sam": {"model": str(folder / "model")}},
        trainer={**TINY["trainer"], "steps": 4},
        rounds={"count": 1, "refiner": "sam"},
    )
    return folder


@pytest.fixture(scope="module")
def finished(folder):
    assert run(folder, "whole") == 0
    return folder / "whole"


def run(folder, name, *overrides):
    return wsseg("run", folder / "tiny.yaml", f"run_dir={folder / name}", *overrides)


def manifest(run, stage):
    return json.loads((run / stage / "manifest.json").read_text())


def test_the_run_records_the_model_of_the_seed_and_of_the_refiner(finished, folder):
    for stage in ("seeds", "round-1"):
        record = manifest(finished, stage)["results"]["models"]["seeds.sam.model"]
        assert record["name"] == str(folder / "model")
        assert record["licence"] == "not stated (published weights: Apache-2.0)"
        assert len(record["sha256"]) == 64


def test_signals_of_the_masks_are_in_the_tables_and_the_report(finished):
    seeds = pd.read_parquet(finished / "seeds" / "stats.parquet")
    objects = seeds[seeds["class"] > 0]
    assert {*SEED_SIGNALS, "objects", "fallbacks"} <= {*seeds}
    assert (objects["fallback"] == objects["fallbacks"] / objects["objects"]).all()
    kept = objects[objects["fallback"] < 1]
    assert kept[["predicted_iou", "stability", "consensus", "spread"]].notna().all(axis=None)
    for stage in ("seeds", "round-1"):
        signals = pd.read_parquet(finished / stage / "signals" / "stats.parquet")
        assert signals["fallback"].notna().any()
    page = (finished / "report" / "index.html").read_text()
    assert f"SAM was asked for {int(objects.objects.sum())} objects" in page
    shown = [path for path in (finished / "report" / "images").glob("*.js") if path.stem != "index"]
    assert all('"candidates":"data:image/jpeg;base64,' in path.read_text() for path in shown)
    assert len(shown) == 5


def test_an_interrupted_stage_continues_to_the_same_labels(finished, folder):
    assert run(folder, "again", "data.val=null") == 0
    again = folder / "again"
    (again / "seeds" / "manifest.json").unlink()
    for path in sorted((again / "seeds" / "labels").glob("*.png"))[:2]:
        path.write_bytes(b"")
    assert run(folder, "again", "data.val=null") == 0
    same = {name: value for name, value in hashes(finished).items() if "/val/" not in name}
    assert hashes(again) == same


def test_on_a_gpu_threads_of_one_process_give_the_same_labels(finished, folder, monkeypatch):
    """Pretend that there is a GPU: the stages choose threads, the models stay on the CPU."""
    monkeypatch.setattr("wsseg.stages.foundation.device_of", lambda _device: "cuda")
    sizes, map_in_threads = [], engine.map_in_threads

    def counted(work, samples, batches, *rest):
        sizes.append((len(samples), batches.size))
        return map_in_threads(work, samples, batches, *rest)

    monkeypatch.setattr(engine, "map_in_threads", counted)
    assert run(folder, "threads", "seeds.sam.batch_size=2", "--until", "seeds") == 0
    assert sizes == [(5, 2)]
    same = {name: value for name, value in hashes(finished).items() if name.startswith("seeds/")}
    assert hashes(folder / "threads") == same


def test_points_are_segmented(folder):
    scenes, points = folder / "scenes", folder / "points.jsonl"
    assert wsseg("simulate", scenes, points, "--kinds", "points", "--workers", "1") == 0
    given = ["data.weak=none", f"data.annotations=[{points}]"]
    assert run(folder, "points", *given, "--until", "seeds") == 0
    seeds = pd.read_parquet(folder / "points" / "seeds" / "stats.parquet")
    assert seeds["objects"].sum() >= 5


def test_other_weights_make_other_seeds(finished, folder):
    write_tiny_sam(folder / "other", 3)
    before = manifest(finished, "seeds")["key"]
    assert run(folder, "other-run", f"seeds.sam.model={folder / 'other'}", "--until", "seeds") == 0
    assert manifest(folder / "other-run", "seeds")["key"] != before


def test_a_missing_model_stops_a_run_before_any_work(folder, capfd):
    assert run(folder, "none", "seeds.sam.model=/no/such/folder") == 2
    assert "seeds.sam.model: there is no folder /no/such/folder" in capfd.readouterr().err
    assert not (folder / "none" / "seeds").exists()
