"""Figures of a page: images beside what became of their labels."""

import base64
import io
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg.data.annotation import Box
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, overlay, palette
from wsseg.report.page import css_colour

_SIDE = 360  # pixels: sharp at the width the page gives a figure, small enough for e-mail


@dataclass(frozen=True)
class GalleryRow:
    """One image of a gallery: caption and (H, W, 3) uint8 RGB of each of its figures."""

    id: str
    pictures: tuple[tuple[str, NDArray[np.uint8]], ...]


def choose_for_gallery(scores: Mapping[str, float], count: int = 12) -> list[str]:
    """Return images that span the whole range of a score, the worst first.

    Args:
        scores: Score of each image by id, higher is better.

    Returns:
        At most ``count`` ids: the worst, the best, and evenly many ranks between.

    Example:
        >>> choose_for_gallery({"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.6}, 3)
        ['b', 'd', 'a']
    """
    ranked = sorted(scores, key=lambda image: (scores[image], image))
    ranks = np.linspace(0, len(ranked) - 1, min(count, len(ranked)))
    return [ranked[int(rank + 0.5)] for rank in ranks]


def gallery_row(
    image_id: str,
    image: NDArray[np.uint8],
    boxes: Sequence[Box],
    label_maps: Mapping[str, NDArray[np.uint8]],
    activation: NDArray[np.float32] | None = None,
) -> GalleryRow:
    """Return an image with its boxes, its activation map, and each label map laid over it.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: Drawn in the colours of their classes.
        label_maps: (H, W) uint8 by caption, in the order to be shown.
        activation: (h, w) float32, 0..1, of any size.
    """
    factor = max(1, _SIDE // max(image.shape[:2]))
    enlarged = image.repeat(factor, 0).repeat(factor, 1)
    pictures = [("image", _draw_boxes(enlarged, boxes, factor))]
    if activation is not None:
        large = cv2.resize(activation, enlarged.shape[1::-1])
        heat = cv2.applyColorMap((large * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        blended = cv2.addWeighted(enlarged, 0.35, np.ascontiguousarray(heat), 0.65, 0)
        pictures.append(("activation maps", blended.astype(np.uint8)))
    for caption, label_map in label_maps.items():
        laid_over = overlay(enlarged, label_map.repeat(factor, 0).repeat(factor, 1))
        pictures.append((caption, laid_over))
    return GalleryRow(image_id, tuple(pictures))


def legend(classes: Sequence[str]) -> list[dict[str, str]]:
    """Return name and CSS colour of each class but the background, and of IGNORE."""
    named = {**dict(enumerate(classes)), IGNORE: "no label (ignored)"}
    return [{"name": name, "colour": css_colour(label)} for label, name in named.items() if label]


def write_pictures(
    folder: Path, rows: Iterable[GalleryRow], side: int = _SIDE
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Write the figures of a gallery as JPEG files; those of an earlier gallery are replaced.

    Args:
        folder: The report's folder; figures go into ``pictures/`` below it.
        rows: The images, in order; one is in memory at a time.
        side: Pixels that the longer side of a figure has at most.

    Returns:
        Id of each image, and caption and path, relative to ``folder``, of each of its figures.
    """
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    written = []
    for index, row in enumerate(rows):
        pictures = []
        for number, (caption, picture) in enumerate(row.pictures):
            name = f"pictures/{index:03d}-{number}.jpg"
            shown = Image.fromarray(picture)
            shown.thumbnail((side, side))
            with atomic_write(folder / name) as file:
                shown.save(file, "jpeg", quality=88, subsampling=0)
            pictures.append((caption, name))
        written.append((row.id, pictures))
    return written


def encode_image(image: NDArray[np.uint8], side: int) -> str:
    """Return an image as a data URL of a JPEG whose longer side has at most ``side`` pixels."""
    size = shown_size((image.shape[0], image.shape[1]), side)
    shown = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(shown.astype(np.uint8)).save(file, "jpeg", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def shown_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return a size (H, W) scaled down so that its longer side has at most ``side`` pixels.

    Example:
        >>> shown_size((300, 400), 100), shown_size((30, 40), 100)
        ((75, 100), (30, 40))
    """
    factor = min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _draw_boxes(image: NDArray[np.uint8], boxes: Sequence[Box], factor: int) -> NDArray[np.uint8]:
    """Draw boxes in the colours of their classes, each with a white border around it."""
    drawn = image.copy()
    stroke = max(3, round(max(image.shape) / 150))
    for width, is_white in ((stroke + 2, True), (stroke, False)):
        for box in boxes:
            colour = (255, 255, 255) if is_white else tuple(map(int, palette()[box.label]))
            first = (box.left * factor, box.top * factor)
            last = (box.right * factor - 1, box.bottom * factor - 1)
            cv2.rectangle(drawn, first, last, colour, width)
    return drawn
