"""Evidence for label errors on one image: annotated regions and unlabelled regions."""

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box, MaskFile, Regions
from wsseg.data.constraints import Constraints, label_map_of
from wsseg.data.example import Example
from wsseg.data.model import Sample
from wsseg.data.stacking import visible_box_index
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.data.writers.regions import ConnectedRegion, connected_regions
from wsseg.labelmaps import IGNORE
from wsseg.stages.audit.finding import Place
from wsseg.stages.audit.regions import (
    MIN_AREA,
    Evidence,
    box_iou,
    encode_rle,
    intersection_area,
    mean_scores,
    region_box,
    significant_regions,
    tight_box,
)

_MIN_INSIDE = 0.2  # a segment with a smaller share of itself in a box belongs to another object
_MIN_RELATIVE = 0.1  # segments that are smaller relative to the largest one in the box are noise
_MIN_COVERED = 0.5  # share of a box within another from which that one explains the prediction
_TOUCH_DISTANCE = 2  # pixels

Scores = NDArray[np.floating]
LabelMap = NDArray[np.uint8]
Mask = NDArray[np.bool_]
New = partial[Evidence]
"""Makes evidence of one image."""


def collect_evidence(example: Example, scores: Scores) -> list[Evidence]:
    """Return the annotated regions of an image, and the predicted segments if it has no full mask.

    Args:
        scores: (K, H, W) probabilities of a network that did not receive the annotations.

    Returns:
        No evidence if the image has no annotations.

    Raises:
        InputError: A mask is damaged, or the annotations contradict each other.
    """
    sample = example.sample
    if not sample.annotations:
        return []
    predicted, constraints = scores.argmax(axis=0).astype(np.uint8), example.constraints
    masks = [item for item in sample.annotations if isinstance(item, MaskFile | Regions)]
    new = partial(Evidence, id=sample.id, size=sample.size)
    evidence = [_background(new, scores, predicted, constraints)]
    evidence += _boxes(new, sample, scores, predicted)
    evidence += _strokes(new, sample, scores)
    for mask in masks:
        label_map = label_map_of(mask, sample.size, len(scores))
        evidence += _mask_regions(new, scores, label_map)
        evidence += _mask_parts(new, scores, predicted, label_map)
    if not any(isinstance(mask, MaskFile) or not mask.partial for mask in masks):
        evidence += _segments(new, scores, predicted, constraints)
        evidence += _tags(new, sample, scores)
    return evidence


def _background(
    new: New, scores: Scores, predicted: LabelMap, constraints: Constraints
) -> Evidence:
    """Use the annotated background; if there is none, the predicted one; else the whole image."""
    known = constraints.known == 0
    mask = known if known.any() else predicted == 0
    mask = mask if mask.any() else np.ones(mask.shape, bool)
    place = (0, 0, mask.shape[1], mask.shape[0])
    means = mean_scores(scores, mask, place)
    share = float(known.any())
    return new(source="background", annotated=0, predicted=0, place=place, means=means, share=share)


def _boxes(new: New, sample: Sample, scores: Scores, predicted: LabelMap) -> Iterator[Evidence]:
    """Yield each box that is neither a crowd nor hidden behind smaller boxes.

    The mean scores are those of its visible part. The predicted box is that of the segment of its
    class, see ``_segment_of``.
    """
    owners = visible_box_index(sample.boxes, sample.size)
    for number, box in enumerate(sample.boxes):
        visible = owners[box.slices] == number
        if box.crowd or not visible.any():
            continue
        place, segment = _place(box), _segment_of(box, sample.boxes, predicted)
        predicted_box = tight_box(segment) if segment.any() else None
        yield new(
            source="box",
            annotated=box.label,
            predicted=box.label,
            place=place,
            means=mean_scores(scores, visible, place),
            share=box_iou(place, predicted_box) if predicted_box else 0.0,
            area=box.area / segment.size,
            predicted_box=predicted_box or (),
            confidence=float(scores[box.label][segment].mean()) if predicted_box else 0.0,
            covering=_covering(box, sample.boxes),
            rle=encode_rle(segment),
        )


def _place(box: Box) -> Place:
    return box.left, box.top, box.right, box.bottom


def _segment_of(box: Box, boxes: tuple[Box, ...], predicted: LabelMap) -> Mask:
    """Return the predicted pixels (H, W) of a box's class that belong to the object of the box.

    They may lie outside of the box, but not only in other boxes of the class. Of the connected
    regions, those count that lie in the box with enough of their area.
    """
    mask = predicted == box.label
    inside = mask[box.slices].copy()
    for other in boxes:
        if other.label == box.label:
            mask[other.slices] = False
    mask[box.slices] = inside
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    areas = np.bincount(numbers.ravel(), minlength=count)
    within = np.bincount(numbers[box.slices].ravel(), minlength=count)
    areas[0] = within[0] = 0
    belongs = within >= np.maximum(_MIN_INSIDE * areas, 1)
    kept = belongs & (within >= _MIN_RELATIVE * np.max(within, where=belongs, initial=0))
    return np.asarray(kept[numbers])


