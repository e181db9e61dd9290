"""Reading of images: the only module that decodes them and applies EXIF orientation."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from wsseg.errors import InputError
from wsseg.safe_io import DECODER_ERRORS, open_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_ORIENTATION = 0x0112
_STRIP = 256  # rows
_SIDEWAYS = (5, 6, 7, 8)
_TIFF_SIZE = (256, 257)
_PNG_METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_DEEP_MODES = {"I;16": 65535.0, "I;16L": 65535.0, "I;16B": 65535.0, "I": 65535.0, "F": 1.0}


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an upright RGB image.

    EXIF orientation is applied; grayscale, palette, CMYK and alpha images become RGB (alpha is
    dropped); 16-bit images are scaled from 0..65535 and float images from 0..1 to 0..255; of an
    animation the first frame is read. An image of more than ``MAX_PIXELS`` pixels (about 179
    million) is refused before any of them is decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: The file is missing, truncated, not an image, or too large.
    """
    try:
        with open_image(path) as image:
            upright = ImageOps.exif_transpose(_eight_bit(image))
            return np.asarray(upright.convert("RGB"))
    except DECODER_ERRORS as error:
        raise _unreadable(path, error) from error


def read_thumbnail(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an upright gray image, reduced to a small size; a JPEG is decoded at about that size.

    Args:
        size: (H, W) of the result; the proportions of the image are not kept.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: As ``read_image``.
    """
    try:
        with open_image(path) as image:
            image.draft("L", (8 * size[1], 8 * size[0]))
            upright = ImageOps.exif_transpose(_eight_bit(image)).convert("RGB").convert("L")
            return np.asarray(upright.resize(size[::-1], Image.Resampling.BOX))
    except DECODER_ERRORS as error:
        raise _unreadable(path, error) from error


@dataclass(frozen=True)
class Header:
    """The header of an image.

    Attributes:
        size: (H, W) of the upright image.
        orientation: EXIF orientation: 1 is upright, 5 to 8 lie on a side.
        mode: Pillow's name of the pixel format, such as "RGB".
    """

    size: tuple[int, int]
    orientation: int
    mode: str


def read_header(path: Path) -> Header:
    """Return the header of an image; no pixel is decoded.

    Raises:
        InputError: The file is missing, its header is damaged, or it is too large.
    """
    try:
        with open_image(path) as image:
            (width, height), orientation = _stored_size(image), _orientation(image)
            size = (width, height) if orientation in _SIDEWAYS else (height, width)
            return Header(size, orientation, image.mode)
    except DECODER_ERRORS as error:
        raise _unreadable(path, error) from error


def image_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of the upright image, from its header alone.

    Raises:
        InputError: As ``read_header``.
    """
    return read_header(path).size


def image_files(folder: Path) -> list[Path]:
    """Return the files below a folder that have a suffix of images, sorted."""
    paths = sorted(folder.rglob("*"))
    return [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]


def _stored_size(image: Image.Image) -> tuple[int, int]:
    # Pillow turns the size of a TIFF by its orientation, some versions only once it is decoded.
    if isinstance(image, TiffImageFile):
        width, height = (int(image.tag_v2[tag]) for tag in _TIFF_SIZE)
        return width, height
    return image.size


def _orientation(image: Image.Image) -> int:
    # A PNG may contain metadata after its pixels, so Pillow would decode these to find it.
    if isinstance(image, PngImageFile) and not _metadata_follows_pixels(image.fp):
        return int(Image.Image.getexif(image).get(_ORIENTATION, 1))
    return int(image.getexif().get(_ORIENTATION, 1))


def _metadata_follows_pixels(file: IO[bytes] | None) -> bool:
    if file is None:
        return True
    position, pixels = file.tell(), False
    file.seek(8)
    try:
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            pixels |= kind == b"IDAT"
            if pixels and kind in _PNG_METADATA:
                return True
            file.seek(length + 4, 1)
        return False
    finally:
        file.seek(position)


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode not in _DEEP_MODES:
        return image
    orientation, most = image.getexif().get(_ORIENTATION), _DEEP_MODES[image.mode]
    values = np.asarray(image)
    strips = []
    # Strips of rows: as floats a large image would take gigabytes.
    for first in range(0, len(values), _STRIP):
        shares = values[first : first + _STRIP].astype(np.float64) / most
        strips.append((np.nan_to_num(shares).clip(0, 1) * 255).round().astype(np.uint8))
    flat = Image.fromarray(np.concatenate(strips))
    if orientation:
        flat.getexif()[_ORIENTATION] = orientation
    return flat


def _unreadable(path: Path, error: Exception) -> InputError:
    got = "no such file" if isinstance(error, FileNotFoundError) else f"{error}"
    return InputError(path, "a readable image", got, "replace or remove it")
