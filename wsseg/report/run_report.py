"""The report of a run, made from nothing but the run's folder and its data."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Dataset, Sample
from wsseg.data.truth import LabelledData, Truth, load
from wsseg.errors import InputError
from wsseg.files import discard_partial
from wsseg.images import read_image
from wsseg.labelmaps import read_label_map, read_scores
from wsseg.metrics.counts import LabelCounts
from wsseg.parallel import Skipped
from wsseg.report.comparison import ComparisonRow, Spread, comparison_table, write_comparison
from wsseg.report.explorer import pairs_of, write_explorer
from wsseg.report.figures import stage_figures, truth_figures, verdict_figures
from wsseg.report.gallery import GalleryRow, chosen_for_gallery, gallery_row
from wsseg.report.masks import mask_figures
from wsseg.report.page import percent, write_page
from wsseg.report.report import read_summary, write_report
from wsseg.runs.config import Config, load_config
from wsseg.runs.folder import locked
from wsseg.runs.history import known_stages, preferred_stages
from wsseg.runs.loggers import log_figures
from wsseg.runs.stage import finished_stage, stages_before
from wsseg.stages.declared import declare_masks
from wsseg.stages.measure import read_counts
from wsseg.stages.signals import read_signals
from wsseg.stages.thresholds import threshold_curve
from wsseg.synthetic.costs import DRAWN_BOX, EXTREME_BOX, MASK, seconds_of


def report_run(
    path: Path, masks: Path | None = None, *, data: LabelledData | None = None, log: bool = True
) -> Path:
    """Write ``report/index.html`` and ``report/summary.json`` of a run.

    Args:
        path: The run's folder; unfinished stages are left out.
        masks: A list of images whose masks may teach what signals tell, see ``declare_masks``.
        data: The data set of the run, if it has been read already.
        log: Whether it is the run's own: its loggers get the figures of its stages, too, and it
            waits where another process writes the report.

    Returns:
        The page.

    Raises:
        InputError: The folder holds no run, its data set is gone, or another process writes the
            report.
    """
    load_config(path / "config.yaml")  # no folder is made where there is no run
    with locked(path / "report", f"report of {path}", "wait for it", patient=log):
        discard_partial(path / "report")
        return _report(path, masks, data, log=log)


def _report(path: Path, masks: Path | None, loaded: LabelledData | None, *, log: bool) -> Path:
    config = load_config(path / "config.yaml")
    data, loaded = config.data, loaded or load(config.data)
    dataset, truth = loaded.dataset, loaded.truth
    if masks is not None:
        declare_masks(path, masks, dataset.split(data.train), truth)
    stages = _stages(path, config)
    if not stages:
        raise InputError(f"run {path}", "a run with a finished stage", "none", "run it first")
    names = [name for stage in stages for name in (stage, f"{stage}/val")]
    found = {name: read_counts(path, name, dataset.classes) for name in names}
    measured = {name: each for name, each in found.items() if each}
    result = [name for name in preferred_stages(path, config) if name in stages]
    truths = {name: truth_figures(each) for name, each in measured.items()}
    summary = {
        "classes": list(dataset.classes),
        "seed": config.seed,
        "config": config.model_dump(mode="json"),
        "stages": stage_figures(path, stages, measured),
        "measured": truths,
        "verdicts": verdict_figures(path, [n for n in stages if _is_of_rounds(n)], dataset.classes),
        "result": result[0],
        **_val_figures(result, truths),
        **_tag_figures(path, dataset),
        **mask_figures(path, config, dataset),
        "annotation_seconds": _annotation_seconds(config, dataset),
    }
    set_aside = _set_aside(path, stages, dataset)
    bad = {item.id for item in set_aside}
    usable = [sample for sample in dataset.split(data.train) if sample.id not in bad]
    folders = {name: path / name for name in stages if finished_stage(path, name)}
    pairs, report = pairs_of(usable, truth), path / "report"
    write_explorer(
        report, folders, dataset.classes, pairs, measured, workers=config.machine.workers
    )
    write_page(report / "images.html", "images.html.j2", {"name": path.resolve().name})
    gallery = _gallery(path, stages, usable, truth, _scores(path, result, measured))
    write_report(report, summary, gallery, set_aside)
    if log:
        log_figures(path, config.loggers, {s["name"]: _numbers(s) for s in summary["stages"]})
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
        for name in known_stages(path, config)
        if finished_stage(path, name) or finished_stage(path, f"{name}/model")
    ]


def _numbers(stage: Mapping[str, Any]) -> dict[str, float]:
    """What a stage's figures are as curves from stage to stage."""
    found = {key: value for key, value in stage.items() if isinstance(value, int | float)}
    return found | {f"signals/{key}": value for key, value in stage.get("signals", {}).items()}


def _is_of_rounds(name: str) -> bool:
    return name == "seeds" or name.startswith("round-")


def _val_figures(preferred: Sequence[str], truths: Mapping[str, Any]) -> dict[str, Any]:
    """Of the network that is the result."""
    known = (truths[name] for stage in preferred if (name := f"{stage}/val") in truths)
    found = next(known, None)
    if found is None:
        return {}
    ious = {name: shares["iou"] for name, shares in found["classes"].items() if "iou" in shares}
    return {"val_miou": found["miou"], "val_interval": found["interval"], "val_per_class": ious}


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


def _set_aside(path: Path, stages: Sequence[str], dataset: Dataset) -> list[Skipped]:
    found = {problem.subject: problem.message for problem in dataset.problems if problem.fatal}
    for name in stages:
        for part in (name, f"{name}/quality", f"{name}/val", f"{name}/val/quality"):
            found |= finished_stage(path, part).get("set_aside", {})
    return [Skipped(identity, reason) for identity, reason in found.items()]


def _gallery(
    path: Path,
    stages: Sequence[str],
    samples: Sequence[Sample],
    truth: Truth,
    scores: Mapping[str, float],
) -> list[GalleryRow]:
    finished = [name for name in stages if finished_stage(path, name)]
    if not finished:
        return []
    labels = [path / name / "labels" for name in finished]
    by_id = {s.id: s for s in samples if all((f / f"{s.id}.png").exists() for f in labels)}
    chosen = chosen_for_gallery({identity: scores.get(identity, 1.0) for identity in by_id})
    maps = next(iter(finished_stage(path, "seeds").get("upstream", {})), None)
    return [
        _row(by_id[id], labels, truth, _activation(path / maps, by_id[id]) if maps else None)
        for id in chosen
    ]


def _scores(
    path: Path, preferred: Sequence[str], measured: Mapping[str, LabelCounts]
) -> dict[str, float]:
    """How good the labels of each image are, or else how good they look."""
    for name in preferred:
        if name in measured:
            return measured[name].image_mious
        if (table := read_signals(path / name)) is not None:
            return dict(table.groupby("id")["estimate"].mean())
    return {}


def _activation(maps: Path, sample: Sample) -> NDArray[np.float32]:
    """The highest of an image's activation maps at each place; 0 where it has none."""
    file = maps / "scores" / f"{sample.id}.npz"
    found = read_scores(file)[1] if file.exists() else ()
    return np.max(found, axis=0) if len(found) else np.zeros((1, 1), np.float32)


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
