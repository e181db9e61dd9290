"""Measurement of label maps, from the stage on disk to its figures."""

import numpy as np
import pytest
from helpers.counted import CLASSES, measured
from helpers.running import working
from PIL import Image

from wsseg.data.annotation import MaskFile
from wsseg.data.model import Dataset, Sample
from wsseg.data.truth import Truth
from wsseg.labelmaps import IGNORE, write_confidence, write_label_map
from wsseg.metrics.boundaries import boundary_counts, boundary_width
from wsseg.metrics.objects import ObjectCounts, object_counts
from wsseg.metrics.segmentation import confusion_matrix
from wsseg.runs.config import Config
from wsseg.runs.run import open_run
from wsseg.stages.measure import measure, pair_ious, read_counts

RANDOM = np.random.default_rng(0)
TRUTHS = {name: RANDOM.integers(0, 3, (12, 16)).astype(np.uint8) for name in "cab"}
LABELS = {name: np.where(RANDOM.random((12, 16)) < 0.3, 1, t) for name, t in TRUTHS.items()}


def sample(folder, name, truth):
    Image.fromarray(np.zeros((*truth.shape, 3), np.uint8)).save(folder / f"{name}.png")
    write_label_map(folder / f"{name}-mask.png", truth)
    mask = MaskFile(folder / f"{name}-mask.png")
    return Sample(name, folder / f"{name}.png", truth.shape, (mask,), "train")


def labels_of(run, maps):
    stage = run.stage("seeds")
    with working(stage) as record:
        for name, label_map in maps.items():
            write_label_map(stage.path / "labels" / f"{name}.png", label_map.astype(np.uint8))
        record["images"] = len(maps)
    return stage


@pytest.fixture
def config(tmp_path):
    return Config(
        run_dir=tmp_path / "run", data={"root": tmp_path}, machine={"workers": 1, "device": "cpu"}
    )


def test_counts_on_disk_are_those_of_the_label_maps(config, tmp_path):
    samples = [sample(tmp_path, name, truth) for name, truth in TRUTHS.items()]
    with open_run(config) as run:
        truth = Truth(Dataset(CLASSES, tuple(samples)))
        quality = measure(run, labels_of(run, LABELS), truth, samples)
        found = read_counts(run.path, "seeds", CLASSES)
    assert found is not None and quality is not None
    assert found.ids == ("a", "b", "c") and found.calibration is None
    matrices = {n: confusion_matrix(LABELS[n].astype(np.uint8), TRUTHS[n], 3) for n in TRUTHS}
    np.testing.assert_array_equal(found.matrix, sum(matrices.values()))
    np.testing.assert_array_equal(quality.matrix, found.matrix)
    width = boundary_width((12, 16))
    edges = [boundary_counts(LABELS[n].astype(np.uint8), TRUTHS[n], 3, width) for n in TRUTHS]
    np.testing.assert_array_equal(found.boundaries, sum(edges))
    for name, matrix in matrices.items():
        hits = matrix.diagonal()
        ious = hits / (matrix.sum(axis=1) + matrix[:, :3].sum(axis=0) - hits)
        assert found.image_mious[name] == pytest.approx(ious.mean())
    objects = [ObjectCounts(*row) for row in found.objects.tolist()]
    expected = [o for n in "abc" for o in object_counts(LABELS[n].astype(np.uint8), TRUTHS[n], 3)]
    assert sorted(objects) == sorted(expected)


def test_confidence_is_counted_where_it_is_known(config, tmp_path):
    samples = [sample(tmp_path, name, truth) for name, truth in TRUTHS.items()]
    sure = np.where(RANDOM.random((12, 16)) < 0.5, 0.95, 0.35)
    truth = Truth(Dataset(CLASSES, tuple(samples)))
    with open_run(config) as run:
        labels = labels_of(run, LABELS)
        write_confidence(labels.path / "confidence" / "a.png", sure)
        measure(run, labels, truth, samples)
        found = read_counts(run.path, "seeds", CLASSES)
    assert found is not None and found.calibration is not None
    low, high = found.calibration.reliability()
    right = LABELS["a"] == TRUTHS["a"]
    assert low.accuracy == pytest.approx(right[sure < 0.5].mean())
    assert high.accuracy == pytest.approx(right[sure > 0.5].mean())
    assert (low.confidence, high.confidence) == pytest.approx((0.35, 0.95), abs=0.01)
    assert high.share == pytest.approx((sure > 0.5).mean())


def test_what_cannot_be_measured_is_reported_and_stops_nothing(config, tmp_path, capsys):
    one = sample(tmp_path, "a", TRUTHS["a"])
    (tmp_path / "a-mask.png").write_bytes(b"no mask")
    with open_run(config) as run:
        labels, truth = labels_of(run, LABELS), Truth(Dataset(CLASSES, (one,)))
        assert measure(run, labels, truth, [one]) is None
        assert read_counts(run.path, "seeds", CLASSES) is None
    output = capsys.readouterr().err
    assert "seeds/quality: skipped a" in output and "seeds: not measured" in output


def test_truth_that_says_nothing_is_not_measured(config, tmp_path):
    nothing = sample(tmp_path, "a", np.full((12, 16), IGNORE, np.uint8))
    with open_run(config) as run:
        truth = Truth(Dataset(CLASSES, (nothing,)))
        assert measure(run, labels_of(run, LABELS), truth, [nothing]) is None
        assert pair_ious(run.path, "seeds").empty


def test_ignored_predictions_are_missed():
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    found = measured([(np.array([[0, IGNORE, 1, 2]], np.uint8), truth)])
    assert found.quality.per_class == {"background": 0.5, "cow": 0.5, "sheep": 0}
    assert found.image_mious["image-0"] == pytest.approx(1 / 3)
