"""Files of VOC, COCO and YOLO laid over the images of another data set."""

import json
import shutil
from collections import Counter

import numpy as np
import pytest
from helpers.formats import FORMATS, as_json, coco_page, image_bytes, voc_xml
from PIL import Image

from wsseg.data.annotation import Box, Boxes, MaskFile, Regions, Tags, Unknown
from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_weak, with_annotations
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError

COW = Box(1, 4, 3, 20, 18)


@pytest.fixture
def base(tmp_path):
    """Two images, "a" and "b", that are tagged in a CSV."""
    root = FORMATS["csv"]().write(tmp_path / "base")
    shutil.rmtree(root / "masks")
    return read_dataset(root, use="none")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def kinds(dataset):
    return Counter(problem.kind for problem in dataset.problems)


def test_xml_of_voc(base, tmp_path):
    path = write(tmp_path / "xml" / "a.xml", voc_xml("a.png"))
    for place in (path, path.parent):
        first, second = with_annotations(base, [place]).samples
        assert first.annotations == (Boxes((COW,)),) and second.annotations == ()
    write(tmp_path / "xml" / "b.xml", "<annotation><object>")
    laid_over = with_annotations(base, [tmp_path / "xml"])
    assert laid_over.samples[0].boxes == (COW,) and kinds(laid_over) == {"damaged file": 1}


def test_json_of_coco_gives_boxes(base, tmp_path):
    """The polygons of a file stay out: whoever lays a file over images gives weak labels."""
    path = write(tmp_path / "coco.json", as_json(coco_page()))
    first, second = with_annotations(base, [path]).samples
    assert first.annotations == (Boxes((COW,) * 3),)
    assert second.annotations == (Boxes(()),)


def test_labels_of_yolo(base, tmp_path):
    path = write(tmp_path / "yolo" / "data.yaml", "names: [sheep, cow]\n")
    write(tmp_path / "yolo" / "labels" / "train" / "a.txt", "1 0.375 0.4375 0.5 0.625\n9 0 0 1 1\n")
    laid_over = with_annotations(base, [path])
    assert laid_over.samples[0].boxes == (COW,)
    assert kinds(laid_over) == {"object of an unknown class": 1, "box leaves the image": 1}


def test_boxes_join_those_of_the_data_set_or_replace_them(base, tmp_path):
    path = write(tmp_path / "a.xml", voc_xml("a.png"))
    root = base.samples[0].image.parents[1]
    data = DataParams(root=root, weak="tags", val=None)
    assert read_weak(data).samples[0].annotations == (Tags((1,), (2,)),)
    over = read_weak(data.model_copy(update={"annotations": (path, path)}))
    assert over.samples[0].annotations == (Tags((1,), (2,)), Boxes((COW, COW)))
    instead = read_weak(data.model_copy(update={"corrections": (path,)}))
    assert instead.samples[0].annotations == (Boxes((COW,)),)
    assert instead.samples[1].annotations == (Tags((2,)),)


def test_objects_of_unknown_classes_are_left_out(base, tmp_path):
    path = write(tmp_path / "a.xml", voc_xml("a.png", name="horse"))
    laid_over = with_annotations(base, [path])
    box = COW.left, COW.top, COW.right, COW.bottom
    assert laid_over.samples[0].annotations == (Boxes(()), Unknown(area=box))
    assert kinds(laid_over) == {"object of an unknown class": 1}


def test_objects_of_another_size_are_left_out(base, tmp_path):
    path = write(tmp_path / "a.xml", voc_xml("a.png").replace(b">32<", b">33<"))
    laid_over = with_annotations(base, [path])
    assert laid_over.samples[0].annotations == () and kinds(laid_over) == {
        "marks of another size": 1
    }


@pytest.mark.parametrize("name", ["voc", "coco", "yolo"])
def test_folders_of_data_sets_give_full_masks_if_they_have_some(base, tmp_path, name):
    root = FORMATS[name]().write(tmp_path / "other")
    if name == "yolo":  # a box has no mask
        (root / "labels/train/a.txt").write_text("1 0.1 0.1 0.5 0.1 0.5 0.6\n")
    first = with_annotations(base, [root]).samples[0]
    (mask,) = first.annotations
    assert isinstance(mask, MaskFile if name == "voc" else Regions)
    label_map = label_map_of(mask, first.size, 3)
    assert {0} < {*np.unique(label_map)} <= {0, 1, 2}


def test_folders_without_masks_give_boxes(base, tmp_path):
    root = FORMATS["voc"]().write(tmp_path / "other")
    shutil.rmtree(root / "SegmentationClass")
    first, second = with_annotations(base, [root]).samples
    assert first.boxes == (COW,) and [box.label for box in second.boxes] == [2]


