import numpy as np
import pytest

from wsseg.labelmaps import IGNORE
from wsseg.metrics.calibration import BINS, Calibration, count_confidence, thresholds_that_keep


def bins(**pixels):
    """A row of counts, such as ``_900=5`` for five pixels of confidence 0.9."""
    row = np.zeros(BINS, np.int64)
    for name, count in pixels.items():
        row[int(name[1:])] = count
    return row


def test_counts_pixels_by_label_and_confidence():
    labels = np.array([[0, 1, 1], [IGNORE, 2, 2]], np.uint8)
    sure = np.array([[0.5, 0.9, 1.0], [0.3, 0.0, 0.9994]])
    found = count_confidence(labels, sure, 3)
    assert found.sum() == 5
    assert found[0, 500] == 1
    assert found[1, 900] == 1
    assert found[1, BINS - 1] == 1
    assert found[2, 0] == 1
    assert found[2, BINS - 1] == 1
    assert count_confidence(labels, sure, 3, labels == 2).sum() == 2


def test_precision_gate_takes_the_lowest_confidence_that_is_right_often_enough():
    total = np.stack([bins(_100=10, _500=10, _900=10), bins(_900=10), bins()])
    right = np.stack([bins(_100=0, _500=8, _900=10), bins(_900=5), bins()])
    least = Calibration(right, total).thresholds_at(0.9)
    assert least[0] == pytest.approx(0.101, abs=1e-9)  # 18 of 20 right from just above 0.1 on
    assert least[1] is None
    assert least[2] is not None
    assert np.isnan(least[2])


def test_reliability_and_error_are_those_of_the_definition():
    random = np.random.default_rng(0)
    sure, good = random.random(5000), random.random(5000) < 0.6
    labels = np.zeros((1, 5000), np.uint8)
    right = count_confidence(labels, sure[None], 1, good[None])
    calibration = Calibration(right, count_confidence(labels, sure[None], 1))
    expected = 0.0
    for low in np.arange(0, 1, 0.1):
        inside = (sure >= low) & (sure < low + 0.1)
        expected += inside.mean() * abs(good[inside].mean() - sure[inside].mean())
    assert calibration.error == pytest.approx(expected, abs=2e-3)
    assert sum(bar.share for bar in calibration.reliability()) == pytest.approx(1)


def test_nothing_to_measure_has_no_error():
    nothing = np.zeros((2, BINS), np.int64)
    assert Calibration(nothing, nothing).error == 0
    assert Calibration(nothing, nothing).reliability() == []


@pytest.mark.parametrize("keep", [0.1, 0.5, 1.0])
def test_thresholds_keep_at_least_the_share_of_each_class(keep):
    random = np.random.default_rng(1)
    sure = random.random((1, 4000)) ** 0.2
    labels = random.integers(0, 3, (1, 4000)).astype(np.uint8)
    total = count_confidence(labels, sure, 4)
    least = thresholds_that_keep(total, keep)
    for label in range(3):
        above = (np.floor(sure * BINS) / BINS >= least[label] - 1e-9) & (labels == label)
        share = above.sum() / (labels == label).sum()
        assert keep <= share <= keep + 0.02
    assert least[3] == 0


def test_what_a_threshold_leaves():
    right, total = np.array([[0, 1, 0, 4]]), np.array([[0, 2, 0, 6]])
    assert Calibration(right, total).coverage_curve() == [(0.25, 1.0, 5 / 8), (0.75, 0.75, 4 / 6)]
