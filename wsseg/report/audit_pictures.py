"""Pictures of a finding: the photograph with what was given, and with what is suggested."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import label_map_of
from wsseg.data.model import Classes, MaskFile, Regions, Sample
from wsseg.data.strokes import stroke_map
from wsseg.labelmaps import IGNORE, overlay, palette
from wsseg.stages.audit.finding import Finding, Place, suggested_name

GIVEN, SUGGESTED = (230, 159, 0), (86, 180, 233)
"""RGB of a label in doubt and of what is suggested: the colour-blind tell them apart (Okabe and
Ito), the one is drawn solid and the other dashed, and both in black, to stand out on any image."""

SIDE = 560
"""Pixels of a picture's longer side."""

_OTHER = (255, 255, 255)  # of labels that are not in doubt
_CLOSE = 0.15  # share of the image below which a place is also shown close up
_MARGIN = 0.6  # of a close place's longer side, shown around it
_TINT = 0.4
_DASH = 12  # pixels of a picture

Picture = NDArray[np.uint8]


def pictures_of(
    image: Picture, sample: Sample, finding: Finding, classes: Classes
) -> Iterator[tuple[str, Picture]]:
    """Yield a finding's pictures: given and suggested, and both close up where it is small.

    Args:
        image: (H, W, 3) uint8 RGB.
        sample: The image's given labels.
        finding: What is shown.
        classes: The class names.

    Yields:
        Caption and (h, w, 3) uint8 RGB.
    """
    name = classes.names[finding.given]
    given = f"given: {'nothing here' if finding.source == 'image' else name}"
    suggested = f"suggested: {suggested_name(finding, classes) or f'no {name}'}"
    laid_over = _with_masks(image, sample, len(classes))
    for window, close in _windows(image, finding):
        view = _View(window, SIDE / max(window[2] - window[0], window[3] - window[1]))
        yield given + close, _drawn_given(view.of(laid_over), view, sample, finding)
        yield suggested + close, _drawn_suggested(view.of(image), view, finding)


@dataclass(frozen=True)
class _View:
    """A window of an image, enlarged."""

    window: Place
    factor: float

    def of(self, image: Picture) -> Picture:
        left, top, right, bottom = self.window
        crop, way = image[top:bottom, left:right], cv2.INTER_AREA
        if self.factor > 1:
            way = cv2.INTER_CUBIC
        if image.ndim == 2:
            way = cv2.INTER_NEAREST
        size = (self.along(right - left), self.along(bottom - top))
        return np.asarray(cv2.resize(crop, size, interpolation=way), np.uint8)

    def along(self, length: int) -> int:
        return max(1, round(length * self.factor))

    def corners(self, place: Place) -> tuple[tuple[int, int], tuple[int, int]]:
        left, top = self.window[:2]
        first = (round((place[0] - left) * self.factor), round((place[1] - top) * self.factor))
        last = (round((place[2] - left) * self.factor), round((place[3] - top) * self.factor))
        return first, (last[0] - 1, last[1] - 1)


def _windows(image: Picture, finding: Finding) -> Iterator[tuple[Place, str]]:
    height, width = image.shape[:2]
    yield (0, 0, width, height), ""
    shown = [finding.place, *([finding.suggestion] if finding.suggestion else [])]
    left, top = (min(place[side] for place in shown) for side in (0, 1))
    right, bottom = (max(place[side] for place in shown) for side in (2, 3))
    if (right - left) * (bottom - top) < _CLOSE * height * width:
        margin = max(8, round(_MARGIN * max(right - left, bottom - top)))
        window = (
            *(max(0, left - margin), max(0, top - margin)),
            *(min(width, right + margin), min(height, bottom + margin)),
        )
        yield window, ", close up"


def _with_masks(image: Picture, sample: Sample, n_classes: int) -> Picture:
    """The photograph under its masks and strokes in the colours of their classes."""
    for drawn in sample.annotations:
        if isinstance(drawn, MaskFile | Regions):
            label_map = label_map_of(drawn, sample.size, n_classes)
            image = overlay(image, np.where(label_map == IGNORE, 0, label_map).astype(np.uint8))
    for strokes in (drawn for drawn in sample.marks if not isinstance(drawn, Regions)):
        drawn_map = stroke_map(strokes, sample.size)
        colours = palette()[drawn_map]
        colours[drawn_map == 0] = _OTHER  # the background's black would look like a shadow
        image = np.where((drawn_map != IGNORE)[..., None], colours, image)
    return image


def _drawn_given(picture: Picture, view: _View, sample: Sample, finding: Finding) -> Picture:
    for box in sample.boxes:
        place = (box.left, box.top, box.right, box.bottom)
        if (place, box.label) != (finding.place, finding.given) or finding.source != "box":
            _outline(picture, _rectangle(*view.corners(place)), _OTHER, 2)
    if finding.source in {"box", "mask", "stroke"}:
        _outline(picture, _rectangle(*view.corners(finding.place)), GIVEN, 3)
    return picture


def _drawn_suggested(picture: Picture, view: _View, finding: Finding) -> Picture:
    mask = finding.mask
    if mask is not None:
        within = view.of(mask.astype(np.uint8)) > 0
        tinted = picture[within] * (1 - _TINT) + np.array(SUGGESTED) * _TINT
        picture[within] = tinted.round().astype(np.uint8)
        found, _ = cv2.findContours(within.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        for contour in found:
            cv2.polylines(picture, [contour], isClosed=True, color=SUGGESTED, thickness=1)
    if finding.suggestion and finding.source != "mask":
        for piece in _dashes(*view.corners(finding.suggestion)):
            _outline(picture, piece, SUGGESTED, 3)
    return picture


def _rectangle(first: tuple[int, int], last: tuple[int, int]) -> NDArray[np.int32]:
    corners = [first, (last[0], first[1]), last, (first[0], last[1]), first]
    return np.array(corners, np.int32)


def _dashes(first: tuple[int, int], last: tuple[int, int]) -> Iterator[NDArray[np.int32]]:
    """Every other piece of a rectangle's sides, its corners among them."""
    for start, end in pairwise(_rectangle(first, last).astype(float)):
        count = 2 * max(1, round(float(np.abs(end - start).max()) / (2 * _DASH))) + 1
        stops = np.linspace(start, end, count + 1).round().astype(np.int32)
        yield from (stops[index : index + 2] for index in range(0, count, 2))


def _outline(
    picture: Picture, points: NDArray[np.int32], colour: tuple[int, int, int], width: int
) -> None:
    for shade, thickness in (((0, 0, 0), width + 2), (colour, width)):
        cv2.polylines(picture, [points], isClosed=False, color=shade, thickness=thickness)
