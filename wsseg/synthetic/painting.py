"""Paint generated scenes: shapes, textures, backgrounds and light."""

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""(H, W), or (H, W, 3) RGB of 0..255."""

HUES = (0, 4, 106, 30, 64, 150)
"""Mean hue of each label in half degrees, as in OpenCV; that of label 0 is not used."""


def _disc(rng: np.random.Generator, across: Field, along: Field) -> NDArray[np.bool_]:
    """Draw a pebble: an ellipse with soft lobes."""
    angle, reach = np.arctan2(along, across * rng.uniform(1, 1.5)), np.hypot(across, along)
    lobes = rng.uniform(0.06, 0.2) * np.cos(rng.integers(2, 5) * angle + rng.uniform(0, 6))
    return np.asarray(reach < 0.85 + lobes)


def _ring(rng: np.random.Generator, across: Field, along: Field) -> NDArray[np.bool_]:
    reach = np.hypot(across, along * rng.uniform(1, 1.3))
    return np.asarray((reach < 1) & (reach > rng.uniform(0.38, 0.54)))


def _star(rng: np.random.Generator, across: Field, along: Field) -> NDArray[np.bool_]:
    angle, reach = np.arctan2(along, across), np.hypot(across, along)
    points, depth = rng.integers(5, 7), rng.uniform(0.45, 0.58)
    tip = np.abs(((angle * points / (2 * math.pi)) % 1) * 2 - 1)
    return np.asarray(reach < depth + (1.1 - depth) * tip)


def _cross(rng: np.random.Generator, across: Field, along: Field) -> NDArray[np.bool_]:
    wide, tall = rng.uniform(0.28, 0.38, 2)
    upright = (np.abs(across) < wide) & (np.abs(along) < 1)
    level = (np.abs(along) < tall) & (np.abs(across) < rng.uniform(0.75, 1))
    return np.asarray(upright | level)


def _hook(rng: np.random.Generator, across: Field, along: Field) -> NDArray[np.bool_]:
    """Draw two arms of different length that meet at a corner."""
    width, reach = rng.uniform(0.62, 0.8), rng.uniform(0.6, 0.9)
    arm = (np.abs(across + 0.5) < width / 2) & (np.abs(along) < 1)
    foot = (np.abs(along - 1 + width / 2) < width / 2) & (across > -0.5) & (across < reach)
    return np.asarray(arm | foot)


SHAPES: dict[int, Callable[[np.random.Generator, Field, Field], NDArray[np.bool_]]] = {
    1: _disc,
    2: _ring,
    3: _star,
    4: _cross,
    5: _hook,
}
"""Functions that return the pixels of an object, by label. Their arguments are two (H, W)
coordinates of the object."""


def _spots(rng: np.random.Generator, across: Field, along: Field) -> Field:
    pitch, shift = rng.uniform(7, 10), rng.uniform(0, 6, 2)
    waves = np.sin(across * pitch + shift[0]) * np.sin(along * pitch + shift[1])
    return np.asarray(waves > 0.25, np.float32)


def _bands(rng: np.random.Generator, across: Field, along: Field) -> Field:
    """Draw stripes around the centre of the object, as on a tyre."""
    spokes = rng.integers(7, 11)
    return np.asarray(0.5 + 0.5 * np.sin(spokes * np.arctan2(along, across)), np.float32)


def _glow(rng: np.random.Generator, across: Field, along: Field) -> Field:
    return np.asarray(np.hypot(across, along) * rng.uniform(0.9, 1.3), np.float32).clip(0, 1)


def _stripes(rng: np.random.Generator, across: Field, along: Field) -> Field:
    pitch, slant = rng.uniform(11, 16), rng.uniform(-0.3, 0.3)
    return np.asarray(np.sin(pitch * (across + slant * along)) > 0, np.float32)


def _grain(rng: np.random.Generator, across: Field, along: Field) -> Field:
    del along
    height, width = across.shape
    return _noise(rng, (height, width), (2, 3))


TEXTURES: dict[int, Callable[[np.random.Generator, Field, Field], Field]] = {
    1: _spots,
    2: _bands,
    3: _glow,
    4: _stripes,
    5: _grain,
}
"""Functions that return the share 0..1 of the dark colour of an object in each pixel, by label."""


def paint_object(
    rng: np.random.Generator,
    image: Field,
    label: int,
    mask: NDArray[np.bool_],
    place: tuple[Field, Field],
) -> Field:
    """Return an image with one more object, in random colours.

    Args:
        image: (H, W, 3) float32 RGB, 0..255.
        label: Class of the object, 1 to 5.
        mask: (H, W) bool pixels of the object.
        place: Two (H, W) coordinates of the object, about -1..1 inside of it.

    Returns:
        (H, W, 3) float32 RGB, 0..255.
    """
    hue = HUES[label] + rng.normal(0, 6)
    light = _colour(hue, rng.uniform(90, 200), rng.uniform(150, 235))
    dark = _colour(hue + rng.normal(0, 9), rng.uniform(90, 220), rng.uniform(50, 120))
    texture = TEXTURES[label](rng, *place)[..., None]
    opacity = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.6)[..., None]
    paint = light + (dark - light) * texture
    return np.asarray(image + (paint - image) * opacity, np.float32)


def paint_background(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    """Return a background (H, W, 3) float32 RGB, 0..255, with a random pattern and colours.

    Args:
        size: (H, W) in pixels.
    """
    hue = rng.uniform(0, 180)
    first = _colour(hue, rng.uniform(20, 150), rng.uniform(110, 220))
    second = _colour(hue + rng.normal(0, 25), rng.uniform(20, 160), rng.uniform(50, 150))
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng, size)[..., None]
    return np.asarray(first + (second - first) * pattern, np.float32)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    return _noise(rng, size, (40, 20, 10, 5))


def _blotches(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    field = _noise(rng, size, (24, 12))
    sharp = (field > 0.5).astype(np.float32)
    return np.asarray(0.75 * sharp + 0.25 * _noise(rng, size, (6, 3)), np.float32)


def _waves(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    """Draw bent stripes, wider than those of the objects."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle, length = rng.uniform(0, math.pi), rng.uniform(10, 24)
    bend = _noise(rng, size, (50, 25)) * rng.uniform(0, 2)
    phase = (columns * math.cos(angle) + rows * math.sin(angle)) / length + bend
    return np.asarray(0.5 + 0.5 * np.sin(2 * math.pi * phase), np.float32)


