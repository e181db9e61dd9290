"""Clicks and lines that a person would draw inside a shape, without ever leaving it."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from wsseg.data.strokes import Scribble, Strokes, stroke_map
from wsseg.labelmaps import IGNORE
from wsseg.synthetic.centrelines import centreline

_DECIMALS = 2  # of a pixel, as many as are written
_SLACK = 0.02  # pixels: what rounding may widen a stroke by
_BETWEEN = 0.5  # pixels: more than a line between neighbours of a path comes nearer to the edge
_DEEP = 0.6  # a click is at least this share of the largest depth inside
_ENDS = 0.5  # a line ends where it gets nearer to the edge than this share of its usual depth
_SHORTER = 0.08  # of its length, at most, that a hand leaves out at each end
_SWAY = 0.35  # of the depth, at most, that a hand strays from the middle
_ROUNDING = 0.04  # of a line's length, over which a hand smooths corners
_TRIES = ((_SWAY, _ROUNDING), (_SWAY / 2, _ROUNDING), (0.0, _ROUNDING), (0.0, _ROUNDING / 3))
_TOLERANCE = 1.0  # pixels: corners that matter less are left out
_STEP = 0.5  # pixels

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """The pixels of one object, or of one part of the background.

    Args:
        label: The class, 0 to 254.
        corner: (row, column) of the window in the image.
        mask: (h, w) bool window around all of its pixels, at least one.
    """

    label: int
    corner: tuple[int, int]
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Pixels."""
        return int(self.mask.sum())


def draw_click(shape: Shape, width: float, rng: np.random.Generator) -> Scribble:
    """Return a click well inside a shape: rather in its middle, never near its edge.

    Args:
        shape: What to click on.
        width: Pixels that a stroke of the image has by default; the click gets a smaller width of
            its own where it would leave the shape.
        rng: Its state alone decides the place.

    Returns:
        One point; all that it paints is of the shape.
    """
    canvas = _Canvas(shape, width)
    rows, columns = np.nonzero(canvas.depth >= _DEEP * canvas.depth.max())
    weights = canvas.depth[rows, columns].astype(float) ** 2
    chosen = rng.choice(len(rows), p=weights / weights.sum())
    point = np.array([[columns[chosen], rows[chosen]]]) + 0.5
    return canvas.stroke(point, next(w for w in canvas.widths if canvas.holds(point, w)))


def draw_line(shape: Shape, width: float, length: float, rng: np.random.Generator) -> Scribble:
    """Return a line along the middle of a shape, as a hand would draw it.

    It ends before the shape does, sways a little, and has few corners.

    Args:
        shape: What to draw in.
        width: Pixels that a stroke of the image has by default; the line gets a smaller width of
            its own where the shape is too thin for half of it.
        length: Share of the line to keep, above 0 to 1; a part lies within every longer part.
        rng: Its state alone decides the line.

    Returns:
        A line, all that it paints is of the shape; one point where the shape is too small, or the
        part too short, for a line.
    """
    canvas = _Canvas(shape, width)
    path = _without_ends(centreline(canvas.mask, canvas.depth), canvas.depth, rng)
    noise, place = rng.standard_normal(len(path)), rng.uniform()
    depths = canvas.depth[path[:, 0], path[:, 1]]
    for wide in canvas.widths:
        kept = _longest_run((depths >= wide / 2 + _BETWEEN) | (wide <= 1))
        if 2 * len(path[kept]) < len(path):
            continue
        if len(path[kept]) <= wide:
            break
        for line in _by_hand(path[kept], depths[kept], noise[kept]):
            if canvas.holds(line, wide):
                return canvas.part(line, wide, length, place)
    return draw_click(shape, width, rng)


