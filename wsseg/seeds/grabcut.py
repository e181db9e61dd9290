"""GrabCut in every box, once or by the votes of many perturbed runs."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box
from wsseg.data.constraints import Constraints
from wsseg.data.example import Example
from wsseg.data.stacking import smaller_in_front, visible_box_index
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labelmaps import IGNORE
from wsseg.refine.tightness import grow_to_sides, reached_sides
from wsseg.seeds.boxes import core
from wsseg.seeds.crops import Crop, crop_around, jitter
from wsseg.seeds.graphcut import cut_out
from wsseg.seeds.params import GrabCutParams

MAX_SIDE = 400
"""Larger crops, and images of seeds from strokes, are downscaled to this longer side in pixels."""

MIN_FILL = 0.2
"""A result has failed below this share of the visible box, or of the foreground it started from."""

_MIN_SIDE = 9  # pixels: crops keep their boxes above it
_PADDING = 0.5  # surroundings of a box, as a share of its sides
_BORDER = 0.05  # share of a crop below which the box's own border is a sample of the background
_VOTES = 150  # perturbed runs of each box, about as many as in Simple Does It
_VOTES_SIDE = 96  # pixels: crops of perturbed runs are downscaled to this longer side
_JITTER = 0.05  # share of a side by which the edges of the box move
_BAND = (0.1, 0.6)  # range of the surroundings of a perturbed box, as a share of its sides
_FOREGROUND, _BACKGROUND = 0.7, 0.2  # shares of votes: foreground from, background below


def grabcut(example: Example, params: GrabCutParams) -> NDArray[np.uint8]:
    """Return the objects that GrabCut segments in their boxes, smaller boxes in front.

    Pixels around a box that may be of its class (boxes of the same class) are probable foreground,
    all others certain background; marks inside a box are certain. A box that is too small for
    colour statistics, or whose result is empty or tiny, is filled: a failed GrabCut is worse than
    the plain box. As boxes are tight, segments then grow to the sides, unless marks inside say
    where the object ends; see ``grow_to_sides``. With an edge map this is GrabCut+.

    Returns:
        (H, W) uint8; outside the boxes known pixels, else IGNORE.

    Raises:
        InputError: An edge map is missing or has another size.

    References:
        Rother et al., GrabCut, SIGGRAPH 2004, doi:10.1145/1015706.1015720; Khoreva et al.,
        Simple Does It, CVPR 2017, arXiv:1603.07485 (GrabCut+).
    """
    pixels, label_map = _with_edges(example, params.edges), _empty_boxes(example)
    known = example.constraints.known
    for box, visible in _back_to_front(example, label_map):
        mask = _segment(pixels, example.constraints, box, params.iterations)
        has_failed, is_marked = _has_failed(mask, visible), (known[box.slices] != IGNORE).any()
        sides = reached_sides(box, visible, label_map.shape)
        grown = mask if is_marked else grow_to_sides(mask, sides)
        label_map[box.slices][grown | has_failed] = box.label
    return label_map


def grabcut_votes(
    example: Example, params: GrabCutParams, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return the pixels on which most of many perturbed GrabCut runs agree, IGNORE elsewhere.

    A box that is too small for GrabCut is filled. If the foreground is tiny, the votes have failed:
    the core of the box keeps its class and the rest is IGNORE.

    Returns:
        (H, W) uint8; outside the boxes known pixels, else IGNORE.

    Raises:
        InputError: An edge map is missing or has another size.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 (GrabCut+^i).
    """
    pixels, label_map = _with_edges(example, params.edges), _empty_boxes(example)
    for box, visible in _back_to_front(example, label_map):
        inside = label_map[box.slices]
        share = vote_share(pixels, example.constraints, box, _VOTES, rng)
        foreground = share >= _FOREGROUND
        if _has_failed(foreground, visible):
            inside[:] = IGNORE
            label_map[core(box)] = box.label
        else:
            inside[share >= _BACKGROUND] = IGNORE
            inside[foreground] = box.label
    return label_map


