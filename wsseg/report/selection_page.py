"""The page of a selection: the chosen images, and where they lie among all images."""

from pathlib import Path

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from wsseg.images import read_image
from wsseg.report.charts import GRAY, SERIES, Axis, Chart
from wsseg.report.page import write_page
from wsseg.report.pictures import encode_image
from wsseg.stages.selection.choosing import project
from wsseg.stages.selection.selecting import SelectedImage, Selection

_MAX_POINTS = 5000  # images that are neither chosen nor labelled; more make the page slow
_SIDE = 240  # pixels of a thumbnail
_TITLES = ("first component", "second component")


def write_selection_page(selection: Selection) -> Path:
    """Write ``index.html`` into the folder of a selection; thumbnails are embedded in the page.

    Returns:
        Path of the page.
    """
    page = selection.params.out / "index.html"
    chosen = [selection.candidates.samples[image] for image in selection.choice.order]
    points, explained = project(selection.embeddings)
    content = {
        "count": len(selection.choice.order),
        "subtitle": _subtitle(selection),
        "tiles": _tiles(selection),
        "notes": selection.notes,
        "map": projection_chart(selection, points),
        "explained": explained,
        "hidden": max(0, _others(selection).size - _MAX_POINTS),
        "classes": _classes(selection),
        "any_labelled": bool(selection.candidates.is_labelled.any()),
        "quota": selection.quota,
        "images": [
            (image, encode_image(read_image(image.path, sample.reading), _SIDE), _scores(image))
            for image, sample in zip(selection.images(), chosen, strict=True)
        ],
        "skipped": selection.skipped.items(),
    }
    write_page(page, "selection.html.j2", content)
    return page


def projection_chart(selection: Selection, points: NDArray[np.float32]) -> Markup:
    """Return a scatter plot of all images, with the labelled and the chosen ones highlighted.

    Of more than 5000 other images a random part is drawn.

    Args:
        selection: Of ``select_images``.
        points: (N, 2) positions of the images.
    """
    others, chosen = _others(selection), selection.choice.order
    if others.size > _MAX_POINTS:
        random = np.random.default_rng(selection.params.seed)
        others = np.sort(random.choice(others, _MAX_POINTS, replace=False))
    labelled = np.flatnonzero(selection.candidates.is_labelled)
    # Both components have one scale, as distances are compared by eye.
    centre = (points.max(axis=0) + points.min(axis=0)) / 2
    half = 0.53 * float(np.ptp(points, axis=0).max()) or 1.0
    x, y = (
        Axis(middle - half, middle + half, ticks=(), title=title)
        for middle, title in zip(centre.tolist(), _TITLES, strict=True)
    )
    chart = Chart("map", x, y, height=516, grid="")
    names = [sample.id for sample in selection.candidates.samples]
    for rank, image in enumerate(chosen.tolist(), 1):
        names[image] = f"{rank}. {names[image]}"
    for title, images, colour, index, more in (
        ("not chosen", others, GRAY, 0, ' opacity="0.55"'),
        ("labelled before", labelled, SERIES[1], 1, ""),
        ("chosen", chosen, SERIES[0], 2, ' stroke="white" stroke-width="0.8"'),
    ):
        if images.size:
            texts = [names[image] for image in images.tolist()]
            places = [(float(at_x), float(at_y)) for at_x, at_y in points[images]]
            chart.scatter(places, texts, title, colour, index=index, more=more)
    return chart.html("projection of the images")


def _others(selection: Selection) -> NDArray[np.intp]:
    """Return the images that are neither chosen nor labelled."""
    is_other = ~selection.candidates.is_labelled
    is_other[selection.choice.order] = False
    return np.flatnonzero(is_other)


def _subtitle(selection: Selection) -> list[str]:
    params = selection.params
    parts = [f"split {params.split}", f"method {params.used_method}"]
    parts.append(f"embeddings of {selection.network}")
    if params.uncertainty:
        parts.append(f"times {params.uncertainty} of {params.run}")
    parts.append(f"quota {selection.quota}" if selection.quota else "no quota")
    return [str(params.dataset), *parts, f"seed {params.seed}"]


def _tiles(selection: Selection) -> list[tuple[str, str]]:
    covered, at_random = selection.covered, selection.at_random
    occurring = int(selection.candidates.shows.any(axis=0).sum())
    shown = f"{covered.classes:.0f} of {occurring}"
    return [
        (f"{len(selection.choice.order)}", f"of {len(selection.candidates.samples)} images"),
        *([(shown, f"classes; at random {at_random.classes:.1f}")] if occurring else []),
        (f"{covered.largest:.3f}", f"largest distance; at random {at_random.largest:.3f}"),
        (f"{covered.mean:.3f}", f"mean distance; at random {at_random.mean:.3f}"),
    ]


def _classes(selection: Selection) -> list[tuple[str, int, int, int]]:
    """Return the class names and numbers of images, labelled and chosen images, the rarest last."""
    shows = selection.candidates.shows
    parts = (slice(None), selection.candidates.is_labelled, selection.choice.order)
    counts = zip(*(shows[images].sum(axis=0).tolist() for images in parts), strict=True)
    rows = zip(selection.candidates.class_names, counts, strict=True)
    occurring = [(name, *numbers) for name, numbers in rows if numbers[0]]
    return sorted(occurring, key=lambda row: -row[1])


def _scores(image: SelectedImage) -> list[str]:
    scores = {"distance": image.distance, "uncertainty": image.uncertainty}
    return [f"{name} {v:.3f}" for name, v in scores.items() if v is not None and np.isfinite(v)]
