"""What a few masks were worth: the last stage beside what there was before it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from wsseg.data.classes import has_full_mask
from wsseg.data.model import Classes, Dataset
from wsseg.report.charts import SERIES, chart, empty_figure
from wsseg.runs.config import Config
from wsseg.runs.history import last_model
from wsseg.runs.stage import finished_stage
from wsseg.stages.measure import read_counts


def mask_figures(run: Path, config: Config, dataset: Dataset) -> dict[str, Any]:
    """Return what a run's masks were worth, for its summary.

    Args:
        run: The run's folder.
        config: Its settings.
        dataset: With the masks that were given.

    Returns:
        "masks" with "method", "images", "val_miou" of the networks "base" (weak labels alone),
        "masks-only" and "finetuned" that there are, "reliability", "calibration_error",
        "thresholds" by class and "collapsed" that apply; empty where the run used no masks.
    """
    if not (finished_stage(run, "masks") or finished_stage(run, "calibration")):
        return {}
    calibration = finished_stage(run, "calibration")
    found = {
        "method": config.finetune.method,
        "images": sum(map(has_full_mask, dataset.split(config.data.train))),
        "val_miou": _val_figures(run, config, dataset.classes),
        "collapsed": finished_stage(run, "finetuned/model").get("collapsed"),
    }
    if calibration:
        found["thresholds"] = dict(zip(dataset.classes, calibration["thresholds"], strict=True))
        measured = {"reliability", "calibration_error"} & set(calibration)
        found |= {key: calibration[key] for key in measured}
    return {"masks": found}


def mask_content(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says of masks.

    Args:
        summary: ``summary.json``.

    Returns:
        "masks", None where the run used none.
    """
    found = summary.get("masks")
    if not found:
        return {"masks": None}
    worth = found["val_miou"]
    rows = [
        {"title": title, "miou": worth[name], "gain": _gain(worth, name)}
        for name, title in _TITLES.items()
        if worth.get(name) is not None
    ]
    drawn = reliability_bars(found["reliability"]) if found.get("reliability") else None
    refused = [name for name, least in found.get("thresholds", {}).items() if least is None]
    return {
        "masks": {
            **found,
            "rows": rows,
            "diagram": chart(drawn, "reliability") if drawn else None,
            "refused": refused,
            "thresholds": found.get("thresholds", {}),
        }
    }


def reliability_bars(bars: Sequence[Mapping[str, float]]) -> go.Figure:
    """Return how often labels are right, by how sure the network is of them.

    Args:
        bars: Of ``Calibration.reliability``.

    Returns:
        One bar for each range of confidence, and the diagonal of a network that knows how sure it
        may be.

    References:
        Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599.
    """
    figure = empty_figure("right, %").update_layout(height=320, hovermode="closest")
    figure.update_xaxes(title="confidence, %", range=[0, 100], tickmode="linear", dtick=20)
    figure.update_yaxes(range=[0, 112], tickvals=[0, 20, 40, 60, 80, 100])
    bar = go.Bar(
        x=[100 * bar["confidence"] for bar in bars],
        y=[100 * bar["accuracy"] for bar in bars],
        text=[f"{100 * bar['share']:.1f} %" for bar in bars],
        width=8,
        marker_color=SERIES[0],
        name="labels where there are masks, with their share of all",
        textposition="outside",
        textangle=0,
        textfont={"size": 10},
        cliponaxis=False,
        hovertemplate="%{x:.1f} % sure: %{y:.1f} % right<extra></extra>",
    )
    line = {"color": SERIES[1], "dash": "dot"}
    diagonal = go.Scatter(x=[0, 100], y=[0, 100], mode="lines", line=line, name="calibrated")
    return figure.add_traces([bar, diagonal]).update_layout(legend={"y": -0.3})


_TITLES = {
    "base": "weak labels alone (the base)",
    "masks-only": "the masks alone",
    "finetuned": "both",
}


def _gain(worth: Mapping[str, float | None], name: str) -> float | None:
    before, after = worth.get("base"), worth.get(name)
    return None if name == "base" or before is None or after is None else after - before


def _val_figures(run: Path, config: Config, classes: Classes) -> dict[str, float | None]:
    found = {name: _miou(run, name, classes) for name in ("masks-only", "finetuned")}
    base = config.finetune.base
    if base is None:
        return found
    return {"base": _miou(base, str(Path(last_model(base)).parent), classes), **found}


def _miou(run: Path, name: str, classes: Classes) -> float | None:
    measured = read_counts(run, f"{name}/val", classes)
    return measured.quality.miou if measured else None
