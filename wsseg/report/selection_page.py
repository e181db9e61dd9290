"""The page of a selection: where the chosen images lie among all, and what they look like."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from wsseg.images import read_image
from wsseg.report.charts import GRAY, SERIES, Axis, Chart
from wsseg.report.page import write_page
from wsseg.stages.selection.projection import project
from wsseg.stages.selection.selecting import Selection

_DRAWN = 5000  # points that are neither chosen nor labelled: more make the page slow
_SIDE = 240  # pixels of a thumbnail
_TITLES = ("first component", "second component")


def write_selection_page(selection: Selection) -> Path:
    """Write ``index.html`` into the folder of a selection; pictures are in the page.

    Args:
        selection: Of ``select_images``.

    Returns:
        The page.
    """
    page = selection.settings.out / "index.html"
    points, explained = project(selection.embeddings)
    content = {
        "count": len(selection.choice.order),
        "subtitle": _subtitle(selection),
        "tiles": _tiles(selection),
        "notes": selection.notes,
        "map": projection_chart(selection, points),
        "explained": explained,
        "hidden": max(0, _others(selection).size - _DRAWN),
        "classes": _classes(selection),
        "any_labelled": bool(selection.candidates.is_labelled.any()),
        "quota": selection.quota,
        "images": [_shown(row) for row in selection.rows()],
        "set_aside": list(selection.set_aside.items()),
    }
    write_page(page, "selection.html.j2", content)
    return page


def projection_chart(selection: Selection, points: NDArray[np.float32]) -> Markup:
    """Return the images as points: all, labelled ones and chosen ones.

    Args:
        selection: Of ``select_images``.
        points: (N, 2).

    Returns:
        The chart; of more than 5000 others a random part is drawn.
    """
    others, chosen = _others(selection), selection.choice.order
    if others.size > _DRAWN:
        random = np.random.default_rng(selection.settings.seed)
        others = np.sort(random.choice(others, _DRAWN, replace=False))
    labelled = np.flatnonzero(selection.candidates.is_labelled)
    # Both components have one scale, as distances are compared by eye.
    centre = (points.max(axis=0) + points.min(axis=0)) / 2
    half = 0.53 * float(np.ptp(points, axis=0).max()) or 1.0
    x, y = (
        Axis(middle - half, middle + half, ticks=(), title=title)
        for middle, title in zip(centre.tolist(), _TITLES, strict=True)
    )
    chart = Chart("map", x, y, height=528, grid="")
    names = _names(selection)
    for title, images, colour, index, more in (
        ("not chosen", others, GRAY, 0, ' opacity="0.55"'),
        ("labelled before", labelled, SERIES[1], 1, ""),
        ("chosen", chosen, SERIES[0], 0, ' stroke="white" stroke-width="0.8"'),
    ):
        if images.size:
            texts = [names[image] for image in images.tolist()]
            places = [(float(at_x), float(at_y)) for at_x, at_y in points[images]]
            chart.scatter(places, texts, title, colour, index=index, more=more)
    return chart.html("projection of the images")


def _names(selection: Selection) -> list[str]:
    """What the chart says of each image: its id, and its rank where it is chosen."""
    names = [sample.id for sample in selection.candidates.samples]
    for rank, image in enumerate(selection.choice.order.tolist(), 1):
        names[image] = f"{rank}. {names[image]}"
    return names


def _others(selection: Selection) -> NDArray[np.intp]:
    """Images that are neither chosen nor labelled."""
    left = ~selection.candidates.is_labelled
    left[selection.choice.order] = False
    return np.flatnonzero(left)


def _subtitle(selection: Selection) -> list[str]:
    settings = selection.settings
    parts = [f"split {settings.split}", f"method {settings.method}"]
    if settings.uncertainty:
        parts.append(f"times {settings.uncertainty} of {settings.run}")
    parts.append(f"quota {selection.quota}" if selection.quota else "no quota")
    return [str(settings.dataset), *parts, f"seed {settings.seed}"]


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
    """One row a class that occurs, the rarest last."""
    found = selection.candidates
    counts = found.shows.sum(axis=0)
    chosen = found.shows[selection.choice.order].sum(axis=0)
    labelled = found.shows[found.is_labelled].sum(axis=0)
    return [
        {
            "name": found.classes[label],
            "images": int(counts[label]),
            "labelled": int(labelled[label]),
            "chosen": int(chosen[label]),
            "short": int(chosen[label] + labelled[label]) < selection.quota,
        }
        for label in np.argsort(-counts, kind="stable").tolist()
        if counts[label]
    ]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    scores = []
    if np.isfinite(row["distance"]):
        scores.append(f"distance {row['distance']:.3f}")
    if "uncertainty" in row:
        scores.append(f"uncertainty {row['uncertainty']:.3f}")
    classes = row["classes"].split(";") if row["classes"] else []
    picture = _thumbnail(Path(row["path"]))
    return {**row, "classes": classes, "scores": scores, "picture": picture}


def _thumbnail(path: Path) -> str:
    """A picture as a text that stands in the page."""
    picture, file = Image.fromarray(read_image(path)), io.BytesIO()
    picture.thumbnail((_SIDE, _SIDE))
    picture.save(file, "jpeg", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
