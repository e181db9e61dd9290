"""Class scores of an image, checked and made probabilities: what every refiner starts from."""

from collections.abc import Sequence
from typing import Any

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
    """Raise unless an image, its scores and its constraints fit together.

    Args:
        image: Must be (H, W, 3) uint8 with at least one pixel.
        scores: Must be (C, H, W) floating, integer or bool, finite and at least 0, C at least 1.
        allowed: Must be (C, H, W) bool with at least one True a pixel; None allows everything.

    Raises:
        InputError: One of them is not; the message names it and what it is instead.
    """
    _check_map(scores)
    _check_image(image, scores.shape[1:])
    lowest, highest = scores.min(), scores.max()
    if not (lowest >= 0 and np.isfinite(highest)):  # neither holds for NaN
        got = f"{lowest} to {highest}"
        raise InputError("scores", "finite and at least 0", got, "pass probabilities")
    if allowed is not None:
        _check_allowed(allowed, scores.shape)


def check_batch(
    images: Sequence[NDArray[np.uint8]],
    scores: Sequence[NDArray[np.floating]],
    allowed: Sequence[NDArray[np.bool_] | None] | None,
) -> list[NDArray[np.bool_] | None]:
    """Check each image as ``check_scores`` does, and return what each allows.

    Args:
        images: (H, W, 3) uint8 each.
        scores: (C, H, W) for each image.
        allowed: (C, H, W) bool or None for each image; None allows everything everywhere.

    Returns:
        ``allowed``, one an image.

    Raises:
        InputError: As ``check_scores``, or the numbers of images, scores and constraints differ.
    """
    given: list[NDArray[np.bool_] | None]
    given = [None] * len(images) if allowed is None else list(allowed)
    for name, values in (("scores", scores), ("allowed", given)):
        if len(values) != len(images):
            rule = f"one an image, {len(images)} in all"
            raise InputError(name, rule, len(values), "pass lists of one length")
    for index, each in enumerate(zip(images, scores, given, strict=True)):
        try:
            check_scores(*each)
        except InputError as error:
            if len(images) == 1:
                raise
            subject = f"{error.subject}[{index}]"
            raise InputError(subject, error.rule, error.got, error.remedy) from error
    return given


def normalised(
    scores: NDArray[np.floating], allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Return scores as probabilities over the classes that each pixel may take.

    Args:
        scores: (C, H, W), finite and at least 0.
        allowed: (C, H, W) bool, at least one True a pixel; None allows everything.

    Returns:
        (C, H, W) float32 that sum to 1 over C, exactly 0 where not allowed; where all allowed
        classes have 0 they are equally likely.

    Example:
        >>> normalised(np.array([[[3.0, 0.0]], [[1.0, 0.0]]])).tolist()
        [[[0.75, 0.5]], [[0.25, 0.5]]]
    """
    kind = np.result_type(scores.dtype, np.float32)
    permitted = np.asarray(scores if allowed is None else np.where(allowed, scores, 0), kind)
    total = permitted.sum(axis=0)
    if not (total > _TINY).all() or not np.isfinite(total).all():
        permitted = _rescued(permitted, allowed)
        total = permitted.sum(axis=0)
    return np.asarray(permitted / total, np.float32)


def _rescued(permitted: NDArray[Any], allowed: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Scores whose sums neither vanish nor overflow."""
    peak = permitted.max(axis=0)
    equally = np.ones_like(permitted) if allowed is None else allowed.astype(permitted.dtype)
    shares: NDArray[Any] = np.divide(permitted, peak, out=equally, where=peak > 0)
    return shares


def _check_map(scores: NDArray[np.floating]) -> None:
    is_map = isinstance(scores, np.ndarray) and scores.ndim == 3 and len(scores) > 0
    if not is_map or scores.dtype.kind not in _NUMBERS:
        rule = "a (C, H, W) array of numbers with at least one class"
        raise InputError("scores", rule, _described(scores), "pass one map a class")


def _check_image(image: NDArray[np.uint8], size: tuple[int, ...]) -> None:
    expected = (*size, 3)
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.shape != expected or image.dtype != np.uint8 or not image.size:
        remedy = "pass the photograph itself, not a normalised one"
        raise InputError("image", f"uint8 RGB of shape {expected}", _described(image), remedy)


def _check_allowed(allowed: NDArray[np.bool_], shape: tuple[int, ...]) -> None:
    rule = f"bool of shape {shape} with a class for every pixel"
    if not isinstance(allowed, np.ndarray) or allowed.dtype != bool:
        raise InputError("allowed", rule, _described(allowed), "pass a mask a class")
    if allowed.shape != shape:
        raise InputError("allowed", rule, f"shape {allowed.shape}", "pass a mask a class")
    if not allowed.any(axis=0).all():
        raise InputError("allowed", rule, "pixels without one", "allow the background")


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
