"""TIFF files that Pillow does not read, or reads wrongly: more bits, bands or planes."""

import io
import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wsseg.safe_io import DECODER_ERRORS, MAX_PIXELS, TOO_LARGE, open_image

if TYPE_CHECKING:
    from tifffile import TiffPage

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SAMPLES, _BITS, _PHOTOMETRIC, _EXTRA, _ORIENTATION = 277, 258, 262, 338, 274
_GRAY, _RGB = (0, 1), 2
_ALPHA = (1, 2)
_UNCOMPRESSED, _COMPRESSIONS = 1, (5, 8, 32773, 32946)  # LZW, Deflate, PackBits, old Deflate
_PREDICTORS = (1, 2)  # none, and differences between neighbours
_DATA = 122  # offset behind a directory of 9 tags
_MAX_BYTES = 8 * MAX_PIXELS
_DAMAGED = "damaged TIFF"


def needs_tifffile(file: IO[bytes], *, every_band: bool = False) -> bool:
    """Return whether a file is a TIFF whose values Pillow loses; its position stays at the start.

    Pillow cuts 16-bit colours to 8 bits, scrambles planes of 16 bits, and reads no other files of
    several bands than RGB, CMYK, YCbCr and L*a*b*.

    Args:
        every_band: Whether bands beyond the colours are needed.
    """
    is_tiff = file.read(4) in _MAGIC
    file.seek(0)
    if not is_tiff:
        return False
    try:
        with _silent("PIL.TiffImagePlugin"), open_image(file) as image:
            tags = dict(getattr(image, "tag_v2", {}))
    except DECODER_ERRORS:
        return True
    finally:
        file.seek(0)
    if tags.get(_SAMPLES, 1) == 1:
        return False
    photometric = tags.get(_PHOTOMETRIC)
    has_other_bands = photometric in _GRAY and tags.get(_EXTRA) not in ((1,), (2,))
    chosen = every_band and photometric in (*_GRAY, _RGB)
    return max(tags.get(_BITS, (1,))) > 8 or has_other_bands or chosen


@contextmanager
def open_tiff(file: IO[bytes]) -> Iterator["TiffPage"]:
    """Yield the first page of a TIFF, of which no pixel is decoded yet.

    Raises:
        ValueError: It has more than ``MAX_PIXELS`` pixels or 1.4 GB, or is no image of numbers.
        OSError: The file is damaged; or another of ``DECODER_ERRORS``.
    """
    import tifffile  # noqa: PLC0415 - takes 0.2 s, and few files need it

    try:
        with _silent("tifffile"):
            page = _first_page(file)
            pixels = page.imagewidth * page.imagelength * page.imagedepth
            if pixels > MAX_PIXELS:
                raise ValueError(TOO_LARGE)
            if page.dtype is None or page.dtype.kind not in "uif" or page.imagedepth != 1:
                raise ValueError(f"values of {page.bitspersample} bits, which are not read")
            if pixels * page.samplesperpixel * page.dtype.itemsize > _MAX_BYTES:
                raise ValueError(f"more than {_MAX_BYTES:,} bytes of values (cut it into tiles)")
            yield page
    except tifffile.TiffFileError as error:
        raise ValueError(_DAMAGED) from error


def _first_page(file: IO[bytes]) -> "TiffPage":
    import tifffile  # noqa: PLC0415 - see ``open_tiff``

    try:
        page = tifffile.TiffFile(file).pages.first
    except DECODER_ERRORS as error:  # some of them name a number alone
        raise ValueError(_DAMAGED) from error
    if not isinstance(page, tifffile.TiffPage):
        raise ValueError(_DAMAGED)
    return page


def count_colours(page: "TiffPage") -> int:
    """Return the number of bands of a page that are colours: the first ones.

    In RGB images all further bands are left out, otherwise alpha channels.
    """
    if page.photometric == _RGB and page.samplesperpixel > 3:
        return 3
    alpha = [extra for extra in page.extrasamples if int(extra) in _ALPHA]
    return int(page.samplesperpixel) - len(alpha)


def orientation_of(page: "TiffPage") -> int:
    """Return the EXIF orientation of a page, 1 if it has none."""
    tag = page.tags.get(_ORIENTATION)
    return int(tag.value) if tag is not None else 1


def read_page(page: "TiffPage") -> NDArray[Any]:
    """Return the values of a page, (H, W, B).

    Raises:
        ValueError: It is truncated or of a compression that is not read; or another of
            ``DECODER_ERRORS``.
    """
    compression = int(page.compression)
    if compression not in (_UNCOMPRESSED, *_COMPRESSIONS):
        name = getattr(page.compression, "name", compression)
        raise ValueError(f"{name} compression of {page.dtype} values (save it uncompressed)")
    if page.predictor not in _PREDICTORS:
        raise ValueError("floats with a predictor (save it uncompressed)")
    # Segments are decompressed here: tifffile decodes no LZW, and Deflate without any limit.
    page.compression = type(page.compression)(_UNCOMPRESSED)
    planes, _, height, width, samples = page.shaped
    values = np.zeros((planes, height, width, samples), page.dtype)
    for number, (offset, count) in enumerate(
        zip(page.dataoffsets, page.databytecounts, strict=True)
    ):
        data, size = _segment(page, offset, count), _segment_bytes(page, number)
        data = data if compression == _UNCOMPRESSED else _decompressed(data, compression, size)
        if len(data) < size:
            raise ValueError("truncated TIFF")
        block, (plane, _, top, left, _), _ = page.decode(data[:size], number)
        if block is None:
            raise ValueError("truncated TIFF")
        block = block[0, : height - top, : width - left]
        values[plane, top : top + block.shape[0], left : left + block.shape[1]] = block
    return values[0] if planes == 1 else np.moveaxis(values[..., 0], 0, 2)


@contextmanager
def _silent(logger: str) -> Iterator[None]:
    """Let no message of a library appear: they are about odd tags; what matters is raised."""
    level = logging.getLogger(logger).level
    logging.getLogger(logger).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logging.getLogger(logger).setLevel(level)


def _segment(page: "TiffPage", offset: int, count: int) -> bytes:
    file = page.parent.filehandle
    file.seek(offset)
    return bytes(file.read(min(count, _MAX_BYTES)))


def _segment_bytes(page: "TiffPage", number: int) -> int:
    """Return the number of bytes of a strip or tile without compression."""
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    if page.is_tiled:
        width, rows = page.tilewidth, page.tilelength
    else:
        strips = math.ceil(page.imagelength / page.rowsperstrip)
        width, rows = page.imagewidth, page.rowsperstrip
        rows = min(rows, page.imagelength - number % strips * rows)
    size = math.ceil(width * samples * page.bitspersample / 8) * rows
    if size > _MAX_BYTES:
        raise ValueError(_DAMAGED)
    return size


def _decompressed(data: bytes, compression: int, size: int) -> bytes:
    """Return the bytes of a segment: libtiff decodes it as a gray image of one row."""
    tags = (
        *((256, size), (257, 1), (258, 8), (259, compression), (262, 1)),
        *((273, _DATA), (277, 1), (278, 1), (279, len(data))),
    )
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + directory + bytes(4)
    try:
        with open_image(io.BytesIO(head + data), ("TIFF",)) as image:
            return image.tobytes()
    except OSError as error:  # it names a number of libtiff
        raise ValueError(_DAMAGED) from error
