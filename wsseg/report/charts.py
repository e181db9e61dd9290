"""Interactive charts for the pages; colours hold for colour-blind readers, light and dark."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from markupsafe import Markup
from plotly.io import to_html
from plotly.offline import get_plotlyjs

SERIES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
"""The colours of Okabe and Ito, which differ for all common kinds of colour vision."""

_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star")
_CURVES = {
    "label_miou": "label mIoU, IGNORE counted wrong",
    "label_miou_covered": "label mIoU on covered pixels",
    "val_miou": "validation mIoU",
    "coverage": "coverage",
}
_SIGNALS = ("agreement", "kept", "confidence", "churn", "fill", "touched", "resets", "ignored")


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
            figure.add_trace(share_line(names, shares, title, index))
    return figure


def signal_curves(stages: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Return how signals change from stage to stage.

    Args:
        stages: As in ``summary.json``, "signals" of those that were inspected.

    Returns:
        One line for each of those that tell most.
    """
    shown = [stage for stage in stages if stage.get("signals")]
    names = [plain(stage["name"]) for stage in shown]
    figure = empty_figure("%")
    for index, key in enumerate(_SIGNALS):
        shares = [stage["signals"].get(key) for stage in shown]
        if any(shares):
            figure.add_trace(share_line(names, shares, key, index))
    return figure


def confusion_map(shares: Sequence[Sequence[float | None]], classes: Sequence[str]) -> go.Figure:
    """Return which classes are taken for which.

    Args:
        shares: K rows of true classes with K + 1 percentages, the last of pixels without a label.
        classes: K names.

    Returns:
        A heat map; each cell says its share where there are few enough to read.
    """
    names = [plain(name) for name in classes]
    height = 130 + max(14, min(30, 900 // len(names))) * len(names)
    figure = empty_figure("true class").update_layout(height=height, hovermode="closest")
    side = {"type": "category", "automargin": True, "showgrid": False}
    figure.update_yaxes(autorange="reversed", **side)
    figure.update_xaxes(title="labelled as", tickangle=-40, **side)
    return figure.add_trace(
        go.Heatmap(
            z=list(shares),
            x=[*names, "no label"],
            y=names,
            zmin=0,
            zmax=100,
            colorscale=[[0, "rgba(0,114,178,0)"], [0.1, "rgba(0,114,178,0.35)"], [1, SERIES[0]]],
            showscale=False,
            text=[["" if s is None or s < 0.5 else f"{s:.0f}" for s in row] for row in shares],
            texttemplate="%{text}" if len(names) <= 24 else "",
            hovertemplate="%{y} labelled as %{x}: %{z:.2f} %<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )


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
        line = share_line([], list(curve.values()), name, index).update(x=levels)
        figure.add_trace(line)
    for level in dict.fromkeys(chosen):
        mark = {"line_dash": "dot", "line_color": SERIES[3]}
        figure.add_vline(level, annotation_text=f"{level:g}", **mark)
    return figure


def kept_lines(kept: Sequence[Sequence[float]]) -> go.Figure:
    """Return what is left of predictions at each threshold of confidence, and how right it is.

    Args:
        kept: Of ``Calibration.kept``.

    Returns:
        Two lines.
    """
    figure = empty_figure("%").update_layout(height=280, legend={"y": -0.35})
    figure.update_xaxes(title="least confidence, %")
    levels = [100 * row[0] for row in kept]
    for index, title in enumerate(("pixels that are so sure", "of these, right"), 1):
        line = share_line([], [row[index] for row in kept], title, index - 1)
        figure.add_trace(line.update(x=levels, mode="lines"))
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
    """Return a figure in the style of the pages, without data.

    Args:
        unit: Title of the value axis.

    Returns:
        Readable on light and dark pages.
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


def share_line(
    stages: Sequence[str], shares: Sequence[float | None], title: str, index: int
) -> go.Scatter:
    """Return a line of shares.

    Args:
        stages: Place of each.
        shares: 0..1, None where there is none.
        title: Of the line.
        index: Its number on the chart, which gives its colour, dashes and symbols.

    Returns:
        The line, in percent.
    """
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
