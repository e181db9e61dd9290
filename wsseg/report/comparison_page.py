"""Runs side by side: weak recipes against the full-supervision upper bound."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath

from markupsafe import Markup

from wsseg.errors import InputError
from wsseg.report.charts import SERIES, Chart, category_axis, linear_axis, log_axis
from wsseg.report.page import percent, write_page
from wsseg.report.run_charts import share_curves
from wsseg.report.summary import StageStats, Summary, read_summary

_NOT_THE_RECIPE = ("seed", "run_dir", "machine", "strict", "loggers")
_WIDTH = 860  # pixels of a chart
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

    @property
    def has_ignore(self) -> bool:
        """True if some pixels of the labels are IGNORE, which counts as wrong in label mIoU."""
        shares = (self.first_coverage, self.last_coverage)
        return any(share is not None and share.mean < _COVERED for share in shares)

    @property
    def mean_seconds(self) -> float:
        """Geometric mean of ``seconds``, as its axis is logarithmic; 0 if unknown."""
        return math.sqrt(self.seconds[0] * self.seconds[1]) if self.seconds else 0.0


def compare_runs(paths: Sequence[Path], out: Path | None = None) -> list[str]:
    """Return the lines of a table of runs, weak supervision against the upper bound.

    Args:
        paths: Runs with a report; runs that differ in their seed only are averaged.
        out: Folder for the HTML page; None writes none.

    Raises:
        InputError: A run has no report, or the runs have different classes.
    """
    summaries = {str(path): read_summary(path) for path in paths}
    if out is not None:
        write_comparison(out, summaries)
    rows = comparison_table(summaries)
    width = max(len(row.name) for row in rows)
    covered = ["on covered", "coverage"] if any(row.has_ignore for row in rows) else []
    titles = ["s an image", "first labels", *covered, "last labels", *covered]
    titles += ["val mIoU", "of full"]
    lines = [f"{'recipe':<{width}}  runs" + "".join(f"{title:>14}" for title in titles)]
    for row in rows:
        first, last = [row.first_label_miou], [row.last_label_miou]
        if covered:
            first += [row.first_covered, row.first_coverage]
            last += [row.last_covered, row.last_coverage]
        figures = [*first, *last, row.val_miou, row.ratio]
        cells = [_range(row.seconds), *(percent(None) if f is None else str(f) for f in figures)]
        line = f"{row.name:<{width}}  {len(row.runs):>4}"
        lines.append(line + "".join(f"{cell:>14}" for cell in cells))
    return lines


def comparison_table(summaries: Mapping[str, Summary]) -> list[ComparisonRow]:
    """Return one row a recipe, in the order of their first runs.

    The upper bound is the first recipe whose pipeline is "full".

    Args:
        summaries: Summaries by run name.

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
    bounds = (_spread(summary.val_miou for summary in runs.values()) for runs in full)
    bound = next((spread.mean for spread in bounds if spread), None)
    return [_row(runs, bound) for runs in groups]


def check_same_classes(summaries: Mapping[str, Summary]) -> None:
    """Raise an ``InputError`` if runs have different classes."""
    first = next(iter(summaries))
    for name, summary in summaries.items():
        if summary.classes != summaries[first].classes:
            rule, got = f"on the same classes as run {first}", ", ".join(summary.classes)
            raise InputError(f"run {name}", rule, got, "compare runs of one data set")


def write_comparison(folder: Path, summaries: Mapping[str, Summary]) -> None:
    """Write ``index.html``: runs side by side, readable offline from disk.

    Args:
        folder: Created if it does not exist.
        summaries: Summaries by run name.

    Raises:
        InputError: No run is given, or runs have different classes.
    """
    rows = comparison_table(summaries)
    bound = next((row for row in rows if row.pipeline == "full" and row.val_miou), None)
    recipes = {name: number for number, row in enumerate(rows) for name in row.runs}
    content = {
        "count": len(summaries),
        "rows": rows,
        "upper_bound": bound.runs[0] if bound else None,
        "bars": recipe_bars(rows),
        "costs": cost_points(rows),
        "curves": run_curves(summaries, recipes),
        "classes": next(iter(summaries.values())).classes,
        "measured": [row for row in rows if row.per_class],
        "has_ignore": any(row.has_ignore for row in rows),
        "range": _range,
    }
    write_page(folder / "index.html", "comparison.html.j2", content)


