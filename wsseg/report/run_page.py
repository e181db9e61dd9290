"""``index.html`` of a run's report: what its summary says, in tables and charts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wsseg.parallel import Skipped
from wsseg.report.page import (
    NOTHING,
    change,
    duration,
    flatten,
    percent,
    stage_title,
    write_page,
)
from wsseg.report.pictures import GalleryRow, css_colour, legend, write_pictures
from wsseg.report.run_charts import (
    confusion_map,
    coverage_lines,
    reliability_bars,
    signal_curves,
    stage_bars,
    threshold_curves,
    truth_curves,
)
from wsseg.report.summary import MaskStats, StageStats, Summary, TruthStats

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
_BARS = {
    "resets": ("Boxes reset to their first label", "boxes"),
    "restored": ("Tags that had vanished and got their first labels back", "tags"),
    "seconds": ("Time", "s"),
}
_SIZES = {
    "small": "small: at most 1 % of the image",
    "medium": "medium: at most 10 %",
    "large": "large",
    "whole": "whole",
    "cut": "cut by the image border",
}
_NETWORKS = {
    "base": "weak labels only (the base)",
    "masks-only": "the masks only",
    "finetuned": "both",
}
_SINGLE = 860  # pixels of a chart that is alone in its row


def write_run_page(
    folder: Path,
    summary: Summary,
    gallery: Sequence[GalleryRow] = (),
    skipped: Sequence[Skipped] = (),
) -> None:
    """Write ``index.html``, its ``pictures/`` and ``summary.json``.

    The same arguments give the same files. The page needs no network and no script library.

    Args:
        folder: Usually ``<run>/report``; pictures of an earlier report in it are replaced.
        summary: The figures.
        gallery: The images to show, in order.
        skipped: Images that could not be used.
    """
    content = {
        "name": Path(summary.config.get("run_dir", folder.resolve().parent)).name,
        "subtitle": _subtitle(summary),
        "tiles": _tiles(summary),
        "masks": _masks(summary.masks) if summary.masks else None,
        "verdicts": summary.verdicts,
        **_stages(summary.stages),
        "signal_ranking": _signal_ranking(summary.stages),
        "classes_table": _classes_table(summary),
        "measured": [
            _measured(stage_title(name), stats, summary.classes)
            for name, stats in summary.measured.items()
        ],
        "tag_precision": sorted(summary.tag_precision.items(), key=lambda row: row[1] or 0),
        "thresholds": _thresholds(summary),
        "legend": legend(summary.classes),
        "gallery": write_pictures(folder, gallery),
        "skipped": sorted(skipped, key=lambda item: item.id),
        "settings": list(flatten(summary.config)),
        "percent": percent,
        "change": change,
    }
    write_page(folder / "index.html", "report.html.j2", content)
    summary.save(folder)


def _subtitle(summary: Summary) -> list[str]:
    config = summary.config
    parts = [f"pipeline {config['pipeline']}"] if "pipeline" in config else []
    if summary.masks:
        base = config["finetune"]["base"]
        method = config["finetune"]["method"]
        parts.append(f"{method} on {Path(base).name if base else 'masks only'}")
    elif "seeds" in config and config.get("pipeline") != "full":
        parts.append(f"first labels {_first_labels(summary)}")
    if "model" in config:
        parts.append(f"{config['model']['architecture']} on {config['model']['encoder']}")
    return [*parts, f"seed {summary.seed}"]


def _first_labels(summary: Summary) -> str:
    cam = summary.config.get("cam")
    if not (cam and (summary.tag_precision or summary.thresholds)):
        return str(summary.config["seeds"]["name"])
    affinity = "" if cam["affinity"] == "none" else f", propagated by {cam['affinity']} affinity"
    return f"from tags: {cam['method']}{affinity}"


def _tiles(summary: Summary) -> list[dict[str, str]]:
    stages, tiles = summary.stages, list[tuple[str, str]]()
    measured = [(stage.label_miou, stage.name) for stage in stages if stage.label_miou is not None]
    if measured:
        miou, name = max(measured, key=lambda pair: pair[0])
        first, first_name = measured[0]
        tiles.append((f"{percent(miou)} %", f"best label mIoU, after {name}"))
        tiles.append((f"{100 * (miou - first):+.1f}", f"points gained over {first_name}"))
    if summary.val_miou is not None:
        is_last = summary.result in {None, stages[-1].name}
        title = f"validation mIoU of {'the final network' if is_last else summary.result}"
        if summary.val_interval:
            low, high = map(percent, summary.val_interval)
            title += f"; {low} to {high} on other such images (95 %)"
        tiles.append((f"{percent(summary.val_miou)} %", title))
    title = f"for {len(stages)} stages" if len(stages) > 1 else "for one stage"
    tiles.append((duration(sum(stage.seconds for stage in stages)), title))
    return [{"value": value, "title": title} for value, title in tiles]


def _stages(stages: Sequence[StageStats]) -> dict[str, Any]:
    """Return the table of stages and the charts above it."""
    known = [key for key in _COLUMNS if any(getattr(s, key) is not None for s in stages)]
    columns = [
        {"title": _COLUMNS[key], "cells": [_cell(key, getattr(s, key)) for s in stages]}
        for key in known
    ]
    curves, signals = truth_curves(stages), signal_curves(stages)
    if not (curves and signals):
        curves, signals = truth_curves(stages, _SINGLE), signal_curves(stages, _SINGLE)
    return {
        "stages": [stage.name for stage in stages],
        "columns": columns,
        "curves": curves,
        "signals": signals,
        "bars": [
            (title, stage_bars(stages, key, unit))
            for key, (title, unit) in _BARS.items()
            if key in known
        ],
    }


def _cell(key: str, value: Any) -> str:
    if key.endswith("_change"):
        return change(value)
    if key == "seconds":
        return duration(value)
    if key in _BARS:
        return NOTHING if value is None else str(value)
    return percent(value)


def _signal_ranking(stages: Sequence[StageStats]) -> dict[str, Any]:
    known = {stage.name: stage.agreement for stage in stages if stage.agreement}
    names = dict.fromkeys(name for ranking in known.values() for name in ranking)
    rows = [
        {"name": name, "cells": [ranking.get(name) for ranking in known.values()]} for name in names
    ]
    return {"stages": [*known], "rows": rows}


def _classes_table(summary: Summary) -> dict[str, Any]:
    columns = {stage.name: stage.per_class for stage in summary.stages if stage.per_class}
    if summary.val_per_class:
        columns["validation"] = summary.val_per_class
    rows = [
        {
            "name": name,
            "colour": css_colour(label),
            "shares": [column.get(name) for column in columns.values()],
        }
        for label, name in enumerate(summary.classes)
    ]
    return {"columns": list(columns), "rows": rows, "has_val": bool(summary.val_per_class)}


def _measured(title: str, stats: TruthStats, classes: Sequence[str]) -> dict[str, Any]:
    rows = [
        {
            "name": name,
            "colour": css_colour(label),
            "shares": [
                getattr(stats.classes[name], key)
                for key in ("iou", "precision", "recall", "boundary_iou")
            ],
        }
        for label, name in enumerate(classes)
    ]
    sizes = [
        {"name": _SIZES[size], "iou": iou, "count": count}
        for size, (iou, count) in stats.sizes.items()
    ]
    bars = stats.reliability
    return {
        "name": title,
        "rows": rows,
        "sizes": sizes,
        "boundary_f1": stats.boundary_f1,
        "error": stats.calibration_error,
        "reliability": reliability_bars(f"reliability of {title}", bars) if bars else None,
        "kept": coverage_lines(f"coverage of {title}", stats.kept) if bars else None,
        "confusion": confusion_map(f"confusion of {title}", stats.confusion, classes),
    }


def _thresholds(summary: Summary) -> Any:
    if not summary.thresholds:
        return None
    cam = summary.config.get("cam", {})
    is_constant = (
        cam.get("threshold") == "constant"
    )  # powers are no scores on the axis of the chart
    chosen = [cam["background"], cam["foreground"]] if is_constant else []
    return threshold_curves(summary.thresholds, chosen)


def _masks(masks: MaskStats) -> dict[str, Any]:
    base = masks.val_miou.get("base")
    rows = [
        {
            "title": title,
            "miou": miou,
            "gain": None if name == "base" or base is None else miou - base,
        }
        for name, title in _NETWORKS.items()
        if (miou := masks.val_miou.get(name)) is not None
    ]
    bars = masks.reliability
    return {
        "images": masks.images,
        "method": masks.method,
        "collapsed": masks.collapsed,
        "rows": rows,
        "diagram": reliability_bars("reliability", bars) if bars else None,
        "calibration_error": masks.calibration_error,
        "refused": [name for name, least in masks.thresholds.items() if least is None],
    }
