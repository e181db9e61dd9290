"""The report of a run, from its folder and its data set."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wsseg.data.model import Dataset, Sample
from wsseg.data.truth import Truth, load
from wsseg.errors import InputError
from wsseg.files import discard_partial
from wsseg.images import read_image
from wsseg.labelmaps import read_label_map, read_scores
from wsseg.metrics.counts import LabelCounts
from wsseg.parallel import Skipped
from wsseg.report.collect import summarise
from wsseg.report.images_page import write_images_page
from wsseg.report.pictures import GalleryRow, choose_for_gallery, gallery_row
from wsseg.report.run_page import write_run_page
from wsseg.report.summary import StageStats, Summary
from wsseg.runs.config import Config
from wsseg.runs.folder import folder_lock
from wsseg.runs.loggers import log_figures
from wsseg.runs.names import SEEDS, model_name
from wsseg.runs.run import Run
from wsseg.runs.stage import finished_stage, stages_before
from wsseg.stages.declared import declare_masks
from wsseg.stages.measure import read_counts
from wsseg.stages.signals import read_signals


@dataclass(frozen=True, eq=False)
class Report:
    """The contents of the pages of a report.

    Attributes:
        stages: Finished stages of label maps in order.
        result: Stages of label maps, the preferred one first.
        counts: Comparisons with the truth, by stage.
        scores: Quality of the labels of each image, measured or else estimated.
        samples: The usable training images.
        truth: Hidden truth; may cover none of them.
        skipped: Images that could not be used.
    """

    run: Path
    config: Config
    stages: tuple[str, ...]
    result: tuple[str, ...]
    summary: Summary
    counts: Mapping[str, LabelCounts]
    scores: Mapping[str, float]
    dataset: Dataset
    samples: tuple[Sample, ...]
    truth: Truth
    skipped: tuple[Skipped, ...]

    @property
    def page(self) -> Path:
        """The file ``index.html``."""
        return self.run / "report" / "index.html"


def report_run(
    path: Path,
    masks: Path | None = None,
    *,
    dataset: Dataset | None = None,
    truth: Truth | None = None,
    log: bool = True,
) -> Report:
    """Write ``report/index.html``, ``report/images.html`` and ``report/summary.json`` of a run.

    Args:
        path: The run's folder; unfinished stages are left out.
        masks: A list of images with masks that the estimate may learn from, see ``declare_masks``.
        dataset: The run's images and annotations; read from disk if not given.
        truth: Their hidden truth; read from disk if not given.
        log: If True, as in a run, its loggers receive the figures of its stages, and the call
            waits while another process writes the report.

    Raises:
        InputError: The folder holds no run, its data set is gone, or another process writes the
            report.
    """
    run = Run(path)  # refuses another folder before the lock makes one
    config = run.config
    data = config.data
    with folder_lock(path / "report", f"report of {path}", wait=log):
        discard_partial(path / "report")
        if dataset is None or truth is None:
            loaded = load(data)
            dataset, truth = loaded.dataset, loaded.truth
        if masks is not None:
            declare_masks(path, masks, dataset.split(data.train), truth)
        report = collect(run, dataset, truth)
        write(report)
        if log:
            curves = {stage.name: _curves(stage) for stage in report.summary.stages}
            log_figures(path, config.loggers, curves)
        return report


def collect(run: Run, dataset: Dataset, truth: Truth) -> Report:
    """Collect what a run's report says, without writing anything.

    Raises:
        InputError: No stage of the run is finished.
    """
    path, config = run.path, run.config
    stages = tuple(
        name for name in run.label_stages() if run.finished(name) or run.finished(model_name(name))
    )
    if not stages:
        raise InputError(f"run {path}", "a run with a finished stage", "none", "run it first")
    names = [name for stage in stages for name in (stage, f"{stage}/val")]
    counts = {
        name: of_stage for name in names if (of_stage := read_counts(path, name, dataset.classes))
    }
    result = tuple(name for name in run.preferred_stages() if name in stages)
    skipped = _skipped(path, stages, dataset)
    bad = {item.id for item in skipped}
    return Report(
        run=path,
        config=config,
        stages=tuple(name for name in stages if finished_stage(path, name)),
        result=result,
        summary=summarise(path, config, dataset, stages=stages, result=result, counts=counts),
        counts=counts,
        scores=_scores(path, result, counts),
        dataset=dataset,
        samples=tuple(s for s in dataset.split(config.data.train) if s.id not in bad),
        truth=truth,
        skipped=skipped,
    )


def write(report: Report) -> None:
    """Write the pages of a report."""
    folder = report.page.parent
    write_images_page(
        folder,
        name=report.run.resolve().name,
        stages={name: report.run / name for name in report.stages},
        classes=report.summary.classes,
        samples=report.samples,
        truth=report.truth,
        counts=report.counts,
        workers=report.config.machine.workers,
    )
    write_run_page(folder, report.summary, _gallery(report), report.skipped)


def _curves(stage: StageStats) -> dict[str, float]:
    """Return a stage's figures as points of curves from stage to stage."""
    figures = {key: value for key, value in stage if isinstance(value, int | float)}
    return figures | {f"signals/{k}": v for k, v in stage.signals.items() if v is not None}


def _skipped(path: Path, stages: Sequence[str], dataset: Dataset) -> tuple[Skipped, ...]:
    reasons = {problem.subject: problem.message for problem in dataset.problems if problem.fatal}
    for name in stages:
        for part in (name, f"{name}/quality", f"{name}/val", f"{name}/val/quality"):
            stage = finished_stage(path, part)
            reasons |= stage.skipped if stage else {}
    return tuple(Skipped(identity, reason) for identity, reason in reasons.items())


def _scores(
    path: Path, preferred: Sequence[str], counts: Mapping[str, LabelCounts]
) -> dict[str, float]:
    for name in preferred:
        if name in counts:
            return counts[name].image_mious
        if (table := read_signals(path / name)) is not None:
            return dict(table.groupby("id")["estimate"].mean())
    return {}


def _gallery(report: Report) -> list[GalleryRow]:
    """Return some images from the worst to the best, with their labels at each stage."""
    if not report.stages:
        return []
    folders = {name: report.run / name / "labels" for name in report.stages}
    by_id = {
        sample.id: sample
        for sample in report.samples
        if all((folder / f"{sample.id}.png").exists() for folder in folders.values())
    }
    chosen = choose_for_gallery({id: report.scores.get(id, 1.0) for id in by_id})
    before = stages_before(report.run, SEEDS)
    maps = next((n for n in before[::-1] if (report.run / n / "scores").exists()), None)
    rows = []
    for sample in map(by_id.__getitem__, chosen):
        label_maps = {
            name: read_label_map(folder / f"{sample.id}.png") for name, folder in folders.items()
        }
        if report.truth.covers(sample):
            label_maps["truth"] = report.truth.label_map(sample)
        activation = _activation(report.run / maps, sample) if maps else None
        image = read_image(sample.image, sample.reading)
        rows.append(gallery_row(sample.id, image, sample.boxes, label_maps, activation))
    return rows


def _activation(maps: Path, sample: Sample) -> NDArray[np.float32]:
    """Return the highest of an image's activation maps at each place; 0 if it has none."""
    file = maps / "scores" / f"{sample.id}.npz"
    scores = read_scores(file)[1] if file.exists() else ()
    return np.max(scores, axis=0) if len(scores) else np.zeros((1, 1), np.float32)
