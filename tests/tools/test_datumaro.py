"""datumaro reads what wsseg writes, and writes what wsseg reads."""

import numpy as np
import pytest

from wsseg.data.annotation import Regions
from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.labelmaps import IGNORE

pytestmark = pytest.mark.slow

READ = """
import json, sys
import datumaro as dm
data = dm.Dataset.import_from(*sys.argv[1:])
names = [label.name for label in data.categories()[dm.AnnotationType.label]]
found = {}
for item in data:
    found[item.id] = [
        [names[mark.label], mark.image.astype(bool).nonzero()[0].tolist(),
         mark.image.astype(bool).nonzero()[1].tolist()]
        for mark in item.annotations
        if mark.type == dm.AnnotationType.mask and not mark.attributes.get("is_crowd")
    ]
print(json.dumps(found))
"""

WRITE = """
import json, sys
import datumaro as dm
import numpy as np
root, to = sys.argv[1:]
image = dm.Image.from_numpy(data=np.zeros((90, 120, 3), np.uint8))
mask = np.zeros((90, 120), bool)
mask[50:80, 80:110] = True
marks = [dm.Bbox(10, 20, 30, 40, label=0, id=1, group=1)]
if to != "yolo":
    marks.append(dm.Mask(mask, label=1, id=2, group=2))
items = [dm.DatasetItem(id="herd/a", subset="train", media=image, annotations=marks)]
data = dm.Dataset.from_iterable(items, categories=["cow", "sheep"])
data.export(root, to, save_media=True)
print("null")
"""


@pytest.mark.parametrize(
    ("to", "format"), [("voc", "voc_segmentation"), ("coco", "coco_instances"), ("cvat", "cvat")]
)
def test_exported_masks_are_those_of_datumaro(tool, export, label_maps, to, format):
    out = export(to)
    if to == "cvat":  # it reads the file of a task only under the name of its subset
        (out / "annotations.xml").rename(out / "train.xml")
    found = tool("datumaro", READ, out, format)
    assert found.keys() == label_maps.keys()
    for id, expected in label_maps.items():
        drawn = np.full(expected.shape, 0 if to == "coco" else IGNORE, np.uint8)
        for name, rows, columns in found[id]:
            drawn[rows, columns] = {"background": 0, "cow": 1, "sheep": 2, "ignored": IGNORE}[name]
        is_known = expected != IGNORE
        np.testing.assert_array_equal(drawn[is_known], expected[is_known])
        assert to == "coco" or (drawn[~is_known] == IGNORE).all()


@pytest.mark.parametrize(
    ("format", "name"),
    [("voc", "voc"), ("coco_instances", "coco"), ("cvat", "cvat"), ("yolo", "yolo")],
)
def test_files_of_datumaro_are_read(tool, tmp_path, format, name):
    out = tmp_path / "out"
    tool("datumaro", WRITE, out, format)
    assert detect_format(out) == name
    dataset = read_dataset(out, use="all")
    assert dataset.classes.names == ("background", "cow", "sheep")
    (sample,) = dataset.samples
    assert sample.id.endswith("herd/a")
    box = next(box for box in sample.boxes if box.label == 1)
    # datumaro writes VOC\'s corners as edges, so there a box may be a pixel larger.
    edges = zip((box.left, box.top, box.right, box.bottom), (10, 20, 40, 60), strict=True)
    assert all(abs(one - other) <= (name == "voc") for one, other in edges)
    if name == "cvat":
        (regions,) = (a for a in sample.annotations if isinstance(a, Regions))
        drawn = label_map_of(regions, sample.size, 3)
        assert (drawn[50:80, 80:110] == 2).all() and (drawn == 2).sum() == 900
