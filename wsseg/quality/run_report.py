"""The report of a run, made from nothing but the run's folder and its data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from wsseg.annotations.costs import DRAWN_BOX, EXTREME_BOX, MASK, seconds_of
from wsseg.annotations.model import Dataset, Sample
from wsseg.annotations.readers.weak import read_weak
from wsseg.annotations.truth import Truth, read_truth
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labels import read_label_map, read_scores
from wsseg.quality.comparison import ComparisonRow, Spread, comparison_table, write_comparison
from wsseg.quality.explorer import pairs_of, write_explorer
from wsseg.quality.gallery import GalleryRow, chosen_for_gallery, gallery_row
from wsseg.quality.intervals import miou_interval
from wsseg.quality.masks import mask_figures
from wsseg.quality.measured import Measured, read_measured
from wsseg.quality.metrics import SegmentationQuality, confusion_matrix
from wsseg.quality.report import percent, read_summary, write_page, write_report
from wsseg.quality.thresholds import threshold_curve
from wsseg.run.config import load_config
from wsseg.run.engine import SetAside
from wsseg.run.history import known_stages
from wsseg.run.settings import Config
from wsseg.run.stage import finished_stage, stages_before

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
    dataset = read_weak(data)
    truth = read_truth(data.root, data.format, data.splits)
    stages = _stages(path, config)
    if not stages:
        raise InputError(f"run {path}", "a run with a finished stage", "none", "run it first")
    names = [name for stage in stages for name in (stage, f"{stage}/val")]
    found = {name: read_measured(path, name, dataset.classes) for name in names}
    measured = {name: each for name, each in found.items() if each}
    summary = {
        "classes": list(dataset.classes),
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "stages": [
            {**_stage_figures(path, name, measured), "seconds": seconds}
            for name, seconds in _seconds(path, stages).items()
        ],
        **_val_figures(stages, measured),
        **_tag_figures(path, dataset),
        **mask_figures(path, config, dataset),
        "annotation_seconds": _annotation_seconds(config, dataset),
    }
    set_aside = _set_aside(path, stages, dataset)
    bad = {item.id for item in set_aside}
    usable = [sample for sample in dataset.split(data.train) if sample.id not in bad]
    folders = {name: path / name for name in stages if finished_stage(path, name)}
    pairs, report = pairs_of(usable, truth), path / "report"
    write_explorer(report, folders, dataset.classes, pairs, measured, workers=config.workers)
    write_page(report / "images.html", "images.html.j2", {"name": path.resolve().name})
    write_report(report, summary, _gallery(path, stages, usable, truth), set_aside)
    return report / "index.html"


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
    titles = ["s an image", "first labels", "last labels", "val mIoU", "of full"]
    header = f"{'recipe':<{width}}  runs" + "".join(f"{title:>14}" for title in titles)
    return [header, *(_line(row, width) for row in rows)]


def _line(row: ComparisonRow, width: int) -> str:
    figures = [row.first_label_miou, row.last_label_miou, row.val_miou, row.ratio]
    cells = "".join(f"{_shown(figure):>14}" for figure in figures)
    return f"{row.name:<{width}}  {len(row.runs):>4}{_range(row.seconds):>14}{cells}"


def _range(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return percent(None)
    least, most = (f"{value:.0f}" for value in seconds)
    return least if least == most else f"{least} to {most}"


def _shown(figure: Spread | None) -> str:
    if figure is None or figure.count == 1:
        return percent(None if figure is None else figure.mean)
    return f"{percent(figure.mean)} ± {percent(figure.deviation)}"


def _stages(path: Path, config: Config) -> list[str]:
    """The finished stages in order: seeds, round-1, round-2, ..."""
    return [
        name
        for name in known_stages(config)
        if finished_stage(path, name) or finished_stage(path, f"{name}/model")
    ]


def _val_figures(stages: Sequence[str], measured: Mapping[str, Measured]) -> dict[str, Any]:
    """Of the last network that was measured."""
    known = [name for stage in stages if (name := f"{stage}/val") in measured]
    if not known:
        return {}
    last = measured[known[-1]]
    quality, interval = last.quality, miou_interval(last)
    return {
        "val_miou": quality.miou,
        "val_interval": [interval.low, interval.high],
        "val_per_class": quality.per_class,
    }


def _annotation_seconds(config: Config, dataset: Dataset) -> tuple[float, float]:
    """Of an image, with boxes by extreme clicks and with drawn ones; as published."""
    samples = dataset.split(config.data.train)
    if Path(config.pipeline).stem == "full":
        return MASK, MASK
    least, most = (
        sum(seconds_of(sample, each) for sample in samples) / len(samples)
        for each in (EXTREME_BOX, DRAWN_BOX)
    )
    return least, most


def _tag_figures(path: Path, dataset: Dataset) -> dict[str, Any]:
    """Of the classifier and its activation maps, where the run has them."""
    figures, curves = dict[str, Any](), {}
    for name in stages_before(path, "seeds"):
        if precision := finished_stage(path, name).get("average_precision"):
            figures["tag_precision"] = precision
        matrices = finished_stage(path, f"{name}/quality").get("matrices")
        if np.any(matrices or 0):
            curves[name] = threshold_curve(np.array(matrices, np.int64), dataset.classes)
    return {**figures, "thresholds": curves} if curves else figures


def _stage_figures(path: Path, name: str, measured: Mapping[str, Measured]) -> dict[str, Any]:
    figures: dict[str, Any] = {"name": name}
    if name in measured:
        labels = measured[name].quality
        figures |= {
            "label_miou": labels.miou,
            "label_miou_covered": labels.miou_covered,
            "coverage": labels.coverage,
            "per_class": labels.per_class,
        }
    if finished_stage(path, name):
        table = pd.read_parquet(path / name / "stats.parquet")
        for key in {"resets", "restored"} & set(table):
            figures[key] = int(table[key].sum())
    if (val := f"{name}/val") in measured:
        figures["val_miou"] = measured[val].quality.miou
    return {key: value for key, value in figures.items() if value is not None}


def _seconds(path: Path, stages: Sequence[str]) -> dict[str, float]:
    """What each stage took, with all that was made for it and for none before it."""
    found, counted = dict[str, float](), set[str]()
    for name in stages:
        parts = {name, f"{name}/model", f"{name}/val"}
        for part in tuple(parts):
            parts |= {*stages_before(path, part)}
        taken = (finished_stage(path, part).get("seconds", 0.0) for part in parts - counted)
        found[name] = sum(taken)
        counted |= parts
    return found


def _set_aside(path: Path, stages: Sequence[str], dataset: Dataset) -> list[SetAside]:
    found = {problem.subject: problem.message for problem in dataset.problems if problem.fatal}
    for name in stages:
        for part in (name, f"{name}/quality", f"{name}/val", f"{name}/val/quality"):
            found |= finished_stage(path, part).get("set_aside", {})
    return [SetAside(identity, reason) for identity, reason in found.items()]


def _gallery(
    path: Path, stages: Sequence[str], samples: Sequence[Sample], truth: Truth
) -> list[GalleryRow]:
    labels = [path / name / "labels" for name in stages if finished_stage(path, name)]
    if not labels:
        return []
    step = max(1, -(-len(samples) // _CANDIDATES))
    shown = [s for s in samples[::step] if all((f / f"{s.id}.png").exists() for f in labels)]
    scores = {sample.id: _score(labels, sample, truth) for sample in shown}
    by_id = {sample.id: sample for sample in shown}
    chosen = [by_id[identity] for identity in chosen_for_gallery(scores)]
    maps = next(iter(finished_stage(path, "seeds").get("upstream", {})), None)
    seen = [_activation(path / maps, sample) if maps else None for sample in chosen]
    return [_row(s, labels, truth, each) for s, each in zip(chosen, seen, strict=True)]


def _activation(maps: Path, sample: Sample) -> NDArray[np.float32]:
    """The highest of an image's activation maps at each place; 0 where it has none."""
    file = maps / "scores" / f"{sample.id}.npz"
    found = read_scores(file)[1] if file.exists() else ()
    return np.max(found, axis=0) if len(found) else np.zeros((1, 1), np.float32)


def _score(labels: Sequence[Path], sample: Sample, truth: Truth) -> float:
    """Mean IoU of the last label map, or how little it differs from the first without truth."""
    last = read_label_map(labels[-1] / f"{sample.id}.png")
    if not truth.covers(sample):
        return float((last == read_label_map(labels[0] / f"{sample.id}.png")).mean())
    matrix = confusion_matrix(last, truth.label_map(sample), len(truth.classes))
    return SegmentationQuality(matrix, truth.classes).miou if matrix.sum() else 1.0


def _row(
    sample: Sample,
    labels: Sequence[Path],
    truth: Truth,
    activation: NDArray[np.float32] | None,
) -> GalleryRow:
    maps = {f.parent.name: read_label_map(f / f"{sample.id}.png") for f in labels}
    if truth.covers(sample):
        maps["truth"] = truth.label_map(sample)
    return gallery_row(sample.id, read_image(sample.image), sample.boxes, maps, activation)
