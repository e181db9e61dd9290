"""Draw points and lines inside a shape as a person would, without ever leaving it."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from wsseg.data.strokes import Scribble, Strokes, stroke_map
from wsseg.labelmaps import IGNORE
from wsseg.synthetic.centrelines import centreline

_DECIMALS = 2  # of a pixel, as annotation files hold them
_SLACK = 0.02  # pixels by which rounding may widen a stroke
_BETWEEN = 0.5  # pixels by which a line between two pixels of a path may come nearer to the edge
_MIN_DEPTH = 0.6  # depth of a click, as a share of the largest depth of the shape
_MIN_END_DEPTH = 0.5  # depth of the ends of a line, as a share of its median depth
_MAX_CUT = 0.08  # largest random cut at each end of a line, as a share of its length
_SWAY = 0.35  # largest distance from the middle of the shape, as a share of the depth
_SMOOTHING = 0.04  # width of the filter that rounds corners, as a share of the length
_TRIES = ((_SWAY, _SMOOTHING), (_SWAY / 2, _SMOOTHING), (0.0, _SMOOTHING), (0.0, _SMOOTHING / 3))
_TOLERANCE = 1.0  # pixels by which leaving out a corner may move a line
_STEP = 0.5  # pixels by which a part of a line is shortened until it fits

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shape:
    """The pixels of one object, or of one part of the background.

    Args:
        label: Class, 0 to 254.
        corner: (row, column) of the window in the image.
        mask: (h, w) bool window around all pixels of the shape, of which there is at least one.
    """

    label: int
    corner: tuple[int, int]
    mask: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())


def draw_click(shape: Shape, width: float, rng: np.random.Generator) -> Scribble:
    """Draw a point well inside a shape, more often near its middle.

    Args:
        width: Default width of a stroke in pixels. Where it would leave the shape, the point gets
            a smaller width of its own.

    Returns:
        A scribble of one point, whose painted pixels all belong to the shape.
    """
    canvas = _Canvas(shape, width)
    rows, columns = np.nonzero(canvas.depth >= _MIN_DEPTH * canvas.depth.max())
    weights = canvas.depth[rows, columns].astype(float) ** 2
    chosen = rng.choice(len(rows), p=weights / weights.sum())
    point = np.array([[columns[chosen], rows[chosen]]]) + 0.5
    return canvas.stroke(point, next(w for w in canvas.widths() if canvas.contains(point, w)))


def draw_line(shape: Shape, width: float, length: float, rng: np.random.Generator) -> Scribble:
    """Draw a line along the middle of a shape, as a hand would.

    The line ends before the shape does, sways a little, and has few corners. Wide and swaying lines
    are tried first; narrower and straighter ones follow until one lies inside the shape.

    Args:
        width: Default width of a stroke in pixels. Where less than half of the line would fit, the
            line gets a smaller width of its own.
        length: Share of the line that is kept, above 0 to 1. For one state of ``rng``, a shorter
            line is a part of a longer one.

    Returns:
        A line whose painted pixels all belong to the shape, or a point if the shape is too small,
        or the part too short, for a line.
    """
    canvas = _Canvas(shape, width)
    path = _cut_ends(centreline(canvas.mask, canvas.depth), canvas.depth, rng)
    noise, place = rng.standard_normal(len(path)), rng.uniform()
    depths = canvas.depth[path[:, 0], path[:, 1]]
    for candidate in canvas.widths():
        run = _longest_run((depths >= candidate / 2 + _BETWEEN) | (candidate <= 1))
        if 2 * len(path[run]) < len(path):
            continue
        if len(path[run]) <= candidate:
            break
        for line in _free_hand(path[run], depths[run], noise[run]):
            if canvas.contains(line, candidate):
                return canvas.part(line, candidate, length, place)
    return draw_click(shape, width, rng)


class _Canvas:
    """A shape with a margin around it, on which strokes are tried."""

    def __init__(self, shape: Shape, width: float) -> None:
        margin = int(width) + 2
        self.shape, self.width, self.mask = shape, width, np.pad(shape.mask, margin)
        self.offset = np.array(shape.corner[::-1]) - margin
        mask = self.mask.astype(np.uint8)
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # The last bit of OpenCV's result depends on how its buffers are aligned. Squared distances
        # are integers, which makes the exact value known and the drawing reproducible.
        self.depth = np.sqrt(np.rint(np.square(depth, dtype=np.float64))).astype(np.float32)

    def widths(self) -> Iterator[float]:
        """Yield the widths to try, from the default down to a single pixel."""
        yield self.width
        narrower = round(self.width / 2)
        while narrower > 1:
            yield narrower
            narrower //= 2
        yield 1

    def contains(self, points: Points, width: float) -> bool:
        """Return whether all pixels that a stroke paints belong to the shape."""
        stroke = Scribble(self.shape.label, _pairs(points), width + _SLACK)
        painted = stroke_map(Strokes((stroke,)), self.mask.shape[:2]) != IGNORE
        return bool(self.mask[painted].all())

    def stroke(self, points: Points, width: float) -> Scribble:
        """Return a stroke in pixels of the image."""
        own = None if width == self.width else width
        return Scribble(self.shape.label, _pairs(points + self.offset), own)

    def part(self, line: Points, width: float, length: float, place: float) -> Scribble:
        """Return a part of a line that lies inside; its new ends may need to be shortened."""
        arc = np.concatenate([[0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
        start = place * (1 - length) * arc[-1]
        parts = _parts(line, arc, start, start + length * arc[-1])
        return self.stroke(next(part for part in parts if self.contains(part, width)), width)


def _cut_ends(
    path: NDArray[np.intp], depth: NDArray[np.floating], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Cut off the ends that lead into corners, and a little more at random."""
    depths = depth[path[:, 0], path[:, 1]]
    deep = np.flatnonzero(depths >= _MIN_END_DEPTH * np.median(depths))
    path = path[deep[0] : deep[-1] + 1]
    first, last = (rng.uniform(0, _MAX_CUT, 2) * len(path)).astype(int)
    return path[first : len(path) - last]


