"""Rows of a comparison of runs: recipes, averaged over seeds, against full supervision."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.metrics.bootstrap import ImageOverlaps, Interval, miou_ratio
from wsseg.metrics.segmentation import SegmentationQuality
from wsseg.report.page import percent
from wsseg.report.summary import StageStats, Summary
from wsseg.runs.names import val_name
from wsseg.stages.measure import read_counts

_NOT_THE_RECIPE = ("seed", "run_dir", "machine", "strict", "loggers")
_COVERED = 0.9995  # coverage that is shown as 100 %


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of a figure over runs; 0 for one run."""

    mean: float
    deviation: float
    count: int

    def __str__(self) -> str:
        """Percent, with the deviation if there are several runs."""
        more = f" ± {percent(self.deviation)}" if self.count > 1 else ""
        return f"{percent(self.mean)}{more}"


@dataclass(frozen=True)
class ComparisonRow:
    """One recipe: the runs whose settings differ in nothing but the seed.

    Attributes:
        name: Names of its runs, joined.
        runs: Names of its runs, one by one.
        pipeline: Name of the pipeline, such as "full".
        val_miou: Validation mIoU, 0..1; None if no run has it.
        ratio: ``val_miou`` as a share of the upper bound's mean; None if there is none.
        interval: ``ratio`` with its paired bootstrap interval over images; None if a run lacks
            its counts or was measured on other images.
        first_label_miou: Label mIoU of the first measured stage, IGNORE counted as wrong.
        last_label_miou: Label mIoU of the last measured stage up to the result.
        first_covered: Label mIoU of the first measured stage on the pixels that are not IGNORE.
        first_coverage: Share of its pixels that are not IGNORE.
        last_covered: As ``first_covered``, of the last measured stage up to the result.
        last_coverage: Its share of the pixels.
        per_class: Mean validation IoU of each class that has one.
        seconds: Annotation time of an image, with boxes by extreme clicks and with drawn ones;
            None if no run has it.
    """

    name: str
    runs: tuple[str, ...]
    pipeline: str
    val_miou: Spread | None
    ratio: Spread | None
    first_label_miou: Spread | None
    last_label_miou: Spread | None
    per_class: dict[str, float]
    seconds: tuple[float, float] | None = None
    first_covered: Spread | None = None
    first_coverage: Spread | None = None
    last_covered: Spread | None = None
    last_coverage: Spread | None = None
    interval: Interval | None = None

    @property
    def has_ignore(self) -> bool:
        """True if some pixels of the labels are IGNORE, which counts as wrong in label mIoU."""
        shares = (self.first_coverage, self.last_coverage)
        return any(share is not None and share.mean < _COVERED for share in shares)

    @property
    def mean_seconds(self) -> float:
        """Geometric mean of ``seconds``, as its axis is logarithmic; 0 if unknown."""
        return math.sqrt(self.seconds[0] * self.seconds[1]) if self.seconds else 0.0


def val_quality(run: Path, summary: Summary) -> SegmentationQuality | None:
    """Return the figures of a run's result on its validation images, with counts by image.

    Returns:
        The figures; None if its files are no longer there, or nothing was measured.
    """
    if summary.result is None:
        return None
    counts = read_counts(run, val_name(summary.result), Classes(tuple(summary.classes)))
    return counts.quality if counts else None


def comparison_table(
    summaries: Mapping[str, Summary], images: Mapping[str, ImageOverlaps] | None = None
) -> list[ComparisonRow]:
    """Return one row a recipe, in the order of their first runs.

    The upper bound is the first recipe whose pipeline is "full".

    Args:
        summaries: Summaries by run name.
        images: Counts of the validation images by run name, where they are known.

    Raises:
        InputError: No run is given, or runs have different classes.
    """
    if not summaries:
        raise InputError("runs to compare", "at least one", "none", "name their folders")
    check_same_classes(summaries)
    recipes: dict[str, list[str]] = {}
    for name, summary in summaries.items():
        settings = {k: v for k, v in summary.config.items() if k not in _NOT_THE_RECIPE}
        recipes.setdefault(json.dumps(settings, sort_keys=True), []).append(name)
    groups = [{name: summaries[name] for name in names} for names in recipes.values()]
    full = [runs for runs in groups if next(iter(runs.values())).config.get("pipeline") == "full"]
    bounds = ((_spread(s.val_miou for s in runs.values()), [*runs]) for runs in full)
    bound, names = next((pair for pair in bounds if pair[0] and pair[0].mean), (None, []))
    images = images or {}
    mean = bound.mean if bound else None
    return [
        replace(_row(runs, mean), interval=_interval(images, [*runs], names)) for runs in groups
    ]


def check_same_classes(summaries: Mapping[str, Summary]) -> None:
    """Raise an ``InputError`` if runs have different classes."""
    first = next(iter(summaries))
    for name, summary in summaries.items():
        if summary.classes != summaries[first].classes:
            rule, got = f"on the same classes as run {first}", ", ".join(summary.classes)
            raise InputError(f"run {name}", rule, got, "compare runs of one data set")


def _row(runs: Mapping[str, Summary], bound: float | None) -> ComparisonRow:
    summaries = [*runs.values()]
    measured = [stages for summary in summaries if (stages := _label_stages(summary))]
    first, last = [stages[0] for stages in measured], [stages[-1] for stages in measured]
    val = [summary.val_miou for summary in summaries]
    per_class = {
        name: _spread(summary.val_per_class.get(name) for summary in summaries)
        for name in summaries[0].classes
    }
    return ComparisonRow(
        name=", ".join(runs),
        runs=tuple(runs),
        pipeline=str(summaries[0].config.get("pipeline", "")),
        val_miou=_spread(val),
        ratio=_spread(miou / bound for miou in val if miou is not None) if bound else None,
        first_label_miou=_spread(stage.label_miou for stage in first),
        last_label_miou=_spread(stage.label_miou for stage in last),
        first_covered=_spread(stage.label_miou_covered for stage in first),
        first_coverage=_spread(stage.coverage for stage in first),
        last_covered=_spread(stage.label_miou_covered for stage in last),
        last_coverage=_spread(stage.coverage for stage in last),
        per_class={name: spread.mean for name, spread in per_class.items() if spread},
        seconds=next((s.annotation_seconds for s in summaries if s.annotation_seconds), None),
    )


def _interval(
    images: Mapping[str, ImageOverlaps], runs: Sequence[str], bound: Sequence[str]
) -> Interval | None:
    known = [images[name] for name in (*runs, *bound) if name in images]
    if len(known) < len(runs) + len(bound) or not bound or len({one.ids for one in known}) > 1:
        return None
    return miou_ratio(known[: len(runs)], known[len(runs) :])


def _label_stages(summary: Summary) -> list[StageStats]:
    """Return the stages whose labels were measured, in order, up to the one that is the result."""
    stages = []
    for stage in summary.stages:
        if stage.label_miou is not None:
            stages.append(stage)
        if stage.name == summary.result:
            break
    return stages


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return Spread(statistics.fmean(known), deviation, len(known))
