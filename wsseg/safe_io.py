"""Safe opening of foreign files: regular files only, and images of a limited size."""

import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 178_956_970
"""Maximum number of pixels of an image or label map, as in Pillow: half a gigabyte of RGB.

A few bytes can claim any size, so it is checked before any pixel is decoded. Images of 90 to 179
megapixels, for which Pillow warns, are read without a warning.
"""

HAS_AVIF = find_spec("PIL._avif") is not None
"""Whether the installed Pillow decodes AVIF."""

FORMATS = (
    *("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000"),
    *(("AVIF",) if HAS_AVIF else ()),
)
"""Pillow's names of the accepted formats; for others it may run Ghostscript."""

TOO_LARGE = f"more than {MAX_PIXELS:,} pixels (cut it into tiles)"

DECODER_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    SyntaxError,
    struct.error,
    zlib.error,
)
"""Errors that Pillow raises for damaged images or metadata."""


def open_regular(path: Path) -> IO[bytes]:
    """Open a file for reading bytes; the caller closes it.

    Raises:
        OSError: The file is missing or not a regular file (reading a pipe might never end).
    """
    return open(path, "rb", opener=_regular)


@contextmanager
def open_image(
    source: Path | IO[bytes], formats: tuple[str, ...] = FORMATS
) -> Iterator[Image.Image]:
    """Yield an image whose pixels are not decoded yet.

    Args:
        source: A path, or an open file, which stays open.
        formats: Pillow's names of the accepted formats, whatever the suffix of the file.

    Raises:
        ValueError: The image has more than ``MAX_PIXELS`` pixels.
        OSError: The file is missing or not an image; or another of ``DECODER_ERRORS``.
    """
    opened = open_regular(source) if isinstance(source, Path) else nullcontext(source)
    with opened as file, _opened(file, formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(TOO_LARGE)
        yield image


def _regular(path: str, flags: int) -> int:
    # Without blocking, a pipe that nobody writes to can be opened, and is then refused.
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("no regular file")


def _opened(file: IO[bytes], formats: tuple[str, ...]) -> Image.Image:
    with warnings.catch_warnings():
        # Our limit is the one at which Pillow raises an error; below it a warning is noise, as
        # are warnings of damaged metadata of a file that cannot be opened or has pixels.
        warnings.simplefilter("ignore")
        try:
            return Image.open(file, formats=formats)
        except Image.DecompressionBombError as error:
            raise ValueError(TOO_LARGE) from error
        except UnidentifiedImageError as error:  # its message does not name the path
            raise ValueError("no image of a known kind, or a damaged one") from error
