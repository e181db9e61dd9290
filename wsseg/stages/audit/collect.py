"""What a network sees on one image: where labels were given, and where none were."""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints, constraints_of, label_map_of
from wsseg.data.model import MaskFile, Regions, Sample
from wsseg.data.strokes import Strokes, stroke_map
from wsseg.data.writers.regions import ConnectedRegion, connected_regions
from wsseg.labelmaps import IGNORE
from wsseg.stages.audit.boxes import box_evidence
from wsseg.stages.audit.evidence import (
    SMALLEST,
    Evidence,
    believable_regions,
    counts_of,
    means_over,
    place_of,
    tight_box,
)

_AROUND = 2  # pixels: what is not farther away touches


def evidence_of(sample: Sample, scores: NDArray[np.floating]) -> list[Evidence]:
    """Return what a network sees where labels were given on an image, and where none were.

    Args:
        sample: The image and what was given.
        scores: (K, H, W) probabilities of a network that knows nothing of the annotations.

    Returns:
        Records; none where nothing was given.

    Raises:
        InputError: A mask is damaged, or the annotations contradict each other.
    """
    if not sample.annotations:
        return []
    seen = scores.argmax(axis=0).astype(np.uint8)
    constraints = constraints_of(sample, len(scores))
    found = [_background(sample, scores, seen, constraints)]
    found += box_evidence(sample, scores, seen)
    found += _strokes(sample, scores)
    for mask in _masks(sample):
        found += _mask_evidence(sample, scores, seen, label_map_of(mask, sample.size, len(scores)))
    if not any(isinstance(mask, MaskFile) or not mask.partial for mask in _masks(sample)):
        found += _segments(sample, scores, seen, constraints)
        found += _tags(sample, scores)
    return found


def _masks(sample: Sample) -> list[MaskFile | Regions]:
    return [drawn for drawn in sample.annotations if isinstance(drawn, MaskFile | Regions)]


def _background(
    sample: Sample,
    scores: NDArray[np.floating],
    seen: NDArray[np.uint8],
    constraints: Constraints,
) -> Evidence:
    """Of the given background; where none is known, of what is seen as it (share 0)."""
    known = constraints.known == 0
    mask = known if known.any() else seen == 0
    mask = mask if mask.any() else np.ones(mask.shape, bool)
    place = (0, 0, mask.shape[1], mask.shape[0])
    means = means_over(scores, mask, place)
    return Evidence(
        sample.id, "background", sample.size, 0, 0, place, means, share=float(known.any())
    )


def _strokes(sample: Sample, scores: NDArray[np.floating]) -> Iterator[Evidence]:
    for stroke in sample.strokes:
        mask = stroke_map(Strokes((stroke,)), sample.size) == stroke.label
        if not mask.any():
            continue
        place = tight_box(mask)
        left, top, right, bottom = place
        yield Evidence(
            id=sample.id,
            source="stroke",
            size=sample.size,
            given=stroke.label,
            seen=stroke.label,
            place=place,
            means=means_over(scores, mask[top:bottom, left:right], place),
            area=float(mask.mean()),
            counts=counts_of(mask),
        )


def _mask_evidence(
    sample: Sample,
    scores: NDArray[np.floating],
    seen: NDArray[np.uint8],
    given: NDArray[np.uint8],
) -> Iterator[Evidence]:
    """Of each region of a mask, and of the parts in which another class is seen."""
    for region in connected_regions(given):
        if region.label != IGNORE and region.area >= SMALLEST * given.size:
            place = place_of(region)
            yield Evidence(
                id=sample.id,
                source="mask",
                size=sample.size,
                given=region.label,
                seen=region.label,
                place=place,
                means=means_over(scores, region.mask, place),
                area=region.area / given.size,
            )
    for label in np.unique(given[given != IGNORE]).tolist():
        otherwise = np.where((given == label) & (seen != label), seen, IGNORE).astype(np.uint8)
        for part in believable_regions(otherwise):
            if part.label != IGNORE:
                yield _part(sample, scores, given, label, part)


def _part(
    sample: Sample,
    scores: NDArray[np.floating],
    given: NDArray[np.uint8],
    label: int,
    part: ConnectedRegion,
) -> Evidence:
    place = place_of(part)
    whole = _placed(part.mask, place, sample.size)
    return Evidence(
        id=sample.id,
        source="part",
        size=sample.size,
        given=label,
        seen=part.label,
        place=place,
        means=means_over(scores, part.mask, place),
        area=part.area / given.size,
        touches=_touches(whole, np.isin(given, (part.label, IGNORE))),
        counts=counts_of(whole),
    )


def _segments(
    sample: Sample,
    scores: NDArray[np.floating],
    seen: NDArray[np.uint8],
    constraints: Constraints,
) -> Iterator[Evidence]:
    """Of each connected region of an object class that the network sees."""
    for region in believable_regions(seen):
        if region.label == 0:
            continue
        place = place_of(region)
        left, top, right, bottom = place
        allowed = constraints.allowed[:, top:bottom, left:right][:, region.mask]
        means = means_over(scores, region.mask, place)
        possible = np.where(allowed.any(axis=1), np.array(means)[constraints.classes], -1.0)
        of_class = constraints.classes == region.label
        yield Evidence(
            id=sample.id,
            source="segment",
            size=sample.size,
            given=int(constraints.classes[possible.argmax()]),
            seen=region.label,
            place=place,
            means=means,
            share=float(allowed[of_class].mean()) if of_class.any() else 0.0,
            area=region.area / seen.size,
            counts=counts_of(_placed(region.mask, place, sample.size)),
        )


def _tags(sample: Sample, scores: NDArray[np.floating]) -> Iterator[Evidence]:
    """Of each tag whose class nobody drew: the likeliest pixels of its class."""
    drawn = {box.label for box in sample.boxes} | {stroke.label for stroke in sample.strokes}
    for mask in _masks(sample):
        if isinstance(mask, Regions):
            drawn |= {region.label for region in mask.items}
    count = max(1, round(SMALLEST * scores[0].size))
    for label in (label for label in sample.tagged if label not in drawn):
        flat = scores[label].ravel()
        best = np.argpartition(flat, -count)[-count:]
        means = scores.reshape(len(scores), -1)[:, best].mean(axis=1, dtype=np.float64)
        yield Evidence(
            id=sample.id,
            source="tag",
            size=sample.size,
            given=label,
            seen=label,
            place=(0, 0, sample.size[1], sample.size[0]),
            means=tuple(round(float(mean), 5) for mean in means),
            area=1.0,
            others=tuple(sample.tagged),
        )


def _placed(
    mask: NDArray[np.bool_], place: tuple[int, int, int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    left, top, right, bottom = place
    whole = np.zeros(size, bool)
    whole[top:bottom, left:right] = mask
    return whole


def _touches(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> bool:
    kernel = np.ones((2 * _AROUND + 1,) * 2, np.uint8)
    around = cv2.dilate(mask.astype(np.uint8), kernel) > 0
    return bool((around & other).any())
