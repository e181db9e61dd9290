"""Photographs from disk: the one place that decodes them and applies EXIF orientation."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from wsseg.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_DEEP_MODES = {"I;16": 65535.0, "I;16L": 65535.0, "I;16B": 65535.0, "I": 65535.0, "F": 1.0}
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    UnidentifiedImageError,
    Image.DecompressionBombError,
)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return a photograph as it is meant to be seen.

    EXIF orientation is applied; grayscale, palette, CMYK and alpha images become RGB (alpha is
    dropped); 16-bit images are scaled from 0..65535 and float images from 0..1 to 0..255; of an
    animation the first frame is read.

    Args:
        path: The image file.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: The file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(_eight_bit(image))
            return np.asarray(upright.convert("RGB"))
    except _DECODER_ERRORS as error:
        raise _unreadable(path, error) from error


def image_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of a photograph after EXIF orientation, reading only its header.

    Args:
        path: The image file.

    Returns:
        Height and width in pixels.

    Raises:
        InputError: The file is missing or its header is damaged.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (width, height) if _orientation(image) in _SIDEWAYS else (height, width)
    except _DECODER_ERRORS as error:
        raise _unreadable(path, error) from error


def exif_orientation(path: Path) -> int:
    """Return the EXIF orientation tag of a photograph: 1 is upright, 5 to 8 lie on a side.

    Args:
        path: The image file.

    Returns:
        The tag's value, 1 where there is none.

    Raises:
        InputError: The file is missing or its header is damaged.
    """
    try:
        with Image.open(path) as image:
            return _orientation(image)
    except _DECODER_ERRORS as error:
        raise _unreadable(path, error) from error


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_ORIENTATION, 1))


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode not in _DEEP_MODES:
        return image
    orientation = image.getexif().get(_ORIENTATION)
    values = np.asarray(image, dtype=np.float64) / _DEEP_MODES[image.mode]
    flat = Image.fromarray((np.nan_to_num(values).clip(0, 1) * 255).round().astype(np.uint8))
    if orientation:
        flat.getexif()[_ORIENTATION] = orientation
    return flat


def _unreadable(path: Path, error: Exception) -> InputError:
    got = "no such file" if isinstance(error, FileNotFoundError) else f"{error}"
    return InputError(path, "a readable image", got, "replace or remove it")
