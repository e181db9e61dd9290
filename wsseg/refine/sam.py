"""Refinement of scores by a Segment Anything model that is prompted by their own objects."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from wsseg.foundation.embeddings import load_cached_sam
from wsseg.foundation.params import SamParams
from wsseg.foundation.prompting import mask_prompt, on_canvas, points_in
from wsseg.foundation.sam import Embedding, Masks, Prompt, PromptedModel
from wsseg.labelmaps import bounding_box
from wsseg.refine.scores import check_scores, normalise

_ITERATIONS = 5
_STRENGTH, _GAMMA = 30.0, 4.0  # of the mask prompt: in logits, and in areas of the object
_SIMILAR = 0.5  # cosine from which surroundings look like the object
_MARGIN = 0.1  # share of similar surroundings from which a side of a box grows
_GROWTH, _MAX_GROWTH = 0.1, 10  # of a side, as a share and in pixels
_MIN_AREA = 16  # pixels: smaller parts are kept as they are
_MIN_IOU = 0.5  # of the result with the part it started from; a lower one is refused
_TINY = 1e-12
_TOGETHER = 16  # parts that are decoded together; bounds the memory


@dataclass(frozen=True, eq=False)
class _Part:
    """A connected part of a class.

    Attributes:
        channel: Its class, as an index of the scores.
        window: Rows and columns of the image that it can reach.
        start: (h, w) bool in the window: the part in the scores.
        mask: (h, w) bool: the part after the last iteration.
        odds: (h, w) float32: its log-odds.
    """

    channel: int
    window: tuple[slice, slice]
    start: NDArray[np.bool_]
    mask: NDArray[np.bool_]
    odds: NDArray[np.float32]


def sam_refine(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    /,
    *,
    allowed: NDArray[np.bool_] | None = None,
    params: SamParams = SamParams(),
    device: str = "auto",
) -> NDArray[np.float32]:
    """Return scores whose objects have the outlines that a SAM model finds.

    See ``refine_parts``. The model must be on this machine.

    Args:
        image: (H, W, 3) uint8 RGB, not normalised.
        scores: (C, H, W) of at least 0, the background first.
        allowed: (C, H, W) bool, at least one True per pixel; None allows everything.
        device: "auto" is the GPU if there is one; or "cpu" or "cuda".

    Returns:
        (C, H, W) float32 probabilities that sum to 1 over C, exactly 0 where not allowed.

    Raises:
        InputError: An argument has the wrong shape or type, or the model cannot be loaded.
    """
    check_scores(image, scores, allowed)
    model = load_cached_sam(params.model, params.cache, device)
    return refine_parts(image, normalise(scores, allowed), model, allowed)


def refine_parts(
    image: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    model: PromptedModel,
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:
    """Return probabilities after each connected part of an object class was refined five times.

    The prompts of an iteration come from the mask of the last one: the deepest pixel of the mask,
    the deepest pixel beside it in its box, the box, whose sides grow where the surroundings look
    like the object, and the mask itself, fading from the deepest pixel. The mask with the highest
    predicted IoU counts. A part whose result has an IoU below .5 with the part it started from,
    and parts of less than 16 pixels, keep their probabilities.

    Args:
        probabilities: (C, H, W) that sum to 1 over C, the background first.
        allowed: (C, H, W) bool; masks are clipped to it.

    References:
        Lin et al., SAMRefiner, ICLR 2025, arXiv:2502.06756.
    """
    refined = probabilities.copy()
    embedding = model.embedding(image)
    labels = probabilities.argmax(axis=0)
    remaining = _parts(labels, len(probabilities))
    while parts := list(islice(remaining, _TOGETHER)):
        for _ in range(_ITERATIONS):
            if not parts:
                break
            masks = model.decode(embedding, [_prompt(part, embedding) for part in parts])
            improved = (_improve(part, masks, n, allowed) for n, part in enumerate(parts))
            parts = [part for part in improved if part.mask.any()]
        for part in parts:
            if _iou(part.mask, part.start) >= _MIN_IOU:
                _apply(refined, part)
    return normalise(refined, allowed)


def _parts(labels: NDArray[np.intp], n_classes: int) -> Iterator[_Part]:
    reach = _ITERATIONS * _MAX_GROWTH
    for channel in range(1, n_classes):
        of_class = (labels == channel).astype(np.uint8)
        _, numbers, boxes, _ = cv2.connectedComponentsWithStats(of_class)
        for number, (left, top, width, height, area) in enumerate(boxes.tolist()):
            if number == 0 or area < _MIN_AREA:
                continue
            rows = slice(max(0, top - reach), min(labels.shape[0], top + height + reach))
            columns = slice(max(0, left - reach), min(labels.shape[1], left + width + reach))
            mask = numbers[rows, columns] == number
            odds = np.zeros(mask.shape, np.float32)
            yield _Part(channel, (rows, columns), mask, mask, odds)


def _prompt(part: _Part, embedding: Embedding) -> Prompt:
    """Return the prompt of a part; its mask is not empty."""
    corner = np.array([part.window[1].start, part.window[0].start])
    left, top, right, bottom = _elastic_box(part, embedding)
    beside = ~part.mask[top:bottom, left:right]
    inner = points_in(part.mask, 1)
    # The distance to the mask counts, not that to the border of the box.
    outer = points_in(beside, 1, closed=False)
    points = np.concatenate([inner + corner, outer + corner + np.array([left, top])])
    positive = np.arange(len(points)) < len(inner)
    x, y = corner.tolist()
    box = (left + x, top + y, right + x, bottom + y)
    logits = _fading_logits(part, inner[0])
    mask = mask_prompt(logits, part.window, embedding.size, -_STRENGTH)
    return Prompt(box, points, positive, mask)


def _elastic_box(part: _Part, embedding: Embedding) -> tuple[int, int, int, int]:
    """Return the box of a part in its window, grown where the surroundings look like the part."""
    left, top, right, bottom = bounding_box(part.mask)
    similar = _similarity(part, embedding) > _SIMILAR
    wide = min(_MAX_GROWTH, round(_GROWTH * (right - left)))
    high = min(_MAX_GROWTH, round(_GROWTH * (bottom - top)))
    strips = (
        similar[top:bottom, max(0, left - wide) : left],
        similar[max(0, top - high) : top, left:right],
        similar[top:bottom, right : right + wide],
        similar[bottom : bottom + high, left:right],
    )
    grow = [bool(strip.size) and bool(strip.mean() > _MARGIN) for strip in strips]
    height, width = part.mask.shape
    return (
        max(0, left - wide * grow[0]),
        max(0, top - high * grow[1]),
        min(width, right + wide * grow[2]),
        min(height, bottom + high * grow[3]),
    )


def _similarity(part: _Part, embedding: Embedding) -> NDArray[np.float32]:
    """Return the cosine (h, w) of the features in a window with the mean over the part."""
    features = embedding.features
    unit = features / np.linalg.norm(features, axis=0).clip(_TINY)
    height, width = unit.shape[1:]
    size, extent = embedding.size, embedding.extent(width)
    cells = on_canvas(part.mask, part.window, size, (height, width), extent=extent, fill=0)
    mean = (unit * cells).sum(axis=(1, 2))
    cosine = np.tensordot(mean / np.linalg.norm(mean).clip(_TINY), unit, 1).astype(np.float32)
    return Masks(cosine[None, None], np.ones((1, 1), np.float32), size, extent).resample(
        cosine, part.window
    )


def _fading_logits(part: _Part, centre: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return logits (h, w) in the window that fade from the centre of a part."""
    rows, columns = np.indices(part.mask.shape)
    squared = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2
    fading = np.exp(-squared / (_GAMMA * part.mask.sum()))
    return np.where(part.mask, _STRENGTH * fading, -_STRENGTH).astype(np.float32)


def _improve(part: _Part, masks: Masks, number: int, allowed: NDArray[np.bool_] | None) -> _Part:
    """Return a part with the mask of the highest predicted IoU."""
    best = int(masks.iou[number].argmax())
    odds = masks.resample(masks.logits[number, best], part.window)
    if allowed is not None:
        odds[~allowed[(part.channel, *part.window)]] = -np.inf
    return replace(part, mask=odds > 0, odds=odds)


def _apply(refined: NDArray[np.float32], part: _Part) -> None:
    """Write the probability of a part where it is, or was before, in place."""
    inside = refined[(slice(None), *part.window)]
    changed = part.mask | part.start
    own = np.where(changed, expit(part.odds), inside[part.channel]).astype(np.float32)
    rest = 1 - inside[part.channel]
    inside *= np.where(rest > _TINY, (1 - own) / rest.clip(_TINY), 0)
    inside[0] += np.where(rest > _TINY, 0, 1 - own)
    inside[part.channel] = own


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())
