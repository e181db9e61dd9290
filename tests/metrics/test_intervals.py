import numpy as np
import pytest
from helpers.counted import measured
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.metrics.intervals import Interval, mean_interval, miou_difference, miou_interval
from wsseg.metrics.segmentation import SegmentationQuality, confusion_matrix

NAMES = ("background", "cow", "sheep")
Pairs = list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def pairs(count, wrong, seed):
    """Label maps of which a share of the pixels has a class at random."""
    random = np.random.default_rng(seed)
    truths = np.random.default_rng(0).integers(0, 3, (count, 6, 8)).astype(np.uint8)
    noise = random.integers(0, 3, truths.shape).astype(np.uint8)
    return list(
        zip(np.where(random.random(truths.shape) < wrong, noise, truths), truths, strict=True)
    )


def slow(found, draws, seed):
    """One draw after another, every label map compared again."""
    random, mious = np.random.default_rng(seed), []
    for times in random.multinomial(len(found), np.full(len(found), 1 / len(found)), draws):
        chosen = [pair for pair, count in zip(found, times, strict=True) for _ in range(count)]
        matrix = sum(confusion_matrix(*pair, 3) for pair in chosen)
        mious.append(SegmentationQuality(np.asarray(matrix), NAMES).miou)
    return mious


def test_interval_is_that_of_a_slow_bootstrap():
    found = pairs(7, 0.4, seed=1)
    low, high = np.quantile(slow(found, 40, seed=3), [0.05, 0.95])
    interval = miou_interval(measured(found), level=0.9, draws=40, seed=3)
    assert interval == pytest.approx((measured(found).quality.miou, low, high))


def test_interval_is_about_two_standard_errors_wide():
    """Of images drawn anew from where they came from."""
    anew = [measured(pairs(60, 0.4, seed)).quality.miou for seed in range(1, 61)]
    interval = miou_interval(measured(pairs(60, 0.4, seed=1)))
    assert interval.high - interval.low == pytest.approx(4 * np.std(anew), rel=0.4)


def test_a_difference_of_noise_is_called_noise():
    bad, other, good = (measured(pairs(40, w, s)) for w, s in ((0.4, 1), (0.4, 2), (0.2, 3)))
    assert miou_difference(bad, other).is_noise
    better = miou_difference(bad, good)
    assert better.low > 0 and not better.is_noise
    assert miou_difference(good, bad).value == -better.value
    assert miou_difference(bad, bad) == Interval(0, 0, 0)


def test_mean_has_the_interval_of_its_standard_error():
    values = np.random.default_rng(0).normal(0.3, 0.1, 400)
    interval = mean_interval(values, np.arange(400))
    assert interval.value == pytest.approx(values.mean())
    assert interval.high - interval.low == pytest.approx(3.92 * 0.1 / 20, rel=0.15)
    assert mean_interval(values, np.arange(400)) == interval
    twice = mean_interval(values.repeat(2), np.arange(400).repeat(2))
    assert twice == pytest.approx(interval)  # values of one image are no news


def test_a_class_that_a_draw_misses_is_left_out_of_its_mean():
    one, other = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    assert miou_interval(measured([(one, one), (other, other)])) == Interval(1, 1, 1)


def test_other_images_cannot_be_compared():
    with pytest.raises(InputError, match="label maps must be of the same images"):
        miou_difference(measured(pairs(3, 0.1, 0)), measured(pairs(2, 0.1, 0)))
