"""A small valid data set of every format, from which damaged input is made."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from wsseg.data.constraints import constraints_of
from wsseg.data.examine import examine
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import with_annotations
from wsseg.errors import InputError
from wsseg.labelmaps import palette

SIZE = HEIGHT, WIDTH = 24, 32
NAMES = ("cow", "sheep")
_POLYGON = [4, 3, 20, 3, 20, 18, 4, 18]
_CORNERS = [[4, 3], [20, 18]]
_SHEEP = [[22, 2], [30, 2], [30, 9]]
_RUNS = {"size": [HEIGHT, WIDTH], "counts": [27, 12, HEIGHT * WIDTH - 39]}

Files = dict[str, bytes]


@dataclass(frozen=True)
class Small:
    """A data set of two images, "a" and "b", in the split "train".

    Args:
        format: Name of the format for ``read_dataset``.
        files: Content by path below the data set's folder.
        drawn: Paths of files by people or their tools, which may hold anything.
        over: A folder in it that is laid over the data set.
    """

    format: str
    files: Files
    drawn: tuple[str, ...]
    over: str | None = None

    def write(self, root, changed=None):
        """Write the files, some with other content, and return the folder."""
        for name, content in {**self.files, **(changed or {})}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root


def readings(small, root):
    """Yield the results of every way to read a data set, without those that are refused."""
    for use in ("boxes", "tags", "masks", "all", "none"):
        try:
            dataset = read_dataset(root, small.format, use=use)
            yield with_annotations(dataset, [root / small.over]) if small.over else dataset
        except InputError:
            continue


def used(dataset):
    """Return the number of images with valid constraints.

    Each image is examined, too, as by ``wsseg check``.
    """
    count = 0
    for sample in dataset.samples:
        examine(sample, dataset.classes.names, deep=False)
        try:
            constraints = constraints_of(sample, len(dataset.classes))
        except InputError:
            continue
        assert constraints.allowed.any(axis=0).all()
        count += 1
    return count


@cache
def image_bytes(suffix="png", seed=0):
    """Return an image of ``SIZE``."""
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), suffix)


@cache
def mask():
    """Return a palette PNG with a cow."""
    label_map = np.zeros(SIZE, np.uint8)
    label_map[3:18, 4:20] = 1
    image = Image.fromarray(label_map)
    image.putpalette(palette().tobytes())
    return encoded(image)


def _images(pattern, names="ab"):
    return {pattern.format(name): image_bytes(seed=seed) for seed, name in enumerate(names)}


def encoded(image, suffix="png", **options):
    """Return an encoded image."""
    file = io.BytesIO()
    image.save(file, {"jpg": "jpeg"}.get(suffix, suffix), **options)
    return file.getvalue()


def as_json(value):
    """Return indented JSON."""
    return json.dumps(value).encode()


def voc():
    """Pascal VOC with lists, boxes, masks and the files of classes."""
    files = {
        **_images("JPEGImages/{}.png"),
        "SegmentationClass/a.png": mask(),
        "labelmap.txt": b"# label:color\nbackground:0,0,0::\ncow:1,0,0::\nsheep:::\n",
        "ImageSets/Segmentation/train.txt": b"a\nb\n",
        "ImageSets/Main/cow_train.txt": b"a  1\nb -1\n",
        "ImageSets/Main/sheep_train.txt": b"a -1\nb  0\n",
        "Annotations/a.xml": voc_xml("a.png"),
        "Annotations/b.xml": voc_xml("b.png", name="sheep"),
    }
    lists = ("ImageSets/Segmentation/train.txt", "ImageSets/Main/cow_train.txt", "labelmap.txt")
    return Small("voc", files, ("Annotations/a.xml", *lists))


def voc_xml(filename, name="cow", corners=(5, 4, 20, 18)):
    """One object of Pascal VOC."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    edges = "".join(f"<{k}>{v}</{k}>" for k, v in zip(keys, corners, strict=True))
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    drawn = f"<object><name>{name}</name><bndbox>{edges}</bndbox></object>"
    return f"<annotation><filename>{filename}</filename>{size}{drawn}</annotation>".encode()


def coco_page():
    """Return the content of a COCO file."""
    box = {"image_id": 1, "category_id": 1, "bbox": [4, 3, 16, 15], "iscrowd": 0}
    filled = coco_mask.encode(np.asfortranarray(np.eye(*SIZE, dtype=np.uint8)))
    packed = {"size": [HEIGHT, WIDTH], "counts": filled["counts"].decode()}
    segmentations = ([_POLYGON], _RUNS, packed)
    drawn = [{"id": i, **box, "segmentation": s} for i, s in enumerate(segmentations)]
    images = [
        {"id": i, "file_name": f"{id}.png", "height": HEIGHT, "width": WIDTH}
        for i, id in enumerate("ab", 1)
    ]
    categories = [{"id": i, "name": name} for i, name in enumerate(NAMES, 1)]
    return {"images": images, "annotations": drawn, "categories": categories}


