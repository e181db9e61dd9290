"""Generate scenes with known truth: a small Pascal VOC folder for the demo and the tests."""

import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from wsseg.data.annotation import Box
from wsseg.data.model import Classes
from wsseg.data.writers.voc import add_fields
from wsseg.errors import InputError
from wsseg.files import name_in_errors
from wsseg.labelmaps import bounding_box, palette, write_label_map
from wsseg.synthetic.painting import SHAPES, Field, paint_background, paint_object, simulate_camera

CLASSES = Classes(("background", "disc", "ring", "star", "cross", "hook"))
"""The classes of every generated scene."""

SMALLEST_SIDE = 48
"""In pixels; the objects of a smaller scene would be too small for a texture."""

_MARKER = "scenes.json"
_GENERATION = 2  # increased when the same seed gives other files, so that old folders are replaced
_MAX_ATTEMPTS = 40  # at placing an object


def generate_scene(
    rng: np.random.Generator, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[Box, ...]]:
    """Generate an image with its true label map and the boxes that an annotator would draw.

    One to three textured objects lie on a textured background of similar colours. They overlap,
    leave the image, and vary in scale, pose, proportions, colour and light.

    Args:
        size: (H, W) in pixels, each at least ``SMALLEST_SIDE``.

    Returns:
        (H, W, 3) uint8 RGB; (H, W) uint8 label map without IGNORE; a tight box around the visible
        part of each object.

    Raises:
        InputError: A side is too short.

    Example:
        >>> image, label_map, boxes = generate_scene(np.random.default_rng(0), (64, 80))
        >>> image.shape, label_map.shape, len(boxes) > 0
        ((64, 80, 3), (64, 80), True)
    """
    if min(size) < SMALLEST_SIDE:
        rule = f"at least {SMALLEST_SIDE} pixels a side"
        raise InputError("scene size", rule, size, "generate larger scenes")
    image = paint_background(rng, size)
    objects = np.zeros(size, np.uint8)
    labels: list[int] = []
    for _ in range(rng.integers(1, 4)):
        label = int(rng.integers(1, len(CLASSES)))
        if placed := _place_object(rng, label, objects):
            mask, across, along = placed
            labels.append(label)
            objects[mask] = len(labels)
            image = paint_object(rng, image, label, mask, (across, along))
    label_map = np.array([0, *labels], np.uint8)[objects]
    boxes = tuple(Box(label, *bounding_box(objects == 1 + i)) for i, label in enumerate(labels))
    return simulate_camera(rng, image), label_map, boxes


def write_scenes(
    root: Path, train: int, val: int, seed: int, sides: tuple[int, int] = (96, 128)
) -> None:
    """Write a Pascal VOC folder of generated scenes, complete or not at all.

    It holds PNG images, boxes, tags, true masks, lists of the splits and ``labelmap.txt``. A
    complete folder that was written with the same arguments is kept; one with others is replaced.

    Args:
        root: A new or empty folder, or one that this function wrote.
        train: Number of scenes of the split "train".
        val: Number of scenes of the split "val".
        seed: The same seed gives the same files, byte by byte, also if a split has more scenes.
        sides: Shortest and longest side in pixels.

    Raises:
        InputError: The folder holds other files, or an argument is out of range.
    """
    for name, value in (("train", train), ("val", val), ("seed", seed)):
        if value < 0:
            raise InputError(f"scenes {name}", "0 or more", value, f"correct {name}")
    if not SMALLEST_SIDE <= sides[0] <= sides[1]:
        rule = f"two lengths in order, from {SMALLEST_SIDE} pixels"
        raise InputError("scenes sides", rule, sides, "correct sides")
    counts = {"train": train, "val": val}
    made_with = {"generation": _GENERATION, **counts, "seed": seed, "sides": list(sides)}
    existing = _made_with(root)
    if existing == made_with:
        return
    if existing is None and root.exists() and any(root.iterdir()):
        remedy = "choose another folder"
        raise InputError(root, "new, empty or a folder of scenes", "other files", remedy)
    root.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{root.name}-"
    with name_in_errors(root), tempfile.TemporaryDirectory(prefix=prefix, dir=root.parent) as work:
        partial = Path(work) / "scenes"
        _write_folder(partial, made_with)
        if root.exists():
            root.rename(Path(work) / "replaced")
        try:
            partial.rename(root)
        except OSError:  # another process may have written the same scenes meanwhile
            if _made_with(root) != made_with:
                raise


