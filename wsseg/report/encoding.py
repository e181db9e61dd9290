"""Pictures and label maps as text that a page can draw without a network or a server."""

import base64
import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encoded_photograph(image: NDArray[np.uint8], side: int) -> str:
    """Return a photograph as the address of a JPEG that holds its own data.

    Args:
        image: (H, W, 3) uint8 RGB.
        side: Pixels that its longer side has at most.

    Returns:
        Such as "data:image/jpeg;base64,...".
    """
    size = shown_size((image.shape[0], image.shape[1]), side)
    shown = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
    file = io.BytesIO()
    Image.fromarray(shown.astype(np.uint8)).save(file, "jpeg", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def encoded_label_map(label_map: NDArray[np.uint8], side: int) -> str:
    """Return a label map as base64 of its run lengths, row by row.

    Each run is its label in one byte, and its length in bytes of seven bits, the lowest first,
    each but the last with its eighth bit set (LEB128).

    Args:
        label_map: (H, W) uint8.
        side: Pixels that its longer side has at most; each shows the pixel at its centre.

    Returns:
        The text; ``decoded_label_map`` reads it.
    """
    size = shown_size((label_map.shape[0], label_map.shape[1]), side)
    exact = cv2.INTER_NEAREST_EXACT
    shown = cv2.resize(label_map, size[::-1], interpolation=exact).astype(np.uint8).ravel()
    starts = np.flatnonzero(np.append(True, shown[1:] != shown[:-1]))
    lengths = np.diff(np.append(starts, shown.size))
    pairs = zip(shown[starts].tolist(), lengths.tolist(), strict=True)
    return base64.b64encode(b"".join(_run(label, length) for label, length in pairs)).decode()


def decoded_label_map(text: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a label map of ``encoded_label_map``.

    Args:
        text: Its run lengths.
        size: (h, w) that it is shown in, of ``shown_size``.

    Returns:
        (h, w) uint8.
    """
    data = iter(base64.b64decode(text))
    pixels: list[int] = []
    for label in data:
        length, shift, byte = 0, 0, 0x80
        while byte & 0x80:
            byte = next(data)
            length, shift = length | (byte & 0x7F) << shift, shift + 7
        pixels += [label] * length
    return np.array(pixels, np.uint8).reshape(size)


def shown_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the size of an image whose longer side is not too long.

    Args:
        size: (H, W).
        side: Pixels that the longer side has at most.

    Returns:
        (h, w), at least one pixel each.

    Example:
        >>> shown_size((300, 400), 100), shown_size((30, 40), 100)
        ((75, 100), (30, 40))
    """
    factor = min(1.0, side / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def _run(label: int, length: int) -> bytes:
    found = [label]
    while length > 0x7F:
        found.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*found, length])
