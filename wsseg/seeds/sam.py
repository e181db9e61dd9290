"""Seeds by a Segment Anything model: several masks for each object, compared and clipped."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from wsseg.data.example import Example
from wsseg.foundation.embeddings import load_cached_sam
from wsseg.foundation.params import SamParams
from wsseg.foundation.sam import Masks, PromptedModel
from wsseg.labelmaps import IGNORE
from wsseg.seeds.labels import Candidates, SeedLabels
from wsseg.seeds.sam_candidates import BACKGROUND, FOREGROUND, Choice, choose
from wsseg.seeds.sam_objects import PromptedObject, prompted_objects

FallbackSeed = Callable[[Example, np.random.Generator], NDArray[np.uint8]]
"""A seed without SAM."""

_OBJECTS = 8  # decoded together; bounds the memory of images with many objects
_FALLBACK = float(logit(0.9))  # of the classical seed's pixels, where objects overlap
_CRUMB = 0.02  # share of an object's area below which separate parts and holes are errors


def sam(
    example: Example,
    params: SamParams,
    fallback: FallbackSeed,
    rng: np.random.Generator,
    device: str = "auto",
) -> SeedLabels:
    """Return the objects that a SAM model finds at boxes and marks; see ``label_objects``.

    Raises:
        InputError: The model is missing, damaged or of another kind, or the memory of the GPU
            does not suffice.
    """
    model = load_cached_sam(params.model, params.cache, device)
    return label_objects(example, model, fallback, rng)


def label_objects(
    example: Example, model: PromptedModel, fallback: FallbackSeed, rng: np.random.Generator
) -> SeedLabels:
    """Return the objects at boxes and marks, and how certain the model is of them.

    Each object is described by several prompts (a box, boxes moved by 3 to 5 %, a box and a
    point; or points of a mark and of other classes' marks, and the region of the mark), and the
    model answers each prompt with three masks. They are clipped to the pixels that may be of the
    class, scored, and those that agree with the best one are averaged: pixels on which they
    disagree are IGNORE. An object for which no mask fits the annotation, or for which the average
    is undecided, gets its pixels of ``fallback``. Where objects overlap, the higher log-odds win.

    Args:
        fallback: A seed without SAM, whose objects also give points.
        rng: Draws the jitter of boxes.

    Returns:
        The label map, with background where no object is in a box, or outside of all objects if
        background is marked; statistics of each class, the means over its objects of
        ``Choice.signals`` and the numbers "objects" and "fallbacks"; and the masks of each object.
    """
    # The fallback receives the generator itself: where SAM fails, labels are those of a run
    # without it.
    (jitter,) = rng.spawn(1)
    classical = fallback(example, rng)
    odds = np.full(example.sample.size, -np.inf, np.float32)
    claimed = np.zeros(example.sample.size, np.uint8)
    rest = _unclaimed(example)
    signals: dict[int, list[dict[str, float]]] = {}
    candidates: list[Candidates] = []
    embedding = model.embedding(example.image)
    for group in _groups(prompted_objects(example, classical, jitter)):
        masks = model.decode(embedding, [prompt for thing in group for prompt in thing.prompts])
        for thing, of_thing in zip(group, _by_object(group, masks), strict=True):
            choice = choose(thing, of_thing)
            signals.setdefault(thing.label, []).append(choice.signals)
            candidates.append(_candidates(thing, choice))
            claim = _claim(thing, choice, of_thing)
            if choice.has_failed:
                _copy_doubt(rest, classical, thing)
            wins = claim > odds[thing.window]
            odds[thing.window][wins] = claim[wins]
            claimed[thing.window][wins] = thing.label
    probability = expit(odds)
    label_map = np.where(probability >= FOREGROUND, claimed, IGNORE)
    label_map = np.where(probability < BACKGROUND, rest, label_map).astype(np.uint8)
    stats = {label: _means(of_class) for label, of_class in signals.items()}
    return SeedLabels(label_map, stats, candidates)


def _unclaimed(example: Example) -> NDArray[np.uint8]:
    """Return the labels (H, W) of pixels that no object claims."""
    known, sample = example.constraints.known, example.sample
    has_background = bool((known == 0).any())
    rest = np.where(known == IGNORE, 0 if has_background else IGNORE, known).astype(np.uint8)
    for box in sample.boxes:
        rest[box.slices] = IGNORE if box.crowd else 0
    return rest


def _copy_doubt(
    rest: NDArray[np.uint8], classical: NDArray[np.uint8], thing: PromptedObject
) -> None:
    """Keep IGNORE of the classical seed around an object that it replaces, in place."""
    rest[thing.window][classical[thing.window] == IGNORE] = IGNORE


def _groups(things: Iterable[PromptedObject]) -> Iterator[list[PromptedObject]]:
    remaining = iter(things)
    while group := list(islice(remaining, _OBJECTS)):
        yield group


def _by_object(group: list[PromptedObject], masks: Masks) -> Iterator[Masks]:
    start = 0
    for thing in group:
        stop = start + len(thing.prompts)
        part = slice(start, stop)
        yield Masks(masks.logits[part], masks.iou[part], masks.size, masks.extent)
        start = stop


def _claim(thing: PromptedObject, choice: Choice, masks: Masks) -> NDArray[np.float32]:
    """Return the log-odds (h, w) of the object in its window, -inf where it cannot be."""
    if choice.has_failed:
        return np.where(thing.fallback & thing.possible, _FALLBACK, -np.inf).astype(np.float32)
    odds = _without_crumbs(masks.resample(choice.logits, thing.window))
    odds[thing.marks] = np.inf
    return np.where(thing.possible & ~thing.others, odds, -np.inf).astype(np.float32)


def _candidates(thing: PromptedObject, choice: Choice) -> Candidates:
    rows, columns = choice.window
    window = rows.start, rows.stop, columns.start, columns.stop
    return Candidates(thing.label, window, choice.masks, -1 if choice.has_failed else choice.best)


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    refused = sum(int(row["fallback"]) for row in rows)
    return {**means, "objects": len(rows), "fallbacks": refused}


def _without_crumbs(odds: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill small holes of an object, and doubt small parts that are separate from it."""
    result = odds.copy()
    foreground = odds >= logit(FOREGROUND)
    smallest = _CRUMB * foreground.sum()
    for is_hole, mask in ((False, foreground), (True, odds < logit(BACKGROUND))):
        _, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        height, width = odds.shape
        left, top, wide, high, areas = boxes.T
        enclosed = (left > 0) & (top > 0) & (left + wide < width) & (top + high < height)
        small = (areas < smallest) & (enclosed | (not is_hole))
        small[0] = False
        result[small[parts]] = _FALLBACK if is_hole else 0.0
    return result
