"""Round trips of all writers of label maps: their files are read back pixel by pixel."""

import tempfile
import weakref
from pathlib import Path

import numpy as np
import pytest
from helpers.accepted import accepted
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.model import Classes, Sample
from wsseg.data.writers.coco import write_coco
from wsseg.data.writers.cvat import write_cvat
from wsseg.data.writers.fiftyone import write_fiftyone
from wsseg.data.writers.labelme import write_labelme
from wsseg.data.writers.labelstudio import write_labelstudio
from wsseg.data.writers.regions import LabelledImage
from wsseg.data.writers.voc import write_voc
from wsseg.data.writers.yolo import write_yolo
from wsseg.files import PARTIAL
from wsseg.labelmaps import IGNORE

SIZE = (7, 9)
CLASSES = Classes(("background", "cow", 'R&D <"test\'s"> Kühe', "sheep"))
FORMATS = {
    "voc": (write_voc, "JPEGImages", lambda root: read_dataset(root, "voc", ["train"], "masks")),
    "coco": (
        write_coco,
        "images/train",
        lambda root: read_dataset(root, "coco", ["train"], "masks"),
    ),
    "cvat": (write_cvat, "images", lambda root: read_dataset(root, "cvat", ["train"], "all")),
    "fiftyone": (
        write_fiftyone,
        "images",
        lambda root: read_dataset(root, "jsonl", ["train"], "all"),
    ),
    "labelme": (
        write_labelme,
        "train",
        lambda root: read_dataset(root, "labelme", ["train"], "all"),
    ),
    "labelstudio": (write_labelstudio, "images", lambda root: accepted(root, SIZE)),
}
LABELS = st.sampled_from([0, 1, 2, 3, IGNORE])


@st.composite
def blobs(draw):
    """Rectangles in front of each other, some inside others."""
    label_map = np.full(SIZE, draw(LABELS), np.uint8)
    for _ in range(draw(st.integers(0, 6))):
        rows, columns = (sorted(draw(st.tuples(*[st.integers(0, n)] * 2))) for n in SIZE)
        label_map[slice(*rows), slice(*columns)] = draw(LABELS)
    return label_map


LABEL_MAPS = st.one_of(blobs(), arrays(np.uint8, SIZE, elements=LABELS))


def sample(id="a"):
    return Sample(id, Path(f"elsewhere/{id}.jpg"), SIZE, (), "train")


def write(format, root, label_maps, classes=CLASSES):
    """Write label maps by id, beside images that nobody opens."""
    writer, place, _ = FORMATS[format]
    for id in label_maps:
        (root / place / f"{id}.jpg").parent.mkdir(parents=True, exist_ok=True)
        (root / place / f"{id}.jpg").touch()
    images = (LabelledImage(sample(id), drawn) for id, drawn in label_maps.items())
    writer(root, classes, images, "train")


def read(format, root):
    dataset = FORMATS[format][2](root)
    assert dataset.problems == ()
    found = {}
    for each in dataset.samples:
        # An image without a polygon in an XML of CVAT counts as not annotated.
        found[each.id] = np.full(each.size, IGNORE, np.uint8)
        for drawn in each.annotations:
            found[each.id] = label_map_of(drawn, each.size, len(dataset.classes))
    return dataset, found


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=60, deadline=None)
@given(label_maps=st.lists(LABEL_MAPS, min_size=1, max_size=3))
def test_what_is_written_is_read_back(format, label_maps):
    with tempfile.TemporaryDirectory() as folder:
        given_maps = {f"image-{number}": drawn for number, drawn in enumerate(label_maps)}
        before = {id: drawn.copy() for id, drawn in given_maps.items()}
        write(format, Path(folder), given_maps)
        dataset, found = read(format, Path(folder))
        assert dataset.classes == CLASSES
        assert {each.split for each in dataset.samples} == {"train"}
        assert found.keys() == before.keys()
        for id, drawn in before.items():
            np.testing.assert_array_equal(found[id], drawn)
            np.testing.assert_array_equal(given_maps[id], drawn)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("label", [0, 1, IGNORE])
def test_one_label_everywhere(format, label, tmp_path):
    whole = np.full(SIZE, label, np.uint8)
    write(format, tmp_path, {"a": whole})
    np.testing.assert_array_equal(read(format, tmp_path)[1]["a"], whole)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("id", ["a/b/c", "R&D <1> \"2\" 'x'", "Kühe im Stall", "a.b", "train/x"])
def test_names_with_folders_and_signs(format, id, tmp_path):
    drawn = np.arange(63, dtype=np.uint8).reshape(SIZE) % 4
    write(format, tmp_path, {id: drawn, "other": drawn.T.copy().reshape(SIZE)})
    found = read(format, tmp_path)[1]
    assert found.keys() == {id, "other"}
    np.testing.assert_array_equal(found[id], drawn)


@pytest.mark.parametrize("format", FORMATS)
def test_254_classes(format, tmp_path):
    classes = Classes(("background", *(f"class {label:03d}" for label in range(1, 255))))
    drawn = np.arange(63, dtype=np.uint8).reshape(SIZE) + 192  # 192 to 254
    write(format, tmp_path, {"a": drawn}, classes)
    dataset, found = read(format, tmp_path)
    assert dataset.classes == classes
    np.testing.assert_array_equal(found["a"], drawn)


@pytest.mark.parametrize("format", FORMATS)
def test_one_label_map_is_held_at_a_time(format, tmp_path):
    held = []

    def label_maps():
        for number in range(6):
            # The writer still names the last one while it asks for the next.
            assert sum(reference() is not None for reference in held) <= 1
            drawn = np.full(SIZE, number % 4, np.uint8)
            held.append(weakref.ref(drawn))
            yield LabelledImage(sample(str(number)), drawn)
            del drawn

    FORMATS[format][0](tmp_path, CLASSES, label_maps(), "train")
    assert len(held) == 6


@settings(max_examples=200, deadline=None)
@given(label_map=LABEL_MAPS)
def test_yolo_keeps_everything_but_unknown_pixels(label_map):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "images/train").mkdir(parents=True)
        Image.new("RGB", SIZE[::-1]).save(root / "images/train/a.jpg")
        write_yolo(root, CLASSES, [LabelledImage(sample(), label_map)], "train")
        dataset = read_dataset(root, "yolo", ["train"], "masks")
        assert (dataset.problems, dataset.classes) == ((), CLASSES)
        (mask,) = dataset.samples[0].annotations
        found = label_map_of(mask, SIZE, len(CLASSES))
        np.testing.assert_array_equal(found, np.where(label_map == IGNORE, 0, label_map))


@pytest.mark.parametrize("format", ["coco", "cvat"])
def test_an_interrupted_file_is_not_there(format, tmp_path):
    def label_maps():
        yield LabelledImage(sample(), np.zeros(SIZE, np.uint8))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FORMATS[format][0](tmp_path, CLASSES, label_maps(), "train")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    write(format, tmp_path, {"a": np.zeros(SIZE, np.uint8)})
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))
