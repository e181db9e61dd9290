"""Figures of the masks that a seed compared, one row for each object."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.labelmaps import overlay
from wsseg.seeds.labels import Candidates

_SIDE = 88  # pixels of a mask's longer side
_FRAME = 3  # pixels between masks
_ROWS = 40  # objects that are shown
_CHOSEN, _REFUSED, _OTHER = (31, 157, 85), (204, 51, 51), (225, 225, 225)


def contact_sheet(image: NDArray[np.uint8], candidates: Sequence[Candidates]) -> NDArray[np.uint8]:
    """Return a figure with a row for each object and a column for each prompt.

    The best mask has a green frame; all masks of an object whose masks were refused have a red one.

    Args:
        image: (H, W, 3) uint8 RGB.
        candidates: At least one object; the first 40 are shown.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    rows = [_row(image, of_object) for of_object in candidates[:_ROWS]]
    width = max(row.shape[1] for row in rows)
    padded = [
        cv2.copyMakeBorder(row, 0, 0, 0, width - row.shape[1], cv2.BORDER_CONSTANT, value=_OTHER)
        for row in rows
    ]
    return np.vstack(padded).astype(np.uint8)


def _row(image: NDArray[np.uint8], candidates: Candidates) -> NDArray[np.uint8]:
    top, bottom, left, right = candidates.window
    crop = image[top:bottom, left:right]
    factor = _SIDE / max(crop.shape[:2])
    size = max(1, round(crop.shape[1] * factor)), max(1, round(crop.shape[0] * factor))
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    cells = []
    for number, mask in enumerate(candidates.masks):
        shown = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        drawn = overlay(small, (shown * candidates.label).astype(np.uint8))
        cells.append(_framed(drawn, _colour(candidates.best, number)))
    return np.hstack(cells)


def _colour(best: int, number: int) -> tuple[int, int, int]:
    if best < 0:
        return _REFUSED
    return _CHOSEN if best == number else _OTHER


def _framed(cell: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    down, across = _SIDE - cell.shape[0], _SIDE - cell.shape[1]
    filled = cv2.copyMakeBorder(cell, 0, down, 0, across, cv2.BORDER_CONSTANT, value=_OTHER)
    framed = cv2.copyMakeBorder(
        filled, _FRAME, _FRAME, _FRAME, _FRAME, cv2.BORDER_CONSTANT, value=colour
    )
    return np.asarray(framed, np.uint8)
