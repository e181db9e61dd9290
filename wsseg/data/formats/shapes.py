"""Ellipses, rotated shapes and mask windows of annotation tools, as polygons and run lengths."""

import math
import reprlib

import numpy as np
from numpy.typing import NDArray

from wsseg.data.formats.geometry import RunLengths, bounds, fitted_runs, plausible_size
from wsseg.errors import InputError

Points = tuple[tuple[float, float], ...]
"""(x, y) in pixels."""

_ELLIPSE_CORNERS = 180  # at radius 1000 the polygon is within 0.2 pixels of the ellipse
_MOST_PIXELS = 2**26  # of a decoded mask: a few bytes can claim any number
_MOST_CHANGES = 2**22  # runs of a mask, down its columns: only noise has more


def ellipse(centre: tuple[float, float], radii: tuple[float, float], degrees: float) -> Points:
    """Return an ellipse as a polygon of 180 corners.

    Args:
        centre: (x, y) in pixels.
        radii: Along x and y before the rotation, in pixels.
        degrees: Clockwise rotation about the centre.

    Raises:
        InputError: A radius is not a positive number.
    """
    if not all(0 < radius < math.inf for radius in radii):
        rule, got = "with positive radii", f"{radii[0]:g} and {radii[1]:g}"
        raise InputError("ellipse", rule, got, "draw it again")
    turns = (2 * math.pi * index / _ELLIPSE_CORNERS for index in range(_ELLIPSE_CORNERS))
    points = tuple(
        (centre[0] + radii[0] * math.cos(turn), centre[1] + radii[1] * math.sin(turn))
        for turn in turns
    )
    return rotated(points, centre, degrees)


def rotated(points: Points, centre: tuple[float, float], degrees: float) -> Points:
    """Return points rotated clockwise about a centre; they are NaN if the angle is not finite.

    Example:
        >>> [(round(x), round(y)) for x, y in rotated(((3, 1),), (1, 1), 90)]
        [(1, 3)]
    """
    turn = math.radians(degrees) if math.isfinite(degrees) else math.nan
    cosine, sine = math.cos(turn), math.sin(turn)
    away = ((x - centre[0], y - centre[1]) for x, y in points)
    return tuple(
        (centre[0] + cosine * x - sine * y, centre[1] + sine * x + cosine * y) for x, y in away
    )


def box_around(points: Points) -> Points:
    """Return the top left and bottom right corner of the bounding box of points.

    They are NaN if there is no point, or one that is not finite.

    Example:
        >>> box_around(((3, 1), (2, 5)))
        ((2, 1), (3, 5))
    """
    left, top, right, bottom = bounds([[value for point in points for value in point]])
    return (left, top), (right, bottom)


def known_size(size: tuple[int, int] | None) -> tuple[int, int]:
    """Return the image size that a mask needs.

    Raises:
        InputError: The file does not give the size.
    """
    if size is None:
        rule, remedy = "of an image whose width and height are given", "export it again"
        raise InputError("mask", rule, "none", remedy)
    return size


def window_sides(height: object, width: object, size: tuple[int, int]) -> tuple[int, int]:
    """Return the sides (h, w) of a mask's window, small enough to allocate.

    Raises:
        InputError: They are no whole numbers, or larger than the image.
    """
    sides = plausible_size(height, width)
    if sides is None or sides[0] > size[0] or sides[1] > size[1]:
        got = f"{reprlib.repr(width)} x {reprlib.repr(height)}"
        rule = f"no larger than its image {size[1]}x{size[0]}"
        raise InputError("mask", rule, got, "draw it again")
    if math.prod(sides) > _MOST_PIXELS:
        rule = f"of at most {_MOST_PIXELS:,} pixels"
        raise InputError("mask", rule, f"{math.prod(sides):,}", "tile the image")
    return sides


def placed_runs(
    window: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int], subject: str
) -> RunLengths:
    """Return the run lengths of an image-sized mask whose pixels are given in a window.

    Args:
        window: (h, w) bool, checked by ``window_sides``; clipped to the image.
        corner: (left, top) of the window in pixels.
        size: (H, W) of the image.

    Raises:
        InputError: No pixel is inside the image, or the mask is noise.

    Example:
        >>> placed_runs(np.ones((1, 2), bool), (1, 0), (2, 3), "a.xml")
        ((2, 3), (2, 1, 1, 1, 1))
    """
    left, top = corner
    rows = slice(max(-top, 0), max(size[0] - top, 0))
    columns = slice(max(-left, 0), max(size[1] - left, 0))
    inside = window[rows, columns]
    if not inside.any():
        raise InputError("mask", "one with a pixel inside its image", "none", "draw it again")
    edges = _edges(inside, (max(left, 0), max(top, 0)), size[0])
    counts = np.diff(edges, prepend=0, append=size[0] * size[1]).tolist()
    runs, problem = fitted_runs({"size": list(size), "counts": counts}, size, subject)
    if runs is None:
        raise AssertionError(f"runs of a window fill its image: {problem}")
    return runs


def _edges(inside: NDArray[np.bool_], corner: tuple[int, int], height: int) -> NDArray[np.int64]:
    """Return the pixels where a run begins, counted down the image's columns."""
    padded = np.zeros((inside.shape[1], inside.shape[0] + 2), bool)
    padded[:, 1:-1] = inside.T
    changes = padded[:, 1:] != padded[:, :-1]
    if (count := int(np.count_nonzero(changes))) > _MOST_CHANGES:
        rule = f"of at most {_MOST_CHANGES:,} changes down its columns"
        raise InputError("mask", rule, f"{count:,}", "smooth it")
    columns, rows = np.nonzero(changes)
    places, times = np.unique((columns + corner[0]) * height + rows + corner[1], return_counts=True)
    # A run down to the last row goes on at the top of the next column.
    edges: NDArray[np.int64] = places[times == 1]
    return edges
