"""The gallery of a report: photographs beside what became of their labels."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg.data.model import Box
from wsseg.files import atomic_write
from wsseg.labelmaps import IGNORE, overlay, palette

_SHOWN_SIDE = 360  # pixels: sharp at the width the page gives a picture, small enough for e-mail


@dataclass(frozen=True)
class GalleryRow:
    """One image of the gallery and what became of it.

    Args:
        id: The image.
        pictures: Caption and (H, W, 3) uint8 RGB of each, such as the photograph, the labels of
            each stage and the truth.
    """

    id: str
    pictures: tuple[tuple[str, NDArray[np.uint8]], ...]


def chosen_for_gallery(scores: Mapping[str, float], count: int = 12) -> list[str]:
    """Return images that span the whole range of a score, the worst first.

    Args:
        scores: Score of each image by id, higher is better: IoU where there is truth, else a
            signal such as the share of its boxes that were not reset.
        count: How many to choose.

    Returns:
        At most ``count`` ids: the worst, the best, and evenly many ranks between.

    Example:
        >>> chosen_for_gallery({"a": 0.9, "b": 0.1, "c": 0.5, "d": 0.6}, 3)
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
    """Return an image, its boxes and its label maps as pictures.

    Args:
        image_id: The image's id.
        image: (H, W, 3) uint8 RGB.
        boxes: Drawn on the photograph in their classes' colours.
        label_maps: (H, W) uint8 by caption, in the order to be shown.
        activation: (h, w) float32, 0..1, of any size: where the tags were seen.

    Returns:
        The photograph first, then the activation map, then each label map laid over it.
    """
    factor = max(1, _SHOWN_SIDE // max(image.shape[:2]))
    enlarged = image.repeat(factor, 0).repeat(factor, 1)
    pictures = [("photograph", _with_boxes(enlarged, boxes, factor))]
    if activation is not None:
        pictures.append(("activation maps", _heated(enlarged, activation)))
    for caption, label_map in label_maps.items():
        laid_over = overlay(enlarged, label_map.repeat(factor, 0).repeat(factor, 1))
        pictures.append((caption, laid_over))
    return GalleryRow(image_id, tuple(pictures))


def _heated(image: NDArray[np.uint8], activation: NDArray[np.float32]) -> NDArray[np.uint8]:
    large = cv2.resize(activation, image.shape[1::-1])
    heat = cv2.applyColorMap((large * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return cv2.addWeighted(image, 0.35, np.ascontiguousarray(heat), 0.65, 0).astype(np.uint8)


def legend(classes: Sequence[str]) -> list[dict[str, str]]:
    """Return the classes and the colours their labels are shown in.

    Args:
        classes: Names, background first.

    Returns:
        "name" and "colour" (CSS) of each class but the background, and of IGNORE.
    """
    named = {**dict(enumerate(classes)), IGNORE: "no label (ignored)"}
    return [{"name": name, "colour": css_colour(label)} for label, name in named.items() if label]


def css_colour(label: int) -> str:
    """Return the colour that labels of a class are shown in.

    Args:
        label: 0 to 255.

    Returns:
        Such as "#800000".

    Example:
        >>> css_colour(1)
        '#800000'
    """
    return f"#{palette()[label].tobytes().hex()}"


def write_pictures(
    folder: Path, rows: Iterable[GalleryRow], side: int = _SHOWN_SIDE
) -> list[dict[str, Any]]:
    """Write the pictures of a gallery as JPEG files; those of an earlier gallery are replaced.

    Args:
        folder: The report's folder; pictures go into ``pictures/`` below it.
        rows: The images, in order; one is in memory at a time.
        side: Pixels that the longer side of a picture has at most.

    Returns:
        "id" of each image and its "pictures": caption and path relative to ``folder``.
    """
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    return [_written_row(folder, index, row, side) for index, row in enumerate(rows)]


def _written_row(folder: Path, index: int, row: GalleryRow, side: int) -> dict[str, Any]:
    pictures = []
    for number, (caption, picture) in enumerate(row.pictures):
        name = f"pictures/{index:03d}-{number}.jpg"
        shown = Image.fromarray(picture)
        shown.thumbnail((side, side))
        with atomic_write(folder / name) as file:
            shown.save(file, "jpeg", quality=88, subsampling=0)
        pictures.append((caption, name))
    return {"id": row.id, "pictures": pictures}


def _with_boxes(image: NDArray[np.uint8], boxes: Sequence[Box], factor: int) -> NDArray[np.uint8]:
    drawn = image.copy()
    stroke = max(3, round(max(image.shape) / 150))
    for width, white in ((stroke + 2, True), (stroke, False)):
        for box in boxes:
            colour = (255, 255, 255) if white else tuple(map(int, palette()[box.label]))
            first = (box.left * factor, box.top * factor)
            last = (box.right * factor - 1, box.bottom * factor - 1)
            cv2.rectangle(drawn, first, last, colour, width)
    return drawn
