"""How good label maps look without any truth: signals of each class in each image."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Box
from wsseg.labelmaps import IGNORE
from wsseg.metrics.confidence import vote_entropies

_AT_SIDE = 0.02  # of a box' side: so near a segment touches it


@dataclass(frozen=True, eq=False)
class Look:
    """One class in one image, and what there is to tell how good its labels are.

    Args:
        label: The class.
        label_map: (H, W) uint8, IGNORE where unknown.
        earlier: Label maps of the stages before it, the oldest first.
        contrast: (H, W) float32 of ``contrast_of``.
        boxes: Boxes of the class, and which pixels are visible of each.
        facts: What the stage's statistics say of the class.
    """

    label: int
    label_map: NDArray[np.uint8]
    earlier: Sequence[NDArray[np.uint8]]
    contrast: NDArray[np.float32]
    boxes: Sequence[tuple[Box, NDArray[np.bool_]]] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(H, W) the pixels of the class."""
        return np.asarray(self.label_map == self.label)

    @cached_property
    def contours(self) -> Sequence[NDArray[np.int32]]:
        """Outlines of its regions, without those of holes."""
        found, _ = cv2.findContours(self._drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return tuple(np.asarray(line, np.int32) for line in found)

    @cached_property
    def _drawn(self) -> NDArray[np.uint8]:
        return self.mask.astype(np.uint8)

    def fact(self, name: str) -> float:
        """Return a number of the stage's statistics, NaN where there is none."""
        return float(self.facts.get(name, math.nan))


def ignored(look: Look) -> float:
    """Share of the visible boxes, without boxes of the image, that is IGNORE."""
    where = np.zeros(look.mask.shape, bool)
    for _, visible in look.boxes:
        where |= visible
    unknown = look.label_map == IGNORE
    return float(unknown[where].mean() if where.any() else unknown.mean())


def resets(look: Look) -> float:
    """Share of the boxes that went back to their first label."""
    return look.fact("resets") / look.fact("boxes") if look.fact("boxes") else math.nan


def fill(look: Look) -> float:
    """Mean share of the visible boxes that has the class."""
    return _mean(float(look.mask[seen].mean()) for _, seen in look.boxes if seen.any())


def touched(look: Look) -> float:
    """Mean share of the four sides of the boxes that the class reaches."""
    return _mean(_sides(look.mask[box.slices]) for box, _ in look.boxes)


def churn(look: Look) -> float:
    """1 - IoU of the class with the stage before."""
    if not look.earlier:
        return math.nan
    before = look.earlier[-1] == look.label
    union = (before | look.mask).sum()
    return float(1 - (before & look.mask).sum() / union) if union else 0.0


def disagreement(look: Look) -> float:
    """Mean vote entropy of the stages so far, over what was of the class in any."""
    if not look.earlier:
        return math.nan
    votes = [*look.earlier, look.label_map]
    ever = np.logical_or.reduce([vote == look.label for vote in votes])
    rows, columns = np.flatnonzero(ever.any(axis=1)), np.flatnonzero(ever.any(axis=0))
    if not rows.size:
        return 0.0
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return float(vote_entropies([vote[part] for vote in votes])[ever[part]].mean())


def kept(look: Look) -> float:
    """Share of its pixels that are as the network saw them, with nothing held against it."""
    return look.fact("kept")


def refined(look: Look) -> float:
    """Share of its pixels that the refiner took from another class."""
    return look.fact("refined")


def confidence(look: Look) -> float:
    """Mean probability that the network gives its labels."""
    return look.fact("confidence")


def margin(look: Look) -> float:
    """Mean lead of its labels over the likeliest other class."""
    return look.fact("margin")


def agreement(look: Look) -> float:
    """How well the network's prediction agrees with the annotations, before it was held to them."""
    return look.fact("agreement")


def edges(look: Look) -> float:
    """Mean contrast of the image along its outline, as a share of all pixels with less."""
    if not look.contours:
        return math.nan
    line = np.concatenate(look.contours)[:, 0]
    inner = ((line > 0) & (line < np.array(look.mask.shape[::-1]) - 1)).all(axis=1)
    x, y = line[inner].T
    return float(look.contrast[y, x].mean()) if inner.any() else math.nan


def pieces(look: Look) -> float:
    """Regions for each box, without boxes for the image."""
    return len(look.contours) / max(1, len(look.boxes))


def holes(look: Look) -> float:
    """Share of its outlines' area that is not of the class."""
    if not look.contours:
        return math.nan
    filled = cv2.drawContours(np.zeros_like(look.label_map), look.contours, -1, 1, cv2.FILLED)
    return float(1 - look.mask.sum() / filled.sum())


def drift(look: Look) -> float:
    """How far its area is from that of the first stage, |log ratio|."""
    if not look.earlier:
        return math.nan
    now, first = look.mask.sum() + 1, (look.earlier[0] == look.label).sum() + 1
    return float(abs(np.log(now / first)))


def area(look: Look) -> float:
    """Share of the image that has the class."""
    return float(look.mask.mean())


SIGNALS: dict[str, tuple[Callable[[Look], float], int]] = {
    "ignored": (ignored, -1),
    "resets": (resets, -1),
    "fill": (fill, 1),
    "touched": (touched, 1),
    "churn": (churn, -1),
    "disagreement": (disagreement, -1),
    "kept": (kept, 1),
    "refined": (refined, -1),
    "confidence": (confidence, 1),
    "margin": (margin, 1),
    "agreement": (agreement, 1),
    "edges": (edges, 1),
    "pieces": (pieces, -1),
    "holes": (holes, -1),
    "drift": (drift, -1),
    "area": (area, 1),
}
"""By name: what measures it, NaN where it does not apply, and whether more of it is a good (1) or
a bad (-1) sign."""


def contrast_of(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how strong the edge at each pixel is, as a share of the image's pixels.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (H, W) float32, 0..1: the share of the pixels with a smaller gradient; the largest of a
        pixel's neighbourhood of 3 x 3, as outlines lie between pixels.
    """
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    across, down = cv2.Sobel(lab, -1, 1, 0), cv2.Sobel(lab, -1, 0, 1)
    strength = cv2.dilate(np.sqrt((across**2 + down**2).sum(axis=2)), np.ones((3, 3), np.uint8))
    ordered = np.sort(strength, axis=None)
    rank = np.searchsorted(ordered, strength.ravel()).reshape(strength.shape)
    return (rank / strength.size).astype(np.float32)


def _sides(mask: NDArray[np.bool_]) -> float:
    height, width = mask.shape
    deep, wide = max(1, round(_AT_SIDE * height)), max(1, round(_AT_SIDE * width))
    sides = (mask[:deep], mask[-deep:], mask[:, :wide], mask[:, -wide:])
    return sum(side.any() for side in sides) / 4


def _mean(values: Iterable[float]) -> float:
    found = [*values]
    return float(np.mean(found)) if found else math.nan
