"""Write annotations as JSON Lines, the format of wsseg; see docs/annotations.md."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from wsseg.data.annotation import Annotation, Boxes, MaskFile, Region, Regions, Tags, Unknown
from wsseg.data.model import Classes, Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.files import atomic_write

_DECIMALS = 2  # of a pixel


def write_jsonl(path: Path, classes: Classes, samples: Iterable[Sample]) -> None:
    """Write annotations as JSON Lines, atomically.

    The first line holds the class names, every other line an image, annotated or not.

    Args:
        path: The file; paths of masks are written relative to its folder.

    Raises:
        InputError: An annotation type comes from another package.
    """
    with atomic_write(path) as file:
        entries = (_entry(sample, classes, path.parent) for sample in samples)
        for content in chain([{"classes": list(classes)}], entries):
            file.write(json.dumps(content, ensure_ascii=False).encode() + b"\n")


def _entry(sample: Sample, classes: Classes, folder: Path) -> dict[str, Any]:
    name = f"{sample.id}{sample.image.suffix}"
    entry: dict[str, Any] = {"image": name, "size": list(sample.size), "split": sample.split}
    if sample.tags:
        entry["tags"] = [classes.names[label] for label in sample.tags.present]
    if sample.tags and sample.tags.unsure:
        entry["unsure"] = [classes.names[label] for label in sample.tags.unsure]
    if any(isinstance(a, Strokes | Regions) and not a.closed for a in sample.annotations):
        entry["closed"] = False
    entry["marks"] = [mark for a in sample.annotations for mark in _marks(a, classes, folder)]
    return entry


def _marks(annotation: Annotation, classes: Classes, folder: Path) -> Iterator[dict[str, Any]]:
    if isinstance(annotation, MaskFile):
        name = Path(os.path.relpath(annotation.path, folder)).as_posix()
        yield {"type": "mask", "file": name}
    elif isinstance(annotation, Boxes):
        for box in annotation.items:
            points = [[box.left, box.top], [box.right, box.bottom]]
            yield {"type": "box", "class": classes.names[box.label], "points": points}
    elif isinstance(annotation, Strokes):
        yield from (_stroke(stroke, classes) for stroke in annotation.items)
    elif isinstance(annotation, Regions):
        for region in annotation.items:
            yield from _region(region, classes.names[region.label])
    elif isinstance(annotation, Unknown):
        for name in [classes.names[label] for label in annotation.labels] or [""]:
            mark: dict[str, Any] = {"type": "unknown", "class": name}
            if annotation.area:
                left, top, right, bottom = annotation.area
                mark["points"] = [[left, top], [right, bottom]]
            yield mark
    elif not isinstance(annotation, Tags):
        message = f"Annotations of the type {type(annotation).__name__} cannot be written"
        raise InputError(message, hint="they belong to another package: write them yourself")


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
        plain = counts.decode("ascii") if isinstance(counts, bytes) else list(counts)
        yield {"type": "runs", "class": name, "size": list(size), "counts": plain}
