"""Points and scribbles, and the pixels that they label."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE

_SHARE, _MIN_WIDTH = 0.01, 3.0  # default width: share of the image's longer side, and its minimum
_PIECE = 64  # pixels: longer segments are drawn in pieces, so that windows stay small
_FARTHEST = 1e7
_TINY = 1e-12
_OVERHEAD = 5_000  # drawing one piece takes as long as so many pixels


@dataclass(frozen=True)
class Scribble:
    """A line through pixels of one class; a single point is a click.

    Args:
        label: Class, 0 (background) to 254.
        points: (x, y) of the corners in pixels of the upright image, which spans 0 to W and 0 to
            H: (0.5, 0.5) is the centre of the first pixel.
        width: Width of the line, or diameter of the click, in pixels; None is 1 % of the image's
            longer side, at least 3.

    Raises:
        InputError: The label is not a class, points are missing, not finite or far too large, or
            the width is not positive.
    """

    label: int
    points: tuple[tuple[float, float], ...]
    width: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label < IGNORE:
            raise InputError("stroke label", "a class from 0 to 254", self.label, "correct it")
        if not self.points or not all(abs(n) < _FARTHEST for point in self.points for n in point):
            rule, got = "one or more (x, y) of at most 7 digits", repr(self.points[:4])
            raise InputError("stroke", rule, got, "draw it again")
        if self.width is not None and not 0 < self.width < math.inf:
            raise InputError("stroke width", "positive", self.width, "correct it")


@dataclass(frozen=True)
class Strokes:
    """The points and scribbles of an image: their pixels are known, and no stage changes them.

    Args:
        items: Later strokes are in front.
        closed: Whether every class that the image shows has a mark, so that others are absent.
    """

    items: tuple[Scribble, ...]
    closed: bool = True


def default_width(size: tuple[int, ...]) -> float:
    """Return the default width of strokes in pixels: 1 % of the longer side, at least 3."""
    return max(_SHARE * max(size), _MIN_WIDTH)


def stroke_map(strokes: Strokes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels that the strokes of an image label.

    Args:
        size: (H, W) of the image.

    Returns:
        (H, W) uint8, IGNORE elsewhere. A stroke inside the image labels at least one pixel.

    Example:
        >>> stroke_map(Strokes((Scribble(2, ((1.5, 0.5),), width=1),)), (1, 3)).tolist()
        [[255, 2, 255]]
    """
    label_map = np.full(size, IGNORE, np.uint8)
    for stroke in strokes.items:
        _draw(label_map, stroke)
    return label_map


def touches(stroke: Scribble, size: tuple[int, int]) -> bool:
    """Return whether a stroke labels any pixel of an image of a size (H, W)."""
    corners, reach = _corners(stroke, size)
    shares = (_shares_near(*pair, size[::-1], reach) for pair in pairwise(corners))
    if not any(first <= last for first, last in shares):
        return False
    if ((corners >= 0) & (corners < size[::-1])).all(axis=1).any():
        return True
    # Near the edge, its outline may reach into the image without covering the middle of a pixel.
    return bool((stroke_map(Strokes((stroke,)), size) == stroke.label).any())


def drawing_cost(stroke: Scribble, size: tuple[int, int]) -> float:
    """Return the cost of drawing a stroke on an image of a size (H, W), in processed pixels."""
    corners, reach = _corners(stroke, size)
    reach = min(reach, max(size))
    lengths = np.abs(np.diff(corners, axis=0)).max(axis=1).clip(max=max(size) + 2 * reach)
    window = min(math.prod(size), (_PIECE + 2 * reach) ** 2) + _OVERHEAD
    return float((1 + lengths / _PIECE).sum() * window)


def _corners(stroke: Scribble, size: tuple[int, ...]) -> tuple[NDArray[np.float64], float]:
    """Return the corners (N, 2) of a stroke, the first one twice, and half of its width."""
    width = stroke.width or default_width(size)
    return np.array([stroke.points[0], *stroke.points]), max(width, 1) / 2


def _draw(label_map: NDArray[np.uint8], stroke: Scribble) -> None:
    """Label all pixels whose centre is near enough, and those that contain a corner."""
    corners, reach = _corners(stroke, label_map.shape)
    for x, y in stroke.points:
        if 0 <= y < label_map.shape[0] and 0 <= x < label_map.shape[1]:
            label_map[int(y), int(x)] = stroke.label
    for start, end in pairwise(corners):
        first, last = _shares_near(start, end, label_map.shape[::-1], reach)
        ends = start + np.array([[first], [last]]) * (end - start)
        pieces = 1 + int(np.abs(ends[1] - ends[0]).max() / _PIECE) if first <= last else 0
        for one, other in pairwise(np.linspace(ends[0], ends[1], pieces + 1)):
            _draw_segment(label_map, one, other, reach, stroke.label)


def _shares_near(
    start: NDArray[np.float64], end: NDArray[np.float64], limits: tuple[int, ...], reach: float
) -> tuple[float, float]:
    """Return the shares between which a segment is near the image; first > last if it never is."""
    first, last = 0.0, 1.0
    for low, step, limit in zip(start, end - start, limits, strict=True):
        if step == 0:
            if not -reach <= low <= limit + reach:
                return 1.0, 0.0
            continue
        one, other = sorted(((-reach - low) / step, (limit + reach - low) / step))
        first, last = max(first, one), min(last, other)
    return first, last


def _draw_segment(
    label_map: NDArray[np.uint8],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    reach: float,
    label: int,
) -> None:
    limits = label_map.shape[::-1]
    low = np.floor(np.minimum(start, end) - reach).clip(0, limits).astype(int)
    high = np.ceil(np.maximum(start, end) + reach).clip(0, limits).astype(int)
    window = label_map[low[1] : high[1], low[0] : high[0]]
    across = np.arange(low[0], high[0]) + 0.5 - start[0]
    down = (np.arange(low[1], high[1]) + 0.5 - start[1])[:, None]
    along = end - start
    share = ((across * along[0] + down * along[1]) / max(along @ along, _TINY)).clip(0, 1)
    near = np.hypot(across - share * along[0], down - share * along[1]) <= reach
    window[near] = label
