"""Figures of a finding: the image with its annotations, and with the suggestion."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import MaskFile, Regions
from wsseg.data.constraints import label_map_of
from wsseg.data.model import Classes, Sample
from wsseg.data.strokes import stroke_map
from wsseg.labelmaps import IGNORE, overlay, palette
from wsseg.stages.audit.finding import Finding, Place, suggested_name

ANNOTATED, SUGGESTED = (230, 159, 0), (86, 180, 233)
"""RGB of an annotation that looks wrong and of a suggestion, from Okabe and Ito's palette for
colour-blind readers. The one is drawn solid, the other dashed, and both with a black border."""

SIDE = 560
"""Pixels of the longer side of a figure."""

_OTHER = (255, 255, 255)  # annotations without a finding
_MAX_CLOSE_UP = 0.15  # share of the image below which a close-up is added
_MARGIN = 0.6  # around a close-up, relative to the longer side of the finding
_TINT = 0.4
_DASH = 12  # pixels of the figure

Image = NDArray[np.uint8]


def figures_of(
    image: Image, sample: Sample, finding: Finding, classes: Classes
) -> Iterator[tuple[str, Image]]:
    """Yield the captions and figures of a finding: annotation, suggestion, and close-ups of both.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    name = classes.names[finding.annotated]
    annotated = f"annotated: {'nothing here' if finding.source == 'image' else name}"
    suggested = f"suggested: {suggested_name(finding, classes) or f'no {name}'}"
    annotated_image = _draw_masks(image, sample, len(classes))
    for window, suffix in _windows(image, finding):
        view = _View(window, SIDE / max(window[2] - window[0], window[3] - window[1]))
        yield (
            annotated + suffix,
            _draw_annotations(view.crop(annotated_image), view, sample, finding),
        )
        yield suggested + suffix, _draw_suggestion(view.crop(image), view, finding)


@dataclass(frozen=True)
class _View:
    """A window of an image and the factor by which it is enlarged."""

    window: Place
    factor: float

    def crop(self, image: Image) -> Image:
        left, top, right, bottom = self.window
        crop, interpolation = image[top:bottom, left:right], cv2.INTER_AREA
        if self.factor > 1:
            interpolation = cv2.INTER_CUBIC
        if image.ndim == 2:
            interpolation = cv2.INTER_NEAREST
        size = (self.scale(right - left), self.scale(bottom - top))
        return np.asarray(cv2.resize(crop, size, interpolation=interpolation), np.uint8)

    def scale(self, length: int) -> int:
        return max(1, round(length * self.factor))

    def corners(self, place: Place) -> tuple[tuple[int, int], tuple[int, int]]:
        left, top = self.window[:2]
        first = (round((place[0] - left) * self.factor), round((place[1] - top) * self.factor))
        last = (round((place[2] - left) * self.factor), round((place[3] - top) * self.factor))
        return first, (last[0] - 1, last[1] - 1)


def _windows(image: Image, finding: Finding) -> Iterator[tuple[Place, str]]:
    height, width = image.shape[:2]
    yield (0, 0, width, height), ""
    shown = [finding.place, *([finding.suggestion] if finding.suggestion else [])]
    left, top = (min(place[side] for place in shown) for side in (0, 1))
    right, bottom = (max(place[side] for place in shown) for side in (2, 3))
    if (right - left) * (bottom - top) < _MAX_CLOSE_UP * height * width:
        margin = max(8, round(_MARGIN * max(right - left, bottom - top)))
        window = (
            *(max(0, left - margin), max(0, top - margin)),
            *(min(width, right + margin), min(height, bottom + margin)),
        )
        yield window, ", close up"


def _draw_masks(image: Image, sample: Sample, n_classes: int) -> Image:
    """Draw the masks and strokes of an image in the colours of their classes."""
    for item in sample.annotations:
        if isinstance(item, MaskFile | Regions):
            label_map = label_map_of(item, sample.size, n_classes)
            image = overlay(image, np.where(label_map == IGNORE, 0, label_map).astype(np.uint8))
    for strokes in (item for item in sample.marks if not isinstance(item, Regions)):
        label_map = stroke_map(strokes, sample.size)
        colours = palette()[label_map]
        colours[label_map == 0] = _OTHER  # black would look like a shadow
        image = np.where((label_map != IGNORE)[..., None], colours, image)
    return image


def _draw_annotations(figure: Image, view: _View, sample: Sample, finding: Finding) -> Image:
    for box in sample.boxes:
        place = (box.left, box.top, box.right, box.bottom)
        if (place, box.label) != (finding.place, finding.annotated) or finding.source != "box":
            _draw_line(figure, _rectangle(*view.corners(place)), _OTHER, 2)
    if finding.source in {"box", "mask", "stroke"}:
        _draw_line(figure, _rectangle(*view.corners(finding.place)), ANNOTATED, 3)
    return figure


def _draw_suggestion(figure: Image, view: _View, finding: Finding) -> Image:
    mask = finding.mask
    if mask is not None:
        within = view.crop(mask.astype(np.uint8)) > 0
        tinted = figure[within] * (1 - _TINT) + np.array(SUGGESTED) * _TINT
        figure[within] = tinted.round().astype(np.uint8)
        contours, _ = cv2.findContours(
            within.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
        )
        for contour in contours:
            cv2.polylines(figure, [contour], isClosed=True, color=SUGGESTED, thickness=1)
    if finding.suggestion and finding.source != "mask":
        for piece in _dashes(*view.corners(finding.suggestion)):
            _draw_line(figure, piece, SUGGESTED, 3)
    return figure


def _rectangle(first: tuple[int, int], last: tuple[int, int]) -> NDArray[np.int32]:
    corners = [first, (last[0], first[1]), last, (first[0], last[1]), first]
    return np.array(corners, np.int32)


def _dashes(first: tuple[int, int], last: tuple[int, int]) -> Iterator[NDArray[np.int32]]:
    """Yield every other piece of the sides of a rectangle, including its corners."""
    for start, end in pairwise(_rectangle(first, last).astype(float)):
        count = 2 * max(1, round(float(np.abs(end - start).max()) / (2 * _DASH))) + 1
        stops = np.linspace(start, end, count + 1).round().astype(np.int32)
        yield from (stops[index : index + 2] for index in range(0, count, 2))


def _draw_line(
    figure: Image, points: NDArray[np.int32], colour: tuple[int, int, int], width: int
) -> None:
    for shade, thickness in (((0, 0, 0), width + 2), (colour, width)):
        cv2.polylines(figure, [points], isClosed=False, color=shade, thickness=thickness)
