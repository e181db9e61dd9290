import json
from pathlib import Path

import numpy as np
import pytest
from helpers.builders import write
from pycocotools.coco import COCO

from wsseg.data.annotation import Box, Boxes, Tags
from wsseg.data.formats.table import read_dataset
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.coco import write_coco
from wsseg.data.writers.coco_ids import CocoIds, read_coco_ids
from wsseg.data.writers.regions import LabelledImage
from wsseg.labelmaps import IGNORE

CLASSES = Classes(("background", "cow", "sheep"))
DRAWN = np.array(
    [
        [2, 2, 2, 0, 1],
        [2, 0, 2, 0, 1],
        [2, 2, 2, 0, 0],
        [0, 0, 0, IGNORE, IGNORE],
    ],
    np.uint8,
)
EMPTY = np.zeros((4, 5), np.uint8)


@pytest.fixture
def root(tmp_path):
    """Two images, the second without objects."""
    samples = [Sample(id, Path(f"{id}.jpg"), DRAWN.shape, (), "val") for id in ("a", "b/c")]
    images = map(LabelledImage, samples, (DRAWN, EMPTY))
    write_coco(tmp_path, CLASSES, images, "val")
    (tmp_path / "images" / "val" / "b").mkdir(parents=True)
    for sample in samples:
        (tmp_path / "images" / "val" / f"{sample.id}.jpg").touch()
    return tmp_path


@pytest.fixture
def content(root):
    return json.loads((root / "annotations" / "instances_val.json").read_text())


def test_images_and_categories(content):
    assert content["images"] == [
        {"id": 1, "file_name": "a.jpg", "width": 5, "height": 4},
        {"id": 2, "file_name": "b/c.jpg", "width": 5, "height": 4},
    ]
    assert content["categories"] == [{"id": 1, "name": "cow"}, {"id": 2, "name": "sheep"}]


def test_each_connected_region_is_an_annotation(content):
    facts = [
        (entry["category_id"], entry["bbox"], entry["area"], entry["iscrowd"])
        for entry in content["annotations"]
    ]
    assert facts == [(2, [0, 0, 3, 3], 8, 0), (1, [4, 0, 1, 2], 2, 0), (1, [3, 3, 2, 1], 2, 1)]
    assert [entry["id"] for entry in content["annotations"]] == [1, 2, 3]
    assert {entry["image_id"] for entry in content["annotations"]} == {1}
    assert [entry.get("attributes") for entry in content["annotations"]] == [
        None,
        None,
        {"ignore": True},
    ]


def test_pycocotools_reads_the_same_pixels(root):
    index = COCO(root / "annotations" / "instances_val.json")
    again = np.zeros_like(DRAWN)
    for entry in index.loadAnns(index.getAnnIds(imgIds=1)):
        again[index.annToMask(entry) == 1] = IGNORE if entry["iscrowd"] else entry["category_id"]
    np.testing.assert_array_equal(again, DRAWN)


def test_boxes_and_tags_are_read_too(root):
    first, second = read_dataset(root, "coco", ["val"], "boxes").samples
    boxes = (Box(2, 0, 0, 3, 3), Box(1, 4, 0, 5, 2), Box(1, 3, 3, 5, 4, crowd=True))
    assert first.annotations == (Boxes(boxes),)
    assert second.annotations == (Boxes(()),)
    first, second = read_dataset(root, "coco", ["val"], "tags").samples
    assert (first.annotations, second.annotations) == ((Tags((1, 2)),), (Tags(()),))


def test_known_ids_stay_and_others_are_new(tmp_path):
    samples = [Sample(id, Path(f"{id}.jpg"), DRAWN.shape, (), "val") for id in ("a", "b", "c")]
    images = [LabelledImage(sample, DRAWN) for sample in samples]
    known = CocoIds({"a": 397133, "c": 37}, {2: 21})
    write_coco(tmp_path, CLASSES, images, "val", known)
    content = json.loads((tmp_path / "annotations" / "instances_val.json").read_text())
    assert [entry["id"] for entry in content["images"]] == [397133, 397134, 37]
    assert content["categories"] == [{"id": 22, "name": "cow"}, {"id": 21, "name": "sheep"}]
    crowds = {entry["category_id"]: entry["iscrowd"] for entry in content["annotations"]}
    assert crowds.keys() == {21, 22} and crowds[21] == 0
    assert {entry["image_id"] for entry in content["annotations"]} == {397133, 397134, 37}


def test_ids_of_the_files_that_a_data_set_was_read_from(tmp_path):
    for split, number in (("train", 7), ("val", 9)):
        content = {
            "images": [{"id": number, "file_name": "x\\im.png", "width": 5, "height": 4}],
            "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "cow"}],
            "annotations": [],
        }
        write(tmp_path / "annotations" / f"instances_{split}.json", content)
    classes = Classes(("background", "cow", "dog", "merged"))
    image = tmp_path / "images" / "x" / "im.png"
    samples = [Sample("x/im", image, (4, 5), (), "val"), Sample("y", Path("y.png"), (4, 5), (), "")]
    found = read_coco_ids(tmp_path, "val", samples, classes)
    assert found == CocoIds({"x/im": 9}, {1: 3, 2: 18})
    both = [samples[0], Sample("im", image, (4, 5), (), "val")]
    assert read_coco_ids(tmp_path, "val", both, classes).images == {}