def coco():
    """COCO with boxes, polygons and both kinds of run lengths."""
    name = "annotations/instances_train.json"
    files = _images("images/train/{}.png")
    return Small("coco", {**files, name: as_json(coco_page())}, (name,))


def yolo():
    """YOLO with a box, a polygon and a split of listed images."""
    files = {
        **_images("images/train/{}.png"),
        "images/val/c.png": image_bytes(seed=2),
        "data.yaml": b"path: .\ntrain: images/train\nval: val.txt\nnc: 2\nnames: [cow, sheep]\n",
        "val.txt": b"images/val/c.png\n",
        "labels/train/a.txt": b"0 0.5 0.4 0.3 0.2\n1 0.1 0.1 0.5 0.1 0.5 0.6\n",
        "labels/train/b.txt": b"",
    }
    return Small("yolo", files, ("labels/train/a.txt", "data.yaml", "val.txt"))


def csv():
    """Tags in CSV, with a mask."""
    files = {
        **_images("images/{}.png"),
        "train.csv": b"image,tags\na.png,cow,?sheep\nb,sheep\n",
        "classes.txt": b"background\ncow\nsheep\n",
        "masks/a.png": mask(),
    }
    return Small("csv", files, ("train.csv", "classes.txt"))


def csv_boxes():
    """Boxes in CSV."""
    rows = "image,xmin,ymin,xmax,ymax,label\na.png,4,3,20,18,cow\na.png,22,2,30,9,sheep\nb,,,,,\n"
    files = {**_images("images/{}.png"), "train.csv": rows.encode()}
    return Small("csv", files, ("train.csv",))


def pairs():
    """Images and masks in two folders."""
    files = {**_images("images/{}.png"), "masks/a.png": mask(), "masks/b.png": mask()}
    return Small("pairs", {**files, "classes.txt": b"cow\nsheep\n"}, ("classes.txt",))


def folders():
    """Tags by folder, with a mask."""
    names = ("train/cow/a.png", "train/sheep/b.png")
    files = {name: image_bytes(seed=seed) for seed, name in enumerate(names)}
    return Small("folders", {**files, "masks/train/cow/a.png": mask()}, names)


def cvat():
    """CVAT for images, a shape of every kind."""
    labels = "".join(f"<label><name>{name}</name></label>" for name in NAMES)
    shapes = (
        '<box label="cow" xtl="4" ytl="3" xbr="20" ybr="18" rotation="10" z_order="1"></box>'
        '<polygon label="sheep" points="22,2;30,2;30,9"></polygon>'
        '<polyline label="background" points="1,22;30,22"><attribute name="width">2</attribute>'
        '</polyline><points label="cow" points="10,10;12,11"></points>'
        '<ellipse label="cow" cx="10" cy="10" rx="4" ry="3"></ellipse>'
        '<mask label="sheep" rle="1,2,3" left="2" top="3" width="3" height="2"></mask>'
        '<tag label="cow"></tag>'
    )
    images = "".join(
        f'<image id="{i}" name="{id}.png" width="{WIDTH}" height="{HEIGHT}">{shapes}</image>'
        for i, id in enumerate("ab")
    )
    page = f"<annotations><version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    files = _images("images/{}.png")
    page = f"{page}{images}</annotations>"
    return Small("cvat", {**files, "annotations.xml": page.encode()}, ("annotations.xml",))


def labelme():
    """LabelMe, a shape of every kind."""
    window = Image.fromarray(np.ones((16, 17), np.uint8))
    shapes = [
        {"label": "cow", "shape_type": "rectangle", "points": _CORNERS},
        {"label": "sheep", "shape_type": "polygon", "points": _SHEEP},
        {"label": "sheep", "shape_type": "linestrip", "points": _SHEEP},
        {"label": "cow", "shape_type": "point", "points": [[10, 10]]},
        {"label": "cow", "shape_type": "circle", "points": [[10, 10], [12, 10]]},
        {
            "label": "cow",
            "shape_type": "mask",
            "points": _CORNERS,
            "mask": base64.b64encode(encoded(window)).decode(),
        },
    ]
    page = {
        "version": "5.4.1",
        "flags": {"cow": True},
        "shapes": shapes,
        "imagePath": "a.png",
        "imageData": None,
        "imageHeight": HEIGHT,
        "imageWidth": WIDTH,
    }
    files = _images("{}.png")
    pages = {f"{id}.json": as_json({**page, "imagePath": f"{id}.png"}) for id in "ab"}
    return Small("labelme", {**files, **pages}, ("a.json",))


