import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.fiftyone import write_fiftyone
from wsseg.data.writers.regions import LabelledImage
from wsseg.labelmaps import IGNORE, read_label_map

CLASSES = Classes(("background", "cow", 'R&D <"test\'s"> Kühe'))
DRAWN = np.array([[2, 2, 0, 1], [2, 0, 0, 1], [0, 0, IGNORE, IGNORE]], np.uint8)
IDS = ["a", "b/Kühe im \"Stall\" & 'x'"]


@pytest.fixture
def root(tmp_path):
    """Two images, the first not beside its label map, the second without an estimate."""
    samples = [Sample(id, tmp_path / f"{id}.jpg", DRAWN.shape, (), "val") for id in IDS]
    (tmp_path / "out" / "images" / "b").mkdir(parents=True)
    (tmp_path / "out" / "images" / f"{IDS[1]}.jpg").touch()
    estimates = ({1: 0.25, 2: 0.5}, {})
    images = map(LabelledImage, samples, (DRAWN, DRAWN[::-1]), estimates)
    write_fiftyone(tmp_path / "out", CLASSES, images, "val")
    return tmp_path / "out"


def test_samples(root):
    first, second = json.loads((root / "samples.json").read_text())["samples"]
    assert first == {
        "filepath": str(root.parent / "a.jpg"),
        "tags": ["val"],
        "image_id": "a",
        "labels": {"_cls": "Segmentation", "mask_path": "fields/labels/a.png"},
        "quality": 0.375,
    }
    assert second["filepath"] == f"images/{IDS[1]}.jpg"
    assert second["labels"]["mask_path"] == f"fields/labels/{IDS[1]}.png"
    assert "quality" not in second


def test_metadata_name_the_labels(root):
    content = json.loads((root / "metadata.json").read_text())
    names = {"0": "background", "1": "cow", "2": CLASSES.names[2], "255": "ignore"}
    assert content["info"]["mask_targets"] == {"labels": names}
    assert "version" not in content  # else it would have to hold a database's document


def test_masks_are_grayscale(root):
    with Image.open(root / "fields" / "labels" / "a.png") as mask:
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), DRAWN)


def test_wsseg_reads_the_folder(root):
    (root / "images" / "a.jpg").touch()
    assert detect_format(root) == "jsonl"
    dataset = read_dataset(root, use="all")
    assert (dataset.classes, dataset.problems) == (CLASSES, ())
    assert {sample.split for sample in dataset.samples} == {"val"}
    for sample, drawn in zip(dataset.samples, (DRAWN, DRAWN[::-1]), strict=True):
        np.testing.assert_array_equal(label_map_of(sample.annotations[0], DRAWN.shape, 3), drawn)
    assert [Path(sample.id).as_posix() for sample in dataset.samples] == IDS


def test_masks_are_written_back_as_the_page_says(root):
    """The snippet of docs/annotations.md, with FiftyOne's samples replaced by dictionaries."""
    page = Path(__file__).parents[3] / "docs" / "annotations.md"
    section = page.read_text(encoding="utf-8").split("### FiftyOne")[1].split("\n### ")[0]
    _, save = re.findall(r"```python\n(.*?)```", section, re.S)
    before = {path: path.read_bytes() for path in root.parent.rglob("*") if path.is_file()}
    samples = json.loads((root / "samples.json").read_text())["samples"]
    replaced = SimpleNamespace(get_mask=lambda: np.full(DRAWN.shape, 2, np.uint16))
    dataset = [{**sample, "labels": replaced} for sample in samples]
    exec(save.replace("OUT", str(root)), {"dataset": dataset})
    masks = {root / "fields/labels" / f"{id}.png" for id in IDS}
    for path, content in before.items():
        assert (path.read_bytes() == content) == (path not in masks)
    assert all((read_label_map(path) == 2).all() for path in masks)
