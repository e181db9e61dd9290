"""Points and boxes in masks, as prompts for a SAM model."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_CANVAS = 256  # pixels: longer side of mask prompts, the resolution of the prompt encoders


def points_in(mask: NDArray[np.bool_], count: int, *, closed: bool = True) -> NDArray[np.float64]:
    """Return the deepest pixel of a mask, and then pixels far from those chosen before.

    Args:
        mask: (h, w) bool.
        count: Largest number of points.
        closed: Whether the mask ends at the border of the array.

    Returns:
        (n, 2) float64: column and row of the pixels; none if the mask is empty.
    """
    depth = depth_of(mask, closed=closed)
    if not mask.any():
        return np.zeros((0, 2))
    # Points are chosen among the deeper half, so that they do not lie on the border of a region.
    inner = np.argwhere(depth >= max(1.0, depth.max() / 2))
    chosen = [np.array(np.unravel_index(depth.argmax(), depth.shape))]
    distance = np.full(len(inner), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, ((inner - chosen[-1]) ** 2).sum(axis=1))
        # Points within the deepest disc of a mask are the same click.
        if distance.max() < max(1.0, float(2 * depth.max()) ** 2):
            break
        chosen.append(inner[distance.argmax()])
    return np.array(chosen, float)[:, ::-1]


def depth_of(mask: NDArray[np.bool_], *, closed: bool = True) -> NDArray[np.float32]:
    """Return the distance (h, w) of each pixel of a mask to the nearest pixel outside of it.

    Args:
        closed: Whether the mask ends at the border of the array.
    """
    padded = np.pad(mask.astype(np.uint8), 1, constant_values=0 if closed else 1)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)


def on_canvas(
    values: NDArray[Any],
    window: tuple[slice, slice],
    size: tuple[int, int],
    canvas: tuple[int, int],
    *,
    extent: tuple[float, float] | None = None,
    fill: float,
) -> NDArray[np.float32]:
    """Return values of a window on a canvas that shows the whole image at another size.

    Args:
        values: (h, w) of the window.
        window: Rows and columns of the image.
        size: (H, W) of the image.
        canvas: (rows, columns) of the result.
        extent: (rows, columns) of the canvas that the image covers, perhaps fractions; None is
            all of it.
        fill: Value outside of the window.
    """
    down, across = np.divide(extent or canvas, size)
    x, y = (window[1].start + 0.5) * across - 0.5, (window[0].start + 0.5) * down - 0.5
    placed = cv2.warpAffine(
        values.astype(np.float32),
        np.array([[across, 0, x], [0, down, y]]),
        canvas[::-1],
        flags=cv2.INTER_LINEAR,
        borderValue=fill,
    )
    return np.asarray(placed, np.float32)


def mask_prompt(
    logits: NDArray[np.float32], window: tuple[slice, slice], size: tuple[int, int], fill: float
) -> NDArray[np.float32] | None:
    """Return logits of a window as a mask prompt of the image; None if it shows no object.

    Args:
        logits: (h, w), positive on the object.
        window: Rows and columns of the image.
        size: (H, W) of the image.
        fill: Negative logit of the rest of the image.
    """
    factor = min(1.0, _CANVAS / max(size))
    canvas = max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
    prompt = on_canvas(logits, window, size, canvas, fill=fill)
    return prompt if (prompt > 0).any() else None