def brush():
    """Label Studio's run lengths of all pixels: the head, and one run of one value."""
    values = 4 * HEIGHT * WIDTH
    bits = f"{values:032b}{7:05b}{'1111' * 4}100{values - 1:016b}{255:08b}"
    padded = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return [int(padded[at : at + 8], 2) for at in range(0, len(padded), 8)]


def labelstudio():
    """Label Studio, a mark of every kind."""
    drawn = {
        "rectanglelabels": {"x": 10, "y": 10, "width": 50, "height": 60, "rotation": 5},
        "polygonlabels": {"points": [[70, 10], [90, 10], [90, 40]], "closed": True},
        "keypointlabels": {"x": 30, "y": 40, "width": 1},
        "ellipselabels": {"x": 30, "y": 40, "radiusX": 10, "radiusY": 8},
        "brushlabels": {"format": "rle", "rle": brush()},
    }
    sides = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    results = [
        {"type": kind, **sides, "value": {**value, kind: ["cow"]}} for kind, value in drawn.items()
    ]
    results.append({"type": "choices", "value": {"choices": ["cow"]}})
    made = {"id": 1, "was_cancelled": False, "result": results, "updated_at": "2024-01-02"}
    tasks = [
        {"id": i, "annotations": [made], "data": {"image": f"/data/upload/3/0a1b2c3d-{id}.png"}}
        for i, id in enumerate("ab")
    ]
    files = _images("images/{}.png")
    return Small("labelstudio", {**files, "project.json": as_json(tasks)}, ("project.json",))


def jsonl():
    """The project's own format, a mark of every kind."""
    marks = [
        {"type": "box", "class": "cow", "points": _CORNERS},
        {"type": "extreme", "class": "cow", "points": [[4, 9], [9, 3], [20, 9], [9, 18]]},
        {"type": "point", "class": "cow", "points": [[10, 10]]},
        {"type": "scribble", "class": "background", "points": [[1, 22], [30, 22]], "width": 2},
        {"type": "polygon", "class": "sheep", "points": _SHEEP},
        {"type": "runs", "class": "sheep", **_RUNS},
    ]
    lines = [
        {"classes": ["background", *NAMES]},
        {"image": "a.png", "size": [HEIGHT, WIDTH], "tags": ["cow"], "marks": marks},
        {"image": "b.png", "marks": [{"type": "mask", "file": "b_mask.png"}]},
    ]
    files = {**_images("images/{}.png"), "b_mask.png": mask()}
    text = b"\n".join(map(as_json, lines))
    return Small("jsonl", {**files, "train.jsonl": text}, ("train.jsonl",))


def clicks():
    """Clicks laid over a folder of Pascal VOC."""
    names = _images("JPEGImages/{}.png")
    listed = "".join(f"{name}:::\n" for name in ("background", "cow", "person")).encode()
    base = {**names, "labelmap.txt": listed, "ImageSets/Segmentation/train.txt": b"a\nb\n"}
    clicked = {
        "a": [{"x": 10.5, "y": 9, "cls": 10, "rank": 1}],
        "b": [{"x": 1, "y": 2, "cls": 0}],
    }
    over = "clicks/clicks.json"
    return Small("voc", {**base, over: as_json(clicked)}, (over,), "clicks")


def scribbles_xml():
    """Scribbles in XML laid over a folder of Pascal VOC."""
    points = "".join(f"<point><X>{x}</X><Y>{y}</Y></point>" for x, y in _SHEEP)
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    line = f"<polygon><tag>cow</tag>{points}</polygon>"
    page = f"<annotation><filename>a.png</filename>{size}{line}</annotation>".encode()
    files = {**clicks().files, "scribbles/a.xml": page}
    del files["clicks/clicks.json"]
    return Small("voc", files, ("scribbles/a.xml",), "scribbles")


def scribbles_png():
    """Scribbles as label maps laid over a folder of Pascal VOC."""
    label_map = np.full(SIZE, 255, np.uint8)
    label_map[5, 5:20], label_map[20, :] = 1, 0
    files = {**clicks().files, "scribbles/a.png": encoded(Image.fromarray(label_map))}
    del files["clicks/clicks.json"]
    return Small("voc", files, ("scribbles/a.png",), "scribbles")


FORMATS: dict[str, Callable[[], Small]] = {
    **{"voc": voc, "coco": coco, "yolo": yolo, "csv": csv, "folders": folders, "cvat": cvat},
    **{"labelme": labelme, "labelstudio": labelstudio, "jsonl": jsonl, "clicks": clicks},
    **{"scribbles_xml": scribbles_xml, "scribbles_png": scribbles_png},
    **{"csv_boxes": csv_boxes, "pairs": pairs},
}
"""The small data sets by format."""
