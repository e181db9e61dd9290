"""Runs side by side: weak recipes against the full-supervision upper bound."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePath

from markupsafe import Markup

from wsseg.metrics.bootstrap import ImageOverlaps, Interval
from wsseg.report.charts import SERIES, Chart, category_axis, linear_axis, log_axis
from wsseg.report.comparison import ComparisonRow, Spread, comparison_table, val_quality
from wsseg.report.page import percent, write_page
from wsseg.report.run_charts import share_curves
from wsseg.report.summary import Summary, read_summary

_WIDTH = 860  # pixels of a chart


def compare_runs(paths: Sequence[Path], out: Path | None = None) -> list[str]:
    """Return the lines of a table of runs, weak supervision against the upper bound.

    Args:
        paths: Runs with a report; runs that differ in their seed only are averaged.
        out: Folder for the HTML page; None writes none.

    Raises:
        InputError: A run has no report, or the runs have different classes.
    """
    summaries = {str(path): read_summary(path) for path in paths}
    measured = {str(path): val_quality(path, summaries[str(path)]) for path in paths}
    images = {name: quality.by_image() for name, quality in measured.items() if quality}
    if out is not None:
        write_comparison(out, summaries, images)
    rows = comparison_table(summaries, images)
    width = max(len(row.name) for row in rows)
    covered = ["on covered", "coverage"] if any(row.has_ignore for row in rows) else []
    titles = ["s an image", "first labels", *covered, "last labels", *covered]
    titles += ["val mIoU", "of full", "95 %"]
    lines = [f"{'recipe':<{width}}  runs" + "".join(f"{title:>16}" for title in titles)]
    for row in rows:
        first, last = [row.first_label_miou], [row.last_label_miou]
        if covered:
            first += [row.first_covered, row.first_coverage]
            last += [row.last_covered, row.last_coverage]
        figures = [*first, *last, row.val_miou, row.ratio]
        cells = [_range(row.seconds), *(percent(None) if f is None else str(f) for f in figures)]
        cells.append(ends(row.interval))
        line = f"{row.name:<{width}}  {len(row.runs):>4}"
        lines.append(line + "".join(f"{cell:>16}" for cell in cells))
    return lines


def write_comparison(
    folder: Path,
    summaries: Mapping[str, Summary],
    images: Mapping[str, ImageOverlaps] | None = None,
) -> None:
    """Write ``index.html``: runs side by side, readable offline from disk.

    Args:
        folder: Created if it does not exist.
        summaries: Summaries by run name.
        images: Counts of the validation images by run name, where they are known.

    Raises:
        InputError: No run is given, or runs have different classes.
    """
    rows = comparison_table(summaries, images)
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
        "ends": ends,
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


def _range(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return percent(None)
    least, most = (f"{value:.0f}" for value in seconds)
    return least if least == most else f"{least} to {most}"


def ends(interval: Interval | None) -> str:
    """Return the ends of the interval of a share in percent.

    Example:
        >>> ends(Interval(0.95, 0.9, 0.975))
        '90.0 to 97.5'
    """
    if interval is None:
        return percent(None)
    return f"{percent(interval.low)} to {percent(interval.high)}"