def _slope(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    ramp = (columns / size[1] - 0.5) * math.cos(angle) + (rows / size[0] - 0.5) * math.sin(angle)
    return np.asarray(0.5 + 0.6 * ramp + 0.5 * (_noise(rng, size, (3,)) - 0.5), np.float32)


_PATTERNS: tuple[Callable[[np.random.Generator, tuple[int, int]], Field], ...] = (
    _clouds,
    _blotches,
    _waves,
    _slope,
)


def _noise(rng: np.random.Generator, size: tuple[int, int], lengths: Sequence[float]) -> Field:
    """Return smooth noise (H, W), 0..1: one layer per length in pixels, the first the strongest."""
    total = np.zeros(size, np.float32)
    for octave, length in enumerate(lengths):
        cells = [math.ceil(side / length) + 2 for side in size]
        grid = rng.standard_normal(cells, np.float32)
        reach = [round(cell * length) for cell in cells]
        layer = cv2.resize(grid, (reach[1], reach[0]), interpolation=cv2.INTER_CUBIC)
        total += layer[: size[0], : size[1]] * np.float32(0.6**octave)
    spread = max(float(total.std()), 1e-6)
    return np.asarray((0.5 + 0.25 * (total - total.mean()) / spread).clip(0, 1), np.float32)


def _colour(hue: float, saturation: float, value: float) -> Field:
    hsv = np.array([[[hue % 180, saturation, value]]]).astype(np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def simulate_camera(rng: np.random.Generator, image: Field) -> NDArray[np.uint8]:
    """Return an image with a random gradient of light, a little blur and noise.

    Args:
        image: (H, W, 3) float32 RGB, 0..255.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    angle, strength = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.5)
    ramp = columns / width * math.cos(angle) + rows / height * math.sin(angle)
    lit = image * (1 + strength * (ramp - ramp.mean()))[..., None]
    blurred = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.3, 0.9))
    noisy = blurred + rng.normal(0, rng.uniform(3, 9), image.shape)
    return np.asarray(noisy.round().clip(0, 255), np.uint8)
