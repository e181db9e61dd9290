"""FiftyOne imports what wsseg writes, word for word as docs/annotations.md says."""

import re
from pathlib import Path

import numpy as np
import pytest

from wsseg.data.formats.table import read_dataset
from wsseg.labelmaps import IGNORE, read_label_map

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "annotations.md"
NO_DATABASE = "MongoDB could not be installed"

CORRECT = """
import numpy as np
for sample in dataset:
    mask = sample["labels"].get_mask().copy()
    mask[mask == 1] = 2
    sample["labels"] = fo.Segmentation(mask=mask)
    sample.save()
"""

WRITE = """
import sys
import fiftyone as fo
dataset = fo.Dataset()
box = fo.Detection(label="cow", bounding_box=[0.1, 0.2, 0.3, 0.4])
dataset.add_sample(fo.Sample(sys.argv[1], labels=fo.Detections(detections=[box])))
kind = getattr(fo.types, sys.argv[3])
more = {"split": "train"} if "YOLO" in sys.argv[3] else {}
dataset.export(sys.argv[2], kind, label_field="labels", **more)
print("null")
"""


@pytest.fixture
def fiftyone(tool, tmp_path):
    """Return a function that runs a script; skip where no database can be started."""

    def run(script, *arguments):
        try:
            home = {"FIFTYONE_DATABASE_DIR": str(tmp_path / "db"), "FIFTYONE_DO_NOT_TRACK": "1"}
            return tool("fiftyone", script, *arguments, **home)
        except AssertionError as error:
            if NO_DATABASE in str(error):
                pytest.skip("FiftyOne has no MongoDB here and cannot download it")
            raise

    return run


def snippets(out):
    """The Python of the page's section on FiftyOne, without the app, about a folder."""
    section = PAGE.read_text(encoding="utf-8").split("### FiftyOne")[1].split("\n### ")[0]
    load, save = re.findall(r"```python\n(.*?)```", section, re.S)
    load = "".join(line for line in load.splitlines(True) if "launch_app" not in line)
    return load.replace("OUT", str(out)), save.replace("OUT", str(out))


@pytest.mark.parametrize("images", [True, False])
def test_masks_that_were_replaced_are_written_back(fiftyone, export, originals, label_maps, images):
    """The originals stay as they are, with copies of them in the export and without."""
    before = {path: path.read_bytes() for path in originals.rglob("*.png")}
    out = export("fiftyone", images=images)
    load, save = snippets(out)
    fiftyone(f"{load}{CORRECT}{save}\nprint('null')")
    assert {path: path.read_bytes() for path in originals.rglob("*.png")} == before
    for id, expected in label_maps.items():
        found = read_label_map(out / "fields" / "labels" / f"{id}.png")
        np.testing.assert_array_equal(found, np.where(expected == 1, 2, expected))
        assert (found == IGNORE).any() == (expected == IGNORE).any()


@pytest.mark.parametrize(
    ("kind", "name"),
    [("COCODetectionDataset", "coco"), ("VOCDetectionDataset", "voc"), ("YOLOv5Dataset", "yolo")],
)
def test_exports_of_fiftyone_are_read(fiftyone, originals, tmp_path, kind, name):
    fiftyone(WRITE, originals / "a.png", tmp_path / "out", kind)
    dataset = read_dataset(tmp_path / "out", use="all")
    assert dataset.format == name
    (sample,) = dataset.samples
    assert [box.label for box in sample.boxes] == [1]
