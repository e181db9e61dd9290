"""The de-noising rules of Simple Does It on one image, and those for tags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from wsseg.data.annotation import Box
from wsseg.data.constraints import Constraints
from wsseg.data.example import Example
from wsseg.data.stacking import smaller_in_front, visible_box_index
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.crf.dense import dense_crf
from wsseg.refine.params import CleaningParams
from wsseg.refine.refiners import Refine
from wsseg.refine.scores import normalise
from wsseg.refine.tightness import fit_segment, reached_sides

RULES = ("network", "constraint", "average", "reset", "unsure", "restored")
"""The origin of a pixel's label: the network's best class; its best allowed class, if that is
another; the average with first labels and refined scores, or the fit to a box, if that changed the
class again; the first label of a box that was reset; IGNORE for crowds and small islands; the first
label of a tagged class that had vanished."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """The cleaned label map of one image and the changes that cleaning made.

    Attributes:
        label_map: (H, W) uint8, IGNORE where unknown.
        resets: True for each box that was reset to its first label, in the order of the boxes.
        restored: Tagged classes that had vanished and got their first labels back.
        rules: (H, W) uint8, the index into ``RULES`` of the origin of each pixel's label.
        missed: Classes of the first labels that the network predicts nowhere, or that were
            restored.
    """

    label_map: NDArray[np.uint8]
    resets: tuple[bool, ...]
    restored: tuple[int, ...]
    rules: NDArray[np.uint8]
    missed: tuple[int, ...]

    def rules_over(self, best: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ``rules`` for a network that predicts more classes than the image may show.

        Args:
            best: (H, W) uint8, the network's best of all classes.

        Returns:
            (H, W) uint8; "network" only where that class is the label.
        """
        constrained = (self.rules == RULES.index("network")) & (self.label_map != best)
        return np.where(constrained, RULES.index("constraint"), self.rules).astype(np.uint8)

    def share(self, rule: str) -> dict[int, float]:
        """Return the share (0..1) of the pixels of each class whose label comes from a rule."""
        by_rule = self.rules == RULES.index(rule)
        classes = [int(label) for label in np.unique(self.label_map) if label != IGNORE]
        return {label: float(by_rule[self.label_map == label].mean()) for label in classes}


def clean(
    scores: NDArray[np.floating],
    example: Example,
    first_labels: NDArray[np.uint8],
    params: CleaningParams = CleaningParams(),
    refine: Refine = dense_crf,
    *,
    refined_weight: float = 0.5,
) -> Cleaned:
    """Return the label map of the next round: predictions corrected by the annotations.

    1. No pixel takes a class that the constraints forbid.
    2. Predictions are averaged with the first labels, by ``params.first_weight``, and the result
       with what ``refine``, such as a dense CRF, makes of it, by ``refined_weight``: their errors
       differ.
    3. A segment that does not reach the sides of its box grows to less probable pixels; see
       ``fit_segment`` and ``params.box_gap``.
    4. A box whose segment still has an IoU below ``params.reset_iou`` with the visible part of the
       box goes back to its first label.
    5. Islands smaller than ``params.min_island`` become IGNORE, and a tagged class that has lost
       all its pixels gets its first labels back.

    The segment of a box is the set of pixels of its class in its visible part, i.e. the part that
    smaller boxes in front leave. Visible parts do not overlap: where boxes of one class touch or
    overlap, each pixel counts for the box in front only, and the order of resets does not matter.
    A completely hidden box is never reset, nor is a crowd. Crowds hide nothing; pixels that only
    crowds cover become IGNORE unless another annotation fixes them.

    Args:
        scores: (C, H, W) probabilities over the classes of the example's constraints. Where all
            allowed classes have 0 they are equally likely.
        first_labels: (H, W) uint8 label map of round 0, IGNORE where unknown. It is projected onto
            the constraints.
        refined_weight: Share (0..1) of the refined scores in their average. Half is best for a
            network that has learned from labels without outlines, such as scribbles, and less once
            it has learned from refined labels.

    Returns:
        A label map that the constraints allow.

    Raises:
        InputError: Arrays have different sizes, scores are negative or not finite, or
            ``refined_weight`` is not in 0..1.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485, section 3.1: rules 1 and 4, and
        a CRF in place of the averages; rule 3 is our own.
    """
    constraints, sample = example.constraints, example.sample
    _check(scores, first_labels, constraints.allowed.shape)
    if not 0 <= refined_weight <= 1:
        raise InputError("refined_weight", "0 to 1", refined_weight, "correct it")
    first = constraints.project(first_labels)
    box_index = visible_box_index(sample.boxes, first.shape)
    predicted = constraints.argmax(scores)
    evidence = _average(scores, first, constraints, params.first_weight)
    refined = refine(example.image, evidence, allowed=constraints.allowed)
    refined = normalise(refined, constraints.allowed)
    average = (1 - refined_weight) * evidence + refined_weight * refined
    label_map = _fitted(average, example, box_index, params.box_gap)
    failed = _failed(label_map, sample.boxes, box_index, params.reset_iou)
    changed, reset = label_map != predicted, failed[box_index]
    label_map = np.where(reset, first, label_map)
    unsure = _only_crowd(sample.boxes, first.shape) | islands(label_map, params.min_island)
    unsure &= constraints.known == IGNORE
    label_map[unsure] = IGNORE
    restored = tuple(
        tag for tag in sample.tagged if (first == tag).any() and not (label_map == tag).any()
    )
    back = np.isin(first, restored)
    label_map = np.where(back, first, label_map)
    forbidden = constraints.classes[scores.argmax(axis=0)] != predicted
    by_rule = [back, unsure, reset, changed, forbidden]
    rules = np.select(by_rule, [*range(len(RULES) - 1, 0, -1)], 0).astype(np.uint8)
    unpredicted = {*np.unique(first).tolist()} - {*np.unique(predicted).tolist(), 0, IGNORE}
    missed = tuple(sorted({*unpredicted, *restored}))
    return Cleaned(label_map, tuple(failed[:-1].tolist()), restored, rules, missed)


