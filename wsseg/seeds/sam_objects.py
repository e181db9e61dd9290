"""The objects of an image that boxes and marks point out, and prompts for a SAM model."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box
from wsseg.data.constraints import labelled_pixels
from wsseg.data.example import Example
from wsseg.data.stacking import visible_box_index
from wsseg.data.strokes import default_width
from wsseg.foundation.prompting import depth_of, mask_prompt, points_in
from wsseg.foundation.sam import Prompt
from wsseg.labelmaps import IGNORE, bounding_box

_JITTERS = ((-1, -1, 1, 1), (1, 1, -1, -1), (-1, 1, -1, 1), (1, -1, 1, -1))
"""Signs by which the left, top, right and bottom of jittered boxes move: larger, smaller, and two
shifts."""

_JITTER = (0.03, 0.05)  # range of the moves, as a share of a side
_POINTS = 3  # of each mark: many clicks invert masks
_NEGATIVES = 6  # points on marks of other classes
_MASK_LOGIT = 10.0  # of a mask prompt: positive on the region, negative elsewhere


@dataclass(frozen=True, eq=False)
class PromptedObject:
    """One object of an image.

    Attributes:
        label: Class, 1 to 254.
        window: Rows and columns of the image where its pixels can be.
        possible: (h, w) bool in the window: pixels that may be of its class.
        marks: (h, w) bool: pixels that people labelled as this object.
        others: (h, w) bool: pixels that people labelled as another class.
        fallback: (h, w) bool: pixels of its class in the classical seed.
        in_front: (h, w) bool: pixels for which its box is the smallest; none without a box.
        box: Its box; None for an object that only marks point out.
        prompts: Several descriptions of the same object.
    """

    label: int
    window: tuple[slice, slice]
    possible: NDArray[np.bool_]
    marks: NDArray[np.bool_]
    others: NDArray[np.bool_]
    fallback: NDArray[np.bool_]
    in_front: NDArray[np.bool_]
    box: Box | None
    prompts: tuple[Prompt, ...]


def prompted_objects(
    example: Example, classical: NDArray[np.uint8], rng: np.random.Generator
) -> Iterator[PromptedObject]:
    """Yield the objects of all boxes but crowds, and of marks that belong to no box.

    Args:
        classical: (H, W) uint8 label map of another seed: its objects give points, and are the
            fallback.
        rng: Draws the jitter of boxes.
    """
    labelled = labelled_pixels(example.sample, example.n_classes)
    remaining = labelled.copy()
    for prompted in _boxed_objects(example, classical, labelled, rng):
        remaining[prompted.window][prompted.marks] = IGNORE
        yield prompted
    yield from _marked_objects(example, classical, labelled, remaining)


def _boxed_objects(
    example: Example,
    classical: NDArray[np.uint8],
    labelled: NDArray[np.uint8],
    rng: np.random.Generator,
) -> Iterator[PromptedObject]:
    boxes, constraints = example.sample.boxes, example.constraints
    owners = visible_box_index(boxes, example.sample.size)
    for number, box in enumerate(boxes):
        if box.crowd:
            continue
        window = box.slices
        in_front = np.asarray(owners[window] == number)
        possible = constraints.allowed[(constraints.classes == box.label, *window)].any(axis=0)
        is_other = (labelled[window] != IGNORE) & (labelled[window] != box.label)
        prompted = PromptedObject(
            label=box.label,
            window=window,
            possible=np.asarray(possible),
            # In an overlap, a mark belongs to the box in front.
            marks=np.asarray((labelled[window] == box.label) & in_front),
            others=np.asarray(is_other),
            fallback=np.asarray(classical[window] == box.label),
            in_front=in_front,
            box=box,
            prompts=(),
        )
        yield replace(prompted, prompts=_prompts_of_box(prompted, box, example.sample.size, rng))


def _prompts_of_box(
    prompted: PromptedObject, box: Box, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Prompt, ...]:
    """Return prompts by a box, by moved boxes, and by the box with points on and off the object."""
    corners = np.array([box.left, box.top, box.right, box.bottom], float)
    prompts = [Prompt(_corners(moved)) for moved in (corners, *_jittered(corners, size, rng))]
    if prompted.marks.any():
        points = points_in(prompted.marks, _POINTS)
    else:
        points = points_in(prompted.fallback & prompted.in_front, 1)
    if len(points):
        negatives = points_in(prompted.others, _POINTS)
        offset = corners[:2]
        prompts.append(_with_points(_corners(corners), points + offset, negatives + offset))
    return tuple(prompts)


def _marked_objects(
    example: Example,
    classical: NDArray[np.uint8],
    labelled: NDArray[np.uint8],
    remaining: NDArray[np.uint8],
) -> Iterator[PromptedObject]:
    """Yield the objects of marks.

    Args:
        labelled: (H, W) uint8, all marks; IGNORE elsewhere.
        remaining: (H, W) uint8, the marks that belong to no box.
    """
    constraints = example.constraints
    whole = slice(0, labelled.shape[0]), slice(0, labelled.shape[1])
    nowhere = np.zeros(labelled.shape, bool)
    for label in sorted({*np.unique(remaining).tolist()} - {0, IGNORE}):
        possible = constraints.allowed[constraints.classes == label].any(axis=0)
        others = np.asarray((labelled != IGNORE) & (labelled != label))
        negatives = points_in(others, _NEGATIVES)
        n_regions, regions = cv2.connectedComponents((classical == label).astype(np.uint8))
        parts = cv2.connectedComponents((remaining == label).astype(np.uint8))[1]
        # Regions of the classical seed that no mark touches belong to the first mark.
        unmarked = np.setdiff1d(np.arange(1, n_regions), regions[parts > 0])
        for part in range(1, int(parts.max()) + 1):
            marks = parts == part
            is_own = np.zeros(n_regions, bool)
            is_own[regions[marks]] = True
            is_own[unmarked] |= part == 1
            is_own[0] = False
            fallback = is_own[regions]
            prompts = _prompts_of_marks(marks, fallback, negatives)
            yield PromptedObject(
                label=label,
                window=whole,
                possible=possible,
                marks=marks,
                others=others,
                fallback=fallback | marks,
                in_front=nowhere,
                box=None,
                prompts=prompts,
            )


def _prompts_of_marks(
    marks: NDArray[np.bool_], fallback: NDArray[np.bool_], negatives: NDArray[np.float64]
) -> tuple[Prompt, ...]:
    """Return prompts by all points of a mark, each of them, its region and its likely box."""
    left, top, right, bottom = bounding_box(marks)
    window = slice(top, bottom), slice(left, right)
    own, size = marks[window], (marks.shape[0], marks.shape[1])
    points = points_in(own, _POINTS) + np.array([left, top])
    prompts = [_with_points(None, points, negatives)]
    if len(negatives):
        prompts.append(_with_points(None, points, negatives[:0]))
    prompts += (_with_points(None, point[None], negatives) for point in points if len(points) > 1)
    # Deeper than any stroke: a region that a person filled. A click is no region, however large
    # it is on a large image, and as a mask prompt it would ask for the click itself.
    if depth_of(own).max() > default_width(size):
        logits = np.where(own, _MASK_LOGIT, -_MASK_LOGIT).astype(np.float32)
        mask = mask_prompt(logits, window, size, -_MASK_LOGIT)
        prompts.append(_with_points(None, points, negatives, mask))
    if (fallback & ~marks).sum() > marks.sum():
        prompts.append(_with_points(bounding_box(fallback), points, negatives))
    return tuple(prompts)


def _with_points(
    box: tuple[float, float, float, float] | None,
    points: NDArray[np.float64],
    negatives: NDArray[np.float64],
    mask: NDArray[np.float32] | None = None,
) -> Prompt:
    positive = np.arange(len(points) + len(negatives)) < len(points)
    return Prompt(box, np.concatenate([points, negatives]), positive, mask)


def _jittered(
    corners: NDArray[np.float64], size: tuple[int, int], rng: np.random.Generator
) -> Iterator[NDArray[np.float64]]:
    """Yield boxes whose edges are moved by a few percent, clipped to the image."""
    sides = np.tile(corners[2:] - corners[:2], 2)
    for signs in _JITTERS:
        moved = corners + np.array(signs) * rng.uniform(*_JITTER, 4) * sides
        yield moved.clip(0, [size[1], size[0]] * 2)


def _corners(values: NDArray[np.float64]) -> tuple[float, float, float, float]:
    left, top, right, bottom = values.tolist()
    return left, top, right, bottom
