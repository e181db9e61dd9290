"""Validation and normalisation of class scores, which every refiner starts from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError

_TINY = 1e-30  # sums below it have lost digits
_NUMBERS = "fiub"  # kinds of dtype: floating, integer, unsigned, bool


def check_scores(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    allowed: NDArray[np.bool_] | None = None,
) -> None:
    """Raise an error unless an image, its scores and its constraints fit together.

    Args:
        image: (H, W, 3) uint8 with at least one pixel.
        scores: (C, H, W) floating, integer or bool, finite and at least 0, C at least 1.
        allowed: (C, H, W) bool with at least one True per pixel; None allows everything.
    """
    is_map = isinstance(scores, np.ndarray) and scores.ndim == 3 and len(scores) > 0
    if not is_map or scores.dtype.kind not in _NUMBERS:
        rule = "a (C, H, W) array of numbers with at least one class"
        raise InputError("scores", rule, describe(scores), "pass one map per class")
    expected = (*scores.shape[1:], 3)
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.shape != expected or image.dtype != np.uint8 or not image.size:
        remedy = "pass the image itself, not a normalised one"
        raise InputError("image", f"uint8 RGB of shape {expected}", describe(image), remedy)
    lowest, highest = scores.min(), scores.max()
    if not (lowest >= 0 and np.isfinite(highest)):  # NaN fails both comparisons
        got = f"{lowest} to {highest}"
        raise InputError("scores", "finite and at least 0", got, "pass probabilities")
    if allowed is None:
        return
    rule = f"bool of shape {scores.shape} with a class for every pixel"
    is_mask = isinstance(allowed, np.ndarray) and allowed.dtype == bool
    if not is_mask or allowed.shape != scores.shape:
        raise InputError("allowed", rule, describe(allowed), "pass one mask per class")
    if not allowed.any(axis=0).all():
        raise InputError("allowed", rule, "pixels without one", "allow the background")


def check_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[NDArray[np.floating]],
    allowed: Sequence[NDArray[np.bool_] | None] | None,
) -> list[NDArray[np.bool_] | None]:
    """Apply ``check_scores`` to each image and return ``allowed`` with one entry per image.

    Raises:
        InputError: As ``check_scores``, or the numbers of images, scores and constraints differ.
    """
    masks: list[NDArray[np.bool_] | None]
    masks = [None] * len(images) if allowed is None else list(allowed)
    for name, values in (("scores", scores), ("allowed", masks)):
        if len(values) != len(images):
            rule = f"one an image, {len(images)} in all"
            raise InputError(name, rule, len(values), "pass lists of one length")
    for index, arrays in enumerate(zip(images, scores, masks, strict=True)):
        try:
            check_scores(*arrays)
        except InputError as error:
            if len(images) == 1:
                raise
            subject = f"{error.subject}[{index}]"
            raise InputError(subject, error.rule, error.got, error.remedy) from error
    return masks


def normalise(
    scores: NDArray[np.floating], allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return scores as probabilities over the classes that each pixel may take.

    Args:
        scores: (C, H, W), finite and at least 0.
        allowed: (C, H, W) bool, at least one True per pixel; None allows everything.

    Returns:
        (C, H, W) float32 that sum to 1 over C, exactly 0 where not allowed. Where all allowed
        classes have 0 they are equally likely.

    Example:
        >>> normalise(np.array([[[3.0, 0.0]], [[1.0, 0.0]]])).tolist()
        [[[0.75, 0.5]], [[0.25, 0.5]]]
    """
    kind = np.result_type(scores.dtype, np.float32)
    masked = np.asarray(scores if allowed is None else np.where(allowed, scores, 0), kind)
    total = masked.sum(axis=0)
    if not (total > _TINY).all() or not np.isfinite(total).all():
        # Dividing by the largest score first keeps sums from vanishing and from overflowing.
        equal = np.ones_like(masked) if allowed is None else allowed.astype(kind)
        peak = masked.max(axis=0)
        masked = np.divide(masked, peak, out=equal, where=peak > 0)
        total = masked.sum(axis=0)
    return np.asarray(masked / total, np.float32)


def describe(value: object) -> str:
    """Return the dtype and shape of an array, or the type of anything else, for errors."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