def test_files_about_no_image_are_refused(base, tmp_path):
    path = write(tmp_path / "z.xml", voc_xml("z.png"))
    with pytest.raises(InputError, match="about images of the data set"):
        with_annotations(base, [path])
    empty = tmp_path / "nothing"
    empty.mkdir()
    with pytest.raises(InputError, match="of a known format"):
        with_annotations(base, [empty])


def test_images_are_told_apart_by_their_split(tmp_path):
    root = tmp_path / "base"
    for split in ("train", "val"):
        write(root / split / "cow" / "a.png", image_bytes())
        write(root / split / "sheep" / "b.png", image_bytes(seed=1))
    base = read_dataset(root, use="none")
    yaml = write(tmp_path / "yolo" / "data.yaml", "names: [cow, sheep]\n")
    write(tmp_path / "yolo" / "labels" / "val" / "a.txt", "0 0.5 0.5 1 1\n")
    laid_over = with_annotations(base, [yaml])
    boxed = [(sample.split, sample.id) for sample in laid_over.samples if sample.boxes]
    assert boxed == [("val", "cow/a")]


def test_real_coco_over_a_folder_data_set(shared_data, tmp_path):
    coco = shared_data / "magnetic_tile"
    expected = read_dataset(coco, splits=["train"])
    rows = "".join(f"{sample.image.name},\n" for sample in expected.samples)
    (tmp_path / "train.csv").write_text(rows)
    (tmp_path / "classes.txt").write_text("\n".join(expected.classes))
    (tmp_path / "images").mkdir()
    for sample in expected.samples:
        shutil.copy(sample.image, tmp_path / "images")
    base = read_dataset(tmp_path, use="none")
    (file,) = (coco / "annotations").glob("*train*.json")
    laid_over = with_annotations(base, [file])
    assert laid_over.problems == ()
    boxes = {sample.image.name: sample.annotations for sample in laid_over.samples}
    assert boxes == {sample.image.name: sample.annotations for sample in expected.samples}
    assert sum(len(sample.boxes) for sample in laid_over.samples) > 300


def test_real_voc_over_class_folders(shared_data, tmp_path):
    voc = shared_data / "msrc15"
    expected = read_dataset(voc, splits=["val"])
    for sample in expected.samples:
        for name in expected.classes.names[1:]:  # every class has its folder
            (tmp_path / "val" / name).mkdir(parents=True, exist_ok=True)
        first = expected.classes.names[sample.boxes[0].label if sample.boxes else 1]
        shutil.copy(sample.image, tmp_path / "val" / first)
    with Image.open(expected.samples[0].image) as image:
        for name in expected.classes.names[1:]:  # or the class would not be known
            image.save(tmp_path / "val" / name / "other.png")
    base = read_dataset(tmp_path, "folders", use="none")
    assert {*base.classes} == {*expected.classes}
    laid_over = with_annotations(base, [voc / "Annotations"])
    assert kinds(laid_over) == {"marks without an image": 1}  # those of the other split
    names = base.classes.names
    boxes = {
        sample.image.name: [(names[box.label], box.slices) for box in sample.boxes]
        for sample in laid_over.samples
        if sample.image.stem != "other"
    }
    assert boxes == {
        sample.image.name: [(expected.classes.names[box.label], box.slices) for box in sample.boxes]
        for sample in expected.samples
    }


def test_damaged_json_is_refused(base, tmp_path):
    path = write(tmp_path / "coco.json", json.dumps({"images": [], "annotations": 3}))
    with pytest.raises(InputError, match="lists 'images' and 'annotations'"):
        with_annotations(base, [path])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("images/a.png", "a"),
        ("a.png", "a"),
        ("C:\\herd\\west\\a.png", "west/a"),
        ("data/herd/west/a", "west/a"),
        ("old/far/west/a.jpg", "far/west/a"),
        ("east/b.png", "east/b"),
        ("north/b.png", None),  # it may be neither of the two
        ("my_cow_1.png", "my cow (1)"),
    ],
)
def test_images_are_found_by_the_last_parts_of_a_name(tmp_path, written, expected):
    ids = ("a", "west/a", "far/west/a", "east/b", "south/b", "my cow (1)")
    samples = tuple(Sample(id, tmp_path / f"{id}.png", (20, 30), (), "train") for id in ids)
    base = Dataset(Classes(("background", "cow")), samples)
    mark = {"type": "box", "class": "cow", "points": [[1, 2], [3, 4]]}
    lines = [{"image": "south/b", "tags": []}, {"image": written, "marks": [mark]}]
    path = write(tmp_path / "x.jsonl", "\n".join(map(json.dumps, lines)))
    laid_over = with_annotations(base, [path])
    assert [sample.id for sample in laid_over.samples if sample.boxes] == [expected] * bool(
        expected
    )
    assert kinds(laid_over) == ({} if expected else {"marks without an image": 1})