def _covering(box: Box, boxes: tuple[Box, ...]) -> tuple[int, ...]:
    labels = {
        other.label
        for other in boxes
        if other.label != box.label
        and intersection_area(_place(box), _place(other)) >= _MIN_COVERED * box.area
    }
    return tuple(sorted(labels))


def _strokes(new: New, sample: Sample, scores: Scores) -> Iterator[Evidence]:
    for stroke in sample.strokes:
        mask = stroke_map(Strokes((stroke,)), sample.size) == stroke.label
        if not mask.any():
            continue
        place = tight_box(mask)
        left, top, right, bottom = place
        yield new(
            source="stroke",
            annotated=stroke.label,
            predicted=stroke.label,
            place=place,
            means=mean_scores(scores, mask[top:bottom, left:right], place),
            area=float(mask.mean()),
            rle=encode_rle(mask),
        )


def _mask_regions(new: New, scores: Scores, label_map: LabelMap) -> Iterator[Evidence]:
    """Yield each annotated region of a mask."""
    for region in connected_regions(label_map):
        if region.label != IGNORE and region.area >= MIN_AREA * label_map.size:
            place = region_box(region)
            yield new(
                source="mask",
                annotated=region.label,
                predicted=region.label,
                place=place,
                means=mean_scores(scores, region.mask, place),
                area=region.area / label_map.size,
            )


def _mask_parts(
    new: New, scores: Scores, predicted: LabelMap, label_map: LabelMap
) -> Iterator[Evidence]:
    """Yield the parts of a mask in which another class is predicted."""
    for label in np.unique(label_map[label_map != IGNORE]).tolist():
        is_other = (label_map == label) & (predicted != label)
        for part in significant_regions(np.where(is_other, predicted, IGNORE).astype(np.uint8)):
            if part.label == IGNORE:
                continue
            mask = _full_mask(part, label_map.shape)
            place = region_box(part)
            yield new(
                source="part",
                annotated=label,
                predicted=part.label,
                place=place,
                means=mean_scores(scores, part.mask, place),
                area=part.area / label_map.size,
                touches=_touches(mask, np.isin(label_map, (part.label, IGNORE))),
                rle=encode_rle(mask),
            )


def _full_mask(region: ConnectedRegion, size: tuple[int, ...]) -> Mask:
    left, top, right, bottom = region_box(region)
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = region.mask
    return mask


def _touches(mask: Mask, other: Mask) -> bool:
    kernel = np.ones((2 * _TOUCH_DISTANCE + 1,) * 2, np.uint8)
    return bool(((cv2.dilate(mask.astype(np.uint8), kernel) > 0) & other).any())


def _segments(
    new: New, scores: Scores, predicted: LabelMap, constraints: Constraints
) -> Iterator[Evidence]:
    """Yield the predicted regions of object classes."""
    for region in significant_regions(predicted):
        if region.label == 0:
            continue
        place = region_box(region)
        left, top, right, bottom = place
        allowed = constraints.allowed[:, top:bottom, left:right][:, region.mask]
        means = mean_scores(scores, region.mask, place)
        possible = np.where(allowed.any(axis=1), np.array(means)[constraints.classes], -1.0)
        of_class = constraints.classes == region.label
        yield new(
            source="segment",
            annotated=int(constraints.classes[possible.argmax()]),
            predicted=region.label,
            place=place,
            means=means,
            share=float(allowed[of_class].mean()) if of_class.any() else 0.0,
            area=region.area / predicted.size,
            rle=encode_rle(_full_mask(region, predicted.shape)),
        )


def _tags(new: New, sample: Sample, scores: Scores) -> Iterator[Evidence]:
    """Yield each tag whose class has no other annotation, with its likeliest pixels."""
    drawn = {box.label for box in sample.boxes} | {stroke.label for stroke in sample.strokes}
    for regions in sample.annotations:
        if isinstance(regions, Regions):
            drawn |= {region.label for region in regions.items}
    count = max(1, round(MIN_AREA * scores[0].size))
    for label in (label for label in sample.tagged if label not in drawn):
        flat = scores[label].ravel()
        likeliest = np.argpartition(flat, -count)[-count:]
        means = scores.reshape(len(scores), -1)[:, likeliest].mean(axis=1, dtype=np.float64)
        yield new(
            source="tag",
            annotated=label,
            predicted=label,
            place=(0, 0, sample.size[1], sample.size[0]),
            means=tuple(round(float(mean), 5) for mean in means),
            area=1.0,
            covering=tuple(sample.tagged),
        )
