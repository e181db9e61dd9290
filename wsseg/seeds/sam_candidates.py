"""Comparison of the masks that a SAM model proposes for one object."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.foundation.sam import Masks
from wsseg.labelmaps import bounding_box
from wsseg.seeds.sam_objects import PromptedObject

FOREGROUND, BACKGROUND = 0.7, 0.3
"""Shares of the masks: the object from, other pixels below; between them IGNORE."""

_SIDE = 128  # cells along the longer side of the grid on which masks are compared
_SURROUNDINGS = 0.5  # of a box or of the masks, as a share of the sides, that are compared too
_STABILITY = 1.0  # logits between which the area of a stable mask hardly changes
_AGREE = 0.7  # IoU with the best mask from which a mask votes with it
_MIN_SCORE = 0.5  # good masks of published models have .8 and more
_MIN_FIT = 0.5
_MIN_FILL = 0.1  # of the box
_MAX_AREA = 0.9  # of the pixels that may be of the class, for an object without box
_MAX_SPREAD = 0.5
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Choice:
    """The result for one object.

    Attributes:
        logits: (A, h, w) float32 at the resolution of the decoder, of the masks that agree with
            the best one.
        signals: Of the best mask: "predicted_iou" (by the model), "stability" (its area at a high
            over that at a low threshold), "box_iou" (of its bounding box with the box, minus the
            share of the mask outside of it; NaN without a box); "consensus", the mean IoU of the
            masks of all prompts with it; "spread", the share of the object on which the masks
            disagree. NaN if the masks were refused.
        has_failed: True if the masks are refused, and the classical seed replaces them.
        window: Rows and columns of the image that ``masks`` cover.
        masks: (N, rows, columns) bool, for each prompt the mask that is most like the best one.
        best: Index of the prompt of the best mask.
    """

    logits: NDArray[np.float32]
    signals: dict[str, float]
    has_failed: bool
    window: tuple[slice, slice]
    masks: NDArray[np.bool_]
    best: int


def choose(prompted: PromptedObject, masks: Masks) -> Choice:
    """Return the masks that agree with the best one.

    Masks are clipped to the pixels that may be of the object. The score of a mask is the product
    of its predicted IoU, its stability, and its fit to the annotation: for a box the IoU of its
    bounding box with the box, minus the share of the mask outside of the box, times the share of
    the sides that it touches; for marks the share of the marks that it contains; in both cases
    times the share of other classes' marks that it leaves out.

    The masks are refused if the best score or its fit is below .5; if the best mask covers
    less than a tenth of the box or, without a box, more than nine tenths of the pixels that may be
    of the class; or if the masks that agree with it differ on more than half of the object.

    Args:
        masks: Those of the prompts of the object, in their order.

    References:
        Comparison of prompts: Deng et al., SAM-U, 2023, arXiv:2307.04973; stability: Kirillov et
        al., Segment Anything, ICCV 2023, arXiv:2304.02643.
    """
    count, each = masks.iou.shape
    grid = _grid_of(prompted, masks)
    logits = masks.logits.reshape(count * each, *masks.logits.shape[2:])
    sampled = masks.resample(logits, grid.window, grid.size)
    clipped = (sampled > 0) & grid.possible
    predicted = np.nan_to_num(masks.iou.ravel()).clip(_TINY, 1)
    stability = _areas(sampled > _STABILITY) / _areas(sampled > -_STABILITY).clip(1)
    fit, touched = _fit(prompted, sampled > 0, clipped, grid)
    score = predicted * stability * fit * touched
    best = int(score.argmax())
    overlap = _ious(clipped, clipped[best])
    agreeing = overlap >= _AGREE
    agreeing[best] = True
    by_prompt = overlap.reshape(count, each)
    signals = {
        "predicted_iou": float(predicted[best]),
        "stability": float(stability[best]),
        "box_iou": float(fit[best]) if prompted.box else math.nan,
        "consensus": float(by_prompt.max(axis=1).mean()),
        "spread": _spread(clipped[agreeing].mean(axis=0)),
    }
    is_poor = score[best] < _MIN_SCORE or fit[best] < _MIN_FIT or signals["spread"] > _MAX_SPREAD
    failed = bool(is_poor) or not _has_likely_size(prompted, clipped[best], grid)
    nearest = clipped.reshape(count, each, *grid.size)[np.arange(count), by_prompt.argmax(axis=1)]
    if failed:
        signals = dict.fromkeys(signals, math.nan)
    return Choice(logits[agreeing], signals, failed, grid.window, nearest, best // each)


@dataclass(frozen=True, eq=False)
class _Grid:
    """The cells in and around an object on which its masks are compared.

    Attributes:
        window: Rows and columns of the image that the cells cover.
        size: Numbers of rows and columns of cells.
        possible: (rows, columns) bool: cells with a pixel that may be of the object.
        marks, others: Cells with a pixel of its marks, or of those of other classes.
        box: Cells of its box; all without a box.
    """

    window: tuple[slice, slice]
    size: tuple[int, int]
    possible: NDArray[np.bool_]
    marks: NDArray[np.bool_]
    others: NDArray[np.bool_]
    box: NDArray[np.bool_]


def _grid_of(prompted: PromptedObject, masks: Masks) -> _Grid:
    inside = prompted.window if prompted.box else _window_of_masks(prompted, masks)
    window = _grow(inside, masks.size)
    sides = [part.stop - part.start for part in window]
    factor = min(1.0, _SIDE / max(sides))
    size = max(1, round(sides[0] * factor)), max(1, round(sides[1] * factor))

    def place(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return _cells(mask, prompted.window, window, size)

    return _Grid(
        window,
        size,
        place(prompted.possible),
        place(prompted.marks),
        place(prompted.others),
        place(np.ones(prompted.possible.shape, bool)),
    )


def _window_of_masks(prompted: PromptedObject, masks: Masks) -> tuple[slice, slice]:
    """Return the rows and columns of the marks and of all masks of an object without box."""
    left, top, right, bottom = bounding_box(prompted.marks)
    height, width = (max(1, math.ceil(side)) for side in masks.extent)
    covered = np.asarray((masks.logits > 0).any(axis=(0, 1)))[:height, :width]
    if covered.any():
        scale = np.divide(masks.size, masks.extent)[::-1]
        first, last = np.array(bounding_box(covered)).reshape(2, 2) * scale
        left, top = min(left, math.floor(first[0])), min(top, math.floor(first[1]))
        right, bottom = max(right, math.ceil(last[0])), max(bottom, math.ceil(last[1]))
    return slice(top, min(bottom, masks.size[0])), slice(left, min(right, masks.size[1]))


def _grow(window: tuple[slice, slice], size: tuple[int, int]) -> tuple[slice, slice]:
    rows, columns = (
        slice(
            max(0, part.start - round(_SURROUNDINGS * (part.stop - part.start))),
            min(limit, part.stop + round(_SURROUNDINGS * (part.stop - part.start))),
        )
        for part, limit in zip(window, size, strict=True)
    )
    return rows, columns


def _cells(
    mask: NDArray[np.bool_],
    of_mask: tuple[slice, slice],
    window: tuple[slice, slice],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """Return which cells of a window contain a pixel of a mask, which covers another window."""
    whole = np.zeros([part.stop - part.start for part in window], np.float32)
    shared = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(window, of_mask, strict=True)
    ]
    whole[_relative(shared, window)] = mask[_relative(shared, of_mask)]
    return cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA) > _TINY


def _relative(parts: list[slice], window: tuple[slice, slice]) -> tuple[slice, ...]:
    """Return rows and columns of an image as rows and columns of a window."""
    pairs = zip(parts, window, strict=True)
    return tuple(slice(part.start - w.start, part.stop - w.start) for part, w in pairs)


def _fit(
    prompted: PromptedObject,
    masks: NDArray[np.bool_],
    clipped: NDArray[np.bool_],
    grid: _Grid,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fit of masks (K, rows, columns) to the annotation, and the share of the sides."""
    fit = _share(clipped & grid.marks, grid.marks)
    fit *= 1 - _share(masks & grid.others, grid.others, empty=0.0)
    if prompted.box is None:
        return fit, np.ones(len(masks))
    ious = np.array([_box_iou(mask, grid.box) for mask in clipped])
    outside = _areas(masks & ~grid.box) / _areas(masks).clip(1)
    touched = np.array([_touched_sides(mask, grid.box) for mask in clipped])
    return fit * (ious - outside).clip(0), touched


