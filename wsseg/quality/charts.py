"""Interactive charts for the pages; colours hold for colour-blind readers, light and dark."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

SERIES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
"""The colours of Okabe and Ito, which differ for all common kinds of colour vision."""

_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_CURVES = {
    "label_miou": "label mIoU, IGNORE counted wrong",
    "label_miou_covered": "label mIoU on covered pixels",
    "val_miou": "validation mIoU",
    "coverage": "coverage",
}


def plotly_script() -> Markup:
    """Return the library that draws the charts, to be embedded once a page.

    Returns:
        JavaScript, about 5 MB.
    """
    return Markup(get_plotlyjs())


def chart(figure: go.Figure, name: str) -> Markup:
    """Return a figure as HTML; the same figure always gives the same text.

    Args:
        figure: What to draw.
        name: Id of its element, distinct on the page.

    Returns:
        A div and its script; the page must hold ``plotly_script`` before it.
    """
    settings = {"displaylogo": False, "displayModeBar": False, "responsive": True}
    drawn = to_html(figure, settings, include_plotlyjs=False, full_html=False, div_id=name)
    return Markup(drawn)


def stage_curves(stages: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return how label and validation figures change from stage to stage.

    Args:
        stages: As in ``summary.json``; shares of 0..1, keys that do not apply absent.

    Returns:
        One line for each figure that any stage has.
    """
    names = [plain(stage["name"]) for stage in stages]
    figure = empty_figure("%")
    for index, (key, title) in enumerate(_CURVES.items()):
        shares = [stage.get(key) for stage in stages]
        if any(share is not None for share in shares):
            figure.add_trace(_line(names, shares, title, index))
    return figure


def stage_bars(stages: Sequence[Mapping[str, Any]], key: str, unit: str) -> go.Figure:
    """Return one bar a stage.

    Args:
        stages: As in ``summary.json``.
        key: Such as "resets"; stages without it are left out.
        unit: Title of the value axis.

    Returns:
        The bars, each with its value.
    """
    shown = [stage for stage in stages if stage.get(key) is not None]
    values = [stage[key] for stage in shown]
    figure = empty_figure(unit)
    bar = go.Bar(x=[plain(stage["name"]) for stage in shown], y=values, text=values, width=0.5)
    bar.update(marker_color=SERIES[0], textposition="outside", cliponaxis=False)
    figure.add_trace(bar.update(texttemplate="%{text:.3~s}", hoverinfo="skip"))
    return figure.update_layout(height=250)


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
            figure.add_trace(_line(stages, shares, plain(name), recipes[name]))
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


def threshold_lines(
    curves: Mapping[str, Mapping[Any, float]], chosen: Sequence[float]
) -> go.Figure:
    """Return the mIoU of label maps straight from activation maps, by threshold.

    Args:
        curves: mIoU, 0..1, by the score of the background, for each stage of maps.
        chosen: Scores that the run used, marked.

    Returns:
        One line a stage.
    """
    figure = empty_figure("mIoU, %").update_layout(height=320)
    figure.update_xaxes(title="score of the background", range=[0, 1])
    figure.update_layout(legend={"y": -0.3})
    for index, (name, curve) in enumerate(curves.items()):
        levels = [float(level) for level in curve]
        line = _line([], list(curve.values()), name, index).update(x=levels)
        figure.add_trace(line)
    for level in dict.fromkeys(chosen):
        mark = {"line_dash": "dot", "line_color": SERIES[3]}
        figure.add_vline(level, annotation_text=f"{level:g}", **mark)
    return figure


def plain(text: str) -> str:
    """Return text that a chart prints as it is, though charts understand some HTML.

    Args:
        text: Such as a class name.

    Returns:
        The text, escaped.
    """
    return html.escape(text, quote=False)


def empty_figure(unit: str) -> go.Figure:
    """Return a figure without anything in it, as all charts begin.

    Args:
        unit: Title of the value axis.

    Returns:
        The figure.
    """
    clear = "rgba(0,0,0,0)"
    layout = {
        "template": "none",
        "height": 360,
        "margin": {"l": 56, "r": 16, "t": 16, "b": 40},
        "paper_bgcolor": clear,
        "plot_bgcolor": clear,
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": -0.16, "x": 0},
        "xaxis": {"showgrid": False, "zeroline": False, "fixedrange": True},
        "yaxis": {"title": unit, "rangemode": "tozero", "zeroline": False, "fixedrange": True},
    }
    return go.Figure(layout=layout)


def _line(
    stages: Sequence[str], shares: Sequence[float | None], title: str, index: int
) -> go.Scatter:
    percent = [None if share is None else 100 * share for share in shares]
    return go.Scatter(
        x=list(stages),
        y=percent,
        name=title,
        mode="lines+markers",
        showlegend=True,
        line={"color": SERIES[index % 6], "dash": _DASHES[index % 4], "width": 2.5},
        marker={"symbol": _SYMBOLS[index % 6], "size": 9},
        hovertemplate="%{y:.1f} %",
    )