def _longest_run(inside: NDArray[np.bool_]) -> slice:
    edges = np.flatnonzero(np.diff(np.pad(inside.astype(np.int8), 1)))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return slice(0, 0)
    start, stop = runs[(runs[:, 1] - runs[:, 0]).argmax()]
    return slice(int(start), int(stop))


def _free_hand(
    path: NDArray[np.intp], depths: NDArray[np.floating], noise: Points
) -> Iterator[Points]:
    """Yield versions of a path as (x, y) lines: swaying ones first, the exact path last."""
    exact = path[:, ::-1] + 0.5
    if len(path) > 2:
        slow = gaussian_filter1d(noise, len(path) / 10, mode="nearest")
        sway = (slow / np.abs(slow).max() * depths)[:, None]
        for share, smoothing in _TRIES:
            smooth = gaussian_filter1d(exact, max(1, smoothing * len(path)), axis=0, mode="nearest")
            yield _simplify(smooth + share * sway * _normals(smooth))
    turns = np.abs(np.diff(exact, 2, axis=0)).any(axis=1)
    yield exact[np.concatenate([[True], turns, [True]])[: len(exact)]]


def _normals(line: Points) -> Points:
    """Return unit vectors at right angles to a line."""
    ahead = np.gradient(line, axis=0)
    normals: Points = ahead[:, ::-1] * (1, -1) / np.maximum(np.hypot(*ahead.T), 1e-6)[:, None]
    return normals


def _simplify(line: Points) -> Points:
    corners = cv2.approxPolyDP(line.astype(np.float32)[:, None], _TOLERANCE, closed=False)
    return np.asarray(corners[:, 0], np.float64).round(_DECIMALS)


def _parts(line: Points, arc: Points, start: float, end: float) -> Iterator[Points]:
    """Yield the part between two lengths along a line, then shorter parts, then single points."""
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
