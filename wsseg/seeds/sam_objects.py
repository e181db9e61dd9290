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
from wsseg.foundation.prompting import bounding_box, depth_of, points_in
from wsseg.foundation.sam import Prompt
from wsseg.labelmaps import IGNORE

_JITTERS = ((-1, -1, 1, 1), (1, 1, -1, -1), (-1, 1, -1, 1), (1, -1, 1, -1))
"""Signs by which the left, top, right and bottom of jittered boxes move: larger, smaller, and two
shifts."""

_JITTER = (0.03, 0.05)  # range of the moves, as a share of a side
_POINTS = 3  # of each mark: many clicks invert masks
_NEGATIVES = 6  # points on marks of other classes
_BLOB = 5  # pixels: a mark whose pixels lie deeper than this is a region, not a stroke
_MASK_LOGIT = 10.0  # of a mask prompt, on the region


@dataclass(frozen=True, eq=False)
class PromptedObject:
    """One object of an image.

    Attributes:
        label: Its class.
        window: Rows and columns of the image where its pixels can be.
        possible: (h, w) bool in the window: pixels that may be of its class.
        marks: (h, w) bool: pixels that people labelled as its class.
        others: (h, w) bool: pixels that people labelled as another class.
        fallback: (h, w) bool: its pixels in the classical seed.
        box: Its box; None for an object that only marks point out.
        prompts: Several descriptions of the same object.
    """

    label: int
    window: tuple[slice, slice]
    possible: NDArray[np.bool_]
    marks: NDArray[np.bool_]
    others: NDArray[np.bool_]
    fallback: NDArray[np.bool_]
    box: Box | None
    prompts: tuple[Prompt, ...]


def prompted_objects(
    example: Example, classical: NDArray[np.uint8], rng: np.random.Generator
) -> Iterator[PromptedObject]:
    """Yield the objects of all boxes but crowds, and of marks that lie in no box of their class.

    Args:
        classical: (H, W) uint8 label map of another seed: its objects give points, and are the
            fallback.
        rng: Draws the jitter of boxes.
    """
    labelled = labelled_pixels(example.sample, example.n_classes)
    remaining = labelled.copy()
    for thing in _boxed_objects(example, classical, labelled, rng):
        remaining[thing.window][thing.marks] = IGNORE
        yield thing
    yield from _marked_objects(example, classical, remaining)


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
        marks = labelled[window] == box.label
        possible = constraints.allowed[(constraints.classes == box.label, *window)].any(axis=0)
        is_visible = owners[window] == number
        thing = PromptedObject(
            label=box.label,
            window=window,
            possible=np.asarray(possible),
            marks=marks,
            others=np.asarray((labelled[window] != IGNORE) & ~marks),
            fallback=np.asarray((classical[window] == box.label) & is_visible),
            box=box,
            prompts=(),
        )
        yield replace(thing, prompts=_prompts_of_box(thing, box, example.sample.size, rng))


def _prompts_of_box(
    thing: PromptedObject, box: Box, size: tuple[int, int], rng: np.random.Generator
) -> tuple[Prompt, ...]:
    """Return prompts by a box, by moved boxes, and by the box with points on and off the object."""
    corners = np.array([box.left, box.top, box.right, box.bottom], float)
    prompts = [Prompt(_corners(moved)) for moved in (corners, *_jittered(corners, size, rng))]
    is_marked = bool(thing.marks.any())
    points = points_in(thing.marks if is_marked else thing.fallback, _POINTS if is_marked else 1)
    if len(points):
        negative = points_in(thing.others, _POINTS)
        moved = points + corners[:2], negative + corners[:2]
        prompts.append(_with_points(_corners(corners), *moved))
    return tuple(prompts)


def _marked_objects(
    example: Example, classical: NDArray[np.uint8], labelled: NDArray[np.uint8]
) -> Iterator[PromptedObject]:
    constraints = example.constraints
    whole = slice(0, labelled.shape[0]), slice(0, labelled.shape[1])
    for label in sorted({*np.unique(labelled).tolist()} - {0, IGNORE}):
        possible = constraints.allowed[constraints.classes == label].any(axis=0)
        other = (labelled != IGNORE) & (labelled != label)
        elsewhere = points_in(other, _NEGATIVES)
        _, regions = cv2.connectedComponents((classical == label).astype(np.uint8))
        count, parts = cv2.connectedComponents((labelled == label).astype(np.uint8))
        # Regions that no mark touches belong to the first mark.
        lone = np.setdiff1d(regions, regions[parts > 0])
        for part in range(1, count):
            marks = parts == part
            touched = np.union1d(regions[marks], lone if part == 1 else [])
            fallback = np.isin(regions, touched[touched > 0])
            prompts = _prompts_of_marks(marks, fallback, elsewhere)
            yield PromptedObject(
                label, whole, possible, marks, other, fallback | marks, None, prompts
            )


def _prompts_of_marks(
    marks: NDArray[np.bool_], fallback: NDArray[np.bool_], negative: NDArray[np.float64]
) -> tuple[Prompt, ...]:
    """Return prompts by all points of a mark, each of them, its region and its likely box."""
    points = points_in(marks, _POINTS)
    prompts = [_with_points(None, points, negative)]
    if len(negative):
        prompts.append(_with_points(None, points, negative[:0]))
    prompts += (_with_points(None, point[None], negative) for point in points if len(points) > 1)
    if depth_of(marks).max() > _BLOB:
        logits = np.where(marks, _MASK_LOGIT, -_MASK_LOGIT).astype(np.float32)
        prompts.append(_with_points(None, points, negative, logits))
    if fallback.any():
        prompts.append(_with_points(bounding_box(fallback), points, negative))
    return tuple(prompts)


def _with_points(
    box: tuple[float, float, float, float] | None,
    points: NDArray[np.float64],
    negative: NDArray[np.float64],
    mask: NDArray[np.float32] | None = None,
) -> Prompt:
    positive = np.arange(len(points) + len(negative)) < len(points)
    return Prompt(box, np.concatenate([points, negative]), positive, mask)


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
