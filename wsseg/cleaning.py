"""The de-noising rules of Simple Does It on one image, and those for tags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from wsseg.data.constraints import Constraints
from wsseg.data.model import Box
from wsseg.data.stacking import visible_box_index
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.named import Refine
from wsseg.stages.params import RoundParams

RULES = ("network", "constraint", "refiner", "reset", "unsure", "restored")
"""What a pixel has its label from: the network's best class; its best permitted class, where that
is another; the refiner, where it chose yet another; the first label of a box that was reset;
nothing, as crowds and small islands become IGNORE; the first label of a tag that had vanished."""


@dataclass(frozen=True, eq=False)
class Cleaned:
    """The cleaned label map of one image and what cleaning did to it.

    Attributes:
        label_map: (H, W) uint8, IGNORE where unknown.
        resets: One a box, in their order: whether it went back to its first label.
        restored: Tagged classes that had vanished and got their first labels back.
        rules: (H, W) uint8 index into ``RULES``: what each pixel has its label from.
    """

    label_map: NDArray[np.uint8]
    resets: tuple[bool, ...]
    restored: tuple[int, ...]
    rules: NDArray[np.uint8]

    def rules_over(self, best: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ``rules`` where the network knows classes that the image cannot show.

        Args:
            best: (H, W) uint8, the network's best of all classes.

        Returns:
            (H, W) uint8: "network" is left where that class is the label.
        """
        held = (self.rules == RULES.index("network")) & (self.label_map != best)
        return np.where(held, RULES.index("constraint"), self.rules).astype(np.uint8)

    def share(self, rule: str) -> dict[int, float]:
        """Return which part of the pixels of each class has its label from a rule.

        Args:
            rule: One of ``RULES``.

        Returns:
            0..1 by class that the label map has.
        """
        by_rule = self.rules == RULES.index(rule)
        classes = [int(label) for label in np.unique(self.label_map) if label != IGNORE]
        return {label: float(by_rule[self.label_map == label].mean()) for label in classes}


def clean(  # noqa: PLR0917 - an image, what is known of it, and the settings
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    constraints: Constraints,
    boxes: tuple[Box, ...],
    first_labels: NDArray[np.uint8],
    settings: RoundParams,
    refine: Refine,
    *,
    tagged: tuple[int, ...] = (),
) -> Cleaned:
    """Return the labels of the next round: predictions corrected by what the boxes say.

    1. No pixel takes a class that ``constraints`` forbid it.
    2. A box whose segment has an IoU below ``settings.reset_iou`` with the visible part of the box
       goes back to its first label there.
    3. A dense CRF, or what ``refine`` is, sharpens the rest; the first labels of reset boxes are
       its evidence in them. As it can leak, 1 and 2 hold again for its result. A box reset before
       stays reset.
    4. Islands smaller than ``settings.min_island`` become IGNORE, and a tagged class that is left
       without a pixel gets its first labels back: the tag says that it is there.

    The segment of a box is what has its class inside its visible part, which is what smaller
    boxes in front leave of it. Visible parts do not overlap: where boxes of one class touch or
    overlap, each pixel counts for the box in front only, and the order of resets is free. A
    wholly hidden box is never reset, nor is a crowd. Crowds hide nothing; pixels that only crowds
    cover become IGNORE unless another annotation fixes them.

    Args:
        image: (H, W, 3) uint8 RGB.
        scores: (C, H, W) probabilities over ``constraints.classes``. Where all permitted classes
            have 0 they are equally likely.
        constraints: What the annotations allow.
        boxes: The image's boxes.
        first_labels: (H, W) uint8 label map of round 0, IGNORE where unknown. A label that is
            not permitted counts as what is known of its pixel.
        settings: Its ``reset_iou`` and ``min_island``.
        refine: Of rule 3, such as ``dense_crf``.
        tagged: Classes that tags say are in the image.

    Returns:
        A label map that the constraints permit.

    Raises:
        InputError: Arrays of different sizes, or scores that are negative or not finite.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485, section 3.1.
    """
    _check(image, scores, constraints, first_labels)
    first = constraints.project(first_labels)
    owners = visible_box_index(boxes, first.shape)
    predicted = constraints.argmax(scores)
    failed = _failed(predicted, boxes, owners, settings.reset_iou)
    reset = failed[owners]
    evidence = _evidence(scores, first, constraints, reset)
    sharpened = constraints.argmax(refine(image, evidence, allowed=constraints.allowed))
    failed = failed | _failed(sharpened, boxes, owners, settings.reset_iou)
    label_map = np.where(failed[owners], first, sharpened)
    unsure = _only_crowd(boxes, first.shape) | islands(label_map, settings.min_island)
    unsure &= constraints.known == IGNORE
    label_map[unsure] = IGNORE
    restored = tuple(tag for tag in tagged if (first == tag).any() and not (label_map == tag).any())
    back = np.isin(first, restored)
    label_map = np.where(back, first, label_map)
    forbidden = constraints.classes[scores.argmax(axis=0)] != predicted
    by_rule = [back, unsure, failed[owners], sharpened != predicted, forbidden]
    rules = np.select(by_rule, [*range(len(RULES) - 1, 0, -1)], 0).astype(np.uint8)
    return Cleaned(label_map, tuple(failed[:-1].tolist()), restored, rules)


