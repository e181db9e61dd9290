"""Label Studio's run lengths: what its brush draws, packed bit by bit."""

import reprlib

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from wsseg.annotations.readers.geometry import RunLengths
from wsseg.errors import InputError

_HEAD = 53  # bits: 32 the count of values, 5 the bits of a value, 4 times 4 those of a run's length
_CHANNELS, _ALPHA = 4, 3  # RGBA, pixel after pixel
_WINDOW = 8  # bytes: a run's head and its first value take at most 7 + 3 + 16 + 8 bits
_MOST_PIXELS = 178_956_970  # images beyond are not opened
_REMEDY = "export it again"


def brush_runs(packed: object, size: tuple[int, int]) -> RunLengths:
    """Return the pixels of a brush stroke as COCO run lengths.

    Args:
        packed: Its "rle", a list of bytes.
        size: (H, W) of the image.

    Returns:
        Size and compressed counts.

    Raises:
        InputError: It is no list of bytes, of another image size, or damaged.
    """
    try:
        data = bytes(packed) if isinstance(packed, list) else None
    except (TypeError, ValueError):
        data = None
    if data is None:
        raise InputError("rle", "a list of bytes", reprlib.repr(packed), _REMEDY)
    marked = np.asfortranarray(brush_mask(data, size), np.uint8)
    return size, coco_mask.encode(marked)["counts"]


def brush_mask(packed: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels that a brush stroke covers.

    The values of all channels of all pixels follow each other, row after row, in runs. A run is one
    bit that says whether its values are one, two bits that choose one of the head's four lengths of
    a number, that number, which is the count of values minus 1, and then the one value or all of
    them. The bits of all numbers come highest first, and no number begins at a new byte.

    Args:
        packed: The bytes.
        size: (H, W) of the image.

    Returns:
        (H, W) bool: where the alpha channel is not 0.

    Raises:
        InputError: It is of another image size, or damaged.
    """
    height, width = size
    if height * width > _MOST_PIXELS:
        rule = f"of an image of at most {_MOST_PIXELS} pixels"
        raise InputError("rle", rule, f"{width}x{height}", "correct the size")
    lengths, count = _head(packed, height * width)
    marked, padded = np.zeros(height * width, bool), packed + bytes(_WINDOW)
    at, first = _HEAD, 0
    while first < count:
        window, skipped = int.from_bytes(padded[at >> 3 : (at >> 3) + _WINDOW], "big"), at & 7
        kind, bits = _bits(window, skipped, 3), lengths[_bits(window, skipped + 1, 2)]
        stop = first + 1 + _bits(window, skipped + 3, bits)
        at += 3 + bits
        begin, at = at, at + (8 if kind & 4 else 8 * (stop - first))
        if at > 8 * len(packed) or stop > count:
            got = f"a run from {first} to {stop} in {len(packed)} bytes"
            raise InputError("rle", f"of {count} values", got, _REMEDY)
        of_pixels = slice(first // _CHANNELS, stop // _CHANNELS)
        if kind & 4:
            marked[of_pixels] = _bits(window, skipped + 3 + bits, 8) > 0
        else:
            values = _values(padded, begin, stop - first)
            marked[of_pixels] = values[(_ALPHA - first) % _CHANNELS :: _CHANNELS] > 0
        first = stop
    return marked.reshape(size)


def _head(packed: bytes, pixels: int) -> tuple[tuple[int, ...], int]:
    """Return the four choices of how many bits a run's length has, and the count of values."""
    head = int.from_bytes(packed[:_WINDOW].ljust(_WINDOW, b"\0"), "big")
    count, bits = _bits(head, 0, 32), 1 + _bits(head, 32, 5)
    if 8 * len(packed) < _HEAD or count != pixels * _CHANNELS or bits != 8:
        rule = f"of 8 bits for each of {_CHANNELS} channels of {pixels} pixels"
        raise InputError("rle", rule, f"{bits} bits for {count} values", _REMEDY)
    return tuple(1 + _bits(head, start, 4) for start in (37, 41, 45, 49)), count


def _bits(window: int, start: int, count: int) -> int:
    """Return a number from 64 bits, the highest first."""
    return (window >> (8 * _WINDOW - start - count)) & ((1 << count) - 1)


def _values(padded: bytes, at: int, count: int) -> NDArray[np.uint16]:
    """Return so many bytes that begin at a bit."""
    pairs = np.frombuffer(padded, np.uint8, count + 1, at >> 3).astype(np.uint16)
    values: NDArray[np.uint16] = ((pairs[:-1] << (at & 7)) | (pairs[1:] >> (8 - (at & 7)))) & 255
    return values
