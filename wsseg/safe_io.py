"""Files that somebody else wrote, opened so that none of them fills the memory or never ends."""

import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

MOST_PIXELS = 178_956_970
"""Of one image, and of one label map: a third of a gigabyte of RGB; Pillow opens no more either.

A few bytes can claim any size, so it is looked at before a pixel is decoded. Aerial photographs of
90 to 179 megapixels, which Pillow warns of, are read without a word.
"""

KINDS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF", "PPM", "JPEG2000")
"""Pillow's names of the formats that are opened; for others it would run Ghostscript."""

_TOO_LARGE = f"more than {MOST_PIXELS:,} pixels (cut it into tiles)"

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
"""What Pillow raises for damaged images, their metadata among it."""


def open_regular(path: Path) -> IO[bytes]:
    """Return a file opened for reading, as bytes.

    Args:
        path: The file.

    Returns:
        It; the caller closes it.

    Raises:
        OSError: It is missing, or no regular file: a pipe would keep its reader waiting for ever.
    """
    return open(path, "rb", opener=_regular)


@contextmanager
def open_image(source: Path | IO[bytes], formats: tuple[str, ...] = KINDS) -> Iterator[Image.Image]:
    """Yield an image whose pixels are not decoded yet.

    Args:
        source: The file.
        formats: Pillow's names of those that it may be of, whatever it is called.

    Yields:
        The image.

    Raises:
        ValueError: It has more than ``MOST_PIXELS`` pixels.
        OSError: The file is missing, or no image; or another of ``DECODER_ERRORS``.
    """
    file = open_regular(source) if isinstance(source, Path) else source
    with file, _opened(file, formats) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(_TOO_LARGE)
        yield image


def _regular(path: str, flags: int) -> int:
    # Without waiting: a pipe that nobody writes to is opened too, and then refused.
    handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    raise OSError("no regular file")


def _opened(file: IO[bytes], formats: tuple[str, ...]) -> Image.Image:
    with warnings.catch_warnings():
        # below our limit, which is where Pillow raises by default, a large image is no bomb
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            return Image.open(file, formats=formats)
        except Image.DecompressionBombError as error:
            raise ValueError(_TOO_LARGE) from error
        except UnidentifiedImageError as error:  # it names the open file, not its path
            raise ValueError("no image of a known kind, or a damaged one") from error
