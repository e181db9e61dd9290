"""Annotations in wsseg's own format: JSON Lines, an image a line; see docs/annotations.md."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from wsseg.data.model import (
    Annotation,
    Boxes,
    Classes,
    MaskFile,
    Region,
    Regions,
    Sample,
    Tags,
)
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.files import atomic_write

_DECIMALS = 2  # of a pixel


def write_jsonl(path: Path, classes: Classes, samples: Iterable[Sample]) -> None:
    """Write annotations as JSON Lines, atomically.

    Args:
        path: The file; paths of masks are written relative to its folder.
        classes: The class names; they are the first line.
        samples: The images; one without annotations is listed without marks.
    """
    with atomic_write(path) as file:
        file.write(_line({"classes": list(classes)}))
        for sample in samples:
            file.write(_line(_page(sample, classes, path.parent)))


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode() + b"\n"


def _page(sample: Sample, classes: Classes, folder: Path) -> dict[str, Any]:
    page: dict[str, Any] = {"image": f"{sample.id}{sample.image.suffix}", "size": list(sample.size)}
    page["split"] = sample.split
    if sample.tags:
        page["tags"] = [classes.names[label] for label in sample.tags.present]
    if sample.tags and sample.tags.unsure:
        page["unsure"] = [classes.names[label] for label in sample.tags.unsure]
    if any(
        isinstance(drawn, Strokes | Regions) and not drawn.closed for drawn in sample.annotations
    ):
        page["closed"] = False
    page["marks"] = [
        mark for drawn in sample.annotations for mark in _marks(drawn, classes, folder)
    ]
    return page


def _marks(drawn: Annotation, classes: Classes, folder: Path) -> Iterator[dict[str, Any]]:
    if isinstance(drawn, MaskFile):
        name = Path(os.path.relpath(drawn.path, folder)).as_posix()
        yield {"type": "mask", "file": name}
    elif isinstance(drawn, Boxes):
        for box in drawn.items:
            points = [[box.left, box.top], [box.right, box.bottom]]
            yield {"type": "box", "class": classes.names[box.label], "points": points}
    elif isinstance(drawn, Strokes):
        yield from (_stroke(stroke, classes) for stroke in drawn.items)
    elif isinstance(drawn, Regions):
        for region in drawn.items:
            yield from _region(region, classes.names[region.label])
    elif not isinstance(drawn, Tags):
        got, remedy = type(drawn).__name__, "write it yourself"
        raise InputError("annotation", "of a kind of this package", got, remedy)


def _stroke(stroke: Scribble, classes: Classes) -> dict[str, Any]:
    kind = "point" if len(stroke.points) == 1 else "scribble"
    points = [[round(x, _DECIMALS), round(y, _DECIMALS)] for x, y in stroke.points]
    mark = {"type": kind, "class": classes.names[stroke.label], "points": points}
    return mark | ({} if stroke.width is None else {"width": stroke.width})


def _region(region: Region, name: str) -> Iterator[dict[str, Any]]:
    for polygon in region.polygons:
        corners = [round(value, _DECIMALS) for value in polygon]
        points = [list(pair) for pair in zip(corners[::2], corners[1::2], strict=True)]
        yield {"type": "polygon", "class": name, "points": points}
    if not region.polygons and region.rle:
        size, counts = region.rle
        shown = counts.decode("ascii") if isinstance(counts, bytes) else list(counts)
        yield {"type": "runs", "class": name, "size": list(size), "counts": shown}
