"""A box with its surroundings: the part of an image that GrabCut looks at."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wsseg.data.constraints import Constraints
from wsseg.data.model import Box
from wsseg.seeds.markers import counts_of, resized
from wsseg.seeds.params import SeedParams


@dataclass(frozen=True)
class Crop:
    """A box and its surroundings, perhaps shrunk.

    Args:
        pixels: (h, w, 3) RGB, or (h, w, 4) with edges of 0..255 as the fourth channel.
        trimap: (h, w) uint8 of OpenCV's ``GC_*`` values.
        box: The box in the crop's pixels.
        size: (H, W) of the crop before it was shrunk.
        inside: The box's pixels in the crop before it was shrunk.
    """

    pixels: NDArray[np.uint8]
    trimap: NDArray[np.uint8]
    box: Box
    size: tuple[int, ...]
    inside: tuple[slice, slice]

    def shrunk(self, longest: int, shortest: int) -> "Crop":
        """Return the crop at a lower resolution, itself where it is small enough.

        However thin a stroke is, its foreground, or its background inside the box, survives.

        Args:
            longest: Its longer side comes down to this, pixels,
            shortest: but its box's shorter side stays above this, pixels.

        Returns:
            The smaller crop; the box keeps at least one pixel.
        """
        shorter = min(self.box.bottom - self.box.top, self.box.right - self.box.left)
        scale = max(longest / max(self.size), shortest / shorter)
        if scale >= 1:
            return self
        size = max(1, round(self.size[0] * scale)), max(1, round(self.size[1] * scale))
        pixels = cv2.resize(self.pixels, size[::-1], interpolation=cv2.INTER_AREA)
        corners = _corners(self.box) * np.tile(np.divide(size, self.size), 2)
        box = _rounded(self.box.label, corners, size)
        trimap = self._shrunk_trimap(box, size)
        return Crop(pixels.astype(np.uint8), trimap, box, self.size, self.inside)

    def _shrunk_trimap(self, box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
        marked = np.zeros(self.trimap.shape, bool)
        marked[self.box.slices] = self.trimap[self.box.slices] == cv2.GC_BGD
        foreground, background = counts_of(self.trimap == cv2.GC_FGD, size), counts_of(marked, size)
        trimap = resized(self.trimap, size)
        inside = trimap[box.slices]
        inside[inside == cv2.GC_BGD] = cv2.GC_PR_FGD  # the rounded box may reach outside the other
        trimap[background > 0] = cv2.GC_BGD
        trimap[(foreground > 0) & (foreground >= background)] = cv2.GC_FGD
        return trimap

    def at_full_size(self, share: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the box's part of a map over the crop, at the image's resolution.

        Args:
            share: (h, w) float32 over the crop's pixels.

        Returns:
            (box height, box width) float32, interpolated where the crop was shrunk.
        """
        if share.shape == self.size:
            return share[self.inside]
        full: NDArray[np.float32] = cv2.resize(share, self.size[::-1]).astype(np.float32)
        return full[self.inside]


def crop_around(
    drawn: Box, pixels: NDArray[np.uint8], constraints: Constraints, padding: float
) -> Crop:
    """Return a box with its surroundings.

    Pixels that may be of the box's class, its own and those of other boxes of the class, are
    probable foreground; pixels known to be of it sure foreground; all else sure background.

    Args:
        drawn: The box, in pixels of the image.
        pixels: (H, W, 3 or 4) uint8.
        constraints: What the annotations of the image allow.
        padding: Share of the box's sides to see around it; at least one pixel.

    Returns:
        The crop at the image's resolution.
    """
    rows, columns = window = _window(drawn, padding, pixels.shape)
    part = Constraints(constraints.classes, constraints.allowed[:, rows, columns])
    possible = part.allowed[part.classes == drawn.label].any(axis=0)
    trimap = np.where(possible, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    trimap[part.known == drawn.label] = cv2.GC_FGD
    box = _shifted(drawn, rows.start, columns.start)
    return Crop(pixels[window], trimap, box, trimap.shape, box.slices)


def perturbed(
    crop: Crop, settings: SeedParams, rng: np.random.Generator
) -> tuple[tuple[slice, slice], Crop]:
    """Return a part of a crop whose box is jittered and whose background band is random.

    Edges of the box on the crop's border, which is the image's, stay where they are.

    Args:
        crop: The box with all the surroundings that a run may see.
        settings: Its ``jitter`` and ``band``.
        rng: Of the perturbation.

    Returns:
        The part's place in the crop, and the part.
    """
    box, trimap = crop.box, crop.trimap.copy()
    corners, sides = _corners(box), (box.bottom - box.top, box.right - box.left)
    moves = rng.uniform(-settings.jitter, settings.jitter, 4) * np.tile(sides, 2)
    # beyond an edge on the border there is no background: all it could gain is the object's pixels
    moves[corners == (0, 0, *trimap.shape)] = 0
    moved = _rounded(box.label, corners + moves, trimap.shape)
    marked = trimap[box.slices] == cv2.GC_BGD
    before, after = trimap[box.slices], trimap[moved.slices]
    before[before == cv2.GC_PR_FGD] = cv2.GC_BGD
    after[after == cv2.GC_BGD] = cv2.GC_PR_FGD
    before[marked] = cv2.GC_BGD
    window = _window(moved, rng.uniform(*settings.band), trimap.shape)
    shifted = _shifted(moved, window[0].start, window[1].start)
    part = trimap[window]
    return window, Crop(crop.pixels[window], part, shifted, part.shape, shifted.slices)


def _window(box: Box, padding: float, size: tuple[int, ...]) -> tuple[slice, slice]:
    down = max(1, round(padding * (box.bottom - box.top)))
    across = max(1, round(padding * (box.right - box.left)))
    rows = slice(max(0, box.top - down), min(size[0], box.bottom + down))
    return rows, slice(max(0, box.left - across), min(size[1], box.right + across))


def _corners(box: Box) -> NDArray[np.float64]:
    return np.array([box.top, box.left, box.bottom, box.right], float)


def _rounded(label: int, corners: NDArray[np.float64], size: tuple[int, ...]) -> Box:
    """Box of at least one whole pixel inside ``size`` from top, left, bottom, right."""
    limits = np.tile(size, 2)
    top, left, bottom, right = (int(c) for c in np.rint(corners).clip(0, limits))
    top, left = min(top, size[0] - 1), min(left, size[1] - 1)
    return Box(label, left, top, max(right, left + 1), max(bottom, top + 1))


def _shifted(box: Box, top: int, left: int) -> Box:
    return Box(box.label, box.left - left, box.top - top, box.right - left, box.bottom - top)
