"""GrabCut in every box, once or by the votes of many perturbed runs, with guards."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints
from wsseg.data.model import Box, Sample
from wsseg.data.stacking import smaller_in_front, visible_box_index
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labelmaps import IGNORE
from wsseg.seeds.boxes import core
from wsseg.seeds.crops import Crop, crop_around, perturbed
from wsseg.seeds.edges import cut_along_edges
from wsseg.seeds.params import SeedParams

EdgeDetector = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""(H, W, 3) uint8 RGB image -> (H, W) edge probability, 0 to 1."""


def grabcut(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,
    *,
    edges: EdgeDetector | None = None,
) -> NDArray[np.uint8]:
    """Return the objects that GrabCut finds in their boxes, smaller boxes in front.

    Around a box, what may be of its class (boxes of the same class) is probable foreground and
    all else sure background; marks inside a box are sure of either. A box that is too small for
    colour statistics, or whose result is empty or tiny, is filled: GrabCut that collapses is worse
    than the plain box. An edge map makes it GrabCut+.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow.
        sample: The image's boxes.
        settings: Those marked ``grabcut``.
        rng: Seeds OpenCV for each box.
        edges: Edge detector, in place of ``settings.edges``.

    Returns:
        (H, W) uint8; outside the boxes what is known, else IGNORE.

    Raises:
        InputError: An edge map is missing or of another size.

    References:
        Rother et al., GrabCut, SIGGRAPH 2004, doi:10.1145/1015706.1015720; Khoreva et al.,
        Simple Does It, CVPR 2017, arXiv:1603.07485 (GrabCut+).
    """
    pixels = _pixels(image, sample, settings, edges)
    label_map = _emptied(constraints, sample)
    for drawn, visible in _back_to_front(sample, constraints):
        inside = label_map[drawn.slices]
        if drawn.crowd:
            inside[:] = IGNORE
            continue
        found = _once(pixels, constraints, drawn, settings, rng)
        failed = _has_failed(found, visible, settings)
        inside[found | failed] = drawn.label
    return label_map


def grabcut_votes(
    image: NDArray[np.uint8],
    constraints: Constraints,
    sample: Sample,
    settings: SeedParams,
    rng: np.random.Generator,
    *,
    edges: EdgeDetector | None = None,
) -> NDArray[np.uint8]:
    """Return where most of many perturbed GrabCut runs agree, and IGNORE where they do not.

    A box that is too small for GrabCut is filled. Where fewer pixels than ``min_fill`` win, the
    votes say nothing of the object: its core keeps the class and the rest of the box is IGNORE.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow.
        sample: The image's boxes.
        settings: Those marked ``grabcut`` and ``grabcut_votes``.
        rng: Of the perturbations.
        edges: Edge detector, in place of ``settings.edges``.

    Returns:
        (H, W) uint8; outside the boxes what is known, else IGNORE.

    Raises:
        InputError: An edge map is missing or of another size.

    References:
        Khoreva et al., Simple Does It, CVPR 2017, arXiv:1603.07485 (GrabCut+^i).
    """
    pixels = _pixels(image, sample, settings, edges)
    label_map = _emptied(constraints, sample)
    for drawn, visible in _back_to_front(sample, constraints):
        inside = label_map[drawn.slices]
        if drawn.crowd:
            inside[:] = IGNORE
            continue
        share = _votes(pixels, constraints, drawn, settings, rng)
        won = share >= settings.foreground_votes
        if _has_failed(won, visible, settings):
            inside[:] = IGNORE
            label_map[core(drawn, settings)] = drawn.label
        else:
            inside[share >= settings.background_votes] = IGNORE
            inside[won] = drawn.label
    return label_map


