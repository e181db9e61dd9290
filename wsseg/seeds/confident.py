"""Activation maps to a first label map: confident foreground, confident background, IGNORE."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_otsu

from wsseg.data.constraints import Constraints
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.refine.named import Refine
from wsseg.seeds.params import CAMParams


def confident_labels(  # noqa: PLR0917 - an image, its maps, what is known of it, and the settings
    image: NDArray[np.uint8],
    maps: NDArray[np.float32],
    labels: NDArray[np.uint8],
    constraints: Constraints,
    settings: CAMParams,
    refine: Refine,
) -> NDArray[np.uint8]:
    """Return the labels that two scores of the background agree on.

    With a high score of the background what is still an object is confident foreground; with a
    low score what is still background is confident background; the rest is IGNORE. Each decision
    is sharpened by ``refine`` over the classes that have a map only.

    Args:
        image: (H, W, 3) uint8 RGB.
        maps: (T, h, w) float32, 0..1, of any size; enlarged to the image's.
        labels: (T,) uint8, the class of each map; each one of ``constraints.classes``.
        constraints: What the annotations allow.
        settings: The rule and its two thresholds, and how sure the refiner is told to be.
        refine: Such as ``dense_crf``.

    Returns:
        (H, W) uint8; everywhere IGNORE where there is no map.

    Raises:
        InputError: A label that the image cannot have, or maps and labels that do not fit.

    References:
        Ahn et al., Weakly Supervised Learning of Instance Segmentation with Inter-pixel
        Relations (IRN), CVPR 2019, arXiv:1904.05044 (constants); Ahn and Kwak, Learning
        Pixel-level Semantic Affinity with Image-level Supervision, CVPR 2018, arXiv:1803.10464
        (powers); Otsu, A Threshold Selection Method from Gray-Level Histograms, IEEE SMC 1979,
        doi:10.1109/TSMC.1979.4310076.
    """
    _check(maps, labels, constraints)
    if not len(maps):
        return np.full(image.shape[:2], IGNORE, np.uint8)
    height, width = image.shape[:2]
    large = np.stack([cv2.resize(each, (width, height)) for each in maps])
    held = _restricted(constraints, labels)
    levels = _levels(large, settings)
    decided = {
        level: _decided(image, with_background(large, level, settings.rule), held, settings, refine)
        for level in {*levels}
    }
    foreground, background = (decided[level] for level in levels)
    unsure = np.where(background == 0, 0, IGNORE)
    return np.where(foreground == 0, unsure, foreground).astype(np.uint8)


def with_background(maps: NDArray[np.float32], level: float, rule: str) -> NDArray[np.float32]:
    """Return maps with a score of the background before them.

    Args:
        maps: (T, H, W), 0..1.
        level: A score, or for the rule "power" the power of 1 - the maximum over the maps.
        rule: ``cam.rule``.

    Returns:
        (1 + T, H, W) float32.
    """
    most = maps.max(axis=0)
    background = (1 - most) ** level if rule == "power" else np.full_like(most, level)
    return np.concatenate([background[None], maps])


def _levels(maps: NDArray[np.float32], settings: CAMParams) -> tuple[float, float]:
    """Return the levels of the background for confident foreground and background."""
    if settings.rule != "otsu":
        return settings.foreground, settings.background
    most = maps.max(axis=0)
    # of a flat map there is nothing to tell apart: all of it is what the tag says
    level = float(threshold_otsu(most)) if most.min() < most.max() else 0.0  # type: ignore[no-untyped-call]  # scikit-image has no types
    return level, level


def _decided(
    image: NDArray[np.uint8],
    scores: NDArray[np.float32],
    constraints: Constraints,
    settings: CAMParams,
    refine: Refine,
) -> NDArray[np.uint8]:
    if settings.refiner == "crf" and settings.confidence is not None:
        scores = _told(scores, constraints, settings.confidence)
    return constraints.argmax(refine(image, scores, allowed=constraints.allowed))


def _told(
    scores: NDArray[np.float32], constraints: Constraints, confidence: float
) -> NDArray[np.float32]:
    """The class that is ahead with a fixed probability, the others share the rest."""
    ahead = constraints.argmax(scores) == constraints.classes[:, None, None]
    others = (1 - confidence) / (len(scores) - 1)
    return np.where(ahead, confidence, others).astype(np.float32)


def _restricted(constraints: Constraints, labels: NDArray[np.uint8]) -> Constraints:
    """The background and the classes that have a map; where none of these may be, all may."""
    classes = np.array([0, *labels], np.uint8)
    places = np.searchsorted(constraints.classes, classes)
    allowed = constraints.allowed[places]
    return Constraints(classes, allowed | ~allowed.any(axis=0))


def _check(maps: NDArray[np.float32], labels: NDArray[np.uint8], constraints: Constraints) -> None:
    if maps.ndim != 3 or len(maps) != len(labels):
        rule, remedy = f"(T, h, w) with T = {len(labels)}", "make the maps again"
        raise InputError("activation maps", rule, maps.shape, remedy)
    if foreign := sorted(set(labels.tolist()) - set(constraints.classes[1:].tolist())):
        remedy = "make the maps again"
        raise InputError("activation maps", "of the image's tags", f"class {foreign[0]}", remedy)
