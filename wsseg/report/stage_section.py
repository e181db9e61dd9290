"""The part of a report that goes from stage to stage: figures, signals, and what they say."""

from collections.abc import Mapping, Sequence
from typing import Any

from wsseg.metrics.bootstrap import Interval
from wsseg.report.charts import chart, signal_curves, stage_bars, stage_curves
from wsseg.report.page import NOTHING, duration, percent

_COLUMNS = {
    "label_miou": "label mIoU, %",
    "label_change": "change, points",
    "label_miou_covered": "on covered pixels, %",
    "coverage": "coverage, %",
    "val_miou": "validation mIoU, %",
    "val_change": "change, points",
    "resets": "resets",
    "restored": "restored",
    "seconds": "time",
}
_CHANGES = ("label_change", "val_change")
_BARS = {
    "resets": ("Boxes reset to their first label", "boxes"),
    "restored": ("Tags that had vanished and got their first labels back", "tags"),
    "seconds": ("Time", "s"),
}


def stage_content(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of the stages.

    Args:
        summary: ``summary.json``.

    Returns:
        "stages", "columns" of their table, "bars", "curves" and "signals" (charts, None where there
        is nothing to draw), "verdicts", and "agreement", a table of how well signals rank.
    """
    stages = summary["stages"]
    known = [key for key in _COLUMNS if any(stage.get(key) is not None for stage in stages)]
    columns = [
        {"title": _COLUMNS[key], "cells": [_cell(key, stage.get(key)) for stage in stages]}
        for key in known
    ]
    bars = [
        (title, chart(stage_bars(stages, key, unit), f"{key}-of-stages"))
        for key, (title, unit) in _BARS.items()
        if key in known
    ]
    shares = set(known) - {*_BARS, *_CHANGES}
    signals = signal_curves(stages)
    return {
        "stages": stages,
        "columns": columns,
        "bars": bars,
        "curves": chart(stage_curves(stages), "curves") if shares else None,
        "signals": chart(signals, "signals") if signals.data else None,
        "verdicts": [_verdict(each) for each in summary.get("verdicts", [])],
        "agreement": _agreement(stages),
    }


def change(difference: Sequence[float] | None) -> str:
    """Return a difference of mIoU in words.

    Args:
        difference: -1..1, and the ends of its interval; None where there is none.

    Returns:
        Points and their interval; whether it is noise.

    Example:
        >>> change([0.02, 0.01, 0.03]), change([0.002, -0.01, 0.012])
        ('+2.0 (+1.0 to +3.0)', '+0.2, noise')
    """
    if difference is None:
        return NOTHING
    value, low, high = (f"{round(100 * each, 1) + 0:+.1f}" for each in difference)
    is_noise = Interval(*difference).is_noise
    return f"{value}, noise" if is_noise else f"{value} ({low} to {high})"


def _agreement(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    known = {stage["name"]: stage["agreement"] for stage in stages if stage.get("agreement")}
    names = dict.fromkeys(name for found in known.values() for name in found)
    rows = [
        {"name": name, "cells": [found.get(name) for found in known.values()]} for name in names
    ]
    return {"stages": [*known], "rows": rows}


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": verdict["stage"],
        "agreement": percent(verdict["agreement"]),
        "gain": change(verdict["gain"]),
        "churn": percent(verdict["churn"]),
        "vanished": percent(verdict["vanished"]),
        "worse": verdict["worse"],
        "said": f"{verdict['word']}: {verdict['reason']}",
    }


def _cell(key: str, value: Any) -> str:
    if key in _CHANGES:
        return change(value)
    if key == "seconds":
        return duration(value)
    if key in _BARS:
        return NOTHING if value is None else str(value)
    return percent(value)
