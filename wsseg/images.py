"""Reading of images: the only module that decodes them and applies EXIF orientation."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from wsseg.bands import ImageParams, Scaling, choose_bands, scale
from wsseg.errors import InputError
from wsseg.image_kinds import visible_files
from wsseg.safe_io import DECODER_ERRORS, HAS_AVIF, open_image, open_regular
from wsseg.tiff import count_colours, needs_tifffile, open_tiff, orientation_of, read_page

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff"),
    *(".webp", ".gif", ".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c", ".ppm", ".pgm", ".pbm"),
    *((".pnm", ".avif") if HAS_AVIF else (".pnm",)),
)
"""Suffixes of image files in lower case; ``image_kinds.OTHER_KINDS`` holds those not read."""

_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_TIFF_SIZE = (256, 257)
_PNG_METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_DEEP_PNG = (b"\x10\2", b"\x10\4", b"\x10\6")  # 16 bits of RGB, gray with alpha, RGBA
_DTYPES = {"I;16": "uint16", "I;16L": "uint16", "I;16B": "uint16", "I": "int32", "F": "float32"}
_CHANNELS = ("L", "LA", "RGB", "RGBA", *_DTYPES)
_DEFAULT = ImageParams()


def read_image(path: Path, params: ImageParams = _DEFAULT) -> NDArray[np.uint8]:
    """Return an upright RGB image.

    EXIF orientation is applied; grayscale, palette, CMYK and alpha images become RGB (alpha is
    dropped); values of more than 8 bits are scaled from ``params.range`` to 0..255; of an animation
    the first frame is read. An image of more than ``MAX_PIXELS`` pixels (about 179 million) is
    refused before any of them is decoded.

    Args:
        params: Range of deep values, and the bands that become red, green and blue.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        InputError: The file is missing, truncated, not an image, or too large, or it has bands of
            which three must be chosen.
    """
    return read_scaled(path, params)[0]


def read_scaled(
    path: Path, params: ImageParams = _DEFAULT
) -> tuple[NDArray[np.uint8], Scaling | None]:
    """Return ``read_image``, and how its values were scaled, None for an image of 8 bits."""
    with _input_errors(path), open_regular(path) as file:
        if needs_tifffile(file, every_band=params.bands is not None):
            with open_tiff(file) as page:
                colours, orientation = count_colours(page), orientation_of(page)
                values = read_page(page)
            return _rgb(values, colours, orientation, params, path)
        is_deep = _is_deep_png(file)
        with open_image(file) as image:
            if not is_deep and image.mode not in _DTYPES and params.bands is None:
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB")), None
            values = np.asarray(image if image.mode in _CHANNELS else image.convert("RGB"))
            orientation = int(image.getexif().get(_ORIENTATION, 1))
        if is_deep:  # Pillow has checked the file, but cuts its values to 8 bits.
            values = _deep_png(file)
        values = values.reshape(*values.shape[:2], -1)
        colours = 1 if values.shape[2] < 3 else 3
        return _rgb(values, colours, orientation, params, path)


def read_thumbnail(
    path: Path, size: tuple[int, int], params: ImageParams = _DEFAULT
) -> NDArray[np.uint8]:
    """Return an upright gray image, reduced to a small size; a JPEG is decoded at about that size.

    Args:
        size: (H, W) of the result; the proportions of the image are not kept.
        params: As in ``read_image``.

    Returns:
        (H, W) uint8.

    Raises:
        InputError: As ``read_image``.
    """
    with _input_errors(path), open_regular(path) as file:
        if path.suffix.lower() in {".jpg", ".jpeg"}:
            with open_image(file) as image:
                image.draft("L", (8 * size[1], 8 * size[0]))
                upright = ImageOps.exif_transpose(image).convert("L")
        else:
            upright = Image.fromarray(read_image(path, params)).convert("L")
    return np.asarray(upright.resize(size[::-1], Image.Resampling.BOX))


@dataclass(frozen=True)
class Header:
    """The header of an image.

    Attributes:
        size: (H, W) of the upright image.
        orientation: EXIF orientation: 1 is upright, 5 to 8 lie on a side.
        mode: Pillow's name of the pixel format, such as "RGB"; empty if Pillow does not read it.
        dtype: NumPy's name of the type of the stored values, such as "uint8".
    """

    size: tuple[int, int]
    orientation: int
    mode: str
    dtype: str = "uint8"


def read_header(path: Path) -> Header:
    """Return the header of an image; no pixel is decoded.

    Raises:
        InputError: The file is missing, its header is damaged, or it is too large.
    """
    with _input_errors(path), open_regular(path) as file:
        if needs_tifffile(file):
            with open_tiff(file) as page:
                width, height, orientation = page.imagewidth, page.imagelength, orientation_of(page)
                mode, dtype = "", str(page.dtype)
        else:
            is_deep = _is_deep_png(file)
            with open_image(file) as image:
                (width, height), orientation = _stored_size(image), _orientation(image)
                mode, dtype = image.mode, "uint16" if is_deep else _DTYPES.get(image.mode, "uint8")
        size = (width, height) if orientation in _SIDEWAYS else (height, width)
        return Header(size, orientation, mode, dtype)


def image_size(path: Path) -> tuple[int, int]:
    """Return (H, W) of the upright image, from its header alone.

    Raises:
        InputError: As ``read_header``.
    """
    return read_header(path).size


def image_files(folder: Path) -> list[Path]:
    """Return the files below a folder that have a suffix of images, sorted.

    Hidden files and folders are left out, and ``__MACOSX``, which holds no images.
    """
    return [path for path in visible_files(folder) if path.suffix.lower() in SUFFIXES]


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


def _is_deep_png(file: IO[bytes]) -> bool:
    head = file.read(26)
    file.seek(0)
    return head.startswith(b"\x89PNG") and head[24:] in _DEEP_PNG


def _deep_png(file: IO[bytes]) -> NDArray[Any]:
    """Return the 16-bit values (H, W, 3) of a PNG with colours or an alpha channel."""
    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise ValueError("damaged PNG")
    return np.asarray(values[..., 2::-1])


def _rgb(
    values: NDArray[Any], colours: int, orientation: int, params: ImageParams, path: Path
) -> tuple[NDArray[np.uint8], Scaling | None]:
    chosen, scaling = choose_bands(values, colours, params.bands, str(path)), None
    if chosen.dtype != np.uint8:
        chosen, scaling = scale(chosen, params.range)
    image = Image.fromarray(np.broadcast_to(chosen, (*chosen.shape[:2], 3)))
    image.getexif()[_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image)), scaling


@contextmanager
def _input_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except DECODER_ERRORS as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else f"{error}"
        raise InputError(path, "a readable image", got, "replace or remove it") from error
