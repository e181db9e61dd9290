"""Signals against what a person would say of small drawings."""

import math
from pathlib import Path

import numpy as np
import pytest

from wsseg.data.annotation import Box, Boxes, Tags
from wsseg.data.model import Sample
from wsseg.labelmaps import IGNORE
from wsseg.metrics.signals import SIGNALS, measure_signals

SIZE = (40, 60)
BOX = Box(1, left=10, top=10, right=30, bottom=30)


def drawn(*parts, label=1):
    label_map = np.zeros(SIZE, np.uint8)
    for part in parts:
        label_map[part] = label
    return label_map


def signals(label_map, before=None, boxes=(BOX,), stats=None):
    sample = Sample("a", Path("a.png"), SIZE, (Boxes(boxes),) if boxes else (), "train")
    rows = {row["class"]: row for row in measure_signals(label_map, before, sample, stats or {})}
    return rows[1]


def signal(name, label_map, *before, boxes=(BOX,)):
    return signals(label_map, *before, boxes=boxes)[name]


WHOLE = drawn(BOX.slices)
UPPER = drawn(np.s_[10:20, 10:30])


def test_a_row_has_every_signal():
    assert [*signals(WHOLE)] == ["class", *SIGNALS]


def test_fill_and_sides():
    assert signal("fill", WHOLE) == 1 and signal("touched", WHOLE) == 1
    assert signal("fill", UPPER) == 0.5 and signal("touched", UPPER) == 0.75
    assert signal("fill", drawn()) == 0 and signal("touched", drawn()) == 0
    inside = drawn(np.s_[12:28, 12:28])
    assert signal("touched", inside) == 0


def test_fill_is_a_share_of_what_the_box_in_front_leaves():
    front = Box(2, left=10, top=20, right=30, bottom=30)
    assert signal("fill", UPPER, boxes=(BOX, front)) == 1


def test_ignored_is_of_the_boxes_or_of_the_image():
    half = UPPER.copy()
    half[20:30, 10:30] = IGNORE
    assert signal("ignored", half) == 0.5
    assert signal("ignored", half, boxes=()) == pytest.approx(200 / 2400)


def test_statistics_of_the_round():
    stats = {"resets": 1.0, "boxes": 4.0, "confidence": 0.75, "kept": 0.5, "agreement": 0.25}
    expected = {"resets": 0.25, "confidence": 0.75, "kept": 0.5, "agreement": 0.25}
    row = signals(WHOLE, stats={1: stats})
    assert {name: row[name] for name in expected} == expected
    assert all(math.isnan(signal(name, WHOLE)) for name in expected)
    assert math.isnan(signals(WHOLE, stats={1: {"resets": 0.0, "boxes": 0.0}})["resets"])


def test_change_from_stage_to_stage():
    assert math.isnan(signal("churn", WHOLE))
    assert signal("churn", WHOLE, WHOLE) == 0
    assert signal("churn", UPPER, WHOLE) == 0.5
    assert signal("churn", WHOLE, drawn()) == 1
    assert signal("churn", drawn(), drawn()) == 0


def test_a_class_that_only_a_tag_names_has_a_row():
    sample = Sample("a", Path("a.png"), SIZE, (Tags((3,)),), "train")
    (row,) = measure_signals(drawn(), None, sample, {})
    assert row["class"] == 3 and row["area"] == 0


def test_a_box_of_one_pixel():
    box = Box(1, 5, 5, 6, 6)
    assert signal("touched", drawn(box.slices), boxes=(box,)) == 1
    assert signal("fill", drawn(), boxes=(box,)) == 0