def _has_likely_size(prompted: PromptedObject, best: NDArray[np.bool_], grid: _Grid) -> bool:
    """Return whether a mask is neither tiny nor everything."""
    if prompted.box:
        return bool(best.sum() >= max(1, _MIN_FILL * grid.box.sum()))
    covers_window = best.sum() > _MAX_AREA * grid.possible.sum()
    possible = prompted.possible.sum()
    is_large = grid.possible.mean() * _pixels(grid.window) > _MAX_AREA * possible
    return bool(best.any()) and not (covers_window and is_large)


def _pixels(window: tuple[slice, slice]) -> int:
    return math.prod(part.stop - part.start for part in window)


def _spread(votes: NDArray[np.float64]) -> float:
    """Return the share of undecided pixels among those that may be of the object."""
    likely = votes >= BACKGROUND
    undecided = likely & (votes < FOREGROUND)
    return float(undecided.sum() / likely.sum()) if likely.any() else 1.0


def _areas(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(masks.sum(axis=(-2, -1)))


def _share(
    part: NDArray[np.bool_], whole: NDArray[np.bool_], empty: float = 1.0
) -> NDArray[np.float64]:
    """Return the size of parts (K, rows, columns) of a mask as shares of it."""
    count = whole.sum()
    return _areas(part) / count if count else np.full(len(part), empty)


def _ious(masks: NDArray[np.bool_], one: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(_areas(masks & one) / _areas(masks | one).clip(1))


def _box_iou(mask: NDArray[np.bool_], box: NDArray[np.bool_]) -> float:
    if not mask.any():
        return 0.0
    left, top, right, bottom = bounding_box(mask)
    return (right - left) * (bottom - top) / float(box.sum())


def _touched_sides(mask: NDArray[np.bool_], box: NDArray[np.bool_]) -> float:
    """Return the share of the four sides of a box that a mask inside of it touches."""
    left, top, right, bottom = bounding_box(box)
    inside = mask[top:bottom, left:right]
    sides = (inside[0], inside[-1], inside.T[0], inside.T[-1])
    return float(np.mean([side.any() for side in sides]))