def run_curves(summaries: Mapping[str, Summary], recipes: Mapping[str, int]) -> Markup | None:
    """Return the label mIoU of several runs over their stages.

    Args:
        summaries: Summaries by run name.
        recipes: Number of each run's recipe; runs of one recipe share a colour.

    Returns:
        One line for each run with several measured stages; None if there is none.
    """
    mious = {
        name: {s.name: s.label_miou for s in summary.stages if s.label_miou is not None}
        for name, summary in summaries.items()
    }
    curves = {name: stages for name, stages in mious.items() if len(stages) > 1}
    places = [*dict.fromkeys(stage for stages in curves.values() for stage in stages)]
    rows = {name: [stages.get(place) for place in places] for name, stages in curves.items()}
    return share_curves("curves", places, rows, _WIDTH, recipes)


def recipe_bars(rows: Sequence[ComparisonRow]) -> Markup | None:
    """Return the validation mIoU of recipes, with their spread over seeds, the first on top."""
    known = [(row.name, row.val_miou) for row in rows if row.val_miou]
    if not known:
        return None
    x = linear_axis([0, 100], "validation mIoU, %")
    y = category_axis([name for name, _ in known])
    size = {"width": _WIDTH, "height": 34 * len(known)}
    chart = Chart("recipes", x, y, grid="x", is_downward=True, **size)
    for number, (name, spread) in enumerate(known):
        mean, deviation = 100 * spread.mean, 100 * spread.deviation
        chart.bar((0, number - 0.3), (mean, number + 0.3), f"{name}: {spread} %")
        if deviation:
            ends = (max(0, mean - deviation), number), (min(100, mean + deviation), number)
            chart.rule(*ends, SERIES[1], width=3)
    return chart.html("validation mIoU of the recipes")


def cost_points(rows: Sequence[ComparisonRow]) -> Markup | None:
    """Return the validation mIoU of recipes against their annotation time, on a log axis.

    Recipes that no cheaper one beats are named and joined by a line; ranges show boxes that are
    clicked or drawn, and the spread over seeds.
    """
    known = [(row, row.val_miou) for row in rows if row.mean_seconds > 0 and row.val_miou]
    if not known:
        return None
    times = [time for row, _ in known for time in (row.seconds or ())]
    values = [100 * (s.mean + sign * s.deviation) for _, s in known for sign in (-1, 1)]
    y = linear_axis(values, "validation mIoU, %", from_zero=False)
    x = log_axis(times, "seconds of annotation per image")
    chart = Chart("costs", x, y, width=_WIDTH, height=340, grid="xy")
    best: list[tuple[ComparisonRow, Spread]] = []
    for row, spread in sorted(known, key=lambda pair: (pair[0].mean_seconds, -pair[1].mean)):
        if not best or spread.mean > best[-1][1].mean:
            best.append((row, spread))
    places = [(row.mean_seconds, 100 * spread.mean) for row, spread in best]
    for start, end in pairwise(places):
        chart.rule(start, end, SERIES[1], dashes="2 3", width=2)
    for row, spread in known:
        at, mean, deviation = row.mean_seconds, 100 * spread.mean, 100 * spread.deviation
        least, most = row.seconds or (at, at)
        chart.rule((least, mean), (most, mean), SERIES[0], width=1)
        chart.rule((at, mean - deviation), (at, mean + deviation), SERIES[0], width=1)
        text = f"{row.name}: {_range(row.seconds)} s per image, {spread} %"
        chart.marker((at, mean), text, SERIES[0])
    for row, spread in best:
        name = PurePath(row.name.split(",")[0]).name
        place = (row.mean_seconds, 100 * spread.mean)
        chart.text(place, name, dx=-7, dy=-5, anchor="end")
    return chart.html("validation mIoU against annotation time")


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


def _range(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return percent(None)
    least, most = (f"{value:.0f}" for value in seconds)
    return least if least == most else f"{least} to {most}"
