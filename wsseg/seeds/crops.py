"""A box with its surroundings: the part of an image that GrabCut processes."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.annotation import Box
from wsseg.data.constraints import Constraints
from wsseg.seeds.markers import count_in_cells, resize_nearest, upscale


@dataclass(frozen=True, eq=False)
class Crop:
    """A box and its surroundings, possibly downscaled.

    Attributes:
        pixels: (h, w, 3) RGB, or (h, w, 4) with edges of 0..255 as the fourth channel.
        trimap: (h, w) uint8 of OpenCV's ``GC_*`` values.
        box: The box in the crop's pixels.
        size: (H, W) of the crop at the image's resolution.
        inside: Index of the box's pixels in the crop at the image's resolution.
    """

    pixels: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    box: Box
    size: tuple[int, ...]
    inside: tuple[slice, slice]

    def downscale(self, longest: int, shortest: int) -> "Crop":
        """Return the crop at a lower resolution, unchanged if it is small enough.

        Foreground strokes, and background strokes inside the box, survive however thin they are.

        Args:
            longest: Upper bound of the longer side of the crop in pixels.
            shortest: Lower bound of the shorter side of the box in pixels, which comes first.
        """
        shorter = min(self.box.bottom - self.box.top, self.box.right - self.box.left)
        scale = max(longest / max(self.size), shortest / shorter)
        if scale >= 1:
            return self
        size = max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))
        pixels = cv2.resize(self.pixels, size[::-1], interpolation=cv2.INTER_AREA)
        corners = _corners(self.box) * np.tile(np.divide(size, self.size), 2)
        box = _round_box(self.box.label, corners, size)
        trimap = self._downscale_trimap(box, size)
        return Crop(pixels.astype(np.uint8), trimap, box, self.size, self.inside)

    def _downscale_trimap(self, box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
        marked = np.zeros(self.trimap.shape, bool)
        marked[self.box.slices] = self.trimap[self.box.slices] == cv2.GC_BGD
        foreground = count_in_cells(self.trimap == cv2.GC_FGD, size)
        background = count_in_cells(marked, size)
        trimap = resize_nearest(self.trimap, size)
        # The rounded box may reach beyond the original one, where the trimap is background.
        inside = trimap[box.slices]
        inside[inside == cv2.GC_BGD] = cv2.GC_PR_FGD
        trimap[background > 0] = cv2.GC_BGD
        trimap[(foreground > 0) & (foreground >= background)] = cv2.GC_FGD
        return trimap

    def uncrop(self, share: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the box's part of a map over the crop, interpolated if it was downscaled."""
        return upscale(share, self.size)[self.inside]


def crop_around(
    box: Box, pixels: NDArray[np.uint8], constraints: Constraints, padding: float
) -> Crop:
    """Return a box with its surroundings at the image's resolution.

    Pixels that may be of the box's class (in it and in other boxes of the class) are probable
    foreground, pixels known to be of it certain foreground, all others certain background.

    Args:
        pixels: (H, W, 3 or 4) uint8.
        padding: Width of the surroundings as a share of the box's sides; at least one pixel.
    """
    rows, columns = window = _window(box, padding, pixels.shape)
    part = Constraints(constraints.classes, constraints.allowed[:, rows, columns])
    possible = part.allowed[part.classes == box.label].any(axis=0)
    trimap = np.where(possible, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    trimap[part.known == box.label] = cv2.GC_FGD
    in_crop = _shift(box, rows.start, columns.start)
    return Crop(pixels[window], trimap, in_crop, trimap.shape, in_crop.slices)


def jitter(
    crop: Crop, strength: float, band: tuple[float, float], rng: np.random.Generator
) -> tuple[tuple[slice, slice], Crop]:
    """Return a part of a crop with a jittered box and surroundings of random width.

    Edges of the box on the crop's border, which is the image's, stay where they are.

    Args:
        crop: The box with the largest surroundings.
        strength: Largest movement of an edge as a share of the box's side.
        band: Range of the width of the surroundings as a share of the box's sides.

    Returns:
        The index of the part in the crop, and the part.
    """
    box, trimap = crop.box, crop.trimap.copy()
    corners, sides = _corners(box), (box.bottom - box.top, box.right - box.left)
    moves = rng.uniform(-strength, strength, 4) * np.tile(sides, 2)
    # Beyond an edge on the border there is no background to gain, only object pixels to lose.
    moves[corners == (0, 0, *trimap.shape)] = 0
    moved = _round_box(box.label, corners + moves, trimap.shape)
    marked = trimap[box.slices] == cv2.GC_BGD
    before, after = trimap[box.slices], trimap[moved.slices]
    before[before == cv2.GC_PR_FGD] = cv2.GC_BGD
    after[after == cv2.GC_BGD] = cv2.GC_PR_FGD
    before[marked] = cv2.GC_BGD
    window = _window(moved, rng.uniform(*band), trimap.shape)
    in_part = _shift(moved, window[0].start, window[1].start)
    part = trimap[window]
    return window, Crop(crop.pixels[window], part, in_part, part.shape, in_part.slices)


def _window(box: Box, padding: float, size: tuple[int, ...]) -> tuple[slice, slice]:
    down = max(1, round(padding * (box.bottom - box.top)))
    across = max(1, round(padding * (box.right - box.left)))
    rows = slice(max(0, box.top - down), min(size[0], box.bottom + down))
    return rows, slice(max(0, box.left - across), min(size[1], box.right + across))


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array([box.top, box.left, box.bottom, box.right], float)


def _round_box(label: int, corners: NDArray[np.float64], size: tuple[int, ...]) -> Box:
    """Return a box of at least one pixel inside ``size`` from (top, left, bottom, right)."""
    limits = np.tile(size, 2)
    top, left, bottom, right = (int(c) for c in np.rint(corners).clip(0, limits))
    top, left = min(top, size[0] - 1), min(left, size[1] - 1)
    return Box(label, left, top, max(right, left + 1), max(bottom, top + 1))


def _shift(box: Box, top: int, left: int) -> Box:
    return Box(box.label, box.left - left, box.top - top, box.right - left, box.bottom - top)
