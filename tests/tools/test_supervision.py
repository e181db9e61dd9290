"""supervision reads what wsseg writes, and writes what wsseg reads."""

import numpy as np
import pytest

from wsseg.data.formats.table import read_dataset
from wsseg.labelmaps import IGNORE

pytestmark = pytest.mark.slow

READ = """
import json, sys
import numpy as np
import supervision as sv
root, to = sys.argv[1:]
if to == "coco":
    path = root + "/annotations/instances_train.json"
    data = sv.DetectionDataset.from_coco(root + "/images/train", path, force_masks=True)
elif to == "yolo":
    data = sv.DetectionDataset.from_yolo(
        root + "/images/train", root + "/labels/train", root + "/data.yaml", force_masks=True
    )
else:
    data = sv.DetectionDataset.from_pascal_voc(root + "/JPEGImages", root + "/Annotations")
found = {}
for path in data.image_paths:
    marks = data.annotations[path]
    masks = [] if marks.mask is None else [np.argwhere(mask).tolist() for mask in marks.mask]
    classes = [data.classes[number] for number in marks.class_id]
    found[path] = [classes, marks.xyxy.tolist(), masks]
print(json.dumps(found))
"""

WRITE = """
import json, sys
import numpy as np
import supervision as sv
root, to = sys.argv[1:]
mask = np.zeros((2, 90, 120), bool)
mask[0, 20:60, 10:40] = mask[1, 50:80, 80:110] = True
marks = sv.Detections(
    xyxy=np.array([[10, 20, 40, 60], [80, 50, 110, 80]], float),
    mask=None if to == "voc" else mask,
    class_id=np.array([0, 1]),
)
image = np.zeros((90, 120, 3), np.uint8)
data = sv.DetectionDataset(["cow", "sheep"], {"a.png": image}, {"a.png": marks})
if to == "coco":
    data.as_coco(root + "/images/train", root + "/annotations/instances_train.json")
elif to == "yolo":
    data.as_yolo(root + "/images/train", root + "/labels/train", root + "/data.yaml")
else:
    data.as_pascal_voc(root + "/JPEGImages", root + "/Annotations")
print("null")
"""


def drawn(classes, masks, shape):
    result = np.zeros(shape, np.uint8)
    for name, pixels in zip(classes, masks, strict=True):
        rows, columns = np.array(pixels).T
        result[rows, columns] = {"cow": 1, "sheep": 2}[name]
    return result


def test_exported_run_lengths_are_those_of_supervision(tool, export, label_maps):
    """supervision takes crowds, which stand for unknown pixels, for objects of the class."""
    out = export("coco")
    found = tool("supervision", READ, out, "coco")
    for id, expected in label_maps.items():
        classes, _, masks = found[str(out / "images/train" / f"{id}.png")]
        is_known = expected != IGNORE
        got = drawn(classes, masks, expected.shape)
        np.testing.assert_array_equal(got[is_known], expected[is_known])


def test_exported_polygons_are_those_of_supervision(tool, export, label_maps):
    """OpenCV also draws the pixels that a polygon\'s edge touches, so areas are larger there."""
    out = export("yolo", ids=["a", "b", "empty"])
    found = tool("supervision", READ, out, "yolo")
    for id in ("a", "b", "empty"):
        classes, _, masks = found[str(out / "images/train" / f"{id}.png")]
        expected, got = label_maps[id], drawn(classes, masks, label_maps[id].shape)
        for label in (1, 2):
            union = ((got == label) | (expected == label)).sum()
            assert ((got == label) & (expected == label)).sum() >= 0.9 * union
            assert ((expected == label) & (got != label)).sum() == 0


def test_exported_boxes_are_those_of_supervision(tool, export):
    out = export("voc", ids=["a", "b"])
    found = tool("supervision", READ, out, "voc")
    ours = read_dataset(out, "voc")
    for sample in ours.samples:
        classes, corners, _ = found[str(sample.image)]
        boxes = {
            (ours.classes.names[b.label], b.left, b.top, b.right, b.bottom) for b in sample.boxes
        }
        # supervision reads VOC\'s corners as edges: the right and bottom ones lie one pixel inside.
        theirs = {(name, *map(round, box)) for name, box in zip(classes, corners, strict=True)}
        assert len(theirs) == len(boxes)
        for one, other in zip(sorted(boxes), sorted(theirs), strict=True):
            assert one[0] == other[0]
            assert max(abs(a - b) for a, b in zip(one[1:], other[1:], strict=True)) <= 1


@pytest.mark.parametrize("to", ["coco", "yolo", "voc"])
def test_files_of_supervision_are_read(tool, tmp_path, to):
    tool("supervision", WRITE, tmp_path, to)
    dataset = read_dataset(tmp_path)
    assert dataset.problems == ()
    (sample,) = dataset.samples
    expected = [(1, 10, 20, 40, 60), (2, 80, 50, 110, 80)]
    boxes = [(box.label, box.left, box.top, box.right, box.bottom) for box in sample.boxes]
    for one, other in zip(sorted(boxes), expected, strict=True):
        assert one[0] == other[0]
        assert max(abs(a - b) for a, b in zip(one[1:], other[1:], strict=True)) <= 1
