"""Signals of label quality that need no truth, for each class in each image."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Sample
from wsseg.data.stacking import visible_box_index
from wsseg.labelmaps import IGNORE

SEED_SIGNALS = {
    "predicted_iou": 1,
    "stability": 1,
    "box_iou": 1,
    "consensus": 1,
    "spread": -1,
    "fallback": -1,
}
"""Signals of the seed "sam", which also count for the labels of later rounds; see
``wsseg.seeds.sam_candidates.Choice``."""

SIGNALS = {
    "ignored": -1,
    "resets": -1,
    "fill": 1,
    "touched": 1,
    "churn": -1,
    "kept": 1,
    "confidence": 1,
    "agreement": 1,
    "area": 1,
    **SEED_SIGNALS,
}
"""Each signal, and whether more of it is a good (1) or a bad (-1) sign; docs/quality.md."""

_AT_SIDE = 0.02  # of a box' side: a segment that is so near touches it


def measure_signals(
    label_map: NDArray[np.uint8],
    before: NDArray[np.uint8] | None,
    sample: Sample,
    stats: Mapping[int, Mapping[str, float]],
) -> list[dict[str, float]]:
    """Return the signals of one image.

    Args:
        label_map: (H, W) uint8, IGNORE where unknown.
        before: Label map of the stage before; None for the first stage.
        stats: The stage's statistics of the image, by class.

    Returns:
        A row for each class, without the background, that is in the label map or that boxes or
        tags name: "class" and ``SIGNALS``, NaN for one that does not apply.
    """
    owners = visible_box_index(sample.boxes, label_map.shape)
    named = {*(box.label for box in sample.boxes if not box.crowd), *sample.tagged}
    rows: list[dict[str, float]] = []
    for label in sorted({*np.unique(label_map).tolist(), *named} - {0, IGNORE}):
        mask = label_map == label
        numbers = [
            number
            for number, box in enumerate(sample.boxes)
            if box.label == label and not box.crowd
        ]
        visible = [owners == number for number in numbers]
        sides = [_touched_sides(mask[sample.boxes[number].slices]) for number in numbers]
        of_class = stats.get(label, {})
        boxes = of_class.get("boxes", math.nan)
        rows.append(
            {
                "class": label,
                "ignored": _ignored(label_map == IGNORE, visible),
                "resets": of_class.get("resets", math.nan) / boxes if boxes else math.nan,
                "fill": _mean(float(mask[part].mean()) for part in visible if part.any()),
                "touched": _mean(sides),
                "churn": math.nan if before is None else _churn(before == label, mask),
                **{
                    name: _number(of_class.get(name))
                    for name in ("kept", "confidence", "agreement")
                },
                "area": float(mask.mean()),
                **{name: _number(of_class.get(name)) for name in SEED_SIGNALS},
            }
        )
    return rows


def _number(value: float | None) -> float:
    """Return a statistic; a table has None in a column without any value."""
    return math.nan if value is None else float(value)


def _ignored(unknown: NDArray[np.bool_], visible: Sequence[NDArray[np.bool_]]) -> float:
    """Share of the visible boxes, or of the image if there are none, that is IGNORE."""
    where = np.logical_or.reduce(visible) if visible else np.zeros(unknown.shape, bool)
    return float(unknown[where].mean() if where.any() else unknown.mean())


def _churn(before: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    """1 - IoU with the stage before."""
    union = (before | mask).sum()
    return float(1 - (before & mask).sum() / union) if union else 0.0


def _touched_sides(mask: NDArray[np.bool_]) -> float:
    """Share of the four sides of a box that the class reaches."""
    height, width = mask.shape
    deep, wide = max(1, round(_AT_SIDE * height)), max(1, round(_AT_SIDE * width))
    sides = (mask[:deep], mask[-deep:], mask[:, :wide], mask[:, -wide:])
    return sum(side.any() for side in sides) / 4


def _mean(values: Iterable[float]) -> float:
    numbers = [*values]
    return float(np.mean(numbers)) if numbers else math.nan
