"""Agreement of predictions with weak annotations, measured without any mask."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wsseg.data.classes import has_full_mask, is_full, present_classes
from wsseg.data.constraints import Constraints, constraints_of
from wsseg.data.example import Example
from wsseg.data.model import Sample

_TAG_AREA = 0.01  # share of the image at which a tagged class counts as fully recalled


def annotation_agreement(label_map: NDArray[np.uint8], example: Example) -> dict[int, float]:
    """Return how well a prediction agrees with the weak annotations of each class.

    The agreement is the F1 score of a precision and a recall. Precision is the share of the class's
    pixels that the annotations allow. Recall is the share of the annotation that the class covers:
    columns and rows of a box; pixels of points, scribbles and polygons; for a tag the area, up to
    1 % of the image. Full masks are not used.

    Args:
        label_map: (H, W) uint8, predicted without the annotations.

    Returns:
        0..1 for each annotated class except the background.

    Raises:
        InputError: The annotations are unusable, such as marks of unknown classes.

    References:
        Tian et al., BoxInst, arXiv:2012.02310, for columns and rows.
    """
    sample, constraints = example.sample, None
    if has_full_mask(sample):
        weak = tuple(a for a in sample.annotations if not is_full(a))
        sample = replace(sample, annotations=weak)
        constraints = constraints_of(sample, example.n_classes)
    constraints = constraints or example.constraints
    allowed = constraints.project(label_map) == label_map
    agreement = {}
    for label in present_classes(sample):
        mask = label_map == label
        precision = float(allowed[mask].mean()) if mask.any() else 0.0
        recall = _recall(mask, label, sample, constraints)
        total = precision + recall
        agreement[label] = 2 * precision * recall / total if total else 0.0
    return agreement


def _recall(mask: NDArray[np.bool_], label: int, sample: Sample, constraints: Constraints) -> float:
    boxes = [mask[box.slices] for box in sample.boxes if box.label == label and not box.crowd]
    shares = [float(part.any(axis=0).mean() + part.any(axis=1).mean()) / 2 for part in boxes]
    marked = constraints.known == label
    if marked.any():
        shares.append(float(mask[marked].mean()))
    return float(np.mean(shares)) if shares else min(1.0, float(mask.mean()) / _TAG_AREA)