def _made_with(root: Path) -> Any:
    try:
        return json.loads((root / _MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def _write_folder(root: Path, made_with: dict[str, Any]) -> None:
    for folder in ("JPEGImages", "Annotations", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    for number, split in enumerate(("train", "val")):
        names = [f"{split}-{index:04d}" for index in range(made_with[split])]
        labels_of: dict[str, set[int]] = {}
        for index, name in enumerate(names):
            rng = np.random.default_rng((made_with["seed"], number, index))
            labels_of[name] = _write_scene(root, name, rng, made_with["sides"])
        for kind in ("Main", "Segmentation"):
            (root / "ImageSets" / kind).mkdir(parents=True, exist_ok=True)
            _write_lines(root / "ImageSets" / kind / f"{split}.txt", names)
        for label, name in enumerate(CLASSES.names[1:], 1):
            lines = [f"{id} {1 if label in ls else -1:2d}" for id, ls in labels_of.items()]
            _write_lines(root / "ImageSets" / "Main" / f"{name}_{split}.txt", lines)
    colours = (",".join(map(str, colour)) for colour in palette())
    lines = [f"{name}:{colour}::" for name, colour in zip(CLASSES, colours, strict=False)]
    _write_lines(root / "labelmap.txt", ["# label:color_rgb:parts:actions", *lines])
    (root / _MARKER).write_text(json.dumps(made_with), encoding="utf-8")


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_scene(
    root: Path, name: str, rng: np.random.Generator, sides: tuple[int, int]
) -> set[int]:
    """Write one scene and return the labels of its objects."""
    height, width = (int(side) for side in rng.integers(sides[0], sides[1] + 1, 2))
    image, label_map, boxes = generate_scene(rng, (height, width))
    Image.fromarray(image).save(root / "JPEGImages" / f"{name}.png")
    write_label_map(root / "SegmentationClass" / f"{name}.png", label_map)
    (root / "Annotations" / f"{name}.xml").write_bytes(_voc_xml(name, (height, width), boxes))
    return {box.label for box in boxes}


def _voc_xml(name: str, size: tuple[int, int], boxes: Sequence[Box]) -> bytes:
    root = Element("annotation")
    add_fields(root, {"filename": f"{name}.png"})
    add_fields(SubElement(root, "size"), {"width": size[1], "height": size[0], "depth": 3})
    for box in boxes:
        item = SubElement(root, "object")
        add_fields(item, {"name": CLASSES.names[box.label], "difficult": 0})
        # Pascal VOC counts pixels from 1 and includes the last one.
        corners = {"xmin": box.left + 1, "ymin": box.top + 1, "xmax": box.right, "ymax": box.bottom}
        add_fields(SubElement(item, "bndbox"), corners)
    indent(root)
    return bytes(tostring(root))


def _place_object(
    rng: np.random.Generator, label: int, objects: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], Field, Field] | None:
    """Return the pixels and the two coordinates of a new object, None if no attempt fits.

    The object hides at most 40 % of any other one.
    """
    height, width = objects.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    areas = np.bincount(objects.ravel(), minlength=256)
    for _ in range(_MAX_ATTEMPTS):
        radius = min(height, width) * rng.uniform(0.22, 0.42)
        x = columns - rng.uniform(0, width)
        y = rows - rng.uniform(0, height)
        angle = rng.uniform(0, 2 * math.pi)
        across = (x * math.cos(angle) + y * math.sin(angle)) / np.float32(radius)
        along = (y * math.cos(angle) - x * math.sin(angle)) / np.float32(radius)
        mask = SHAPES[label](rng, across, along)
        hidden = np.bincount(objects[mask], minlength=256)[1:]
        whole_enough = mask.sum() > 0.3 * radius**2 * math.pi
        if whole_enough and (hidden <= 0.4 * areas[1:]).all() and hidden.sum() < 0.4 * mask.sum():
            return mask, across, along
    return None
