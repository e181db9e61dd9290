"""Hostile boxes, polygons, run lengths and strokes."""

import json

import numpy as np
from helpers.formats import HEIGHT, WIDTH, encoded
from hostile.changes import LINE, Case, both, coco, put, replaced, voc_box
from PIL import Image

_NOISE = np.random.default_rng(0).uniform(0, (WIDTH, HEIGHT), (10_000, 2)).round(1).tolist()
_ZIGZAG = np.tile([0, 0, 4000, 3000], 100_000).tolist()
_TURNS = np.linspace(0, 2 * np.pi, 1_000_000)
_CIRCLE = np.column_stack([16 + 10 * np.cos(_TURNS), 12 + 8 * np.sin(_TURNS)])
_SMOOTH = _CIRCLE.round(2).ravel().tolist()


def _scribbled():
    mark = {"type": "scribble", "class": "cow", "width": 1e6, "points": _NOISE}
    return LINE + json.dumps({"image": "a.png", "marks": [mark]})


SHAPES = (
    *(
        Case(
            f"box with the corner {value or 'left empty'}",
            "voc",
            voc_box(value, 4, 20, 18),
            0,
            "box has a corner that is no finite number",
        )
        for value in ("NaN", "inf", "-inf", "1e999", "", "null")
    ),
    Case("box with negative corners", "voc", voc_box(-50, -50, -9, -9), 0, "outside the image"),
    Case("box to 1,000,000,000", "voc", voc_box(5, 4, 10**9, 10**9), 0, "box leaves the image"),
    Case(
        "box of COCO with NaN and infinity",
        "coco",
        coco(bbox=[float("nan"), 0, float("inf"), 5], segmentation=[]),
        0,
        "no finite number",
    ),
    Case(
        "box of COCO with a number of 400 digits",
        "coco",
        coco(bbox=[0, 0, 10**400, 5], segmentation=[]),
        0,
        "no finite number",
    ),
    Case(
        "box of YOLO with NaN",
        "yolo",
        put("labels/train/a.txt", "0 nan inf 0.3 0.2\n1 0.5 0.5 1e308 1e308\n"),
        0,
        "no finite number",
    ),
    Case(
        "image that claims 65,535 x 65,535 pixels",
        "coco",
        coco(image_height=65_535, image_width=65_535),
        0,
        "no plausible 'height' and 'width'",
    ),
    Case(
        "image that claims 13,000 x 13,000 pixels",
        "coco",
        coco(image_height=13_000, image_width=13_000),
        1,
        "image of another size than annotated",
    ),
    Case(
        "run lengths of 1,000,000,000 pixels",
        "coco",
        coco(segmentation={"size": [HEIGHT, WIDTH], "counts": [0, 10**9]}),
        0,
        "its run lengths fill 1000000000 pixels",
    ),
    Case(
        "run lengths and image that claim 4,294,836,225 pixels",
        "coco",
        coco(
            image_height=65_535,
            image_width=65_535,
            segmentation={"size": [65_535, 65_535], "counts": [0, 65_535**2]},
        ),
        0,
        "run lengths of size [65535, 65535]",
    ),
    Case(
        "compressed run lengths that overflow",
        "coco",
        coco(segmentation={"size": [HEIGHT, WIDTH], "counts": "oooooooooooooooo"}),
        0,
        "its run lengths are damaged",
    ),
    Case(
        "mask of CVAT of 1,000,000,000 pixels",
        "cvat",
        replaced(
            "annotations.xml",
            b'rle="1,2,3" left="2" top="3" width="3" height="2"',
            b'rle="0,1000000000" left="2" top="3" width="50000" height="20000"',
        ),
        0,
        "no larger than its image",
    ),
    Case("polygon of 1,000,000 points", "coco", coco(segmentation=[_SMOOTH]), 0),
    Case(
        "polygon of 200,000 points from corner to corner of 4,000 x 3,000 pixels",
        "coco",
        both(
            put("images/train/a.png", encoded(Image.new("L", (4000, 3000)))),
            coco(image_height=3000, image_width=4000, segmentation=[_ZIGZAG]),
        ),
        0,
        "pixels long, noise",
    ),
    Case(
        "scribble of 10,000 points, wider than the image",
        "jsonl",
        put("train.jsonl", _scribbled),
        0,
    ),
    Case(
        "the same on an image of 4,000 x 3,000 pixels",
        "jsonl",
        both(
            put("images/a.png", encoded(Image.new("L", (4000, 3000)))),
            put("train.jsonl", _scribbled),
        ),
        0,
        "takes too long to draw",
    ),
    Case(
        "width of NaN",
        "jsonl",
        put(
            "train.jsonl",
            LINE + '{"image": "a.png", "marks": [{"type": "point", "class": '
            '"cow", "points": [[3, 3]], "width": NaN}]}',
        ),
        0,
        "stroke width must be positive",
    ),
)
"""Boxes, polygons, run lengths and strokes of any size."""