def vote_share(
    image: NDArray[np.uint8],
    constraints: Constraints,
    drawn: Box,
    settings: SeedParams,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return how many of the perturbed GrabCut runs take each pixel of a box for its object.

    Args:
        image: (H, W, 3) uint8 RGB.
        constraints: What the annotations allow.
        drawn: One box of the image.
        settings: Those marked ``grabcut_votes``.
        rng: Of the perturbations.

    Returns:
        (H, W) float32 share of the votes, 0 to 1; 0 outside the box.
    """
    share = np.zeros(image.shape[:2], np.float32)
    share[drawn.slices] = _votes(image, constraints, drawn, settings, rng)
    return share


def cut(
    pixels: NDArray[np.uint8],
    trimap: NDArray[np.uint8],
    iterations: int,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return the foreground that one GrabCut finds.

    Args:
        pixels: (h, w, 3) uint8 RGB, or (h, w, 4) with edges of 0..255 as the fourth channel.
        trimap: (h, w) uint8 of OpenCV's ``GC_*`` values.
        iterations: Of colour models and cut in turn.
        rng: Seeds OpenCV.

    Returns:
        (h, w) bool; the trimap's own foreground where it lacks one of the two sides.
    """
    seed, foreground = int(rng.integers(2**31)), _is_foreground(trimap)
    if foreground.all() or not foreground.any():
        return foreground
    if pixels.shape[2] == 4:
        return cut_along_edges(pixels[..., :3], pixels[..., 3] / 255, trimap, iterations, seed)
    cv2.setRNGSeed(seed)
    decided, nothing = trimap.copy(), cast(Any, None)
    bgr = np.ascontiguousarray(pixels[..., ::-1])
    cv2.grabCut(bgr, decided, nothing, nothing, nothing, iterations, cv2.GC_INIT_WITH_MASK)
    return _is_foreground(decided)


def _once(
    pixels: NDArray[np.uint8],
    constraints: Constraints,
    drawn: Box,
    settings: SeedParams,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """The object's pixels of a box; none where the box is too small to look into."""
    if _is_small(drawn, settings):
        return np.zeros((drawn.bottom - drawn.top, drawn.right - drawn.left), bool)
    crop = crop_around(drawn, pixels, constraints, settings.padding)
    crop = crop.shrunk(settings.max_side, settings.min_side)
    found = _object(crop, settings, settings.iterations, rng)
    return crop.at_full_size(found.astype(np.float32)) >= 0.5


def _object(
    crop: Crop, settings: SeedParams, iterations: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """(h, w) foreground of a crop."""
    trimap = _with_background(crop.trimap, crop.box, settings.frame)
    return cut(crop.pixels, trimap, iterations, rng)


def _is_foreground(trimap: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (trimap & 1).astype(bool)  # GC_FGD and GC_PR_FGD are odd


def _with_background(trimap: NDArray[np.uint8], box: Box, frame: float) -> NDArray[np.uint8]:
    """Copy a trimap; where it lacks background, the box's frame becomes probable background."""
    mended = trimap.copy()
    if (trimap == cv2.GC_BGD).mean() < frame:
        inside = mended[box.slices]
        down, across = (max(1, round(frame * side)) for side in inside.shape)
        # probable, not sure: a tight box means that the object touches its frame somewhere
        for edge in (inside[:down], inside[-down:], inside[:, :across], inside[:, -across:]):
            edge[edge == cv2.GC_PR_FGD] = cv2.GC_PR_BGD
    return mended


def _votes(
    pixels: NDArray[np.uint8],
    constraints: Constraints,
    drawn: Box,
    settings: SeedParams,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Share of the votes for each pixel of a box."""
    if _is_small(drawn, settings):
        return np.ones((drawn.bottom - drawn.top, drawn.right - drawn.left), np.float32)
    reach = settings.jitter + settings.band[1] * (1 + 2 * settings.jitter)
    crop = crop_around(drawn, pixels, constraints, reach)
    crop = crop.shrunk(settings.votes_side, settings.min_side)
    votes = np.zeros(crop.trimap.shape, np.float32)
    for _ in range(settings.votes):
        window, run = perturbed(crop, settings, rng)
        votes[window] += _object(run, settings, settings.votes_iterations, rng)
    return crop.at_full_size(votes / np.float32(settings.votes))


def _back_to_front(
    sample: Sample, constraints: Constraints
) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """Boxes in painting order, each with its visible pixels that may be of its class."""
    front = visible_box_index(sample.boxes, sample.size)
    for drawn in smaller_in_front(sample.boxes):
        possible = constraints.allowed[(constraints.classes == drawn.label, *drawn.slices)]
        visible = front[drawn.slices] == sample.boxes.index(drawn)
        yield drawn, visible & possible.any(axis=0)


def _emptied(constraints: Constraints, sample: Sample) -> NDArray[np.uint8]:
    label_map = constraints.known.copy()
    for drawn in sample.boxes:
        label_map[drawn.slices] = 0
    return label_map


def _is_small(drawn: Box, settings: SeedParams) -> bool:
    return min(drawn.bottom - drawn.top, drawn.right - drawn.left) < settings.min_side


def _has_failed(found: NDArray[np.bool_], visible: NDArray[np.bool_], settings: SeedParams) -> bool:
    count = int((found & visible).sum())
    return count == 0 or count < settings.min_fill * visible.sum()


def _pixels(
    image: NDArray[np.uint8],
    sample: Sample,
    settings: SeedParams,
    detector: EdgeDetector | None,
) -> NDArray[np.uint8]:
    """The image, with its edges of 0..255 as a fourth channel where there are any."""
    if detector is not None:
        edges = (np.asarray(detector(image)) * 255).clip(0, 255).round().astype(np.uint8)
    elif settings.edges is not None:
        edges = read_image(settings.edges / f"{sample.id}.png")[..., 0]
    else:
        return image
    if edges.shape != image.shape[:2]:
        subject, rule = f"edge map of {sample.id}", f"of the image's size {image.shape[:2]}"
        raise InputError(subject, rule, edges.shape, "detect the edges at full size")
    return np.dstack([image, edges])
