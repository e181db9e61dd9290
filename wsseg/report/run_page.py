"""``index.html`` of a run's report: what its summary says, in tables and charts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wsseg.parallel import Skipped
from wsseg.report import run_charts
from wsseg.report.page import change, duration, flatten, percent, write_page
from wsseg.report.pictures import GalleryRow, legend, write_pictures
from wsseg.report.summary import Summary

_COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "label_miou": ("label mIoU, %", percent),
    "label_change": ("change, points", change),
    "label_miou_covered": ("on covered pixels, %", percent),
    "coverage": ("coverage, %", percent),
    "val_miou": ("validation mIoU, %", percent),
    "val_change": ("change, points", change),
    "resets": ("resets", str),
    "restored": ("restored", str),
    "seconds": ("time", duration),
}
_BARS = (
    ("resets", "Boxes reset to their first label", "boxes"),
    ("restored", "Tags that had vanished and got their first labels back", "tags"),
    ("seconds", "Time", "s"),
)
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
        gallery: The images to show, in order.
        skipped: Images that could not be used.
    """
    stages = summary.stages
    curves = run_charts.truth_curves(stages)
    signals = run_charts.signal_curves(stages, summary.verdicts)
    if not (curves and signals):
        curves = run_charts.truth_curves(stages, _SINGLE)
        signals = run_charts.signal_curves(stages, summary.verdicts, _SINGLE)
    class_columns = {stage.name: stage.per_class for stage in stages if stage.per_class}
    if summary.val_per_class:
        class_columns["validation"] = summary.val_per_class
    cam = summary.config.get("cam", {})
    thresholds = summary.thresholds
    # Powers are no scores on the axis of the chart.
    is_constant = cam.get("threshold") == "constant"
    chosen = [cam["background"], cam["foreground"]] if is_constant else []
    content = {
        "name": Path(summary.config.get("run_dir", folder.resolve().parent)).name,
        "summary": summary,
        "charts": run_charts,
        "subtitle": _subtitle(summary),
        "tiles": _tiles(summary),
        "networks": _NETWORKS,
        "sizes": _SIZES,
        "curves": curves,
        "signals": signals,
        "bars": _BARS,
        "columns": {
            key: column
            for key, column in _COLUMNS.items()
            if any(getattr(stage, key) is not None for stage in stages)
        },
        "signals_ranked": [*dict.fromkeys(name for stage in stages for name in stage.agreement)],
        "class_columns": class_columns,
        "tag_precision": sorted(summary.tag_precision.items(), key=lambda row: row[1] or 0),
        "thresholds": thresholds and run_charts.threshold_curves(thresholds, chosen),
        "legend": legend(summary.classes),
        "gallery": write_pictures(folder, gallery),
        "skipped": sorted((item.id, item.reason) for item in skipped),
        "settings": list(flatten(summary.config)),
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


def _tiles(summary: Summary) -> list[tuple[str, str]]:
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
    return [*tiles, (duration(sum(stage.seconds for stage in stages)), title)]
