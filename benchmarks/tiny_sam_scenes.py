"""Scenes with masks on which ``tiny_sam`` learns; no shape or texture of the demo's scenes.

Objects are drawn as polygons and thick curves, with holes, occlusion and parts of another texture.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Size = tuple[int, int]
Mask = NDArray[np.bool_]
Field = NDArray[np.float32]

SIDES = (80, 200)
"""Range of the longer side of a scene in pixels."""

_MIN_VISIBLE = 0.4  # share of an object that others may leave of it
_MIN_AREA = 0.012  # share of the image from which an object is worth a mask


class Scene(NamedTuple):
    """An image (H, W, 3) uint8 RGB and the masks (N, H, W) bool of its objects and parts."""

    image: NDArray[np.uint8]
    masks: Mask


def generate_scene(rng: Rng) -> Scene:
    """Generate a scene with at least one mask."""
    long = rng.integers(SIDES[0], SIDES[1] + 1)
    sides = (int(long), int(long * rng.uniform(0.6, 1)))
    size = sides if rng.random() < 0.5 else sides[::-1]
    while True:
        image, masks = _paint(rng, size)
        if masks:
            return Scene(_camera(rng, image), np.stack(masks))


def _paint(rng: Rng, size: Size) -> tuple[Field, list[Mask]]:
    image, base = _fill(rng, size, rng.uniform(0, 255, 3))
    if rng.random() < 0.3:
        _add(image, _half(rng, size), _fill(rng, size, _near(rng, base, 60))[0])
    areas: list[int] = []
    masks: list[Mask] = []
    for _ in range(rng.integers(1, 6)):
        mask = draw_shape(rng, size)
        similar = rng.random() < 0.25
        colour = _near(rng, base, 45) if similar else rng.uniform(0, 255, 3)
        paint, own = _fill(rng, size, colour)
        masks = [other & ~mask for other in masks] + [mask]
        areas.append(int(mask.sum()))
        _add(image, mask, paint)
        if rng.random() < 0.1:
            part = mask & draw_shape(rng, size, mask)
            _add(image, part, _fill(rng, size, _near(rng, own, 90))[0])
            masks.append(part)
            areas.append(int(part.sum()))
    smallest = _MIN_AREA * size[0] * size[1]
    pairs = zip(masks, areas, strict=True)
    return image, [m for m, area in pairs if m.sum() >= max(smallest, _MIN_VISIBLE * area)]


def _add(image: Field, mask: Mask, paint: Field) -> None:
    opacity = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., None]
    image += (paint - image) * opacity


def draw_shape(rng: Rng, size: Size, inside: Mask | None = None) -> Mask:
    """Return a random shape, perhaps with a second one beside it and a hole.

    Args:
        inside: Mask (H, W) on which the shape is centred, if it is a part.
    """
    height, width = size
    radius = min(size) * math.exp(rng.uniform(math.log(0.18), math.log(0.55)))
    centre = rng.uniform(0, 1, 2) * (width, height)
    if inside is not None and inside.any():
        rows, columns = np.nonzero(inside)
        pick = rng.integers(len(rows))
        centre, radius = np.array([columns[pick], rows[pick]], float), 0.6 * math.sqrt(len(rows))
    mask = _draw(rng, size, centre, radius)
    if rng.random() < 0.25:
        shift = radius * rng.uniform(0.3, 0.9) * _unit(rng.uniform(0, 2 * math.pi))
        mask |= _draw(rng, size, centre + shift, radius * rng.uniform(0.4, 0.9))
    if rng.random() < 0.2:
        shift = radius * rng.uniform(0, 0.2) * _unit(rng.uniform(0, 2 * math.pi))
        mask &= ~_draw(rng, size, centre + shift, radius * rng.uniform(0.25, 0.6))
    return mask


def _draw(rng: Rng, size: Size, centre: NDArray[np.floating], radius: float) -> Mask:
    canvas = np.zeros(size, np.uint8)
    angle = rng.uniform(0, 2 * math.pi)
    rotation = np.array([_unit(angle), _unit(angle + math.pi / 2)])
    if rng.random() < 0.2:
        points = _curve(rng) @ rotation * radius + centre
        thickness = max(2, round(radius * rng.uniform(0.15, 0.6)))
        cv2.polylines(canvas, [_fixed(points)], False, 1, thickness, cv2.LINE_8, 4)
    else:
        outline = _OUTLINES[rng.integers(len(_OUTLINES))](rng) * (1, rng.uniform(0.45, 1))
        cv2.fillPoly(canvas, [_fixed(outline @ rotation * radius + centre)], 1, cv2.LINE_8, 4)
    return canvas.astype(bool)


def _fixed(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return points in OpenCV's format with 4 bits after the point."""
    return np.round(points * 16).astype(np.int32)