class _Canvas:
    """A shape with room around it, where strokes are tried."""

    def __init__(self, shape: Shape, width: float) -> None:
        room = int(width) + 2
        self.shape, self.width, self.mask = shape, width, np.pad(shape.mask, room)
        self.offset = np.array(shape.corner[::-1]) - room
        painted = self.mask.astype(np.uint8)
        depth = cv2.distanceTransform(painted, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        self.depth = np.asarray(depth, np.float32)

    @property
    def widths(self) -> Iterator[float]:
        """Widths to try, from the default down to that of a single pixel."""
        yield self.width
        narrower = round(self.width / 2)
        while narrower > 1:
            yield narrower
            narrower //= 2
        yield 1

    def holds(self, points: Points, width: float) -> bool:
        """Whether all that a stroke paints is of the shape."""
        drawn = Scribble(self.shape.label, _pairs(points), width + _SLACK)
        painted = stroke_map(Strokes((drawn,)), self.mask.shape[:2]) != IGNORE
        return bool(self.mask[painted].all())

    def stroke(self, points: Points, width: float) -> Scribble:
        """Return a stroke in pixels of the image."""
        own = None if width == self.width else width
        return Scribble(self.shape.label, _pairs(points + self.offset), own)

    def part(self, line: Points, width: float, length: float, place: float) -> Scribble:
        """Return a part of a line that is held; its ends too must lie on pixels of the shape."""
        arc = np.concatenate([[0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
        start = place * (1 - length) * arc[-1]
        parts = _parts(line, arc, start, start + length * arc[-1])
        return self.stroke(next(part for part in parts if self.holds(part, width)), width)


def _without_ends(
    path: NDArray[np.intp], depth: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Cut off what leads into corners, and a little more."""
    depths = depth[path[:, 0], path[:, 1]]
    deep = np.flatnonzero(depths >= _ENDS * np.median(depths))
    path = path[deep[0] : deep[-1] + 1]
    first, last = (rng.uniform(0, _SHORTER, 2) * len(path)).astype(int)
    return path[first : len(path) - last]


def _longest_run(inside: NDArray[np.bool_]) -> slice:
    edges = np.flatnonzero(np.diff(np.pad(inside.astype(np.int8), 1)))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return slice(0, 0)
    start, stop = runs[(runs[:, 1] - runs[:, 0]).argmax()]
    return slice(int(start), int(stop))


def _by_hand(
    path: NDArray[np.intp], depths: NDArray[np.floating], noise: Points
) -> Iterator[Points]:
    """Yield a path as (x, y) lines, from that of a free hand to the path itself."""
    exact = path[:, ::-1] + 0.5
    if len(path) > 2:
        slow = gaussian_filter1d(noise, len(path) / 10, mode="nearest")
        sway = (slow / np.abs(slow).max() * depths)[:, None]
        for strays, rounding in _TRIES:
            smooth = gaussian_filter1d(exact, max(1, rounding * len(path)), axis=0, mode="nearest")
            yield _simplified(smooth + strays * sway * _across(smooth))
    turns = np.abs(np.diff(exact, 2, axis=0)).any(axis=1)
    yield exact[np.concatenate([[True], turns, [True]])[: len(exact)]]


def _across(line: Points) -> Points:
    """Unit vectors at right angles to a line."""
    ahead = np.gradient(line, axis=0)
    across: Points = ahead[:, ::-1] * (1, -1) / np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
    return across


def _simplified(line: Points) -> Points:
    corners = cv2.approxPolyDP(line.astype(np.float32)[:, None], _TOLERANCE, closed=False)
    return np.asarray(corners[:, 0], np.float64).round(_DECIMALS)


def _parts(line: Points, arc: Points, start: float, end: float) -> Iterator[Points]:
    """Yield the part between two lengths along a line, then shorter ones, then single points."""
    middle = (start + end) / 2
    for inwards in np.arange(0, middle - start - _STEP, _STEP):
        ends = _at(line, arc, (start + inwards, end - inwards))
        inner = line[(arc > start + inwards) & (arc < end - inwards)]
        yield np.concatenate([ends[:1], inner, ends[1:]])
    yield _at(line, arc, (middle,))
    nearest = np.abs(arc - middle).argmin()
    yield line[nearest : nearest + 1]


def _at(line: Points, arc: Points, lengths: tuple[float, ...]) -> Points:
    return np.stack([np.interp(lengths, arc, line[:, axis]) for axis in (0, 1)], axis=1)


def _pairs(points: Points) -> tuple[tuple[float, float], ...]:
    return tuple((round(float(x), _DECIMALS), round(float(y), _DECIMALS)) for x, y in points)
