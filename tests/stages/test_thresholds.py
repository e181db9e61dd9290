from dataclasses import replace

import numpy as np
import pytest
from helpers.running import working
from PIL import Image

from wsseg.data.annotation import MaskFile
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.truth import Truth
from wsseg.labelmaps import IGNORE, write_label_map, write_scores
from wsseg.runs.config import Config
from wsseg.runs.run import open_run
from wsseg.runs.stage import Stage
from wsseg.stages.thresholds import THRESHOLDS, measure_thresholds, threshold_curve

CLASSES = Classes(("background", "cow", "sheep"))


def sample(folder, name, labels):
    Image.fromarray(np.zeros((*labels.shape, 3), np.uint8)).save(folder / f"{name}.png")
    write_label_map(folder / f"{name}-mask.png", labels)
    mask = MaskFile(folder / f"{name}-mask.png")
    return Sample(name, folder / f"{name}.png", labels.shape, (mask,), "train")


@pytest.fixture
def maps(tmp_path):
    """Complete, without an image."""
    stage = Stage("cams", tmp_path / "run" / "cams", "key", {})
    with working(stage):
        pass
    return stage


def measured(samples, maps, tmp_path):
    truth = Truth(Dataset(CLASSES, tuple(samples)))
    config = Config(
        run_dir=tmp_path / "measured",
        data={"root": tmp_path},
        machine={"workers": 1, "device": "cpu"},
    )
    with open_run(config) as run:
        return measure_thresholds(run, maps, truth, samples)


def test_curve_of_a_hand_made_map(tmp_path, maps):
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, IGNORE]], np.uint8)
    seen = np.array([[[0.0, 0.3, 0.6, 1.0], [0.0, 0.3, 0.6, 1.0]]])
    one = sample(tmp_path, "one", truth)
    write_scores(maps.path / "scores" / "one.npz", [1], seen)
    curve = measured([one], maps, tmp_path)
    assert curve is not None and list(curve) == list(THRESHOLDS)
    assert curve[0.5] == 1
    # at .25 two of four background pixels count as cow: 2/4 and 3/5
    assert curve[0.25] == pytest.approx((2 / 4 + 3 / 5) / 2)
    # at .65 two of three cows are lost: 4/6 and 1/3
    assert curve[0.65] == pytest.approx((4 / 6 + 1 / 3) / 2)


def test_an_image_without_tags_counts_as_background(tmp_path, maps):
    one = sample(tmp_path, "one", np.array([[0, 0, 0, 2]], np.uint8))
    write_scores(maps.path / "scores" / "one.npz", [], np.zeros((0, 1, 1)))
    curve = measured([one], maps, tmp_path)
    assert curve is not None and set(curve.values()) == {3 / 8}


def test_nothing_is_measured_without_truth(tmp_path, maps):
    bare = replace(sample(tmp_path, "one", np.zeros((2, 2), np.uint8)), annotations=())
    assert measured([bare], maps, tmp_path) is None


def test_maps_that_cannot_be_read_are_left_out(tmp_path, maps):
    truth = np.array([[0, 1]], np.uint8)
    samples = [sample(tmp_path, name, truth) for name in ("one", "two")]
    write_scores(maps.path / "scores" / "one.npz", [1], np.array([[[0.0, 1.0]]]))
    (maps.path / "scores" / "two.npz").write_bytes(b"cut off")
    curve = measured(samples, maps, tmp_path)
    assert curve is not None and curve[0.5] == 1


def test_curve_drops_classes_that_occur_nowhere():
    matrices = np.zeros((len(THRESHOLDS), 3, 4), np.int64)
    matrices[:, 0, 0] = matrices[:, 1, 1] = 5
    assert set(threshold_curve(matrices, CLASSES).values()) == {1.0}