def vote_share(
    pixels: NDArray[np.uint8],
    constraints: Constraints,
    box: Box,
    votes: int,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the share of perturbed GrabCut runs that assign each pixel of a box to the object.

    Args:
        pixels: (H, W, 3) uint8 RGB, or (H, W, 4) with edges of 0..255 as the fourth channel.
        rng: Draws the perturbations.

    Returns:
        (box height, box width) float32, 0..1.
    """
    if is_small(box):
        return np.ones((box.bottom - box.top, box.right - box.left), np.float32)
    crop = crop_around(box, pixels, constraints, _JITTER + _BAND[1] * (1 + 2 * _JITTER))
    crop = crop.downscale(_VOTES_SIDE, _MIN_SIDE)
    total = np.zeros(crop.trimap.shape, np.float32)
    for _ in range(votes):
        window, part = jitter(crop, _JITTER, _BAND, rng)
        total[window] += cut(part.pixels, _with_background(part), 1)
    return crop.uncrop(total / np.float32(votes))


def cut(pixels: NDArray[np.uint8], trimap: NDArray[np.uint8], iterations: int) -> NDArray[np.bool_]:
    """Return the foreground of one GrabCut run.

    Args:
        pixels: (h, w, 3) uint8 RGB, or (h, w, 4) with edges of 0..255 as the fourth channel.
        trimap: (h, w) uint8 of OpenCV's ``GC_*`` values.

    Returns:
        (h, w) bool; the foreground of the trimap if it lacks one of the two sides.
    """
    foreground = (trimap & 1).astype(bool)  # GC_FGD and GC_PR_FGD are odd
    if foreground.all() or not foreground.any():
        return foreground
    image = np.ascontiguousarray(pixels[..., :3])  # kernels are compiled for each memory layout
    edges = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
    return cut_out(image, trimap, iterations, edges)


def _segment(
    pixels: NDArray[np.uint8],
    constraints: Constraints,
    box: Box,
    iterations: int,
) -> NDArray[np.bool_]:
    """Return the object's pixels of a box; none if the box is too small."""
    if is_small(box):
        return np.zeros((box.bottom - box.top, box.right - box.left), bool)
    crop = crop_around(box, pixels, constraints, _PADDING).downscale(MAX_SIDE, _MIN_SIDE)
    mask = cut(crop.pixels, _with_background(crop), iterations)
    return crop.uncrop(mask.astype(np.float32)) >= 0.5


def _with_background(crop: Crop) -> NDArray[np.uint8]:
    """Return the trimap of a crop; if it lacks background, the box's border becomes background."""
    trimap = crop.trimap.copy()
    if (trimap == cv2.GC_BGD).mean() < _BORDER:
        inside = trimap[crop.box.slices]
        down, across = (max(1, round(_BORDER * side)) for side in inside.shape)
        # Probable background, not certain: the object touches the border of a tight box somewhere.
        for edge in (inside[:down], inside[-down:], inside[:, :across], inside[:, -across:]):
            edge[edge == cv2.GC_PR_FGD] = cv2.GC_PR_BGD
    return trimap


def _back_to_front(
    example: Example, label_map: NDArray[np.uint8]
) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """Yield boxes in painting order, each with its visible pixels that may be of its class.

    Crowds are not yielded: they become IGNORE in the label map when it is their turn.
    """
    boxes, constraints = example.sample.boxes, example.constraints
    front = visible_box_index(boxes, example.sample.size)
    for box in smaller_in_front(boxes):
        if box.crowd:
            label_map[box.slices] = IGNORE
            continue
        possible = constraints.allowed[(constraints.classes == box.label, *box.slices)]
        yield box, (front[box.slices] == boxes.index(box)) & possible.any(axis=0)


def _empty_boxes(example: Example) -> NDArray[np.uint8]:
    label_map = example.constraints.known.copy()
    for box in example.sample.boxes:
        label_map[box.slices] = 0
    return label_map


def is_small(box: Box) -> bool:
    """Return whether a box has too few pixels to tell an object from its surroundings."""
    return min(box.bottom - box.top, box.right - box.left) < _MIN_SIDE


def _has_failed(mask: NDArray[np.bool_], visible: NDArray[np.bool_]) -> bool:
    count = int((mask & visible).sum())
    return count == 0 or count < MIN_FILL * visible.sum()


def _with_edges(example: Example, folder: Path | None) -> NDArray[np.uint8]:
    """Return the image, with its edges of 0..255 as a fourth channel if there is a folder."""
    image, sample = example.image, example.sample
    if folder is None:
        return image
    edges = read_image(folder / f"{sample.id}.png")[..., 0]
    if edges.shape != image.shape[:2]:
        subject, rule = f"edge map of {sample.id}", f"of the image's size {image.shape[:2]}"
        raise InputError(subject, rule, edges.shape, "detect the edges at full size")
    return np.dstack([image, edges])
