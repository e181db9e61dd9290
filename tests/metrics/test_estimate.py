import numpy as np
import pandas as pd
import pytest

from wsseg.metrics.estimate import estimate_quality, rank_signals, ranking_quality
from wsseg.metrics.signals import SIGNALS


def table(count=60, seed=0):
    """Signals of which only two tell of the IoU."""
    random = np.random.default_rng(seed)
    iou = pd.Series(random.random(count), [f"row-{number}" for number in range(count)])
    signals = pd.DataFrame({name: random.random(count) for name in SIGNALS}, iou.index)
    signals["fill"] = iou + 0.1 * random.random(count)
    signals["resets"] = -3 * iou
    return signals, iou


def test_without_masks_the_score_is_the_mean_rank_of_good_signs():
    signals = pd.DataFrame({"fill": [0.2, 0.9, 0.5], "resets": [1.0, 0.0, np.nan], "area": 0.1})
    expected = [(1 / 3 + 1 / 2 + 2 / 3) / 3, (1 + 1 + 2 / 3) / 3, (2 / 3 + 0.5 + 2 / 3) / 3]
    assert estimate_quality(signals).tolist() == pytest.approx(expected)


def test_what_is_no_part_of_the_prior_does_not_count():
    signals, iou = table()
    other = signals.assign(churn=-iou)
    pd.testing.assert_series_equal(estimate_quality(other), estimate_quality(signals))


def test_a_class_without_a_pixel_is_the_worst():
    signals, iou = table()
    signals.loc["row-3", "area"] = 0.0
    for known in (None, iou.head(30)):
        scores = estimate_quality(signals, known)
        assert scores["row-3"] == 0 and (scores > 0).mean() > 0.9


def test_masks_teach_which_signals_tell():
    signals, iou = table()
    learned = estimate_quality(signals, iou.sample(25, random_state=1))
    blind = estimate_quality(signals)
    assert ranking_quality(learned, iou)[0] > ranking_quality(blind, iou)[0] + 0.1
    assert learned.between(0, 1).all() and learned.index.equals(signals.index)


def test_too_few_masks_teach_nothing():
    signals, iou = table()
    pd.testing.assert_series_equal(
        estimate_quality(signals, iou.head(19)), estimate_quality(signals)
    )


def test_units_and_outliers_do_not_matter():
    signals, _ = table()
    other = signals.assign(fill=np.exp(20 * signals["fill"]))
    pd.testing.assert_frame_equal(rank_signals(other), rank_signals(signals))


def test_signals_that_are_nowhere_are_left_out():
    signals, _ = table()
    assert "churn" not in rank_signals(signals.assign(churn=np.nan))


def test_ranking_quality_of_hand_made_scores():
    iou = pd.Series(np.linspace(0, 1, 20))
    assert ranking_quality(iou, iou) == (pytest.approx(1), 1)
    assert ranking_quality(-iou, iou) == (pytest.approx(-1), 0)
    swapped = iou.copy()
    swapped[[1, 2]] = swapped[[2, 1]].to_numpy()
    assert ranking_quality(swapped, iou)[1] == 0.5


def test_equal_scores_find_as_much_as_chance():
    iou = pd.Series(np.linspace(0, 1, 40))
    coarse = (iou > 0.5).astype(float)  # 4 bad ones among 20 equal ones
    assert ranking_quality(coarse, iou)[1] == pytest.approx(4 * 4 / 20 / 4)
