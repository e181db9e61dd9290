"""First label maps from activation maps: confident foreground, confident background, IGNORE."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from wsseg.data.constraints import Constraints
from wsseg.data.example import Example
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.refiners import Refine
from wsseg.seeds.params import CAMParams

_CONFIDENCE = 0.7  # probability that the leading class gets as evidence for the CRF


def confident_labels(
    example: Example,
    maps: NDArray[np.float32],
    labels: NDArray[np.uint8],
    params: CAMParams,
    refine: Refine,
) -> NDArray[np.uint8]:
    """Return the labels that hold for two scores of the background.

    Pixels of an object despite a high score of the background are confident foreground; pixels of
    background despite a low score are confident background; the others are IGNORE. Each decision is
    sharpened by ``refine``, over the background and the classes that have a map.

    Args:
        maps: (T, h, w) float32, 0..1, of any size; resized to the image.
        labels: (T,) uint8, the class of each map, one of the example's constraints.

    Returns:
        (H, W) uint8; IGNORE everywhere if there is no map.

    Raises:
        InputError: A label that the image cannot have, or maps and labels that do not match.

    References:
        Ahn et al., Weakly Supervised Learning of Instance Segmentation with Inter-pixel
        Relations (IRN), CVPR 2019, arXiv:1904.05044 (constants); Ahn and Kwak, Learning
        Pixel-level Semantic Affinity with Image-level Supervision, CVPR 2018, arXiv:1803.10464
        (powers); Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE SMC 1979,
        doi:10.1109/TSMC.1979.4310076.
    """
    _check(maps, labels, example.constraints)
    height, width = example.sample.size
    if not len(maps):
        return np.full((height, width), IGNORE, np.uint8)
    large = np.stack([cv2.resize(m, (width, height)) for m in maps])
    constraints = _restrict(example.constraints, labels)
    levels = _levels(large, params)
    decisions = {}
    for level in {*levels}:
        scores = with_background(large, level, params.threshold)
        if params.refiner == "crf":
            scores = _fixed_confidence(scores, constraints)
        refined = refine(example.image, scores, allowed=constraints.allowed)
        decisions[level] = constraints.argmax(refined)
    foreground, background = (decisions[level] for level in levels)
    rest = np.where(background == 0, 0, IGNORE)
    return np.where(foreground == 0, rest, foreground).astype(np.uint8)


def with_background(maps: NDArray[np.float32], level: float, threshold: str) -> NDArray[np.float32]:
    """Return maps (T, H, W) of 0..1 with a score of the background before them, (1 + T, H, W).

    Args:
        level: The score, or for "power" the exponent of 1 - the maximum over the maps.
        threshold: ``cam.threshold``.
    """
    most = maps.max(axis=0)
    background = (1 - most) ** level if threshold == "power" else np.full_like(most, level)
    return np.concatenate([background[None], maps])


def _levels(maps: NDArray[np.float32], params: CAMParams) -> tuple[float, float]:
    """Return the levels of the background for confident foreground and background."""
    if params.threshold != "otsu":
        return params.foreground, params.background
    most = maps.max(axis=0)
    # A constant map has nothing to separate: all of it belongs to the tag.
    level = float(threshold_otsu(most)) if most.min() < most.max() else 0.0  # type: ignore[no-untyped-call]  # scikit-image has no types
    return level, level


def _fixed_confidence(scores: NDArray[np.float32], constraints: Constraints) -> NDArray[np.float32]:
    """Give the leading class a fixed probability; the others share the rest."""
    leading = constraints.argmax(scores) == constraints.classes[:, None, None]
    others = (1 - _CONFIDENCE) / (len(scores) - 1)
    return np.where(leading, _CONFIDENCE, others).astype(np.float32)


def _restrict(constraints: Constraints, labels: NDArray[np.uint8]) -> Constraints:
    """Keep the background and the classes with a map; where none is allowed, all of them are."""
    classes = np.array([0, *labels], np.uint8)
    allowed = constraints.allowed[np.searchsorted(constraints.classes, classes)]
    return Constraints(classes, allowed | ~allowed.any(axis=0))


def _check(maps: NDArray[np.float32], labels: NDArray[np.uint8], constraints: Constraints) -> None:
    if maps.ndim != 3 or len(maps) != len(labels):
        rule, remedy = f"(T, h, w) with T = {len(labels)}", "make the maps again"
        raise InputError("activation maps", rule, maps.shape, remedy)
    if foreign := sorted(set(labels.tolist()) - set(constraints.classes[1:].tolist())):
        remedy = "make the maps again"
        raise InputError("activation maps", "of the image's tags", f"class {foreign[0]}", remedy)
