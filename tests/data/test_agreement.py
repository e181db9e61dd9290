from pathlib import Path

import numpy as np
import pytest

from wsseg.data.agreement import annotation_agreement
from wsseg.data.annotation import Box, Boxes, MaskFile, Tags
from wsseg.data.example import example_of
from wsseg.data.model import Sample
from wsseg.labelmaps import write_label_map

SIZE = (40, 40)
BOX = Boxes((Box(1, 10, 10, 30, 30),))


def agreement(label_map, *annotations):
    sample = Sample("a", Path("a.png"), SIZE, annotations, "val")
    return annotation_agreement(label_map, example_of(sample, 4, np.zeros((*SIZE, 3), np.uint8)))


def square(first, last, label=1):
    label_map = np.zeros(SIZE, np.uint8)
    label_map[first:last, first:last] = label
    return label_map


@pytest.mark.parametrize(
    ("label_map", "expected"),
    [
        (square(10, 30), 1.0),
        (np.triu(square(10, 30)), 1.0),  # reaches every row and column
        (square(10, 20), 2 * 0.5 / 1.5),
        (square(0, 40), 2 * 0.25 / 1.25),
        (np.zeros(SIZE, np.uint8), 0.0),
        (square(10, 30, label=2), 0.0),
    ],
)
def test_a_class_is_to_fill_its_box_and_to_be_nowhere_else(label_map, expected):
    assert agreement(label_map, BOX) == {1: pytest.approx(expected)}


def test_a_tag_is_found_when_a_hundredth_of_the_image_has_it():
    assert agreement(square(0, 20), Tags((1, 2))) == {1: 1.0, 2: 0.0}
    assert agreement(square(0, 2), Tags((1,)))[1] == pytest.approx(2 * 0.25 / 1.25)


def test_images_without_annotations_say_nothing():
    assert agreement(square(0, 20)) == {}


def test_full_masks_are_not_looked_at(tmp_path):
    write_label_map(tmp_path / "mask.png", square(0, 40, label=2))
    mask = MaskFile(tmp_path / "mask.png")
    assert agreement(square(10, 30), mask) == {}
    assert agreement(square(10, 30), mask, BOX) == {1: 1.0}
