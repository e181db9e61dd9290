"""Label maps and scores: the IGNORE value, colours and files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import cv2
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image

from wsseg.errors import InputError
from wsseg.files import atomic_write
from wsseg.safe_io import DECODER_ERRORS, open_image, open_regular

IGNORE = 255
"""Label of a pixel that is excluded from losses and metrics."""

# Errors of numpy and zipfile for damaged or foreign files.
_DAMAGED = (*DECODER_ERRORS, RuntimeError, BadZipFile)

_MAX_BYTES = 2**31  # of an array of scores: three classes at every pixel of the largest image
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
_REMEDY = "delete the folder of its stage to make it again"

_LZ77_RLE = 3  # zlib strategy: four times faster than the default and barely larger on label maps


def palette() -> NDArray[np.uint8]:
    """Return the Pascal VOC colours, (256, 3) uint8 RGB, one row per label.

    The background is black, IGNORE is (224, 224, 192).
    """
    labels = np.arange(256)[:, None]
    colours = np.zeros((256, 3), int)
    for bit in range(8):
        colours |= ((labels >> (3 * bit + np.arange(3))) & 1) << (7 - bit)
    return colours.astype(np.uint8)


def write_label_map(path: Path, label_map: NDArray[np.uint8]) -> None:
    """Write a label map (H, W) uint8 as a palette PNG, atomically."""
    image = Image.fromarray(label_map)
    image.putpalette(palette().tobytes())
    with atomic_write(path) as file:
        image.save(file, "png", compress_type=_LZ77_RLE)


def read_label_map(
    path: Path,
    labels: Sequence[int] | None = None,
    colours: Sequence[tuple[int, int, int]] | None = None,
) -> NDArray[np.uint8]:
    """Return the label map of an image file with one 8-bit channel, such as a PNG.

    The labels are the palette indices or gray values of the file; its palette is not used.

    Args:
        labels: The label of each value of the file, as of ``MaskFile``.
        colours: The RGB colour of each value, for a file of colours; other colours are IGNORE.

    Returns:
        (H, W) uint8 labels, 0 to 255; IGNORE is 255. They are not compared with a list of classes.

    Raises:
        InputError: The file is missing, damaged or too large, or does not have exactly one 8-bit
            channel, as an RGB image.
    """
    try:
        with open_image(path) as image:
            image.verify()  # verifies checksums and closes the image
        with open_image(path) as image:
            mode = image.mode
            is_coloured = colours is not None and mode in ("RGB", "RGBA")
            values = np.asarray(image.convert("RGB") if is_coloured else image)
    except DECODER_ERRORS as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        remedy = "replace or remove it (in a run: delete the folder of its stage)"
        raise InputError(path, "a readable label map", got, remedy) from error
    if colours is not None and is_coloured:
        values = _values_of(values, colours)
    elif mode not in ("P", "L"):
        remedy = "save class numbers as a palette or grayscale PNG"
        raise InputError(path, "one 8-bit channel of class numbers", f"mode {mode}", remedy)
    if labels is None:
        return values
    table = np.arange(256, dtype=np.uint8)
    table[: len(labels)] = labels
    label_map: NDArray[np.uint8] = table[values]
    return label_map


def _values_of(
    pixels: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]]
) -> NDArray[np.uint8]:
    """Return the index of the colour (R, G, B) of each pixel, IGNORE for other colours."""
    values = np.full(pixels.shape[:2], IGNORE, np.uint8)
    for value, colour in enumerate(colours):
        values[(pixels == np.array(colour, np.uint8)).all(axis=2)] = value
    return values


def zero_255_confusion(label_map: NDArray[np.uint8]) -> str | None:
    """Return a sentence about a mask whose objects seem to be written as 255, which means IGNORE.

    Args:
        label_map: Of an image that shows an object.

    Returns:
        Fault and remedy; None if some pixel has a class, or none is 255.
    """
    present = {*np.unique(label_map).tolist()}
    if IGNORE not in present or present - {0, IGNORE}:
        return None
    values = "only 0 and 255" if 0 in present else "only 255"
    return f"0/255 confusion: holds {values}; 255 means ignore; write the object's class number"


def write_confidence(path: Path, confidence: NDArray[np.floating]) -> None:
    """Write the confidence (H, W), 0..1, of predictions as a grayscale PNG, atomically."""
    with atomic_write(path) as file:
        Image.fromarray((confidence * 255).round().astype(np.uint8)).save(file, "png")


def read_confidence(path: Path) -> NDArray[np.float32] | None:
    """Return the confidence (H, W) float32, 0..1, of a file; None if it does not exist.

    Raises:
        InputError: The file is damaged.
    """
    return (read_label_map(path) / 255).astype(np.float32) if path.exists() else None


def write_scores(path: Path, classes: Sequence[int], scores: NDArray[np.floating]) -> None:
    """Write scores of some classes as an ``.npz`` file of 16-bit floats, atomically.

    Args:
        classes: T labels.
        scores: (T, h, w), 0..1.
    """
    labels = np.asarray(classes, np.uint8)
    with atomic_write(path) as file:
        np.savez_compressed(file, classes=labels, scores=scores.astype(np.float16))


def read_scores(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the labels (T,) uint8 and scores (T, h, w) float32 of a file; nothing is unpickled.

    Raises:
        InputError: The file is missing or damaged.
    """
    try:
        with open_regular(path) as file, ZipFile(file) as archive:
            classes, scores = (_array(archive, name) for name in ("classes", "scores"))
    except _DAMAGED as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise InputError(path, "a readable file of scores", got, _REMEDY) from error
    fits = classes.ndim == 1 and scores.ndim == 3 and len(classes) == len(scores)
    if not fits or classes.dtype != np.uint8 or scores.dtype.kind != "f":
        got = f"{classes.dtype} {classes.shape} and {scores.dtype} {scores.shape}"
        raise InputError(path, "uint8 labels (T,) and float scores (T, h, w)", got, _REMEDY)
    return classes, scores.astype(np.float32)


def _array(archive: ZipFile, name: str) -> NDArray[Any]:
    """Return an array of an ``.npz`` file; an error if its header claims too much memory."""
    with archive.open(f"{name}.npy") as file:
        shape, _, dtype = _HEADERS[npy.read_magic(file)](file)
        if (size := math.prod(shape) * dtype.itemsize) > _MAX_BYTES:
            raise ValueError(f"{size:,} bytes of {name}, more than {_MAX_BYTES:,}")
    with archive.open(f"{name}.npy") as file:
        return np.asarray(npy.read_array(file, allow_pickle=False))


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of a mask with at least one pixel, in pixels.

    Example:
        >>> bounding_box(np.array([[False, False], [False, True]]))
        (1, 1, 2, 2)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlay(
    image: NDArray[np.uint8], label_map: NDArray[np.uint8], opacity: float = 0.5
) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) uint8 with the colours of a label map and white class borders.

    Args:
        label_map: (H, W) uint8; the background stays transparent.
        opacity: Weight of the colours, 0 to 1.
    """
    colours = palette()[label_map]
    weight = np.where(label_map == 0, 0.0, opacity)[..., None]
    blended = (image * (1 - weight) + colours * weight).round().astype(np.uint8)
    edges = cv2.morphologyEx(label_map, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    blended[edges] = 255
    return np.asarray(blended)
