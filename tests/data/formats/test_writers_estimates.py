import csv
from pathlib import Path

import pandas as pd

from wsseg.data.model import Classes, Sample
from wsseg.data.writers.estimates import (
    estimates_in,
    quality_of,
    worst_first,
    write_quality,
)

CLASSES = Classes(("background", "cow", 'sheep, "old"'))
IDS = ["plain", "a/b, \"c\" 'd'", "Kühe;=1+1", "last"]
SAMPLES = [Sample(id, Path(f"{id}.jpg"), (4, 5), (), "train") for id in IDS]
ESTIMATES = {IDS[1]: {1: 0.5, 2: 0.12345}, IDS[2]: {1: 0.25}, IDS[3]: {1: 0.9}}


def test_estimates_of_a_table():
    rows = [("a", 1, 0.5), ("a", 3, 0.25), ("b", 1, None)]
    table = pd.DataFrame(rows, columns=["id", "class", "estimate"])
    assert estimates_in(table) == {"a": {1: 0.5, 3: 0.25}}
    assert estimates_in(pd.DataFrame({"estimate": []})) == {}


def test_quality_is_the_mean():
    assert quality_of({1: 0.5, 2: 0.12345}) == 0.3117
    assert quality_of({}) is None


def test_worst_first_and_the_rest_in_its_order():
    assert [sample.id for sample in worst_first(SAMPLES, ESTIMATES)] == [
        *(IDS[2], IDS[1], IDS[3], IDS[0])
    ]
    assert worst_first(SAMPLES, {}) == SAMPLES
    assert worst_first(SAMPLES, {id: {1: 0.5} for id in IDS}) == SAMPLES


def test_a_list_of_any_names(tmp_path):
    write_quality(tmp_path / "q.csv", CLASSES, worst_first(SAMPLES, ESTIMATES), ESTIMATES)
    with (tmp_path / "q.csv").open(newline="", encoding="utf-8") as file:
        assert [*csv.reader(file, strict=True)] == [
            ["rank", "image", "quality", "worst_class", "estimate"],
            ["1", IDS[2], "0.25", "cow", "0.25"],
            ["2", IDS[1], "0.3117", 'sheep, "old"', "0.1235"],
            ["3", IDS[3], "0.9", "cow", "0.9"],
            ["4", IDS[0], "", "", ""],
        ]
