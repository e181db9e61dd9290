"""Runs side by side: weak recipes against the full-supervision upper bound."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsseg.errors import InputError
from wsseg.report.charts import chart
from wsseg.report.comparison_charts import CostedRecipe, cost_points, recipe_bars, run_curves
from wsseg.report.page import write_page

_NOT_THE_RECIPE = ("seed", "run_dir", "machine", "strict", "loggers")


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds of one recipe.

    Args:
        mean: Arithmetic mean.
        deviation: Sample standard deviation, 0 where there is one run.
        count: Number of runs.
    """

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True)
class ComparisonRow:
    """One recipe: the runs whose settings differ in nothing but the seed.

    Args:
        name: Its runs' names.
        runs: The same, one by one.
        pipeline: Such as "boxes" or "full".
        val_miou: Validation mIoU, 0..1; None where no run has it.
        ratio: ``val_miou`` as a share of the upper bound's mean; None where there is none.
        first_label_miou: Label mIoU of the first stage that has it, IGNORE counted wrong.
        last_label_miou: Label mIoU of the last stage that has it.
        per_class: Mean validation IoU of each class that has one.
        seconds: What annotating an image takes, with boxes by extreme clicks and with drawn ones;
            None where no run says so.
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


def comparison_table(summaries: Mapping[str, Mapping[str, Any]]) -> list[ComparisonRow]:
    """Return one row a recipe, in the order their first runs are given.

    The upper bound is the first recipe whose pipeline is "full".

    Args:
        summaries: ``summary.json`` by run name.

    Returns:
        The rows.

    Raises:
        InputError: No run is given, or runs have different classes.
    """
    _check_classes(summaries)
    recipes = [
        [(name, summaries[name]) for name in names] for names in _by_recipe(summaries).values()
    ]
    bound = _upper_bound(recipes)
    return [_row(runs, bound) for runs in recipes]


def write_comparison(folder: Path, summaries: Mapping[str, Mapping[str, Any]]) -> None:
    """Write ``index.html``: runs side by side, readable offline from disk.

    Args:
        folder: Created where it does not exist.
        summaries: ``summary.json`` by run name.

    Raises:
        InputError: No run is given, or runs have different classes.
    """
    rows = comparison_table(summaries)
    bound = next((row for row in rows if row.pipeline == "full" and row.val_miou), None)
    content = {
        "count": len(summaries),
        "rows": rows,
        "upper_bound": bound.runs[0] if bound else None,
        "bars": _bars(rows),
        "costs": _costs(rows),
        "curves": _curves(summaries, rows),
        "classes": next(iter(summaries.values()))["classes"],
        "measured": [row for row in rows if row.per_class],
    }
    write_page(folder / "index.html", "comparison.html.j2", content)


def _check_classes(summaries: Mapping[str, Mapping[str, Any]]) -> None:
    if not summaries:
        raise InputError("runs to compare", "at least one", "none", "name their folders")
    first = next(iter(summaries))
    for name, summary in summaries.items():
        if summary["classes"] != summaries[first]["classes"]:
            rule = f"on the same classes as run {first}"
            got = ", ".join(summary["classes"])
            raise InputError(f"run {name}", rule, got, "compare runs of one data set")


def _by_recipe(summaries: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    recipes: dict[str, list[str]] = {}
    for name, summary in summaries.items():
        settings = {k: v for k, v in summary["config"].items() if k not in _NOT_THE_RECIPE}
        recipes.setdefault(json.dumps(settings, sort_keys=True), []).append(name)
    return recipes


def _upper_bound(recipes: Iterable[Sequence[tuple[str, Mapping[str, Any]]]]) -> float | None:
    for runs in recipes:
        spread = _spread(summary.get("val_miou") for _, summary in runs)
        if _pipeline(runs) == "full" and spread:
            return spread.mean
    return None


def _row(runs: Sequence[tuple[str, Mapping[str, Any]]], bound: float | None) -> ComparisonRow:
    summaries = [summary for _, summary in runs]
    labels = [_label_mious(summary) for summary in summaries]
    val = [summary.get("val_miou") for summary in summaries]
    return ComparisonRow(
        name=", ".join(name for name, _ in runs),
        runs=tuple(name for name, _ in runs),
        pipeline=_pipeline(runs),
        val_miou=_spread(val),
        ratio=_spread(miou / bound for miou in val if miou is not None) if bound else None,
        first_label_miou=_spread(mious[0] for mious in labels if mious),
        last_label_miou=_spread(mious[-1] for mious in labels if mious),
        per_class=_mean_per_class(summaries),
        seconds=_seconds(summaries),
    )


def _pipeline(runs: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    return str(runs[0][1]["config"].get("pipeline", ""))


def _label_mious(summary: Mapping[str, Any]) -> list[float]:
    """Of the stages in order, up to the one that is the result."""
    mious, result = [], summary.get("result")
    for stage in summary["stages"]:
        mious.append(stage.get("label_miou"))
        if stage["name"] == result:
            break
    return [miou for miou in mious if miou is not None]


def _seconds(summaries: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    known = [s["annotation_seconds"] for s in summaries if s.get("annotation_seconds")]
    return (known[0][0], known[0][1]) if known else None


def _mean_per_class(summaries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    means = {}
    for name in summaries[0]["classes"]:
        spread = _spread((summary.get("val_per_class") or {}).get(name) for summary in summaries)
        if spread:
            means[name] = spread.mean
    return means


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return Spread(statistics.fmean(known), deviation, len(known))


def _bars(rows: Sequence[ComparisonRow]) -> Any:
    known = [(row.name, row.val_miou) for row in rows if row.val_miou]
    if not known:
        return None
    names, spreads = [name for name, _ in known], [spread for _, spread in known]
    means, deviations = [s.mean for s in spreads], [s.deviation for s in spreads]
    return chart(recipe_bars(names, means, deviations), "recipes")


def _costs(rows: Sequence[ComparisonRow]) -> Any:
    known = [
        CostedRecipe(row.name, row.seconds, row.val_miou.mean, row.val_miou.deviation)
        for row in rows
        if row.seconds and row.seconds[0] > 0 and row.val_miou
    ]
    return chart(cost_points(known), "costs") if known else None


def _curves(summaries: Mapping[str, Mapping[str, Any]], rows: Sequence[ComparisonRow]) -> Any:
    recipes = {name: number for number, row in enumerate(rows) for name in row.runs}
    figure = run_curves(summaries, recipes)
    return chart(figure, "curves") if figure.data else None
