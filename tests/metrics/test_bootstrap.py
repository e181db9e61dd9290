import numpy as np
import pytest
from helpers.counted import measured

from wsseg.errors import InputError
from wsseg.metrics.bootstrap import Interval, mean_interval, miou_ratio, pool
from wsseg.metrics.segmentation import (
    SegmentationQuality,
    confusion_matrix,
    evaluate,
    pooled,
)

NAMES = ("background", "cow", "sheep")


def pairs(count, wrong, seed):
    """Label maps of which a share of the pixels has a class at random."""
    random = np.random.default_rng(seed)
    truths = np.random.default_rng(0).integers(0, 3, (count, 6, 8)).astype(np.uint8)
    noise = random.integers(0, 3, truths.shape).astype(np.uint8)
    return list(
        zip(np.where(random.random(truths.shape) < wrong, noise, truths), truths, strict=True)
    )


def quality(count, wrong, seed):
    return measured(pairs(count, wrong, seed)).quality


def slow(pairs):
    """One draw after another, every label map compared again."""
    random, mious = np.random.default_rng(0), []
    for times in random.multinomial(len(pairs), np.full(len(pairs), 1 / len(pairs)), 1000):
        chosen = [pair for pair, count in zip(pairs, times, strict=True) for _ in range(count)]
        matrix = sum(confusion_matrix(*pair, 3) for pair in chosen)
        mious.append(SegmentationQuality(np.asarray(matrix), NAMES).miou)
    return mious


def test_interval_is_that_of_a_slow_bootstrap():
    maps = pairs(7, 0.4, seed=1)
    low, high = np.quantile(slow(maps), [0.05, 0.95])
    found = measured(maps).quality
    interval = found.interval(level=0.9)
    assert interval == pytest.approx((found.miou, low, high))
    predicted, truth = zip(*maps, strict=True)
    assert evaluate(predicted, truth, NAMES).interval(0.9) == interval


def test_interval_is_about_two_standard_errors_wide():
    # The standard error is that of the mIoU of other images from the same distribution.
    anew = [quality(60, 0.4, seed).miou for seed in range(1, 61)]
    interval = quality(60, 0.4, seed=1).interval()
    assert interval.high - interval.low == pytest.approx(4 * np.std(anew), rel=0.4)


def test_a_difference_of_noise_is_called_noise():
    bad, other, good = (quality(40, w, s) for w, s in ((0.4, 1), (0.4, 2), (0.2, 3)))
    assert other.gain_over(bad).is_noise
    better = good.gain_over(bad)
    assert better.low > 0 and not better.is_noise
    assert bad.gain_over(good).value == -better.value
    assert bad.gain_over(bad) == Interval(0, 0, 0)


def test_differences_of_classes_have_their_own_intervals():
    bad, good = quality(40, 0.4, 1), quality(40, 0.2, 3)
    gains = good.class_gains_over(bad)
    assert [*gains] == [*NAMES]
    for name, gain in gains.items():
        assert gain.value == good.per_class[name] - bad.per_class[name]
        assert gain.low < gain.value < gain.high


def overlaps(count, wrong, seed):
    return quality(count, wrong, seed).by_image()


def test_ratio_has_the_interval_of_a_slow_bootstrap():
    good, bad, worse = (pairs(7, wrong, seed) for wrong, seed in ((0.1, 1), (0.4, 2), (0.5, 3)))
    means = np.mean([slow(bad), slow(worse)], axis=0)
    low, high = np.quantile(means / slow(good), [0.05, 0.95])
    both = [measured(bad), measured(worse)]
    value = np.mean([one.quality.miou for one in both]) / measured(good).quality.miou
    ratio = miou_ratio(
        [one.quality.by_image() for one in both], [measured(good).quality.by_image()], level=0.9
    )
    assert ratio == pytest.approx((value, low, high))
    assert ratio.half_width == pytest.approx((high - low) / 2)


