"""Runs with a vision transformer as the encoder of every network."""

import pytest
from helpers.builders import TINY, transformer, write_settings
from helpers.running import wsseg


def model_of(architecture, **changes):
    return transformer(architecture, **changes).model_dump(mode="json")


@pytest.mark.parametrize("architecture", ["DPT", "Linear"])
def test_boxes(tmp_path, scenes, architecture):
    config = write_settings(
        tmp_path / "run.yaml",
        seeds={"name": "box"},
        model=model_of(architecture),
        trainer={"crop": [37, 45], "loss": {"ce": 1, "agmm": 0.1}},
        rounds={"count": 1},
    )
    assert wsseg("run", config, f"run_dir={tmp_path / 'run'}", f"data.root={scenes}") == 0
    assert len(list((tmp_path / "run" / "round-1" / "labels").glob("*.png"))) == 6
    chosen = ["--budget", 2, "--out", tmp_path / "chosen", "--workers", 1]
    assert wsseg("select", scenes, "--run", tmp_path / "run", *chosen) == 0


def test_tags(tmp_path, scenes):
    config = write_settings(
        tmp_path / "run.yaml",
        data={"weak": "tags"},
        model=model_of("Linear", frozen_blocks="all"),
        classifier={"frozen_blocks": "all", "trainer": {**TINY["trainer"], "crop": [37, 45]}},
        cam={"scales": [1.0], "refiner": "none"},
        rounds={"count": 1},
    )
    assert wsseg("run", config, f"run_dir={tmp_path / 'run'}", f"data.root={scenes}") == 0
    assert (tmp_path / "run" / "round-1" / "manifest.json").exists()
