"""Small files that claim to be large, or decompress to a large size."""

import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
from numpy.lib import format as npy

MB = 2**20


def png(width, height, *chunks, pixels=b""):
    """Return a grayscale PNG of any claimed size with compressed pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels or zlib.compress(b"\0")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, parts))


def _chunk(part):
    kind, data = part
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zeros(count):
    """Return compressed zeros without holding them in memory."""
    deflate, block = zlib.compressobj(9), bytes(MB)
    parts = [deflate.compress(block) for _ in range(count // MB)]
    return b"".join([*parts, deflate.compress(bytes(count % MB)), deflate.flush()])


def tiff(small, width, height):
    """Change the size that a TIFF claims."""
    for tag, side in ((256, width), (257, height)):
        kind = next(k for k in (3, 4) if struct.pack("<HHI", tag, k, 1) in small)
        start = small.index(struct.pack("<HHI", tag, kind, 1))
        small = small[:start] + struct.pack("<HHII", tag, 4, 1, side) + small[start + 12 :]
    return small


def text_chunk(count):
    """Return a zTXt chunk of a PNG with a text of this length."""
    return b"zTXt", b"Comment\0\0" + zeros(count)


def npz(shape, *, filled):
    """Return scores of any claimed shape, with half a gigabyte of compressed zeros or empty."""
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": shape})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as held:
        with held.open("classes.npy", "w") as member:
            npy.write_array(member, np.zeros(shape[0], np.uint8))
        with held.open("scores.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            for _ in range(512 if filled else 0):
                member.write(bytes(MB))
    return file.getvalue()


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]>"
)
"""A document type whose entity ``&j;`` is a thousand million times "ha"."""

OUTSIDE_ENTITY = '<!DOCTYPE a [<!ENTITY j SYSTEM "file:///etc/passwd">]>'

YAML_LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


class Trap:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def pickled(marker):
    """Return a pickle that must never be loaded."""
    return pickle.dumps({"state_dict": Trap(marker), "global_step": Trap(marker)})