def _unit(angle: float) -> NDArray[np.float64]:
    return np.array([math.cos(angle), math.sin(angle)])


def _polar(angles: NDArray[np.floating], reach: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.stack([np.cos(angles) * reach, np.sin(angles) * reach], axis=1)


def _blob(rng: Rng) -> NDArray[np.float64]:
    angles, reach = np.linspace(0, 2 * math.pi, 72, endpoint=False), np.ones(72)
    for order in range(2, 8):
        reach += rng.normal(0, 0.5 / order) * np.cos(order * angles + rng.uniform(0, 6.3))
    return _polar(angles, np.clip(reach / max(1.0, reach.max()), 0.15, 1))


def _jagged(rng: Rng) -> NDArray[np.float64]:
    count = rng.integers(5, 15)
    angles = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) * 2 * math.pi / count
    return _polar(angles, rng.uniform(0.35, 1, count))


def _convex(rng: Rng) -> NDArray[np.float64]:
    count = rng.integers(3, 8)
    angles = (np.arange(count) + rng.uniform(-0.3, 0.3, count)) * 2 * math.pi / count
    return _polar(angles, np.ones(count))


def _superellipse(rng: Rng) -> NDArray[np.float64]:
    angles, power = np.linspace(0, 2 * math.pi, 64, endpoint=False), rng.uniform(0.3, 1.2)
    ends = np.cos(angles), np.sin(angles)
    return np.stack([np.sign(end) * np.abs(end) ** power for end in ends], axis=1)


def _crescent(rng: Rng) -> NDArray[np.float64]:
    angles = np.linspace(0.2, 2 * math.pi - 0.2, 40)
    outer = _polar(angles, np.ones(40))
    inner = outer[::-1] * rng.uniform(0.5, 0.8) + (rng.uniform(0.25, 0.45), 0)
    return np.concatenate([outer, inner])


def _curve(rng: Rng) -> NDArray[np.float64]:
    points = np.cumsum(rng.normal(0, 0.6, (rng.integers(3, 6), 2)), axis=0)
    points -= points.mean(axis=0)
    return np.asarray(points / max(0.3, float(np.abs(points).max())))


_OUTLINES: tuple[Callable[[Rng], NDArray[np.float64]], ...] = (
    _blob,
    _jagged,
    _convex,
    _superellipse,
    _crescent,
)


