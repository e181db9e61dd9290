"""Tables of boxes."""

import pytest
from helpers.builders import kinds, write, write_image

from wsseg.data.annotation import Box, Boxes, Unknown
from wsseg.data.formats.table import read_dataset
from wsseg.errors import InputError

COW, SHEEP = Box(1, 2, 3, 20, 25), Box(2, 5, 6, 30, 15)
ONE_EACH = {"im0": (COW,), "im1": (SHEEP,)}


@pytest.fixture
def root(tmp_path):
    """Three images of 30x40 pixels, im0, im1 and im2."""
    for index in range(3):
        write_image(tmp_path / f"set/images/im{index}.jpg")
    return tmp_path / "set"


def boxes_of(root, split="train"):
    dataset = read_dataset(root, splits=[split], use="boxes")
    assert dataset.format == "csv"
    return {sample.id: sample.boxes for sample in dataset.samples}


@pytest.mark.parametrize(
    "text",
    [
        "im0.jpg,2,3,20,25,cow\nim1.jpg,5,6,30,15,sheep\n",
        "im0;2;3;20;25;cow\nim1;5;6;30;15;sheep\n",
        '"image","xmin","ymin","xmax","ymax","label"\n"im0",2,3,20,25,"cow"\nim1,5,6,30,15,sheep\n',
        "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        "im0,40,30,cow,2,3,20,25\nim1,40,30,sheep,5,6,30,15\n",
        "im0,40,30,cow,2,3,20,25\nim1,40,30,sheep,5,6,30,15\n",
        "image_name,x,y,w,h,label\nim0,2,3,18,22,cow\nim1,5,6,25,9,sheep\n",
        "ImageID,LabelName,XMin,XMax,YMin,YMax\nim0,cow,0.05,0.5,0.1,0.834\n"
        "im1,sheep,0.125,0.75,0.2,0.5\n",
        "TRAIN,gs://b/im0.jpg,cow,2,3,,,20,25,,\nTRAIN,gs://b/im1.jpg,sheep,5,6,,,30,15,,\n",
    ],
)
def test_forms_of_tables(root, text):
    write(root / "boxes.csv", text)
    boxes = boxes_of(root)
    if "0.834" in text:  # shares of the height give other edges, moved outwards to whole pixels
        assert boxes["im0"] == (Box(1, 2, 3, 20, 26),) and boxes["im1"] == (SHEEP,)
    else:
        assert boxes == ONE_EACH


def test_rows_of_an_image_are_joined_and_an_empty_one_has_no_objects(root):
    rows = "im0,2,3,20,25,cow\nim1,,,,,\nim0,5,6,30,15,sheep\n"
    write(root / "annotations.csv", rows)
    dataset = read_dataset(root, use="boxes")
    assert {s.id: s.annotations for s in dataset.samples} == {
        "im0": (Boxes((COW, SHEEP)),),
        "im1": (Boxes(()),),
    }
    assert dataset.problems == ()


def test_table_of_classes_orders_the_classes(root):
    write(root / "annotations.csv", "im0,2,3,20,25,cow\nim1,5,6,30,15,sheep\n")
    write(root / "classes.csv", "sheep,0\ncow,1\n")
    dataset = read_dataset(root, use="boxes")
    assert dataset.classes.names == ("background", "sheep", "cow")
    assert dataset.problems == ()


@pytest.mark.parametrize(
    ("row", "kind", "unknown"),
    [
        ("im2,2,x,20,25,sheep", "malformed line", Unknown((2,))),
        ("im2,,,,,sheep", "malformed line", Unknown((2,))),
        ("im2,2,3,nan,25,sheep", "malformed line", Unknown((2,))),
        ("im2,2,3,20,25,goat", "object of an unknown class", Unknown((), (2, 3, 20, 25))),
        ("im2,2,3,20,25,", "object of an unknown class", Unknown((), (2, 3, 20, 25))),
    ],
)
def test_unusable_row_leaves_its_class_possible(root, row, kind, unknown):
    write(root / "classes.txt", "cow\nsheep\n")
    good = "im0,2,3,20,25,cow\nim1,5,6,30,15,sheep\nim0,1,1,9,9,sheep\nim1,1,1,9,9,cow\n"
    write(root / "train.csv", f"{good}im2,2,3,20,25,cow\n{row}\n")
    dataset = read_dataset(root, use="boxes")
    assert dataset.samples[2].annotations == (Boxes((COW,)), unknown)
    assert kinds(dataset) == [kind]


def test_missing_image_is_left_out(root):
    write(root / "train.csv", "im0,2,3,20,25,cow\nim9.jpg,2,3,20,25,cow\n")
    dataset = read_dataset(root, use="boxes")
    assert [sample.id for sample in dataset.samples] == ["im0"]
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("train.csv:2", True)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("im0,25,20,8,9,cow\nim1,22,13,10,5,cow\n", "2 of 2 boxes in train.csv have right < left"),
        (
            "image,x1,y1,x2,y2\nim0,2,3,20,25\n",
            "train.csv has boxes and no column of their classes",
        ),
        ('image,bbox\nim0,"[1, 2, 3, 4]"\n', "train.csv has boxes in one column, 'bbox'; write"),
    ],
)
def test_tables_of_unclear_numbers_are_refused(root, text, message):
    write(root / "train.csv", text)
    with pytest.raises(InputError, match=message.replace("[", "[[]")):
        read_dataset(root, use="boxes")


def test_the_only_class_of_classes_txt_needs_no_column(root):
    write(root / "classes.txt", "cow\n")
    write(root / "train.csv", "image,x1,y1,x2,y2\nim0,2,3,20,25\n")
    assert boxes_of(root) == {"im0": (COW,)}


def test_tables_of_splits_and_a_table_of_tags_beside_them(tmp_path):
    for split in ("train", "valid"):
        write_image(tmp_path / split / "im0.jpg")
        write(
            tmp_path / split / "_annotations.csv",
            "filename,class,xmin,ymin,xmax,ymax\nim0.jpg,cow,2,3,20,25\n",
        )
    write(tmp_path / "tags.csv", "train/im0.jpg,cow\n")
    assert boxes_of(tmp_path) == boxes_of(tmp_path, "valid") == {"im0": (COW,)}
    assert kinds(read_dataset(tmp_path)) == ["table without boxes"]
