from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from wsseg.data.model import Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.labelmaps import read_label_map
from wsseg.runs.config import Config
from wsseg.runs.labelling import label_images, label_path, usable_samples
from wsseg.runs.run import Run


def labeller(sample):
    if sample.id == "bad":
        raise InputError("bad.jpg", "a readable image", "rubbish", "remove it")
    return np.full((2, 3), int(sample.id), np.uint8), {int(sample.id): {"resets": 1}}


def explode(sample):
    if sample.id == "2":
        raise KeyboardInterrupt
    return labeller(sample)


def samples(*ids):
    return [Sample(identity, Path(f"{identity}.jpg"), (2, 3), (), "train") for identity in ids]


def run_in(folder, *, strict=False, workers=1):
    data = DataParams(root=folder)
    run = Run(
        folder, Config(run_dir=folder, data=data, strict=strict, machine={"workers": workers})
    )
    return run, run.stage("seeds")


@pytest.mark.parametrize("workers", [1, 2])
def test_label_maps_and_table(tmp_path, workers):
    run, stage = run_in(tmp_path, workers=workers)
    label_images(run, stage, labeller, samples("3", "1", "2"))
    assert read_label_map(stage.path / "labels" / "3.png").tolist() == [[3] * 3] * 2
    table = pd.read_parquet(stage.path / "stats.parquet")
    assert table.to_dict("list") == {
        "id": ["1", "2", "3"],
        "class": [1, 2, 3],
        "pixels": [6, 6, 6],
        "resets": [1, 1, 1],
    }


def test_bad_image_is_skipped_and_listed(tmp_path):
    run, stage = run_in(tmp_path)
    label_images(run, stage, labeller, samples("1", "bad", "2"))
    assert list(stage.skipped) == ["bad"]
    assert [sample.id for sample in usable_samples(stage, samples("1", "bad", "2"))] == ["1", "2"]


def test_strict_stops_at_a_bad_image(tmp_path):
    run, stage = run_in(tmp_path, strict=True)
    with pytest.raises(InputError, match="rubbish"):
        label_images(run, stage, labeller, samples("1", "bad", "2"))
    assert label_path(stage, samples("1")[0]).exists()


@pytest.mark.parametrize("ids", [[], ["bad"]])
def test_nothing_usable_is_an_error(tmp_path, ids):
    run, stage = run_in(tmp_path)
    with pytest.raises(InputError, match="stage seeds has no usable image"):
        label_images(run, stage, labeller, samples(*ids))


def test_interrupted_stage_goes_on_and_redoes_nothing(tmp_path):
    run, stage = run_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        label_images(run, stage, explode, samples("1", "2", "3"))
    with (stage.path / "stats.jsonl").open("a") as file:
        file.write('["3", [{"id": "3"')  # a line that a kill cut short
    before = label_path(stage, samples("1")[0]).stat().st_mtime_ns
    label_images(run, stage, labeller, samples("1", "2", "3"))
    assert label_path(stage, samples("1")[0]).stat().st_mtime_ns == before
    assert pd.read_parquet(stage.path / "stats.parquet")["id"].tolist() == ["1", "2", "3"]


@pytest.mark.parametrize("line", ["garbage", "null", "[1]", '["3", 4]', "\0\0", '["3", [{"id'])
def test_images_with_a_damaged_record_or_label_map_are_labelled_again(tmp_path, line):
    run, stage = run_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        label_images(run, stage, explode, samples("1", "3", "2"))
    records = stage.path / "stats.jsonl"
    records.write_text(f"{records.read_text().splitlines()[0]}\n{line}\n")
    label_path(stage, samples("1")[0]).write_bytes(b"")
    label_images(run, stage, labeller, samples("1", "3", "2"))
    assert read_label_map(label_path(stage, samples("1")[0])).tolist() == [[1] * 3] * 2
    assert pd.read_parquet(stage.path / "stats.parquet")["id"].tolist() == ["1", "2", "3"]
