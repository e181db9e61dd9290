"""Boxes, polygons and run lengths of annotation files, clipped to the image."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from wsseg.data.annotation import Box
from wsseg.data.model import Problem
from wsseg.safe_io import MAX_PIXELS

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom edges in pixels; the image spans 0 to W and 0 to H."""

Polygon = tuple[float, ...]
"""x0, y0, x1, y1, ... in pixels."""

RunLengths = tuple[tuple[int, int], bytes | tuple[int, ...]]
"""(H, W) and COCO counts, compressed or not."""

_DECIMALS = 2  # of a pixel, as tools write; more are noise (10.1 + 20.9 = 31.000000000000004)
_LARGEST_SIDE = 65_535
_FARTHEST = 1e7  # pixels
_LONGEST = 2**22  # pixels along a polygon: drawing it takes some 100 bytes for each


def number(value: object) -> float:
    """Return a number from a file, written as a number or as text; NaN if it is no number.

    Example:
        >>> number(" 12.5 "), number("twelve")
        (12.5, nan)
    """
    try:
        return float(value)  # type: ignore[arg-type]  # what is no number raises, and that is the test
    except (TypeError, ValueError, OverflowError):
        return math.nan


def plausible_size(height: object, width: object) -> tuple[int, int] | None:
    """Return an image size from a file, given as numbers or text; None if it cannot be one.

    Returns:
        (H, W), each a whole number from 1 to 65,535, of at most ``MAX_PIXELS`` pixels.
    """
    sides = number(height), number(width)
    is_size = all(1 <= side <= _LARGEST_SIDE and side == int(side) for side in sides)
    if is_size and math.prod(sides) <= MAX_PIXELS:
        return int(sides[0]), int(sides[1])
    return None


def fitted_box(
    label: int, corners: Corners, size: tuple[int, int], subject: str, crowd: bool = False
) -> tuple[Box | None, Problem | None]:
    """Return a box in whole pixels inside its image of size (H, W), and what was wrong with it.

    Edges move outwards to whole pixels and are clipped to the image. Swapped edges are exchanged if
    both lie in the image; otherwise one of them is an error. The box is None if it cannot be used.

    Example:
        >>> fitted_box(1, (9.5, 0, 20, 30.2), (100, 100), "a.xml")
        (Box(label=1, left=9, top=0, right=20, bottom=31, crowd=False), None)
    """
    height, width = size
    left, top, right, bottom = (round(edge, _DECIMALS) for edge in corners)
    if is_swapped := _has_swapped_corners((left, top, right, bottom), size):
        left, right, top, bottom = *sorted((left, right)), *sorted((top, bottom))
    if kind := _unusable((left, top, right, bottom), size):
        shown = _shown((left, top, right, bottom), size)
        message = f"{shown}: {kind}; its class counts as unknown here, correct it"
        return None, Problem(subject, message, kind=kind)
    columns, rows = _span(left, right, width), _span(top, bottom, height)
    box = Box(label, columns[0], rows[0], columns[1], rows[1], crowd)
    if left < 0 or top < 0 or right > width or bottom > height:
        kind, shown = "box leaves the image", _shown((left, top, right, bottom), size)
        return box, Problem(subject, f"{shown}: cut at the image's edge", kind=kind)
    if is_swapped:
        kind, shown = "box with swapped corners", _shown(corners, size)
        return box, Problem(subject, f"{shown}: its corners are exchanged", kind=kind)
    return box, None


def fitted_polygon(
    points: Sequence[object], size: tuple[int, int], subject: str
) -> tuple[Polygon | None, Problem | None]:
    """Return a polygon clipped to its image of size (H, W), and what was wrong with it.

    The polygon is None if it cannot be used.

    Args:
        points: x0, y0, x1, y1, ... in pixels, unchecked.
    """
    values = [number(value) for value in points]
    if len(values) < 6 or len(values) % 2:
        return None, _polygon_problem(subject, f"{len(values)} numbers are no 3 or more points")
    if not all(abs(value) < _FARTHEST for value in values):
        return None, _polygon_problem(subject, "a coordinate is not a number, or far too large")
    inside = list(zip(values[::2], values[1::2], strict=True))
    # The four edges clip one after the other (Sutherland and Hodgman, 1974).
    for axis, limit in ((0, size[1]), (1, size[0])):
        for sign, edge in ((1, 0), (-1, limit)):
            if any(sign * (point[axis] - edge) < 0 for point in inside):
                inside = _cut_at(inside, axis, sign, edge)
    if len(inside) < 3:
        return None, _polygon_problem(subject, "it lies outside the image")
    steps = np.abs(np.diff(np.array([*inside, inside[0]]), axis=0)).max(axis=1)
    if (length := float(steps.sum()) + len(inside)) > _LONGEST:
        return None, _polygon_problem(subject, f"it is {length:,.0f} pixels long, noise")
    return tuple(value for point in inside for value in point), None


