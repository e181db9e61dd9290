"""Signals against what a person would say of small drawings."""

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from wsseg.data.model import Box, Boxes, Sample, Tags
from wsseg.labelmaps import IGNORE
from wsseg.metrics.signals import SIGNALS, Look, contrast_of
from wsseg.stages.inspecting import signals_of

SIZE = (40, 60)
BOX = Box(1, left=10, top=10, right=30, bottom=30)
IMAGE = np.full((*SIZE, 3), 90, np.uint8)


def drawn(*parts, label=1):
    label_map = np.zeros(SIZE, np.uint8)
    for part in parts:
        label_map[part] = label
    return label_map


def signal(
    name,
    *maps,
    boxes=(BOX,),
    image=IMAGE,
):
    sample = Sample("a", Path("a.png"), SIZE, (Boxes(boxes),) if boxes else (), "train")
    rows = {row["class"]: row for row in signals_of(image, maps, sample, {})}
    return rows[1][name]


WHOLE = drawn(BOX.slices)
UPPER = drawn(np.s_[10:20, 10:30])


def test_fill_and_sides():
    assert signal("fill", WHOLE) == 1 and signal("touched", WHOLE) == 1
    assert signal("fill", UPPER) == 0.5 and signal("touched", UPPER) == 0.75
    assert signal("fill", drawn()) == 0 and signal("touched", drawn()) == 0
    inside = drawn(np.s_[12:28, 12:28])
    assert signal("touched", inside) == 0


def test_fill_looks_at_what_the_box_in_front_leaves():
    front = Box(2, left=10, top=20, right=30, bottom=30)
    assert signal("fill", UPPER, boxes=(BOX, front)) == 1


def test_ignored_is_of_the_boxes_or_of_the_image():
    half = UPPER.copy()
    half[20:30, 10:30] = IGNORE
    assert signal("ignored", half) == 0.5
    assert signal("ignored", half, boxes=()) == pytest.approx(200 / 2400)


def test_facts_of_the_round():
    found = {"resets": 1.0, "boxes": 4.0, "confidence": 0.75, "margin": 0.5, "refined": 0.25}
    look = Look(1, WHOLE, (), contrast_of(IMAGE), facts=found)
    expected = {"resets": 0.25, "confidence": 0.75, "margin": 0.5, "refined": 0.25}
    assert {name: SIGNALS[name][0](look) for name in expected} == expected
    bare = Look(1, WHOLE, (), contrast_of(IMAGE))
    assert all(math.isnan(SIGNALS[name][0](bare)) for name in expected)


def test_change_from_stage_to_stage():
    for name in ("churn", "disagreement", "drift"):
        assert math.isnan(signal(name, WHOLE))
        assert signal(name, WHOLE, WHOLE) == 0
    assert signal("churn", WHOLE, UPPER) == 0.5
    assert signal("churn", drawn(), WHOLE) == 1
    assert signal("drift", WHOLE, UPPER) == pytest.approx(math.log(401 / 201))
    # two of two stages agree on the upper half and not on the lower one
    assert signal("disagreement", WHOLE, UPPER) == pytest.approx(0.5)
    thirds = -(1 / 3) * math.log(1 / 3) - (2 / 3) * math.log(2 / 3)
    assert signal("disagreement", WHOLE, UPPER, UPPER) == pytest.approx(0.5 * thirds / math.log(3))


def test_pieces_and_holes():
    two = drawn(np.s_[10:20, 10:14], np.s_[10:20, 20:24])
    assert signal("pieces", two) == 2 and signal("pieces", two, boxes=(BOX, BOX)) == 1
    ring = WHOLE.copy()
    ring[15:25, 15:25] = 0
    assert signal("holes", ring) == pytest.approx(100 / 400) and signal("holes", WHOLE) == 0
    assert math.isnan(signal("holes", drawn()))


def test_outlines_on_edges_of_the_image_have_contrast():
    image = IMAGE.copy()
    image[BOX.slices] = 200
    image = cv2.GaussianBlur(image, (3, 3), 0)
    on_edge, beside = signal("edges", WHOLE, image=image), signal("edges", UPPER, image=image)
    inside = signal("edges", drawn(np.s_[15:25, 15:25]), image=image)
    assert on_edge > beside > inside
    assert math.isnan(signal("edges", drawn()))
    assert math.isnan(signal("edges", drawn(np.s_[:, :]), boxes=()))  # the frame is no edge


def test_a_class_that_only_a_tag_names_has_a_row():
    sample = Sample("a", Path("a.png"), SIZE, (Tags((3,)),), "train")
    (row,) = signals_of(IMAGE, [drawn()], sample, {})
    assert row["class"] == 3 and row["area"] == 0


def test_a_box_of_one_pixel():
    box = Box(1, 5, 5, 6, 6)
    assert signal("touched", drawn(box.slices), boxes=(box,)) == 1
    assert signal("fill", drawn(), boxes=(box,)) == 0


def test_contrast_is_a_share_of_the_pixels():
    found = contrast_of(np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8))
    assert found.dtype == np.float32 and found.min() >= 0 and found.max() < 1
    assert not contrast_of(IMAGE).any()