def test_equal_label_maps_have_the_ratio_1():
    one = overlaps(20, 0.3, 1)
    assert miou_ratio([one], [one]) == Interval(1, 1, 1)
    assert miou_ratio([one], [one]).half_width == 0
    assert miou_ratio([one, overlaps(20, 0.3, 2)], [one]) != Interval(1, 1, 1)


def test_ratio_lies_in_its_interval_and_is_the_inverse_of_the_opposite():
    good, bad = overlaps(40, 0.2, 1), overlaps(40, 0.4, 2)
    ratio, opposite = miou_ratio([bad], [good]), miou_ratio([good], [bad])
    assert ratio.low < ratio.value < ratio.high < 1
    assert opposite.value == pytest.approx(1 / ratio.value)


def test_pairs_of_the_same_images_narrow_the_interval():
    # Half of the images are hard for both.
    maps = [*pairs(20, 0.9, 1), *pairs(20, 0.1, 1)]
    good = measured(maps).quality.by_image()
    # Another tenth of the pixels of every image is wrong.
    worse = [
        (np.where(np.arange(48).reshape(6, 8) % 10, p, 0).astype(np.uint8), t) for p, t in maps
    ]
    bad = measured(worse).quality.by_image()
    shuffled = np.random.default_rng(0).permutation(40)
    apart = bad._replace(hits=bad.hits[shuffled], union=bad.union[shuffled])
    paired, unpaired = miou_ratio([bad], [good]), miou_ratio([apart], [good])
    assert paired.value == pytest.approx(unpaired.value)
    assert paired.half_width < 0.5 * unpaired.half_width


def test_a_ratio_to_labels_that_are_wrong_everywhere_is_refused():
    wrong = [(np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8))]
    nothing = measured(wrong).quality.by_image()
    with pytest.raises(InputError, match="wrong everywhere"):
        miou_ratio([nothing], [nothing])
    with pytest.raises(InputError, match="label maps are of different images"):
        miou_ratio([overlaps(3, 0.1, 0)], [overlaps(2, 0.1, 0)])


def test_draws_without_a_correct_pixel_to_compare_with_are_left_out():
    right, wrong = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    some = measured([(right, right), (wrong, right)]).quality.by_image()
    assert miou_ratio([some], [some]) == Interval(1, 1, 1)


def test_folds_together_have_the_figures_of_all_images():
    maps = pairs(9, 0.4, seed=1)
    predicted, truth = (
        {f"{n}": one for n, one in enumerate(part)} for part in zip(*maps, strict=True)
    )
    whole = evaluate(predicted, truth, NAMES)
    folds = [[f"{n}" for n in range(4)], [f"{n}" for n in range(4, 9)]]
    parts = [evaluate(predicted, {id: truth[id] for id in ids}, NAMES) for ids in folds]
    together = pooled(parts)
    assert together.by_image().ids == whole.by_image().ids
    assert together.interval() == pytest.approx(whole.interval())
    assert together.per_class == whole.per_class
    assert pool([parts[0].by_image()]).ids == ("0", "1", "2", "3")
    with pytest.raises(InputError, match="different classes"):
        pooled([parts[0], evaluate(predicted, truth, ["a", "b", "c"])])


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
    assert measured([(one, one), (other, other)]).quality.interval() == Interval(1, 1, 1)


def test_other_images_or_classes_cannot_be_compared():
    with pytest.raises(InputError, match="label maps are of different images"):
        quality(3, 0.1, 0).gain_over(quality(2, 0.1, 0))
    one = [np.zeros((2, 2), np.uint8)]
    with pytest.raises(InputError, match="label maps have different classes"):
        evaluate(one, one, ["a"]).gain_over(evaluate(one, one, ["a", "b"]))
    with pytest.raises(InputError, match="no counts of single images"):
        SegmentationQuality(np.array([[1, 0]]), ["a"]).interval()
