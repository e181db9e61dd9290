"""Hostile images and masks."""

import io

import numpy as np
import tifffile
from helpers.formats import HEIGHT, WIDTH, encoded
from hostile.bombs import png, text_chunk, tiff, zeros
from hostile.changes import LINE, Case, both, coco, fifo, folder, link, moved, put, saved
from PIL import Image

_TOO_LARGE = "got more than 178,956,970 pixels (cut it into tiles)"


def _deep():
    return Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 85)


def _bands(count):
    values = np.zeros((count, HEIGHT, WIDTH), np.uint16)
    kind, file = "rgb" if count == 3 else "minisblack", io.BytesIO()
    tifffile.imwrite(file, values, photometric=kind, planarconfig="separate")
    return file.getvalue


def _frames():
    return {"save_all": True, "append_images": [_plain("RGB", 9), _plain("RGB", 200)]}


def _plain(mode, colour=5):
    return Image.new("RGB", (WIDTH, HEIGHT), (colour, 90, 30)).convert(mode)


IMAGES = (
    Case(
        "PNG that claims 50,000 x 50,000 pixels",
        "voc",
        put("JPEGImages/a.png", png(50_000, 50_000)),
        1,
        _TOO_LARGE,
    ),
    Case(
        "the same where the size is read from the image",
        "yolo",
        put("images/train/a.png", png(50_000, 50_000)),
        1,
        _TOO_LARGE,
    ),
    Case(
        "TIFF that claims as many pixels",
        "voc",
        put("JPEGImages/a.png", lambda: tiff(encoded(_plain("L"), "tiff"), 50_000, 50_000)),
        1,
        _TOO_LARGE,
    ),
    Case(
        "PNG of 196 million pixels in 200 kB",
        "yolo",
        put("images/train/a.png", lambda: png(14_000, 14_000, pixels=zeros(14_001 * 14_000))),
        1,
        _TOO_LARGE,
    ),
    Case(
        "PNG of 90 million pixels, of which Pillow warns",
        "yolo",
        put("images/train/a.png", lambda: png(9_500, 9_500, pixels=zeros(9_501 * 9_500))),
        0,
    ),
    Case(
        "PNG whose text chunk is 300 MB long",
        "voc",
        put("JPEGImages/a.png", lambda: png(WIDTH, HEIGHT, text_chunk(300 * 2**20))),
        1,
        "a readable image",
    ),
    Case("empty image", "voc", put("JPEGImages/a.png", b""), 1, "a readable image"),
    Case(
        "empty image, size from the image",
        "coco",
        both(put("images/train/a.png", b""), coco(image_height=None)),
        1,
        "a readable image",
    ),
    Case("text named .png", "yolo", put("images/train/a.png", b"<svg/>"), 1, "a readable image"),
    Case(
        "PostScript named .png, for which Pillow would run Ghostscript",
        "voc",
        saved(_plain("RGB"), "eps"),
        1,
        "no image of a known kind",
    ),
    Case(
        "folder named a.png", "voc", folder("JPEGImages/a.png"), 1, "must be a file of the data set"
    ),
    Case("pipe named a.png", "voc", fifo("JPEGImages/a.png"), 1, "got no regular file"),
    Case(
        "pipe named a.png, size from the image",
        "yolo",
        fifo("images/train/a.png"),
        1,
        "got no regular file",
    ),
    Case(
        "image linked to a file outside",
        "voc",
        link("JPEGImages/a.png", "../moved"),
        1,
        "must be inside the data set",
    ),
    Case(
        "image linked to a device",
        "yolo",
        link("images/train/a.png", "/dev/zero"),
        1,
        "must be inside the data set",
    ),
    Case(
        "image linked to itself",
        "yolo",
        link("images/train/a.png", "images/train/a.png"),
        1,
        "a readable image",
    ),
    Case(
        "folder of images linked to one outside",
        "voc",
        link("JPEGImages", "../moved"),
        2,
        "must be inside the data set",
    ),
    Case(
        "class folder linked to one outside",
        "folders",
        link("train/cow", "../moved"),
        0,
        "not followed",
    ),
    Case("CMYK JPEG", "voc", saved(_plain("CMYK"), "jpg"), 0, "CMYK"),
    Case("16-bit PNG", "voc", saved(_deep(), "png"), 0, "16-bit values are scaled"),
    Case("16-bit TIFF", "voc", saved(_deep(), "tiff"), 0, "16-bit values are scaled"),
    Case(
        "16-bit TIFF of three planes", "voc", put("JPEGImages/a.png", _bands(3)), 0, "16-bit values"
    ),
    Case("TIFF of four bands", "voc", put("JPEGImages/a.png", _bands(4)), 1, "has 4 bands; choose"),
    Case(
        "TIFF of four bands that claims 50,000 x 50,000 pixels",
        "voc",
        put("JPEGImages/a.png", lambda: tiff(_bands(4)(), 50_000, 50_000)),
        1,
        _TOO_LARGE,
    ),
    Case(
        "TIFF of four bands that is cut off",
        "voc",
        put("JPEGImages/a.png", lambda: _bands(4)()[:-900]),
        1,
        "got truncated TIFF",
    ),
    Case(
        "float TIFF of NaN and infinity",
        "voc",
        saved(Image.fromarray(np.full((HEIGHT, WIDTH), np.nan, np.float32)), "tiff"),
        0,
        "float",
    ),
    Case("animated GIF named .png", "voc", saved(_plain("RGB"), "gif", **_frames()), 0),
    Case("animated PNG", "voc", saved(_plain("RGB"), "png", **_frames()), 0),
    Case("animated WebP", "voc", saved(_plain("RGB"), "webp", **_frames()), 0),
    Case(
        "file name with control characters",
        "folders",
        moved("train/cow/a.png", b"train/cow/\x1b[31ma\n.png"),
        1,
        r"train/cow/\x1b[31ma\n.png: image id must be printable",
    ),
    Case(
        "file name that is no UTF-8",
        "folders",
        moved("train/cow/a.png", b"train/cow/\xff.png"),
        1,
        r"train/cow/\udcff.png: image id must be printable",
    ),
)
"""Damaged, large and odd images."""

MASKS = (
    Case(
        "mask that claims 50,000 x 50,000 pixels",
        "voc",
        put("SegmentationClass/a.png", png(50_000, 50_000)),
        1,
        _TOO_LARGE,
    ),
    Case("empty mask", "voc", put("SegmentationClass/a.png", b""), 1, "a readable label map"),
    Case(
        "mask of colours",
        "voc",
        saved(_plain("RGB"), "png", "SegmentationClass/a.png"),
        1,
        "one 8-bit channel of class numbers, got mode RGB",
    ),
    Case(
        "mask of 16 bits", "voc", saved(_deep(), "png", "SegmentationClass/a.png"), 1, "mode I;16"
    ),
    Case(
        "mask of another size",
        "voc",
        put("SegmentationClass/a.png", png(5, 4, pixels=zeros(24))),
        1,
        "mask of 5x4 pixels",
    ),
    Case("pipe named as a mask", "voc", fifo("SegmentationClass/a.png"), 1, "got no regular file"),
    Case(
        "mask linked to a file outside",
        "voc",
        link("SegmentationClass/a.png", "../moved"),
        1,
        "must be inside the data set",
    ),
    Case(
        "mask file ../../outside.png",
        "jsonl",
        put(
            "train.jsonl",
            LINE + '{"image": "a.png", "marks": [{"type": "mask", "file": '
            '"../../outside.png"}]}\n{"image": "b.png"}',
        ),
        0,
        "a relative name without '..'",
    ),
)
"""Damaged, large and odd full masks."""
