"""Bootstrap over images: how far a figure would move if other images had been drawn."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from wsseg.errors import InputError

_DRAWS, _SEED = 1000, 0
_BLOCK = 50  # resamples at a time, so that memory does not grow with their number


class Interval(NamedTuple):
    """A figure of the images at hand, and the ends of its percentile interval."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the length of the interval: a smaller difference may be noise."""
        return (self.high - self.low) / 2

    @property
    def is_noise(self) -> bool:
        """True if the interval contains 0, so that a difference may be noise."""
        return self.low <= 0 <= self.high


class ImageOverlaps(NamedTuple):
    """Intersection and union of each class in each of N images.

    Attributes:
        ids: N names.
        hits: (N, K) correctly labelled pixels, dense or sparse.
        union: (N, K) pixels that are predicted as the class or of the class, dense or sparse.
    """

    ids: tuple[str, ...]
    hits: Any
    union: Any

    def resample_ious(self) -> Iterator[NDArray[np.float64]]:
        """Yield (draws, K) IoUs of resampled images in blocks; NaN for a class without a pixel."""
        for weights in _weights(len(self.ids)):
            hits, union = weights @ self.hits, weights @ self.union
            ious = np.divide(hits, union, out=np.full(union.shape, np.nan), where=union > 0)
            yield np.asarray(ious)


def miou_interval(miou: float, images: ImageOverlaps, level: float = 0.95) -> Interval:
    """Return the percentile interval of an mIoU.

    Images are drawn with replacement and their counts added up. The interval does not include what
    another seed of the training would change.

    References:
        Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    mious = [np.nanmean(ious, axis=1) for ious in images.resample_ious()]
    return _interval(miou, np.concatenate(mious), level)


def iou_differences(first: ImageOverlaps, second: ImageOverlaps) -> NDArray[np.float64]:
    """Return (draws, K + 1) differences second - first, of the same resampled images for both.

    The last column is the difference of the mIoU; NaN for a class without a pixel.

    Raises:
        InputError: The images differ.
    """
    _check_same_images([first, second])
    blocks = []
    for before, after in zip(first.resample_ious(), second.resample_ious(), strict=True):
        means = np.nanmean(after, axis=1) - np.nanmean(before, axis=1)
        blocks.append(np.column_stack([after - before, means]))
    return np.concatenate(blocks)


def difference_interval(value: float, drawn: NDArray[np.float64], level: float = 0.95) -> Interval:
    """Return a difference with its interval, from resampled ones; NaN is left out."""
    return _interval(value, drawn[~np.isnan(drawn)], level)


def miou_ratio(
    some: Sequence[ImageOverlaps], others: Sequence[ImageOverlaps], level: float = 0.95
) -> Interval:
    """Return the mIoU of some label maps as a share of that of others, with its interval.

    The same images are drawn for both, so that images that are hard for both do not widen the
    interval. Draws in which the others have an mIoU of 0 are left out.

    Args:
        some: Counts of the same images by one or more runs, such as several seeds of a recipe, of
            whose mIoU the mean counts.
        others: Counts of the same images by the runs to compare with.

    Raises:
        InputError: The images differ, or the mIoU of the others is 0.

    Example:
        >>> good = ImageOverlaps(("a", "b"), np.array([[4], [8]]), np.array([[5], [10]]))
        >>> bad = good._replace(hits=np.array([[2], [4]]))
        >>> miou_ratio([bad], [good])
        Interval(value=0.5, low=0.5, high=0.5)
    """
    _check_same_images([*some, *others])
    bound = _mean_miou(others)
    if not bound:
        raise InputError("The label maps to compare with are wrong everywhere", hint="train longer")
    blocks = []
    for drawn in zip(*(one.resample_ious() for one in (*some, *others)), strict=True):
        mious = np.stack([np.nanmean(ious, axis=1) for ious in drawn])
        upper, lower = (part.mean(axis=0) for part in np.split(mious, [len(some)]))
        blocks.append(upper[lower > 0] / lower[lower > 0])
    return _interval(_mean_miou(some) / bound, np.concatenate(blocks), level)


def pool(parts: Sequence[ImageOverlaps]) -> ImageOverlaps:
    """Return the counts of all images of several disjoint sets, such as the folds of a data set."""
    ids = tuple(id for part in parts for id in part.ids)
    hits, union = (
        sparse.vstack([sparse.csr_array(count) for count in counts], format="csr")
        for counts in ([part.hits for part in parts], [part.union for part in parts])
    )
    return ImageOverlaps(ids, hits, union)


def mean_interval(
    values: NDArray[np.floating], images: NDArray[np.intp], level: float = 0.95
) -> Interval:
    """Return the mean of some values with its percentile interval over images.

    Args:
        values: (N,), at least one.
        images: (N,) number of the image of each value, from 0 without gaps.
        level: Probability that the interval covers, 0..1.

    Example:
        >>> mean_interval(np.array([0.2, 0.2]), np.array([0, 1]))
        Interval(value=0.2, low=0.2, high=0.2)
    """
    total, count = np.bincount(images, values), np.bincount(images)
    drawn = [(w @ total) / (w @ count) for w in _weights(len(count))]
    return _interval(float(values.mean()), np.concatenate(drawn), level)


def _check_same_images(parts: Sequence[ImageOverlaps]) -> None:
    if any(part.ids != parts[0].ids for part in parts):
        hint = "evaluate both on the same images"
        raise InputError("The label maps are of different images", hint=hint)


def _mean_miou(parts: Sequence[ImageOverlaps]) -> float:
    sums = ((part.hits.sum(axis=0), part.union.sum(axis=0)) for part in parts)
    return float(np.mean([np.mean(hits[union > 0] / union[union > 0]) for hits, union in sums]))


def _weights(n_images: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each image was drawn: (draws, N) in blocks."""
    random = np.random.default_rng(_SEED)
    for _ in range(_DRAWS // _BLOCK):
        yield random.multinomial(n_images, np.full(n_images, 1 / n_images), _BLOCK)


def _interval(value: float, drawn: NDArray[np.float64], level: float) -> Interval:
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))
