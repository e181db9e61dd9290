"""The page of a selection: the chosen images, and where they lie among all images."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image

from wsseg.images import read_image
from wsseg.report.charts import SERIES, chart, empty_figure, plain
from wsseg.report.page import write_page
from wsseg.stages.selection.choosing import project
from wsseg.stages.selection.selecting import SelectedImage, Selection

_MAX_POINTS = 5000  # images that are neither chosen nor labelled; more make the page slow
_SIDE = 240  # pixels of a thumbnail


def write_selection_page(selection: Selection) -> Path:
    """Write ``index.html`` into the folder of a selection; thumbnails are embedded in the page.

    Returns:
        Path of the page.
    """
    page = selection.params.out / "index.html"
    points, explained = project(selection.embeddings)
    content = {
        "count": len(selection.choice.order),
        "subtitle": _subtitle(selection),
        "tiles": _tiles(selection),
        "notes": selection.notes,
        "map": chart(projection_figure(selection, points), "map"),
        "explained": explained,
        "hidden": max(0, _others(selection).size - _MAX_POINTS),
        "classes": _classes(selection),
        "any_labelled": bool(selection.candidates.is_labelled.any()),
        "quota": selection.quota,
        "images": [_entry(image) for image in selection.images()],
        "skipped": list(selection.skipped.items()),
    }
    write_page(page, "selection.html.j2", content)
    return page


def projection_figure(selection: Selection, points: NDArray[np.float32]) -> go.Figure:
    """Return a scatter plot of all images, with the labelled and the chosen ones highlighted.

    Of more than 5000 other images a random part is drawn.

    Args:
        points: (N, 2) positions of the images.
    """
    figure = empty_figure("second component").update_layout(height=560, hovermode="closest")
    figure.update_xaxes(title="first component", showgrid=True)
    figure.update_yaxes(rangemode="normal", scaleanchor="x")
    others, chosen = _others(selection), selection.choice.order
    if others.size > _MAX_POINTS:
        random = np.random.default_rng(selection.params.seed)
        others = np.sort(random.choice(others, _MAX_POINTS, replace=False))
    labelled = np.flatnonzero(selection.candidates.is_labelled)
    groups = {
        "not chosen": (others, {"color": "#8a929b", "size": 6, "opacity": 0.55}),
        "labelled before": (labelled, {"color": SERIES[1], "size": 9, "symbol": "square"}),
        "chosen": (
            chosen,
            {"color": SERIES[0], "size": 10, "line": {"color": "white", "width": 1}},
        ),
    }
    names = _names(selection)
    for title, (images, marker) in groups.items():
        x, y = points[images].astype(float).round(4).T.tolist()
        texts = [names[image] for image in images.tolist()]
        shown = {"mode": "markers", "hovertemplate": "%{text}<extra></extra>", "showlegend": True}
        if images.size:
            figure.add_trace(go.Scatter(x=x, y=y, text=texts, name=title, marker=marker, **shown))
    return figure


def _names(selection: Selection) -> list[str]:
    """Return the label of each image: its id, preceded by its rank if it is chosen."""
    names = [plain(sample.id) for sample in selection.candidates.samples]
    for rank, image in enumerate(selection.choice.order.tolist(), 1):
        names[image] = f"{rank}. {names[image]}"
    return names


def _others(selection: Selection) -> NDArray[np.intp]:
    """Return the images that are neither chosen nor labelled."""
    is_other = ~selection.candidates.is_labelled
    is_other[selection.choice.order] = False
    return np.flatnonzero(is_other)


def _subtitle(selection: Selection) -> list[str]:
    params = selection.params
    parts = [f"split {params.split}", f"method {params.used_method}"]
    if params.uncertainty:
        parts.append(f"times {params.uncertainty} of {params.run}")
    parts.append(f"quota {selection.quota}" if selection.quota else "no quota")
    return [str(params.dataset), *parts, f"seed {params.seed}"]


def _tiles(selection: Selection) -> list[dict[str, str]]:
    covered, blind = selection.covered, selection.at_random
    occurring = int(selection.candidates.shows.any(axis=0).sum())
    tiles = [
        (f"{len(selection.choice.order)}", f"of {len(selection.candidates.samples)} images"),
        (f"{covered.classes:.0f} of {occurring}", f"classes; at random {blind.classes:.1f}"),
        (f"{covered.largest:.3f}", f"largest distance; at random {blind.largest:.3f}"),
        (f"{covered.mean:.3f}", f"mean distance; at random {blind.mean:.3f}"),
    ]
    shown = tiles if occurring else [tiles[0], *tiles[2:]]
    return [{"value": value, "title": title} for value, title in shown]


def _classes(selection: Selection) -> list[dict[str, Any]]:
    """Return a row per class that occurs, the rarest last."""
    candidates = selection.candidates
    counts = candidates.shows.sum(axis=0)
    chosen = candidates.shows[selection.choice.order].sum(axis=0)
    labelled = candidates.shows[candidates.is_labelled].sum(axis=0)
    return [
        {
            "name": candidates.classes[label],
            "images": int(counts[label]),
            "labelled": int(labelled[label]),
            "chosen": int(chosen[label]),
            "short": int(chosen[label] + labelled[label]) < selection.quota,
        }
        for label in np.argsort(-counts, kind="stable").tolist()
        if counts[label]
    ]


def _entry(image: SelectedImage) -> dict[str, Any]:
    scores = []
    if np.isfinite(image.distance):
        scores.append(f"distance {image.distance:.3f}")
    if image.uncertainty is not None:
        scores.append(f"uncertainty {image.uncertainty:.3f}")
    thumbnail = Image.fromarray(read_image(image.path))
    thumbnail.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    thumbnail.save(file, "jpeg", quality=82)
    source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    names = {"rank": image.rank, "id": image.id, "classes": image.classes}
    return {**names, "scores": scores, "thumbnail": source}
