"""Run lengths of Label Studio's brush, packed bit by bit: reading and writing."""

import reprlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from wsseg.data.formats.geometry import RunLengths
from wsseg.errors import InputError
from wsseg.safe_io import MAX_PIXELS

_HEAD = 53  # bits: 32 the count of values, 5 the bits of a value, 4 times 4 those of a run's length
_CHANNELS, _ALPHA = 4, 3  # RGBA, pixel after pixel
_WINDOW = 8  # bytes: no less than the head
_LENGTHS = (3, 4, 8, 16)  # bits of a run's length, as Label Studio writes them
_REMEDY = "export it again"


def brush_runs(packed: object, size: tuple[int, int]) -> RunLengths:
    """Return the pixels of a brush stroke as compressed COCO run lengths.

    Args:
        packed: The list of bytes "rle", unchecked.
        size: (H, W) of the image.

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
        packed: The bytes of "rle".
        size: (H, W) of the image.

    Returns:
        (H, W) bool: True where the alpha channel is not 0.

    Raises:
        InputError: It is of another image size, or damaged.
    """
    height, width = size
    if height * width > MAX_PIXELS:
        rule = f"of an image of at most {MAX_PIXELS} pixels"
        raise InputError("rle", rule, f"{width}x{height}", "correct the size")
    lengths, count = _head(packed, height * width)
    marked, padded = bytearray(height * width), packed + bytes(_WINDOW)  # quicker than arrays
    positive = _positive(padded)
    at, first = _HEAD, 0
    while first < count:
        window, unread = int.from_bytes(padded[at >> 3 : (at >> 3) + 4], "big"), 29 - (at & 7)
        kind = window >> unread & 7
        bits = lengths[kind & 3]
        stop = first + 1 + (window >> (unread - bits) & ((1 << bits) - 1))
        at += 3 + bits
        values, byte = positive[at & 7], at >> 3
        at += 8 if kind & 4 else 8 * (stop - first)
        if at > 8 * len(packed) or stop > count:
            got = f"a run from {first} to {stop} in {len(packed)} bytes"
            raise InputError("rle", f"of {count} values", got, _REMEDY)
        start, end = first // _CHANNELS, stop // _CHANNELS
        if kind & 4:
            marked[start:end] = values[byte : byte + 1] * (end - start)
        else:
            alpha = byte + (_ALPHA - first) % _CHANNELS
            marked[start:end] = values[alpha : byte + stop - first : _CHANNELS]
        first = stop
    return np.frombuffer(marked, bool).reshape(size)


def packed_brush(mask: NDArray[np.bool_]) -> bytes:
    """Return a mask (H, W) in the form that ``brush_mask`` reads, opaque white where it is True.

    Example:
        >>> brush_mask(packed_brush(np.array([[False, True]])), (1, 2)).tolist()
        [[False, True]]
    """
    values = np.repeat(mask.ravel(), _CHANNELS)
    bits = [f"{values.size:032b}{7:05b}", *(f"{length - 1:04b}" for length in _LENGTHS)]
    edges = np.flatnonzero(np.diff(values, prepend=~values[:1], append=~values[-1:]))
    for start, stop in pairwise(edges.tolist()):
        for first in range(start, stop, 2 ** _LENGTHS[-1]):
            count = min(stop - first, 2 ** _LENGTHS[-1]) - 1
            choice = next(index for index, most in enumerate(_LENGTHS) if count < 2**most)
            value = 255 * int(values[start])
            bits.append(f"1{choice:02b}{count:0{_LENGTHS[choice]}b}{value:08b}")
    text = "".join(bits)
    size = -(-len(text) // 8)
    return int(text.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def _head(packed: bytes, pixels: int) -> tuple[tuple[int, ...], int]:
    """Return the four choices of how many bits a run's length has, and the count of values."""
    head = int.from_bytes(packed[:_WINDOW].ljust(_WINDOW, b"\0"), "big")
    count, bits = head >> 32, 1 + (head >> 27 & 31)
    if 8 * len(packed) < _HEAD or count != pixels * _CHANNELS or bits != 8:
        rule = f"of 8 bits for each of {_CHANNELS} channels of {pixels} pixels"
        raise InputError("rle", rule, f"{bits} bits for {count} values", _REMEDY)
    return tuple(1 + (head >> unread & 15) for unread in (23, 19, 15, 11)), count


def _positive(data: bytes) -> tuple[bytes, ...]:
    """Return for each of 8 bits whether the bytes that begin there are not 0, as bytes."""
    single = np.frombuffer(data, np.uint8).astype(np.uint16)
    pairs = (single[:-1] << 8) | single[1:]
    return tuple(((pairs >> (8 - bit)) & 255 > 0).tobytes() for bit in range(8))