def fitted_runs(
    encoded: Mapping[str, Any], size: tuple[int, int], subject: str
) -> tuple[RunLengths | None, Problem | None]:
    """Return COCO run lengths that are safe to decode, and what was wrong with them.

    A decoder writes as many pixels as the runs say, so they are summed first. The run lengths are
    None if they cannot be used.

    Args:
        encoded: "size" [H, W] and "counts", a list or a compressed string.
        size: (H, W) of the image.
    """
    written, counts = encoded.get("size"), encoded.get("counts")
    if written != list(size):
        flaw = f"run lengths of size {reprlib.repr(written)}, not {size}"
        return None, _polygon_problem(subject, flaw)
    packed = counts.encode("ascii", "replace") if isinstance(counts, str) else None
    runs = _unpacked(packed) if packed is not None else counts
    if not isinstance(runs, list) or not all(type(run) is int and run >= 0 for run in runs):
        return None, _polygon_problem(subject, "its run lengths are damaged")
    if sum(runs) != size[0] * size[1]:
        return None, _polygon_problem(subject, f"its run lengths fill {sum(runs)} pixels")
    return (size, packed if packed is not None else tuple(runs)), None


def bounds(polygons: Sequence[Sequence[float]]) -> Corners:
    """Return the edges of the bounding box of polygons; NaN if a point is not finite, or none."""
    xs = [x for polygon in polygons for x in polygon[::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    if not (xs and ys and all(math.isfinite(value) for value in (*xs, *ys))):
        return math.nan, math.nan, math.nan, math.nan
    return min(xs), min(ys), max(xs), max(ys)


def _shown(corners: Corners, size: tuple[int, int]) -> str:
    edges = ", ".join(f"{edge:g}" for edge in corners)
    return f"box ({edges}) of an image {size[1]}x{size[0]}"


def _has_swapped_corners(corners: Corners, size: tuple[int, int]) -> bool:
    left, top, right, bottom = corners
    is_inside = min(corners) >= 0 and max(left, right) <= size[1] and max(top, bottom) <= size[0]
    return is_inside and (right < left or bottom < top)


def _unusable(corners: Corners, size: tuple[int, int]) -> str:
    left, top, right, bottom = corners
    if not all(math.isfinite(edge) for edge in corners):
        return "box has a corner that is no finite number"
    if right < left or bottom < top:
        return "box is inverted"
    if right == left or bottom == top:
        return "box has no area"
    if right <= 0 or bottom <= 0 or left >= size[1] or top >= size[0]:
        return "box lies outside the image"
    return ""


def _span(low: float, high: float, limit: int) -> tuple[int, int]:
    first = max(math.floor(low), 0)
    return first, max(min(math.ceil(high), limit), first + 1)


def _cut_at(
    points: list[tuple[float, float]], axis: int, sign: int, edge: float
) -> list[tuple[float, float]]:
    kept = []
    for start, end in pairwise([points[-1], *points]):
        before, after = (sign * (point[axis] - edge) for point in (start, end))
        if (before < 0) != (after < 0):
            share = before / (before - after)
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            kept.append((float(edge), y) if axis == 0 else (x, float(edge)))
        if after >= 0:
            kept.append(end)
    return kept


def _unpacked(packed: bytes) -> list[int] | None:
    """Return the runs of COCO's compressed counts; None if they are damaged.

    Each run is written in groups of 5 bits, the lowest first, bit 5 saying that more follow; from
    the fourth on it is the difference to the run two before.
    """
    runs: list[int] = []
    value = shift = 0
    for group in (character - 48 for character in packed):
        if not 0 <= group < 64 or shift > 60:
            return None
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            value -= (group >> 4 & 1) << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs if shift == 0 else None


def _polygon_problem(subject: str, flaw: str) -> Problem:
    message = f"polygon cannot be used: {flaw}; its class counts as unknown here, export it again"
    return Problem(subject, message, kind="polygon cannot be used")
