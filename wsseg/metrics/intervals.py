"""How far a figure would move if other images had been drawn: bootstrap over images."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from wsseg.errors import InputError
from wsseg.stages.measured import Measured

_BLOCK = 50  # draws at a time, so that memory does not grow with their number


class Interval(NamedTuple):
    """A figure and where it lies with the given probability.

    Attributes:
        value: Of the images at hand.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def is_noise(self) -> bool:
        """Of a difference: whether none lies inside."""
        return self.low <= 0 <= self.high


def miou_interval(
    measured: Measured, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Return the mIoU of a data set and its percentile interval.

    Images are drawn with replacement, and their counts added up, as often as ``draws``. What
    another seed of the training would change is not in it.

    Args:
        measured: Of the label maps.
        level: Probability that the interval covers, 0..1.
        draws: Samples of images.
        seed: Of the draws.

    Returns:
        0..1.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    drawn = np.concatenate([_mious(measured, w) for w in _weights(len(measured.ids), draws, seed)])
    return _interval(measured.quality.miou, drawn, level)


def miou_difference(
    first: Measured, second: Measured, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> Interval:
    """Return by how much the second mIoU is higher, with the same images drawn for both.

    Args:
        first: Counts of label maps.
        second: Of other label maps of the same images.
        level: Probability that the interval covers, 0..1.
        draws: Samples of images.
        seed: Of the draws.

    Returns:
        -1..1; ``is_noise`` where other images could have turned its sign.

    Raises:
        InputError: The images or the classes differ.
    """
    _check_same(first, second)
    drawn = [_mious(second, w) - _mious(first, w) for w in _weights(len(first.ids), draws, seed)]
    return _interval(second.quality.miou - first.quality.miou, np.concatenate(drawn), level)


def class_differences(
    first: Measured, second: Measured, level: float = 0.95, draws: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Return by how much the IoU of each class is higher, with the same images drawn for both.

    Args:
        first: Counts of label maps.
        second: Of other label maps of the same images.
        level: Probability that the interval covers, 0..1.
        draws: Samples of images.
        seed: Of the draws.

    Returns:
        -1..1 by class; classes that either lacks are left out.

    Raises:
        InputError: The images or the classes differ.
    """
    _check_same(first, second)
    drawn = np.concatenate(
        [_ious(second, w) - _ious(first, w) for w in _weights(len(first.ids), draws, seed)]
    )
    before, after = first.quality.per_class, second.quality.per_class
    return {
        name: _interval(after[name] - before[name], known[~np.isnan(known)], level)
        for name, known in zip(first.classes, drawn.T, strict=True)
        if name in before and name in after
    }


def mean_interval(
    values: NDArray[np.floating],
    images: NDArray[np.intp],
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Interval:
    """Return the mean of some values and its percentile interval over images.

    Args:
        values: (N,), at least one.
        images: (N,) number of the image that each is of, from 0 without gaps.
        level: Probability that the interval covers, 0..1.
        draws: Samples of images.
        seed: Of the draws.

    Returns:
        In the values' unit.

    Example:
        >>> mean_interval(np.array([0.2, 0.2]), np.array([0, 1]))
        Interval(value=0.2, low=0.2, high=0.2)
    """
    total, count = np.bincount(images, values), np.bincount(images)
    drawn = [(w @ total) / (w @ count) for w in _weights(len(count), draws, seed)]
    return _interval(float(values.mean()), np.concatenate(drawn), level)


def _check_same(first: Measured, second: Measured) -> None:
    if (first.ids, first.classes) != (second.ids, second.classes):
        rule, remedy = "of the same images and classes", "measure both on the same split"
        raise InputError("label maps", rule, "others", remedy)


def _weights(n_images: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """How often each image was drawn: (draws, N) in blocks."""
    random = np.random.default_rng(seed)
    for start in range(0, draws, _BLOCK):
        size = min(_BLOCK, draws - start)
        yield random.multinomial(n_images, np.full(n_images, 1 / n_images), size)


def _mious(measured: Measured, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(np.nanmean(_ious(measured, weights), axis=1))


def _ious(measured: Measured, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(draws, K), NaN where a draw has no pixel of a class."""
    shape = (len(measured.ids), len(measured.classes))
    place = (measured.image, measured.label)
    hits, union = (
        weights @ sparse.csr_array((counts, place), shape)
        for counts in (measured.hits, measured.union)
    )
    return np.asarray(np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0))


def _interval(value: float, drawn: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))
