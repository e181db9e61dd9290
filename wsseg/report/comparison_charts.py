"""Charts of several runs side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import plotly.graph_objects as go

from wsseg.report.charts import SERIES, empty_figure, plain, share_line

_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def run_curves(summaries: Mapping[str, Mapping[str, Any]], recipes: Mapping[str, int]) -> go.Figure:
    """Return the label mIoU of several runs over their stages.

    Args:
        summaries: ``summary.json`` by run name.
        recipes: Number of each run's recipe; runs of one recipe share a colour.

    Returns:
        One line a run whose labels were measured.
    """
    figure = empty_figure("%")
    for name, summary in summaries.items():
        measured = [stage for stage in summary["stages"] if stage.get("label_miou") is not None]
        stages = [plain(stage["name"]) for stage in measured]
        shares = [stage["label_miou"] for stage in measured]
        if len(measured) > 1:
            figure.add_trace(share_line(stages, shares, plain(name), recipes[name]))
    return figure


def recipe_bars(names: Sequence[str], shares: Sequence[float], spreads: Sequence[float]) -> Any:
    """Return the validation mIoU of recipes, with their spread over seeds.

    Args:
        names: One a recipe.
        shares: Mean mIoU of each, 0..1.
        spreads: Standard deviation of each, 0 where there is one run.

    Returns:
        Horizontal bars in the order given, the first on top.
    """
    figure = empty_figure("").update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_xaxes(title="validation mIoU, %", range=[0, 100], showgrid=True)
    error = {"array": [100 * spread for spread in spreads], "color": SERIES[1], "width": 0}
    bar = go.Bar(x=[100 * share for share in shares], orientation="h", error_x=error, width=0.55)
    bar.update(y=[plain(name) for name in names], hovertemplate="%{y}: %{x:.1f} %<extra></extra>")
    figure.add_trace(bar.update(marker_color=SERIES[0]))
    return figure.update_layout(height=110 + 46 * len(names), hovermode="closest")


@dataclass(frozen=True)
class CostedRecipe:
    """What a recipe costs and gives.

    Args:
        name: Its runs' names.
        seconds: Annotation of an image, least and most.
        share: Mean validation mIoU, 0..1.
        deviation: Its standard deviation over seeds, 0 where there is one run.
    """

    name: str
    seconds: tuple[float, float]
    share: float
    deviation: float


def cost_points(recipes: Sequence[CostedRecipe]) -> go.Figure:
    """Return what each recipe reaches against how long its annotations take.

    Args:
        recipes: At least one, of more than 0 seconds. Those that no cheaper one beats are named
            and joined by a line.

    Returns:
        One point a recipe, with ranges where boxes may be drawn or clicked; seconds on a
        logarithmic axis.
    """
    figure = empty_figure("validation mIoU, %").update_layout(height=440, hovermode="closest")
    figure.update_xaxes(type="log", title="seconds of annotation an image", showgrid=True)
    figure.update_xaxes(tickvals=_TICKS, ticktext=[str(tick) for tick in _TICKS])
    figure.update_yaxes(rangemode="normal")
    best = _unbeaten(recipes)
    front = go.Scatter(
        x=[_middle(r.seconds) for r in best],
        y=[100 * r.share for r in best],
        mode="lines",
        line={"color": SERIES[1], "width": 2, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    for recipe in best:
        name = plain(PurePath(recipe.name.split(",")[0]).name)
        place = {"x": math.log10(_middle(recipe.seconds)), "y": 100 * recipe.share}
        figure.add_annotation(text=name, **place, showarrow=False, yshift=15)
    return figure.add_traces([front, _cost_markers(recipes)])


def _cost_markers(recipes: Sequence[CostedRecipe]) -> go.Scatter:
    middles = [_middle(r.seconds) for r in recipes]
    more = [r.seconds[1] - x for r, x in zip(recipes, middles, strict=True)]
    less = [x - r.seconds[0] for r, x in zip(recipes, middles, strict=True)]
    thin = {"thickness": 1, "width": 0, "color": SERIES[0]}
    return go.Scatter(
        x=middles,
        y=[100 * r.share for r in recipes],
        error_x={"type": "data", "symmetric": False, "array": more, "arrayminus": less, **thin},
        error_y={"type": "data", "array": [100 * r.deviation for r in recipes], **thin},
        text=[plain(r.name) for r in recipes],
        mode="markers",
        marker={"color": SERIES[0], "size": 9},
        hovertemplate="%{text}<br>%{x:.0f} s an image: %{y:.1f} %<extra></extra>",
        showlegend=False,
    )


def _middle(seconds: tuple[float, float]) -> float:
    """Geometric, as the axis is logarithmic."""
    return math.sqrt(seconds[0] * seconds[1])


def _unbeaten(recipes: Sequence[CostedRecipe]) -> list[CostedRecipe]:
    found: list[CostedRecipe] = []
    for recipe in sorted(recipes, key=lambda r: (_middle(r.seconds), -r.share)):
        if not found or recipe.share > found[-1].share:
            found.append(recipe)
    return found
