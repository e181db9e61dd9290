"""Native exports of Supervisely and Datumaro."""

import base64
import io
import json
import zlib

import numpy as np
import pytest
from helpers.builders import write, write_image
from PIL import Image

from wsseg.data.annotation import Box, Boxes, Tags, Unknown
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE

HEIGHT, WIDTH = SIZE = 30, 40


def packed(mask):
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "png")
    return base64.b64encode(zlib.compress(file.getvalue())).decode()


def supervisely_page(*objects, tags=()):
    size = {"height": HEIGHT, "width": WIDTH}
    return json.dumps({"description": "", "tags": list(tags), "size": size, "objects": objects})


def shape(kind, exterior=(), name="cow", **more):
    points = {"exterior": list(exterior), "interior": more.pop("interior", [])}
    return {"classTitle": name, "geometryType": kind, "points": points, **more}


RECTANGLE = shape("rectangle", [[4, 3], [14, 13]])


@pytest.fixture
def project(tmp_path):
    for id in ("im0", "im1"):
        write_image(tmp_path / f"train/img/{id}.jpg", SIZE)
        write(tmp_path / f"train/ann/{id}.jpg.json", supervisely_page(RECTANGLE))
    write(tmp_path / "meta.json", json.dumps({"classes": [{"title": "cow"}], "tags": []}))
    return tmp_path


def test_supervisely_is_recognised_with_its_boxes(project):
    assert detect_format(project) == "supervisely"
    dataset = read_dataset(project)
    assert [(s.split, s.annotations) for s in dataset.samples] == [
        ("train", (Boxes((Box(1, 4, 3, 14, 13),)),))
    ] * 2
    assert dataset.problems == ()


def test_bitmaps_and_holes_of_supervisely_are_read_pixel_for_pixel(project):
    mask = np.zeros((5, 6), bool)
    mask[1:4, 2:5] = True
    bitmap = shape("bitmap", name="cow", bitmap={"data": packed(mask), "origin": [20, 10]})
    hole = [[4, 4], [6, 6], [4, 6]]
    ring = shape("polygon", [[1, 1], [9, 1], [9, 9], [1, 9]], "ox", interior=[hole])
    write(project / "train/ann/im0.jpg.json", supervisely_page(bitmap, ring))
    sample = read_dataset(project, use="all").samples[0]
    known = constraints_of(sample, 3).known
    expected = np.zeros(SIZE, bool)
    expected[11:14, 22:25] = True
    assert ((known == 1) == expected).all()
    assert known[1, 1] == 2 and known[5, 4] == IGNORE


@pytest.mark.parametrize(
    "damaged",
    [
        shape("polygon", [[1, 1], [2]], "ox"),
        shape("cuboid", [[1, 1], [2, 2]], "ox"),
        shape("bitmap", name="ox", bitmap={"data": "!", "origin": [0, 0]}),
        shape("bitmap", name="ox", bitmap={"data": packed(np.ones((99, 9))), "origin": [0, 0]}),
        shape("polygon", [[1, 1], [9, 1], [1e300, 9]], "ox", interior=[[[4, 4], [6, 6], [4, 6]]]),
    ],
)
def test_an_unusable_object_of_supervisely_leaves_its_class_unknown(project, damaged):
    write(project / "train/ann/im1.jpg.json", supervisely_page(shape("point", [[1, 1]], "ox")))
    write(project / "train/ann/im0.jpg.json", supervisely_page(RECTANGLE, damaged))
    dataset = read_dataset(project, use="all")
    assert dataset.samples[0].unknown == (Unknown((2,)),)
    assert dataset.problems[0].subject == "im0.jpg.json objects[1]"


ITEMS = [
    {
        "id": "im0",
        "image": {"path": "im0.jpg", "size": [HEIGHT, WIDTH]},
        "annotations": [
            {"type": "bbox", "label_id": 0, "bbox": [4, 3, 10, 10]},
            {"type": "label", "label_id": 1},
        ],
    },
    {
        "id": "im1",
        "annotations": [
            {"type": "bbox", "label_id": 1, "bbox": [20, 15, 12, 12]},
            {"type": "polygon", "label_id": 0, "points": [1, 1, 9, 1, 9, 9]},
            {"type": "points", "label_id": 0, "points": [3, 2]},
        ],
    },
]
LABELS = {"label": {"labels": [{"name": "cow"}, {"name": "sheep"}]}}


@pytest.fixture
def subset(tmp_path):
    for id in ("im0", "im1"):
        write_image(tmp_path / f"images/train/{id}.jpg", SIZE)
    page = {"dm_format_version": "1.0", "infos": {}, "categories": LABELS, "items": ITEMS}
    write(tmp_path / "annotations/train.json", json.dumps(page))
    return tmp_path


def test_datumaro_is_recognised_with_everything_in_it(subset):
    assert detect_format(subset) == "datumaro"
    dataset = read_dataset(subset, use="all")
    first, second = dataset.samples
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert first.annotations == (Tags((2,)), Boxes((Box(1, 4, 3, 14, 13),)))
    assert second.boxes == (Box(2, 20, 15, 32, 27),)
    assert [type(a).__name__ for a in second.annotations] == ["Boxes", "Strokes", "Regions"]
    assert dataset.problems == ()


@pytest.mark.parametrize(
    ("damaged", "unknown"),
    [
        ({"type": "bbox", "label_id": 1, "bbox": [1, 2, 3]}, Unknown((2,))),
        ({"type": "cuboid_3d", "label_id": 1}, Unknown((2,))),
        ({"type": "bbox", "label_id": 9, "bbox": [1, 2, 3, 4]}, Unknown((), (1, 2, 4, 6))),
        (5, Unknown()),
    ],
)
def test_an_unusable_annotation_of_datumaro_is_unknown(subset, damaged, unknown):
    items = [{**ITEMS[0], "annotations": [ITEMS[0]["annotations"][0], damaged]}]
    page = {"infos": {}, "categories": LABELS, "items": items}
    write(subset / "annotations/train.json", json.dumps(page))
    (sample,) = read_dataset(subset, use="all").samples
    assert sample.unknown == (unknown,)


def test_a_damaged_file_of_datumaro_is_refused(subset):
    write(subset / "annotations/train.json", '{"infos": {}, "categories": {}, "items": []}')
    with pytest.raises(InputError, match=r"categories\.label\.labels"):
        read_dataset(subset)