def _average(
    scores: NDArray[np.floating],
    first: NDArray[np.uint8],
    constraints: Constraints,
    first_weight: float,
) -> NDArray[np.float32]:
    """Return the average (C, H, W) of scores and first labels, of scores alone at IGNORE."""
    shares = normalise(scores, constraints.allowed)
    one_hot = first == constraints.classes[:, None, None]
    weight = first_weight * (first != IGNORE)
    return np.asarray((1 - weight) * shares + weight * one_hot, np.float32)


def _fitted(
    scores: NDArray[np.floating], example: Example, box_index: NDArray[np.intp], gap: float | None
) -> NDArray[np.uint8]:
    """Return the best allowed classes, after segments have grown to the sides of their boxes."""
    constraints, boxes = example.constraints, example.sample.boxes
    label_map = constraints.argmax(scores)
    if gap is None or len(constraints.classes) == 1:
        return label_map
    for box in smaller_in_front(boxes):
        own = constraints.classes == box.label
        if box.crowd or not own.any():
            continue
        visible = box_index[box.slices] == boxes.index(box)
        inside = scores[:, *box.slices]
        best_other = inside[~own].max(axis=0)
        share = np.where(visible, inside[own][0] / (inside[own][0] + best_other), 0)
        segment = fit_segment(share, reached_sides(box, visible, label_map.shape), gap)
        label_map[box.slices][segment] = box.label
    return label_map


def islands(label_map: NDArray[np.uint8], smallest: float) -> NDArray[np.bool_]:
    """Return the pixels (H, W) of connected regions of one class that are too small.

    Args:
        smallest: Smallest share of the image that a region (8-connected) must cover; 0 accepts
            every region. IGNORE forms no regions.
    """
    if not smallest:
        return np.zeros(label_map.shape, bool)
    regions = measure.label(label_map, background=-1, connectivity=2)  # type: ignore[no-untyped-call]  # scikit-image has no types
    too_small = np.bincount(regions.ravel()) < smallest * label_map.size
    return np.asarray(too_small[regions] & (label_map != IGNORE))


def _failed(
    label_map: NDArray[np.uint8],
    boxes: tuple[Box, ...],
    box_index: NDArray[np.intp],
    reset_iou: float,
) -> NDArray[np.bool_]:
    """Return (B + 1,) bool: whether the segment of each box is too small; the last is False.

    Segments lie inside the visible part of their box, so that the IoU is their share of it.
    """
    classes = np.array([*(box.label for box in boxes), IGNORE], np.uint8)
    segments = np.bincount(box_index[label_map == classes[box_index]], minlength=len(classes))
    visible = np.bincount(box_index.ravel(), minlength=len(classes))
    # The comparison is strict, so a hidden box (0 < 0) does not fail.
    failed = np.asarray(segments < reset_iou * visible)
    failed[-1] = False
    return failed


def _only_crowd(boxes: tuple[Box, ...], size: tuple[int, ...]) -> NDArray[np.bool_]:
    covered = np.zeros(size, bool)
    for box in sorted(boxes, key=lambda box: not box.crowd):
        covered[box.slices] = box.crowd
    return covered


def _check(
    scores: NDArray[np.floating], first_labels: NDArray[np.uint8], expected: tuple[int, ...]
) -> None:
    if scores.shape != expected:
        remedy = "pass scores over constraints.classes at the image's size"
        raise InputError("scores", f"of shape {expected}", scores.shape, remedy)
    if first_labels.shape != expected[1:]:
        remedy = "make the labels again"
        raise InputError("first labels", f"of size {expected[1:]}", first_labels.shape, remedy)
