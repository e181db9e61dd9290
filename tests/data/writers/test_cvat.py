from pathlib import Path
from xml.etree.ElementTree import parse

import numpy as np
import pytest

from wsseg.data.model import Classes, Sample
from wsseg.data.writers.cvat import write_cvat
from wsseg.data.writers.regions import LabelledImage
from wsseg.labelmaps import IGNORE

CLASSES = Classes(("background", "cow", "sheep"))
DRAWN = np.array(
    [
        [2, 2, 2, 0],
        [2, 0, 2, 0],
        [2, 2, 2, IGNORE],
    ],
    np.uint8,
)


@pytest.fixture
def tree(tmp_path):
    sample = Sample("pen/a", Path("a.jpg"), DRAWN.shape, (), "train")
    write_cvat(tmp_path, CLASSES, [LabelledImage(sample, DRAWN)], "train")
    return parse(tmp_path / "annotations.xml").getroot()


def test_labels_have_the_colours_of_label_maps(tree):
    labels = tree.findall("meta/task/labels/label")
    assert [(label.findtext("name"), label.findtext("color")) for label in labels] == [
        ("background", "#000000"),
        ("cow", "#800000"),
        ("sheep", "#008000"),
    ]
    assert tree.findtext("version") == "1.1"


def test_image_and_its_masks(tree):
    (image,) = tree.findall("image")
    assert image.attrib == {
        "id": "0",
        "name": "pen/a.jpg",
        "subset": "train",
        "width": "4",
        "height": "3",
    }
    common = {"source": "auto", "occluded": "0", "z_order": "0"}
    assert [mask.attrib for mask in image] == [
        {
            "label": "sheep",
            "rle": "0, 4, 1, 4",
            "left": "0",
            "top": "0",
            "width": "3",
            "height": "3",
            **common,
        },
        {
            "label": "background",
            "rle": "0, 2",
            "left": "3",
            "top": "0",
            "width": "1",
            "height": "2",
            **common,
        },
        {
            "label": "background",
            "rle": "0, 1",
            "left": "1",
            "top": "1",
            "width": "1",
            "height": "1",
            **common,
        },
    ]
