"""How well label maps agree with annotations: without any mask."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import is_full, named_classes
from wsseg.data.constraints import Constraints, constraints_of
from wsseg.data.model import Sample

_LEAST_AREA = 0.01  # share of the image from which a tagged class counts as found


def annotation_agreement(
    label_map: NDArray[np.uint8], sample: Sample, n_classes: int
) -> dict[int, float]:
    """Return how well a prediction agrees with what annotations say of each class.

    The F1 score of two shares: which part of the class' pixels lies where the annotations permit
    it, and which part of what they say is found: of a box, its columns and rows that the class
    reaches; of points, scribbles and outlines, their pixels; of a tag, up to 1 % of the image. Full
    masks are not looked at.

    Args:
        label_map: (H, W) uint8, of a network that has not been held to the annotations.
        sample: The image with its annotations.
        n_classes: Of the data set, background included.

    Returns:
        0..1 for each class but the background that they name.

    Raises:
        InputError: Annotations cannot be used, such as marks of unknown classes.

    References:
        Tian et al., BoxInst, arXiv:2012.02310, for columns and rows.
    """
    weak = tuple(each for each in sample.annotations if not is_full(each))
    sample = replace(sample, annotations=weak)
    constraints = constraints_of(sample, n_classes)
    permitted = constraints.held(label_map) == label_map
    found = {}
    for label in named_classes(sample):
        mask = label_map == label
        if label:
            precise = float(permitted[mask].mean()) if mask.any() else 0.0
            recall = _recall(mask, label, sample, constraints)
            total = precise + recall
            found[label] = 2 * precise * recall / total if total else 0.0
    return found


def _recall(mask: NDArray[np.bool_], label: int, sample: Sample, constraints: Constraints) -> float:
    boxes = [box for box in sample.boxes if box.label == label and not box.crowd]
    shares = [_reached(mask[box.slices]) for box in boxes]
    marked = constraints.known == label
    if marked.any():
        shares.append(float(mask[marked].mean()))
    return float(np.mean(shares)) if shares else min(1.0, float(mask.mean()) / _LEAST_AREA)


def _reached(part: NDArray[np.bool_]) -> float:
    """Of a box: the mean share of its columns and of its rows."""
    return float(part.any(axis=0).mean() + part.any(axis=1).mean()) / 2
