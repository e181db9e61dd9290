"""LabelMe's own library reads what wsseg writes, and writes what wsseg reads."""

import numpy as np
import pytest

from wsseg.data.annotation import Box
from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import read_dataset

pytestmark = pytest.mark.slow

READ = """
import base64, io, json, pathlib, sys
import numpy as np
from PIL import Image
from labelme._label_file import LabelFile
shapes = {}
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.json")):
    file = LabelFile(str(path))
    assert Image.open(io.BytesIO(file.image_data)).size == (120, 90)
    shapes[str(path)] = [
        [shape["label"], shape["points"], np.argwhere(shape["mask"]).tolist()]
        for shape in file.shapes
    ]
print(json.dumps(shapes))
"""

WRITE = """
import json, sys
import numpy as np
from labelme._label_file import write_label_file
from labelme.utils import img_arr_to_b64
mask = np.eye(4, 5, dtype=np.uint8)
shapes = [
    {"label": "cow", "shape_type": "rectangle", "points": [[10, 20], [40, 60]]},
    {"label": "sheep", "shape_type": "polygon", "points": [[60, 10], [80, 10], [80, 30]]},
    {"label": "sheep", "shape_type": "mask", "points": [[3, 2], [7, 5]],
     "mask": img_arr_to_b64(mask)},
    {"label": "cow", "shape_type": "oriented_rectangle",
     "points": [[50, 50], [60, 60], [50, 70], [40, 60]]},
]
for shape in shapes:
    shape |= {"flags": {}, "group_id": None, "description": ""}
write_label_file(sys.argv[1], shapes=shapes, image_path="a.png", image_height=90, image_width=120)
print(json.dumps(mask.tolist()))
"""


def test_exported_masks_are_those_of_labelme(tool, export, label_maps):
    out = export("labelme")
    found = tool("labelme", READ, out)
    assert len(found) == len(label_maps)
    for id, expected in label_maps.items():
        drawn = np.full(expected.shape, 255, np.uint8)
        for label, ((left, top), _), pixels in found[str(out / "train" / f"{id}.json")]:
            rows, columns = np.array(pixels).T
            value = {"_background_": 0, "cow": 1, "sheep": 2}[label]
            drawn[rows + int(top), columns + int(left)] = value
        np.testing.assert_array_equal(drawn, expected)


def test_files_of_labelme_are_read(tool, originals):
    mask = np.array(tool("labelme", WRITE, originals / "a.json"), bool)
    dataset = read_dataset(originals, use="all")
    assert dataset.problems == ()
    (sample,) = dataset.samples
    assert sample.boxes == (Box(1, 10, 20, 40, 60), Box(1, 40, 50, 60, 70))
    drawn = label_map_of(sample.annotations[1], sample.size, 3)
    np.testing.assert_array_equal(drawn[2:6, 3:8] == 2, mask)
    assert drawn[15, 75] == 2
