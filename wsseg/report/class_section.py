"""The part of a report about classes: figures of each, what is taken for what, sizes of objects."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wsseg.report.charts import chart, confusion_map, kept_lines
from wsseg.report.gallery import css_colour
from wsseg.report.masks import reliability_bars

_SHARES = ("iou", "precision", "recall", "boundary_iou")
_SIZES = {
    "small": "small: at most 1 % of the image",
    "medium": "medium: at most 10 %",
    "large": "large",
    "whole": "whole",
    "cut": "cut by the image's frame",
}


def class_content(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of classes.

    Args:
        summary: ``summary.json``.

    Returns:
        "classes_table", the IoU of each class after each stage; "measured", a table of all figures
        of each class and of objects by size for each stage; "confusion", a chart of the last of
        them, and "confusions", what it shows for each.
    """
    measured, classes = summary.get("measured", {}), summary["classes"]
    shown = {title(name): found for name, found in measured.items()}
    matrices = {name: _rows(found["confusion"]) for name, found in shown.items()}
    last = next(reversed(matrices), None)
    return {
        "classes_table": _classes_table(summary),
        "measured": [_measured(name, found, classes) for name, found in shown.items()],
        "confusion": chart(confusion_map(matrices[last], classes), "confusion") if last else None,
        "confusions": matrices,
    }


def title(name: str) -> str:
    """Return what label maps are called on a page.

    Args:
        name: Of their stage.

    Returns:
        In words.

    Example:
        >>> title("round-1"), title("round-1/val")
        ('labels of round-1', 'validation of round-1')
    """
    stage, _, is_val = name.partition("/")
    return f"{'validation' if is_val else 'labels'} of {stage}"


def _rows(confusion: Sequence[Sequence[int]]) -> list[list[float | None]]:
    """Shares of each true class, in percent; None for a class without a pixel."""
    counts = np.array(confusion, float)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    return [[None if np.isnan(s) else round(s, 2) for s in row] for row in shares.tolist()]


def _measured(name: str, found: Mapping[str, Any], classes: Sequence[str]) -> dict[str, Any]:
    rows = [
        {"name": each, "colour": css_colour(label), "shares": _shares(found["classes"][each])}
        for label, each in enumerate(classes)
    ]
    sizes = [
        {"name": _SIZES[size], "iou": iou, "count": count}
        for size, (iou, count) in found["sizes"].items()
    ]
    bars = found.get("reliability")
    return {
        "name": name,
        "rows": rows,
        "sizes": sizes,
        "boundary_f1": found["boundary_f1"],
        "error": found.get("calibration_error"),
        "reliability": chart(reliability_bars(bars), f"sure {name}") if bars else None,
        "kept": chart(kept_lines(found["kept"]), f"kept {name}") if bars else None,
    }


def _shares(found: Mapping[str, float]) -> list[float | None]:
    return [found.get(key) for key in _SHARES]


def _classes_table(summary: Mapping[str, Any]) -> dict[str, Any]:
    columns = {
        stage["name"]: stage["per_class"] for stage in summary["stages"] if stage.get("per_class")
    }
    if has_val := bool(summary.get("val_per_class")):
        columns["validation"] = summary["val_per_class"]
    rows = [
        {
            "name": name,
            "colour": css_colour(label),
            "shares": [c.get(name) for c in columns.values()],
        }
        for label, name in enumerate(summary["classes"])
    ]
    return {"columns": list(columns), "rows": rows, "has_val": has_val}
