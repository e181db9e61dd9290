"""Seeds by a Segment Anything model: several masks for each object, compared and clipped."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.example import Example
from wsseg.foundation.embeddings import load_cached_sam
from wsseg.foundation.params import SamParams
from wsseg.foundation.sam import Masks, PromptedModel
from wsseg.labelmaps import IGNORE
from wsseg.seeds.evidence import is_marked
from wsseg.seeds.labels import Candidates, SeedLabels
from wsseg.seeds.sam_candidates import BACKGROUND, FOREGROUND, Choice, choose
from wsseg.seeds.sam_objects import PromptedObject, prompted_objects

FallbackSeed = Callable[[Example, np.random.Generator], NDArray[np.uint8]]
"""A seed without SAM."""

_OBJECTS = 8  # decoded together; bounds the memory of images with many objects
_LOWEST = -1e6  # log-odds of pixels that any mask of another object wins
_CRUMB = 0.02  # share of an object's area below which separate parts and holes are errors
_DOUBT = (FOREGROUND + BACKGROUND) / 2


def sam(
    example: Example,
    params: SamParams,
    fallback: FallbackSeed,
    rng: np.random.Generator,
    device: str = "auto",
) -> SeedLabels:
    """Return the objects that a SAM model finds at boxes and marks; see ``label_objects``.

    Images without boxes and marks do not need the model: they get the labels of ``fallback``.

    Raises:
        InputError: The model is missing, damaged or of another kind.
        MachineError: transformers is not installed, or the memory of the GPU does not suffice.
    """
    if not example.sample.boxes and not is_marked(example.sample, example.constraints.known):
        return SeedLabels(fallback(example, rng))
    model = load_cached_sam(params.model, params.cache, device)
    return label_objects(example, model, fallback, rng)


def label_objects(
    example: Example, model: PromptedModel, fallback: FallbackSeed, rng: np.random.Generator
) -> SeedLabels:
    """Return the objects at boxes and marks, and how certain the model is of them.

    Each object is described by several prompts (a box, boxes moved by 3 to 5 %, a box and a
    point; or points of a mark and of other classes' marks, and the region of the mark), and the
    model answers each prompt with three masks. They are clipped to the pixels that may be of the
    class and scored, and those that agree with the best one vote: pixels on which they disagree
    are IGNORE. An object for which no mask fits the annotation, or whose masks contradict each
    other, gets its pixels of ``fallback``. Where masks overlap, the higher log-odds win; pixels of
    ``fallback`` win in the part of their box that no smaller box covers, and lose elsewhere.

    Args:
        fallback: A seed without SAM, whose objects also give points.
        rng: Draws the jitter of boxes.

    Returns:
        The label map, with background where no object is in a box, or outside of all objects if
        background is marked; statistics of each class, the means of ``Choice.signals`` over the
        objects that were not refused, the share "fallback" of the others, and the numbers "objects"
        and "fallbacks"; and the masks of each object.
    """
    # The fallback receives the generator itself: where SAM fails, labels are those of a run
    # without it.
    classical = fallback(example, rng)
    objects = prompted_objects(example, classical, rng.spawn(1)[0])
    canvas = _Canvas(example, classical)
    choices: dict[int, list[Choice]] = {}
    candidates: list[Candidates] = []
    for prompted, masks in _answers(example, model, objects):
        choice = choose(prompted, masks)
        canvas.paint(prompted, choice, masks)
        choices.setdefault(prompted.label, []).append(choice)
        candidates.append(_candidates(prompted, choice))
    label_map = canvas.label_map({*choices})
    stats = {label: _statistics(of_class) for label, of_class in choices.items()}
    return SeedLabels(label_map, stats, candidates)


def _answers(
    example: Example, model: PromptedModel, objects: Iterable[PromptedObject]
) -> Iterator[tuple[PromptedObject, Masks]]:
    """Yield the objects with the masks of their prompts."""
    embedding, remaining = model.embedding(example.image), iter(objects)
    while group := list(islice(remaining, _OBJECTS)):
        masks = model.decode(embedding, [prompt for one in group for prompt in one.prompts])
        start = 0
        for prompted in group:
            part = slice(start, start + len(prompted.prompts))
            yield prompted, Masks(masks.logits[part], masks.iou[part], masks.size, masks.extent)
            start = part.stop


class _Canvas:
    """The label map of an image while its objects are painted, in any order."""

    def __init__(self, example: Example, classical: NDArray[np.uint8]) -> None:
        self._classical = classical
        self._labels = _unclaimed(example)
        self._odds = np.full(classical.shape, -np.inf, np.float32)

    def paint(self, prompted: PromptedObject, choice: Choice, masks: Masks) -> None:
        """Paint an object where its log-odds are higher than those of other objects."""
        if choice.has_failed:
            window, claim = prompted.window, _claim_by_fallback(prompted)
            self._keep_ignore(window)
        else:
            window = prompted.window if prompted.box else choice.window
            claim = _claim_by_masks(prompted, choice, masks, window)
        wins = claim.odds > self._odds[window]
        self._odds[window][wins] = claim.odds[wins]
        self._labels[window][wins] = np.where(claim.is_certain, prompted.label, IGNORE)[wins]

    def label_map(self, prompted: set[int]) -> NDArray[np.uint8]:
        """Return the label map (H, W), with the classical seed's labels of all other classes.

        Args:
            prompted: Classes of which objects were painted.
        """
        is_other = ~np.isin(self._classical, [0, IGNORE, *prompted]) & (self._odds == -np.inf)
        return np.where(is_other, self._classical, self._labels).astype(np.uint8)

    def _keep_ignore(self, window: tuple[slice, slice]) -> None:
        is_unclaimed = self._odds[window] == -np.inf
        doubtful = (self._classical[window] == IGNORE) & is_unclaimed
        self._labels[window][doubtful] = IGNORE


def _unclaimed(example: Example) -> NDArray[np.uint8]:
    """Return the labels (H, W) of pixels that no object claims."""
    known = example.constraints.known
    has_background = bool((known == 0).any())
    labels = np.where(known == IGNORE, 0 if has_background else IGNORE, known).astype(np.uint8)
    for box in sorted(example.sample.boxes, key=lambda box: box.crowd):
        labels[box.slices] = IGNORE if box.crowd else 0
    return labels


@dataclass(frozen=True, eq=False)
class _Claim:
    """The pixels (h, w) that an object claims in a window.

    Attributes:
        odds: float32 log-odds, -inf where it claims nothing.
        is_certain: bool, False where its masks disagree.
    """

    odds: NDArray[np.float32]
    is_certain: NDArray[np.bool_]


def _claim_by_fallback(prompted: PromptedObject) -> _Claim:
    """Return the claim of an object by the classical seed, which has smaller boxes in front."""
    claimed = prompted.fallback & prompted.possible
    odds = np.where(prompted.in_front, np.inf, _LOWEST)
    return _Claim(np.where(claimed, odds, -np.inf).astype(np.float32), claimed)


def _claim_by_masks(
    prompted: PromptedObject, choice: Choice, masks: Masks, window: tuple[slice, slice]
) -> _Claim:
    """Return the claim of an object by the shares of its masks that contain each pixel."""
    # Without a box, the object's own window is the whole image.
    inside = (slice(None), slice(None)) if prompted.box else window
    possible, marks = prompted.possible[inside], prompted.marks[inside]
    votes = np.zeros(possible.shape, np.float32)
    for logits in choice.logits:  # one by one: at full size each can have millions of pixels
        votes += masks.resample(logits, window) > 0
    votes = _without_crumbs((votes / len(choice.logits)).astype(np.float32))
    odds = masks.resample(choice.logits.mean(axis=0), window)
    odds[marks], votes[marks] = np.inf, 1
    claimed = possible & ~prompted.others[inside] & (votes >= BACKGROUND)
    return _Claim(np.where(claimed, odds, -np.inf).astype(np.float32), votes >= FOREGROUND)


def _without_crumbs(votes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill small holes of an object, and doubt small parts that are separate from it."""
    result = votes.copy()
    foreground = votes >= FOREGROUND
    smallest = _CRUMB * foreground.sum()
    for is_hole, mask in ((False, foreground), (True, votes < BACKGROUND)):
        _, parts, boxes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
        height, width = votes.shape
        left, top, wide, high, areas = boxes.T
        enclosed = (left > 0) & (top > 0) & (left + wide < width) & (top + high < height)
        small = (areas < smallest) & (enclosed | (not is_hole))
        small[0] = False
        result[small[parts]] = 1 if is_hole else _DOUBT
    return result


def _candidates(prompted: PromptedObject, choice: Choice) -> Candidates:
    rows, columns = choice.window
    window = rows.start, rows.stop, columns.start, columns.stop
    best = -1 if choice.has_failed else choice.best
    return Candidates(prompted.label, window, choice.masks, best)


def _statistics(choices: list[Choice]) -> dict[str, float]:
    refused = sum(choice.has_failed for choice in choices)
    values = {
        n: [c.signals[n] for c in choices if not math.isnan(c.signals[n])]
        for n in choices[0].signals
    }
    means = {name: float(np.mean(known)) if known else math.nan for name, known in values.items()}
    counts = {"objects": len(choices), "fallbacks": refused}
    return {**means, "fallback": refused / len(choices), **counts}
