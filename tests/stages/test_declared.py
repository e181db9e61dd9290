"""Masks that may be looked at: what they teach, and which may not."""

import numpy as np
import pandas as pd
import pytest
from helpers.running import working
from PIL import Image

from wsseg.data.annotation import MaskFile
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.truth import Truth
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map
from wsseg.metrics.estimate import ranking_quality
from wsseg.metrics.signals import SIGNALS
from wsseg.runs.config import Config
from wsseg.runs.run import open_run
from wsseg.stages.declared import declare_masks, declared_ious
from wsseg.stages.measure import measure, pair_ious
from wsseg.stages.signals import read_signals

CLASSES = Classes(("background", "cow"))
COUNT = 60


def made(run, folder):
    """A stage of labels that shift to the right; only the signal ``agreement`` tells how far."""
    stage, random = run.stage("seeds"), np.random.default_rng(0)
    samples, masks, rows = [], [], []
    with working(stage) as record:
        for number in range(COUNT):
            truth = np.zeros((20, 40), np.uint8)
            truth[5:15, 5:15] = 1
            image, mask = folder / f"{number:02d}.png", folder / f"{number:02d}-mask.png"
            Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(image)
            write_label_map(mask, truth)
            shift = number % 10
            name = f"{number:02d}"
            write_label_map(stage.path / "labels" / f"{name}.png", np.roll(truth, shift, axis=1))
            samples.append(Sample(name, image, truth.shape, (), "train"))
            masks.append(Sample(name, image, truth.shape, (MaskFile(mask),), "train"))
            found = {signal: random.random() for signal in SIGNALS} | {"agreement": -shift}
            rows.append({"id": name, "class": 1, **found})
        record["images"] = COUNT
    with working(run.stage("seeds/signals", labels=stage)):
        pd.DataFrame(rows).to_parquet(stage.path / "signals" / "stats.parquet")
    truth_of_all = Truth(Dataset(CLASSES, tuple(masks)))
    measure(run, stage, truth_of_all, samples)
    return samples, truth_of_all


@pytest.fixture
def config(tmp_path):
    return Config(
        run_dir=tmp_path / "run", data={"root": tmp_path}, machine={"workers": 1, "device": "cpu"}
    )


def test_declared_masks_teach_what_signals_tell(config, tmp_path):
    with open_run(config) as run:
        samples, truth = made(run, tmp_path)
        labels, ious = run.path / "seeds", pair_ious(run.path, "seeds")
        assert ious[("03", 1)] == pytest.approx(70 / 130)
        blind = read_signals(labels).set_index(["id", "class"])["estimate"]
        listed = tmp_path / "list.txt"
        listed.write_text("".join(f"{number:02d}\n" for number in range(30)))
        declare_masks(run.path, listed, samples, truth)
        assert len(declared_ious(run.path, "seeds")) == 60  # a cow and a background in each
        taught = read_signals(labels).set_index(["id", "class"])["estimate"]
        others = [(f"{number:02d}", 1) for number in range(30, COUNT)]
        assert ranking_quality(taught[others], ious[others])[0] > 0.8
        assert ranking_quality(blind[others], ious[others])[0] < 0.5
        assert taught[others].to_numpy() == pytest.approx(ious[others].to_numpy(), abs=0.25)
        listed.write_text("")
        declare_masks(run.path, listed, samples, truth)
        again = read_signals(labels).set_index(["id", "class"])["estimate"]
        pd.testing.assert_series_equal(again, blind)


def test_lists_that_break_a_rule_are_refused(config, tmp_path):
    listed = tmp_path / "list.txt"
    with open_run(config) as run:
        samples, truth = made(run, tmp_path)
        listed.write_text("nobody\n")
        with pytest.raises(InputError, match="a list of training images, got 'nobody'"):
            declare_masks(run.path, listed, samples, truth)
        listed.write_text("00\n")
        with pytest.raises(InputError, match="got '00' without; draw its mask"):
            declare_masks(run.path, listed, samples, Truth(Dataset(CLASSES, ())))
        given = truth.with_mask(samples[0])
        with pytest.raises(InputError, match="the run was not given, got '00' with its mask"):
            declare_masks(run.path, listed, [given], truth)
        assert not declared_ious(run.path, "seeds").size
