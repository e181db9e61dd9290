import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wsseg.labelmaps import IGNORE
from wsseg.metrics.boundaries import (
    boundary_counts,
    boundary_f1,
    boundary_iou,
    boundary_width,
)

LABEL_MAPS = arrays.arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 1, 2, IGNORE]))


def halves(column):
    label_map = np.zeros((10, 20), np.uint8)
    label_map[:, column:] = 1
    return label_map


def test_boundary_of_a_shifted_edge():
    # boundaries are columns 9 | 10 of the truth and 12 | 13 of the prediction
    counts = boundary_counts(halves(13), halves(10), 2, width=2)
    assert counts[:, :4].tolist() == [[10, 0, 10, 0], [10, 0, 10, 0]]
    # bands of class 0: columns 10..12 and 7..9; of class 1: 13..15 and 10..12
    assert counts[:, 4:].tolist() == [[0, 60], [0, 60]]
    assert boundary_f1(counts) == 0 and boundary_iou(counts) == 0
    nearer = boundary_counts(halves(13), halves(10), 2, width=3)
    assert boundary_f1(nearer) == 1
    # class 0: 9..12 and 6..9 share column 9
    assert boundary_iou(nearer) == pytest.approx(1 / 7)


def test_boundary_of_the_same_map():
    counts = boundary_counts(halves(10), halves(10), 3)
    assert boundary_f1(counts) == 1 and boundary_iou(counts) == 1
    assert not counts[2].any()


def test_frame_and_ignored_truth_make_no_boundary():
    assert not boundary_counts(halves(0), halves(0), 2).any()
    truth = halves(10)
    truth[:, 9:11] = IGNORE
    assert not boundary_counts(truth, truth, 2)[:, 2].any()
    assert boundary_f1(boundary_counts(truth, truth, 2)) is None
    assert boundary_iou(boundary_counts(truth, truth, 2)) is None


def test_ignored_prediction_makes_a_boundary():
    prediction = halves(10)
    prediction[:, 15:] = IGNORE
    counts = boundary_counts(prediction, halves(10), 2, width=2)
    assert counts[1, :4].tolist() == [20, 10, 10, 10]
    assert boundary_f1(counts) == pytest.approx((1 + 2 / 3) / 2)


def test_boundary_missed_altogether():
    counts = boundary_counts(halves(0), halves(10), 2)
    assert counts[:, :4].tolist() == [[0, 0, 10, 0], [0, 0, 10, 0]]
    assert boundary_f1(counts) == 0 and boundary_iou(counts) == 0


def test_boundary_counts_are_symmetric_and_flip():
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 3, (2, 12, 15)).astype(np.uint8)
    counts = boundary_counts(one, other, 3, width=1)
    swapped = boundary_counts(other, one, 3, width=1)
    np.testing.assert_array_equal(swapped, counts[:, [2, 3, 0, 1, 4, 5]])
    np.testing.assert_array_equal(boundary_counts(one[:, ::-1], other[:, ::-1], 3, 1), counts)


def test_boundary_width_is_a_share_of_the_diagonal():
    assert boundary_width((60, 80), 0.02) == pytest.approx(2)


@settings(max_examples=50, deadline=None)
@given(LABEL_MAPS, LABEL_MAPS)
def test_scores_are_shares_and_ignored_truth_counts_nowhere(prediction, truth):
    counts = boundary_counts(prediction, truth, 3, width=1)
    for score in (boundary_f1(counts), boundary_iou(counts)):
        assert score is None or 0 <= score <= 1
    changed = np.where(truth == IGNORE, 2, prediction).astype(np.uint8)
    np.testing.assert_array_equal(boundary_counts(changed, truth, 3, width=1), counts)
