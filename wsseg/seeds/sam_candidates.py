"""Comparison of the masks that a SAM model proposes for one object, and their average."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from wsseg.foundation.prompting import bounding_box
from wsseg.foundation.sam import Masks
from wsseg.seeds.sam_objects import PromptedObject

FOREGROUND, BACKGROUND = 0.7, 0.3
"""Average probabilities: the object from, other pixels below; between them IGNORE."""

_SIDE = 128  # cells along the longer side of the grid on which masks are compared
_SURROUNDINGS = 0.5  # of a box, as a share of its sides, where masks may leave it
_STABILITY = 1.0  # logits between which the area of a stable mask hardly changes
_AGREE = 0.7  # IoU with the best mask from which a mask is averaged with it
_MIN_BOX_IOU = 0.5  # of the best mask's bounding box with the box
_MIN_FILL = 0.1  # of the box
_MIN_RECALL = 0.5  # of the marks
_MAX_AREA = 0.9  # of the pixels that may be of the class, for an object without box
_MAX_SPREAD = 0.5
_TINY = 1e-6


@dataclass(frozen=True, eq=False)
class Choice:
    """The result for one object.

    Attributes:
        logits: (h, w) float32 at the resolution of the decoder: the average of the masks that
            agree with the best one, as log-odds.
        signals: Of the best mask: "predicted_iou" (by the model), "stability" (its area at a high
            over that at a low threshold), "box_iou" (of its bounding box with the box, or the
            share of the marks in it); "consensus", the mean IoU of the masks of all prompts with
            it; "spread", the undecided share of the object; "fallback", 1 if it is refused.
        window: Rows and columns of the image that ``masks`` cover.
        masks: (N, rows, columns) bool, for each prompt the mask that is most like the best one.
        best: Index of the prompt of the best mask.
    """

    logits: NDArray[np.float32]
    signals: dict[str, float]
    window: tuple[slice, slice]
    masks: NDArray[np.bool_]
    best: int

    @property
    def has_failed(self) -> bool:
        """True if the classical seed replaces the result."""
        return bool(self.signals["fallback"])


def choose(thing: PromptedObject, masks: Masks) -> Choice:
    """Return the average of the masks that agree with the best one.

    Masks are clipped to the pixels that may be of the object. The score of a mask is the product
    of its predicted IoU, its stability, and its fit to the annotation: for a box the IoU of its
    bounding box with the box and the share of the box's sides that it touches, minus the share of
    the mask that lay outside of it; for marks the share of the marks that it contains, and of
    other classes' marks that it leaves out.

    Args:
        masks: Those of the prompts of the object, in their order.

    References:
        Score: Deng et al., SAM-U, 2023, arXiv:2307.04973; stability: Kirillov et al., Segment
        Anything, ICCV 2023, arXiv:2304.02643.
    """
    count, each = masks.iou.shape
    grid = _Grid(thing, masks.size)
    logits = masks.logits.reshape(count * each, *masks.logits.shape[2:])
    sampled = masks.resample(logits, grid.window, grid.size)
    clipped = (sampled > 0) & grid.possible
    stability = _areas(sampled > _STABILITY) / _areas(sampled > -_STABILITY).clip(1)
    fit, box_iou = _fit(thing, sampled > 0, clipped, grid)
    score = masks.iou.ravel().clip(_TINY) * stability * fit
    best = int(score.argmax())
    overlap = _ious(clipped, clipped[best])
    by_prompt = overlap.reshape(count, each)
    agreeing = overlap >= _AGREE
    agreeing[best] = True
    average = expit(logits[agreeing]).mean(axis=0)
    fused = logit(average.clip(_TINY, 1 - _TINY)).astype(np.float32)
    probability = expit(masks.resample(fused, grid.window, grid.size)) * grid.possible
    signals = {
        "predicted_iou": float(masks.iou.ravel()[best]),
        "stability": float(stability[best]),
        "box_iou": float(box_iou[best]),
        "consensus": float(by_prompt.max(axis=1).mean()),
        "spread": _spread(probability),
    }
    failed = _is_refused(thing, clipped[best], grid, signals)
    nearest = clipped.reshape(count, each, *grid.size)[np.arange(count), by_prompt.argmax(axis=1)]
    signals["fallback"] = float(failed)
    return Choice(fused, signals, grid.window, nearest, best // each)


class _Grid:
    """The cells in and around an object on which its masks are compared."""

    def __init__(self, thing: PromptedObject, size: tuple[int, int]) -> None:
        inside = thing.window
        margins = [0 if thing.box is None else _SURROUNDINGS * (w.stop - w.start) for w in inside]
        self.window = _grow(inside, margins, size)
        sides = [w.stop - w.start for w in self.window]
        factor = min(1.0, _SIDE / max(sides))
        self.size = max(1, round(sides[0] * factor)), max(1, round(sides[1] * factor))
        self._offset = [w.start - g.start for w, g in zip(inside, self.window, strict=True)]
        self.possible = self.place(thing.possible)
        self.marks, self.others = self.place(thing.marks), self.place(thing.others)
        self.box = self.place(np.ones(thing.possible.shape, bool))

    def place(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which cells contain a pixel of a mask (h, w) of the object's window."""
        sides = [w.stop - w.start for w in self.window]
        whole = np.zeros(sides, np.float32)
        top, left = self._offset
        whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return cv2.resize(whole, self.size[::-1], interpolation=cv2.INTER_AREA) > _TINY


def _grow(
    window: tuple[slice, slice], margins: list[float], size: tuple[int, int]
) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, part.start - round(margin)), min(limit, part.stop + round(margin)))
        for part, margin, limit in zip(window, margins, size, strict=True)
    )
    return rows, columns


def _fit(
    thing: PromptedObject,
    masks: NDArray[np.bool_],
    clipped: NDArray[np.bool_],
    grid: _Grid,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the fit of masks to the annotation, and the part of it that can refuse them."""
    recall = _share(clipped & grid.marks, grid.marks)
    clean = 1 - _share(masks & grid.others, grid.others, empty=0.0)
    if thing.box is None:
        return recall * clean, recall
    ious = np.array([_box_iou(mask, grid.box) for mask in clipped])
    touched = np.array([_touched_sides(mask, grid.box) for mask in clipped])
    outside = _areas(masks & ~grid.box) / _areas(masks).clip(1)
    return (ious * touched * recall * clean - outside).clip(0), ious


def _is_refused(
    thing: PromptedObject, best: NDArray[np.bool_], grid: _Grid, signals: dict[str, float]
) -> bool:
    if not best.any() or signals["spread"] > _MAX_SPREAD:
        return True
    if thing.box is None:
        covers_all = best.sum() > _MAX_AREA * grid.possible.sum()
        return bool(covers_all) or signals["box_iou"] < _MIN_RECALL
    return signals["box_iou"] < _MIN_BOX_IOU or best.sum() < _MIN_FILL * grid.box.sum()


def _spread(probability: NDArray[np.float32]) -> float:
    """Return the share of undecided pixels among those that may be of the object."""
    likely = probability >= BACKGROUND
    undecided = likely & (probability < FOREGROUND)
    return float(undecided.sum() / likely.sum()) if likely.any() else 1.0


def _areas(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(masks.sum(axis=(-2, -1)))


def _share(
    part: NDArray[np.bool_], whole: NDArray[np.bool_], empty: float = 1.0
) -> NDArray[np.float64]:
    """Return the size of parts (K, h, w) of a mask (h, w) as shares of it."""
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
    return float(
        np.mean([side.any() for side in (inside[0], inside[-1], inside.T[0], inside.T[-1])])
    )
