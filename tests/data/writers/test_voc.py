from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsseg.data.annotation import Box, Boxes
from wsseg.data.formats.table import read_dataset
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.regions import LabelledImage
from wsseg.data.writers.voc import write_voc
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, palette

CLASSES = Classes(("background", "cow", "sheep"))
DRAWN = np.array(
    [
        [1, 1, 0, 0, 2],
        [1, 1, 0, 0, 2],
        [0, 0, 1, IGNORE, 2],
        [0, 0, 0, IGNORE, 0],
        [1, 0, 0, 0, 0],
    ],
    np.uint8,
)


def write(root, *, id="a", classes=CLASSES, split="train"):
    sample = Sample(id, Path(f"{id}.jpg"), DRAWN.shape, (), split)
    write_voc(root, classes, [LabelledImage(sample, DRAWN)], split)


def test_boxes_are_tight_around_connected_regions(tmp_path):
    write(tmp_path)
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "JPEGImages" / "a.jpg").touch()
    (found,) = read_dataset(tmp_path, "voc", ["train"], "boxes").samples
    boxes = (Box(1, 0, 0, 3, 3), Box(2, 4, 0, 5, 3), Box(1, 0, 4, 1, 5))
    assert found.annotations == (Boxes(boxes),)


def test_corners_count_from_1_and_include_the_last_pixel(tmp_path):
    write(tmp_path)
    text = (tmp_path / "Annotations" / "a.xml").read_text()
    lines = [line.strip() for line in text.splitlines()]
    first = lines.index("<bndbox>")
    assert lines[first + 1 : first + 5] == [
        "<xmin>1</xmin>",
        "<ymin>1</ymin>",
        "<xmax>3</xmax>",
        "<ymax>3</ymax>",
    ]
    assert "<filename>a.jpg</filename>" in lines


def test_mask_has_labels_as_its_colours_index(tmp_path):
    write(tmp_path)
    with Image.open(tmp_path / "SegmentationClass" / "a.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), DRAWN)
        np.testing.assert_array_equal(np.asarray(mask.convert("RGB")), palette()[DRAWN])


def test_every_colour_of_the_masks_is_declared(tmp_path):
    write(tmp_path)
    assert (tmp_path / "labelmap.txt").read_text().splitlines() == [
        "# label:color_rgb:parts:actions",
        "background:0,0,0::",
        "cow:128,0,0::",
        "sheep:0,128,0::",
        "ignored:224,224,192::",
    ]


@pytest.mark.parametrize(
    "name", ["cow:calf", "#cow", " cow", "cow ", "void", "Ignored", "unlabeled"]
)
def test_names_that_a_label_map_cannot_hold(name, tmp_path):
    with pytest.raises(InputError, match=r"labelmap\.txt must be without"):
        write(tmp_path, classes=Classes(("background", name)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("id", [" a", "a "])
def test_names_that_a_list_cannot_hold(id, tmp_path):
    with pytest.raises(InputError, match="without blanks"):
        write(tmp_path, id=id)
