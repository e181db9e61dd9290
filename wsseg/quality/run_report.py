"""The report of a run, made from nothing but the run's folder and its data."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from wsseg.annotations.model import Dataset, Sample
from wsseg.annotations.readers import read_dataset
from wsseg.annotations.truth import Truth, read_truth
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labels import read_label_map
from wsseg.quality.comparison import ComparisonRow, Spread, comparison_table, write_comparison
from wsseg.quality.gallery import GalleryRow, chosen_for_gallery, gallery_row
from wsseg.quality.metrics import SegmentationQuality, confusion_matrix
from wsseg.quality.report import percent, read_summary, write_report
from wsseg.run.config import Config, load_config
from wsseg.run.engine import SetAside

_CANDIDATES = 200  # images that the gallery is chosen from; reading all would not scale


def report_run(path: Path) -> Path:
    """Write ``report/index.html`` and ``report/summary.json`` of a run.

    Args:
        path: The run's folder; unfinished stages are left out.

    Returns:
        The page.

    Raises:
        InputError: The folder holds no run, or its data set is gone.
    """
    config = load_config(path / "config.yaml")
    data = config.data
    dataset = read_dataset(data.root, data.format, data.splits)
    truth = read_truth(data.root, data.format, data.splits)
    stages = list(_stage_folders(path))
    if not stages:
        raise InputError(f"run {path}", "a run with a finished stage", "none", "run it first")
    summary = _summary(path, config, dataset)
    gallery = _gallery(stages, dataset.split(data.train), truth)
    write_report(path / "report", summary, gallery, _set_aside(path, dataset))
    return path / "report" / "index.html"


def compare_runs(paths: Sequence[Path], out: Path | None = None) -> list[str]:
    """Return the lines of a table of runs, weak supervision against the upper bound.

    Args:
        paths: Runs with a report; runs that differ in their seed only are averaged.
        out: Where to write the HTML page, None for none.

    Returns:
        Text lines.

    Raises:
        InputError: A run has no report, or the runs are of different classes.
    """
    summaries = {str(path): read_summary(path) for path in paths}
    if out is not None:
        write_comparison(out, summaries)
    rows = comparison_table(summaries)
    width = max(len(row.name) for row in rows)
    titles = ["first labels", "last labels", "val mIoU", "of full"]
    header = f"{'recipe':<{width}}  runs" + "".join(f"{title:>14}" for title in titles)
    return [header, *(_line(row, width) for row in rows)]


def _line(row: ComparisonRow, width: int) -> str:
    figures = [row.first_label_miou, row.last_label_miou, row.val_miou, row.ratio]
    cells = "".join(f"{_shown(figure):>14}" for figure in figures)
    return f"{row.name:<{width}}  {len(row.runs):>4}{cells}"


def _shown(figure: Spread | None) -> str:
    if figure is None or figure.count == 1:
        return percent(None if figure is None else figure.mean)
    return f"{percent(figure.mean)} ± {percent(figure.deviation)}"


def _stage_folders(path: Path) -> Iterator[Path]:
    """The finished label stages in order: seeds, round-1, round-2, ..."""
    rounds = sorted(path.glob("round-*"), key=lambda folder: int(folder.name.split("-")[1]))
    for folder in [path / "seeds", *rounds]:
        if (folder / "manifest.json").exists() or (folder / "model" / "manifest.json").exists():
            yield folder


def _summary(path: Path, config: Config, dataset: Dataset) -> dict[str, Any]:
    stages = [_stage_figures(folder, dataset) for folder in _stage_folders(path)]
    summary = {
        "classes": list(dataset.classes),
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "stages": stages,
    }
    measured = [folder for folder in _stage_folders(path) if _quality(folder / "val", dataset)]
    if measured and (last := _quality(measured[-1] / "val", dataset)):
        summary |= {"val_miou": last.miou, "val_per_class": last.per_class}
    return summary


def _stage_figures(folder: Path, dataset: Dataset) -> dict[str, Any]:
    figures: dict[str, Any] = {"name": folder.name}
    if labels := _quality(folder, dataset):
        figures |= {
            "label_miou": labels.miou,
            "label_miou_covered": labels.miou_covered,
            "coverage": labels.coverage,
            "per_class": labels.per_class,
        }
    if (folder / "stats.parquet").exists():
        table = pd.read_parquet(folder / "stats.parquet")
        if "resets" in table:
            figures["resets"] = int(table["resets"].sum())
    if val := _quality(folder / "val", dataset):
        figures["val_miou"] = val.miou
    parts = [folder, folder / "model", folder / "val"]
    figures["seconds"] = sum(_manifest(part).get("seconds", 0.0) for part in parts)
    return figures


def _quality(folder: Path, dataset: Dataset) -> SegmentationQuality | None:
    matrix = _manifest(folder / "quality").get("matrix")
    return SegmentationQuality(np.array(matrix, np.int64), dataset.classes) if matrix else None


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    except FileNotFoundError:
        return {}
    return manifest


def _set_aside(path: Path, dataset: Dataset) -> list[SetAside]:
    found = {problem.subject: problem.message for problem in dataset.problems if problem.fatal}
    for folder in _stage_folders(path):
        for part in (folder, folder / "val"):
            found |= _manifest(part).get("set_aside", {})
    return [SetAside(identity, reason) for identity, reason in found.items()]


def _gallery(stages: Sequence[Path], samples: Sequence[Sample], truth: Truth) -> list[GalleryRow]:
    labels = [folder / "labels" for folder in stages if (folder / "labels").is_dir()]
    if not labels:
        return []
    step = -(-len(samples) // _CANDIDATES)
    shown = [s for s in samples[::step] if all((f / f"{s.id}.png").exists() for f in labels)]
    scores = {sample.id: _score(labels, sample, truth) for sample in shown}
    by_id = {sample.id: sample for sample in shown}
    return [_row(by_id[identity], labels, truth) for identity in chosen_for_gallery(scores)]


def _score(labels: Sequence[Path], sample: Sample, truth: Truth) -> float:
    """Mean IoU of the last label map, or how little it differs from the first without truth."""
    last = read_label_map(labels[-1] / f"{sample.id}.png")
    if not truth.covers(sample):
        return float((last == read_label_map(labels[0] / f"{sample.id}.png")).mean())
    matrix = confusion_matrix(last, truth.label_map(sample), len(truth.classes))
    return SegmentationQuality(matrix, truth.classes).miou if matrix.sum() else 1.0


def _row(sample: Sample, labels: Sequence[Path], truth: Truth) -> GalleryRow:
    maps = {f.parent.name: read_label_map(f / f"{sample.id}.png") for f in labels}
    if truth.covers(sample):
        maps["truth"] = truth.label_map(sample)
    return gallery_row(sample.id, read_image(sample.image), sample.boxes, maps)
