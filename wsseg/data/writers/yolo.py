"""Write label maps as polygons of YOLO, a text file for each image, and data.yaml."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from wsseg.data.model import Classes
from wsseg.data.writers.regions import ConnectedRegion, LabelledImage, connected_regions
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE

_Point = tuple[int, int]


def write_yolo(folder: Path, classes: Classes, images: Iterable[LabelledImage], split: str) -> None:
    """Write label maps as ``labels/<split>/<id>.txt`` and ``data.yaml``, each file atomically.

    Each connected region of an object class is a polygon along the edges of its pixels; holes are
    joined to it by cuts of no width. YOLO cannot say that pixels are unknown: IGNORE becomes
    background. Images are expected in ``images/<split>``.
    """
    for image in images:
        height, width = image.label_map.shape
        with atomic_write(folder / "labels" / split / f"{image.sample.id}.txt") as file:
            for region in connected_regions(image.label_map):
                if region.label in (0, IGNORE):
                    continue
                pairs = (f"{x / width:.7f} {y / height:.7f}" for x, y in region_polygon(region))
                file.write(f"{region.label - 1} {' '.join(pairs)}\n".encode())
    names = dict(enumerate(classes.names[1:]))
    content = {"path": ".", split: f"images/{split}", "names": names}
    with atomic_write(folder / "data.yaml") as file:
        file.write(yaml.safe_dump(content, allow_unicode=True, sort_keys=False).encode())


def region_polygon(region: ConnectedRegion) -> list[_Point]:
    """Return the corners (x, y) of a polygon around the pixels of a region.

    Its first loop is followed by those of holes, and of parts that touch it at corners, each
    reached from the first corner and left on the same way.

    Example:
        >>> region_polygon(ConnectedRegion(1, 2, 3, np.ones((1, 2), bool)))
        [(2, 3), (4, 3), (4, 4), (2, 4)]
    """
    first, *others = _loops(region.mask)
    points = list(first)
    for loop in others:
        points += [first[0], *loop, loop[0]]
    return [(x + region.left, y + region.top) for x, y in points]


def _loops(mask: NDArray[np.bool_]) -> list[list[_Point]]:
    """Return the closed loops along the edges of pixels, the pixels on the right hand side."""
    padded = np.pad(mask, 1)
    steps: dict[_Point, list[_Point]] = defaultdict(list)
    for (dy, dx), start, step in (
        ((-1, 0), (0, 0), (1, 0)),  # the top edge of a pixel leads to the right, and so on
        ((0, 1), (1, 0), (0, 1)),
        ((1, 0), (1, 1), (-1, 0)),
        ((0, -1), (0, 1), (0, -1)),
    ):
        outside = ~np.roll(padded, (-dy, -dx), (0, 1))[1:-1, 1:-1]
        for y, x in np.argwhere(mask & outside).tolist():
            steps[x + start[0], y + start[1]].append(step)
    loops = []
    while steps:
        loops.append(_follow(steps, next(iter(steps))))
    return loops


def _follow(steps: dict[_Point, list[_Point]], start: _Point) -> list[_Point]:
    """Return the corners of the loop that begins at a point, and remove its steps."""
    corners, (x, y), before = list[_Point](), start, None
    while (x, y) in steps:
        leaving = steps[x, y]
        # Where two pixels touch at a corner, turn right, so that each has a loop of its own.
        right = {(-before[1], before[0])} if before else set[_Point]()
        step = next((one for one in leaving if one in right), leaving[0])
        leaving.remove(step)
        if not leaving:
            del steps[x, y]
        if step != before:
            corners.append((x, y))
        x, y, before = x + step[0], y + step[1], step
        if (x, y) == start:
            break
    return corners