def _half(rng: Rng, size: Size) -> Mask:
    """Return one side of a wavy line through the image, such as a horizon."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    x, y = columns / size[1] - rng.uniform(0.2, 0.8), rows / size[0] - rng.uniform(0.2, 0.8)
    wave = rng.uniform(0, 0.08) * np.sin(rng.uniform(3, 12) * (x - y))
    return np.asarray(x * math.cos(angle) + y * math.sin(angle) + wave > 0)


def _fill(rng: Rng, size: Size, colour: NDArray[np.floating]) -> tuple[Field, Field]:
    """Return a textured area (H, W, 3) and its mean colour."""
    spread = rng.choice((8, 30, 70), p=(0.25, 0.4, 0.35))
    ends = np.stack([_near(rng, colour, spread), _near(rng, colour, spread)])
    field = _TEXTURES[rng.integers(len(_TEXTURES))](rng, size)[..., None]
    return np.asarray(ends[0] + (ends[1] - ends[0]) * field, np.float32), ends.mean(axis=0)


def _near(rng: Rng, colour: NDArray[np.floating], spread: float) -> Field:
    # All channels move together by the larger part, as light and shade do.
    shift = rng.normal(0, spread) + rng.normal(0, spread / 2, 3)
    return np.asarray((colour + shift).clip(0, 255), np.float32)


def _flat(rng: Rng, size: Size) -> Field:
    return np.full(size, rng.uniform(), np.float32)


def _gradient(rng: Rng, size: Size) -> Field:
    ramp = _along(rng, size, 1 / max(size))
    return np.asarray((ramp - ramp.min()) / (np.ptp(ramp) + 1e-6), np.float32)


def _hatch(rng: Rng, size: Size) -> Field:
    """Draw straight lines, sometimes crossed, sharp or soft."""
    lines = np.sin(_along(rng, size, 2 * math.pi / rng.uniform(4, 22)))
    if rng.random() < 0.4:
        lines = np.maximum(lines, np.sin(_along(rng, size, 2 * math.pi / rng.uniform(4, 22))))
    return np.asarray((0.5 + lines * rng.uniform(0.5, 6)).clip(0, 1), np.float32)


def _ripples(rng: Rng, size: Size) -> Field:
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    centre = rng.uniform(-0.5, 1.5, 2) * size
    reach = np.hypot(rows - centre[0], columns - centre[1])
    return np.asarray(0.5 + 0.5 * np.sin(reach * 2 * math.pi / rng.uniform(5, 25)), np.float32)


def _mosaic(rng: Rng, size: Size) -> Field:
    """Draw square tiles of random brightness."""
    tile = rng.uniform(2, 16)
    cells = [math.ceil(side / tile) for side in size]
    grid = rng.uniform(0, 1, cells).astype(np.float32)
    tiles = cv2.resize(grid, size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(tiles, np.float32)


def _smooth_noise(rng: Rng, size: Size) -> Field:
    length, total = rng.uniform(2, 30), np.zeros(size, np.float32)
    for octave in range(rng.integers(1, 4)):
        cells = [max(2, math.ceil(side * 2**octave / length)) for side in size]
        grid = rng.normal(0, 0.6**octave, cells).astype(np.float32)
        total += cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray((0.5 + 0.3 * rng.uniform(0.7, 3) * total).clip(0, 1), np.float32)


def _confetti(rng: Rng, size: Size) -> Field:
    field = np.zeros(size, np.uint8)
    for x, y in rng.uniform(0, 1, (rng.integers(30, 150), 2)) * size[::-1]:
        cv2.circle(field, (int(x), int(y)), int(rng.integers(1, 4)), 1, -1)
    return field.astype(np.float32)


def _along(rng: Rng, size: Size, pitch: float) -> Field:
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    across, down = _unit(rng.uniform(0, 2 * math.pi)) * pitch
    return np.asarray(columns * across + rows * down + rng.uniform(0, 6.3), np.float32)


_TEXTURES: tuple[Callable[[Rng, Size], Field], ...] = (
    _flat,
    _gradient,
    _hatch,
    _ripples,
    _mosaic,
    _smooth_noise,
    _smooth_noise,
    _confetti,
)


def _camera(rng: Rng, image: Field) -> NDArray[np.uint8]:
    """Return an image with uneven light, blur and noise."""
    ramp = _gradient(rng, (image.shape[0], image.shape[1]))
    lit = image * (1 + rng.uniform(0, 0.5) * (ramp - 0.5))[..., None]
    blurred = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.2, 1.1))
    noisy = blurred + rng.normal(0, rng.uniform(0, 10), image.shape)
    return np.asarray(noisy.round().clip(0, 255), np.uint8)