def islands(label_map: NDArray[np.uint8], smallest: float) -> NDArray[np.bool_]:
    """Return the pixels of connected regions that are too small to be believed.

    Args:
        label_map: (H, W) uint8.
        smallest: Share of the image that a region of one class, its corners touching, must have;
            0 believes all. A region of IGNORE is none.

    Returns:
        (H, W) bool.
    """
    if not smallest:
        return np.zeros(label_map.shape, bool)
    regions = measure.label(label_map, background=-1, connectivity=2)  # type: ignore[no-untyped-call]  # scikit-image has no types
    too_small = np.bincount(regions.ravel()) < smallest * label_map.size
    found: NDArray[np.bool_] = too_small[regions] & (label_map != IGNORE)
    return found


def _failed(
    label_map: NDArray[np.uint8],
    boxes: tuple[Box, ...],
    owners: NDArray[np.intp],
    reset_iou: float,
) -> NDArray[np.bool_]:
    """(B + 1,) bool, the last for pixels of no box.

    Segments lie inside their visible part, so that the IoU is their share of it.
    """
    classes = np.array([*(box.label for box in boxes), IGNORE], np.uint8)
    segments = np.bincount(owners[label_map == classes[owners]], minlength=len(classes))
    visible = np.bincount(owners.ravel(), minlength=len(classes))
    failed = np.asarray(segments < reset_iou * visible)  # 0 < 0: a hidden box does not fail
    failed[-1] = False
    return failed


def _evidence(
    scores: NDArray[np.floating],
    first: NDArray[np.uint8],
    constraints: Constraints,
    reset: NDArray[np.bool_],
) -> NDArray[np.floating]:
    """Scores, and where boxes were reset their first labels; IGNORE has 0 for every class."""
    return np.where(reset, first == constraints.classes[:, None, None], scores)


def _only_crowd(boxes: tuple[Box, ...], size: tuple[int, ...]) -> NDArray[np.bool_]:
    covered = np.zeros(size, bool)
    for box in sorted(boxes, key=lambda box: not box.crowd):
        covered[box.slices] = box.crowd
    return covered


def _check(
    image: NDArray[np.uint8],
    scores: NDArray[np.floating],
    constraints: Constraints,
    first_labels: NDArray[np.uint8],
) -> None:
    expected = constraints.allowed.shape
    if scores.shape != expected:
        remedy = "pass scores over constraints.classes at the image's size"
        raise InputError("scores", f"of shape {expected}", scores.shape, remedy)
    for name, size in (("image", image.shape[:2]), ("first labels", first_labels.shape)):
        if size != expected[1:]:
            raise InputError(name, f"of size {expected[1:]}", size, "make the labels again")
