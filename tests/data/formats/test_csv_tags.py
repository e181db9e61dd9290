"""Forms of tables of tags that people bring."""

import pytest
from helpers.builders import kinds, write, write_image

from wsseg.data.annotation import Tags
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.formats.tag_columns import TagSplitter

COW, SHEEP, BOTH, NONE = Tags((1,)), Tags((2,)), Tags((1, 2)), Tags(())
ONE_HOT = {"im0": COW, "im1": BOTH, "im2": NONE}


@pytest.fixture
def root(tmp_path):
    """Three images im0, im1 and im2."""
    for index in range(3):
        write_image(tmp_path / f"set/images/im{index}.jpg")
    return tmp_path / "set"


def tags_of(root, split="train"):
    dataset = read_dataset(root, splits=[split], use="tags")
    assert dataset.format == "csv"
    return {sample.id: sample.tags for sample in dataset.samples}


def problems_of(root):
    return kinds(read_dataset(root, use="tags"))


@pytest.mark.parametrize(
    "text",
    [
        "image_name,tags\nim0,cow\nim1,cow sheep\nim2,\n",
        "image,tags\nim0.jpg,cow\nim1.jpg,cow|sheep\nim2.jpg,\n",
        'image,tags\nim0.jpg,cow\nim1.jpg,"cow, sheep"\nim2.jpg,\n',
        "image,tags\nim0.jpg,cow\nim1.jpg,cow;sheep\nim2.jpg,\n",
        "image\ttags\nim0.jpg\tcow\nim1.jpg\tcow,sheep\nim2.jpg\t\n",
        "im0.jpg|cow\nim1.jpg|cow, sheep\nim2.jpg|\n",
    ],
)
def test_cells_of_several_tags_are_split_and_a_warning_says_so(root, text):
    write(root / "train.csv", text)
    assert tags_of(root) == ONE_HOT
    (problem,) = read_dataset(root, use="tags").problems
    assert problem.kind == "cells of several tags" and "cells such as 'cow" in problem.message


@pytest.mark.parametrize(
    "text",
    [
        "image;tags\nim0.jpg;cow\nim1.jpg;cow;sheep\nim2.jpg;\n",
        "im0.jpg\tcow\nim1.jpg\tcow\tsheep\nim2.jpg\t\n",
        "im0|cow\nim1|cow|sheep\nim2|\n",
        "id,tag1,tag2\nim0,cow,\nim1,cow,sheep\nim2,,\n",
        "filename, cow, sheep\nim0.jpg, 1, 0\nim1.jpg, 1, 1\nim2.jpg, 0, 0\n",
        "image,cow,sheep\nim0.jpg,1.0,0.0\nim1.jpg,1.0,1.0\nim2.jpg,0.0,0.0\n",
        "image;cow;sheep\nim0.jpg;1,0;0,0\nim1.jpg;1,0;1,0\nim2.jpg;0,0;0,0\n",
        "image,cow,sheep\nim0.jpg,TRUE,FALSE\nim1.jpg,TRUE,TRUE\nim2.jpg,FALSE,FALSE\n",
        "image,cow,sheep\nim0.jpg,yes,no\nim1.jpg,yes,yes\nim2.jpg,no,no\n",
        "image,cow,sheep\nim0.jpg,1,-1\nim1.jpg,1,1\nim2.jpg,-1,-1\n",
        "image,cow,sheep\nim0.jpg,x,\nim1.jpg,x,x\nim2.jpg,,\n",
        ",image_path,labels\n0,images/im0.jpg,cow\n1,im1,\"['cow', 'sheep']\"\n2,im2,[]\n",
        "sep=;\r\nimage;cow;sheep\r\nim0;1;0\r\nim1;1;1\r\nim2;0;0\r\n",
        '"image","tags"\n"im0","cow"\n"im1",cow,"sheep"\n"im2",\n',
    ],
)
def test_forms_without_any_problem(root, text):
    write(root / "train.csv", text)
    assert tags_of(root) == ONE_HOT
    assert problems_of(root) == []


@pytest.mark.parametrize("name", ["labels.tsv", "labels.txt", "my_tags.csv", "tables/tags.csv"])
def test_the_only_table_is_of_split_train_whatever_its_name(root, name):
    write(root / name, "im0\tcow\nim1\tcow\tsheep\nim2\t\n")
    assert tags_of(root) == ONE_HOT


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_header_of_another_language_and_encodings_of_excel(root, encoding):
    text = "Bildname;Tags\r\nim0.jpg;Kühe\r\nim1.jpg;Kühe;Schafe\r\nim2.jpg;\r\n"
    write(root / "train.csv", text.encode(encoding))
    assert tags_of(root) == ONE_HOT
    assert problems_of(root) == ["unusual header"]


def test_rows_of_one_tag(root):
    write(root / "train.csv", "image,tag\nim0,cow\nim1,cow\nim1,sheep\nim2,background\n")
    assert tags_of(root) == ONE_HOT
    assert problems_of(root) == ["image listed twice in a split"]


def test_tables_of_roboflow_stand_in_the_folders_of_splits(tmp_path):
    for split, row in (("train", "1, 0"), ("valid", "1, 1")):
        write_image(tmp_path / split / "im0.jpg")
        write(tmp_path / split / "_classes.csv", f"filename, cow, sheep\nim0.jpg, {row}\n")
    assert detect_format(tmp_path) == "csv"
    assert tags_of(tmp_path) == {"im0": COW}
    assert tags_of(tmp_path, "valid") == {"im0": BOTH}


@pytest.mark.parametrize(
    "text",
    [
        "id,split,tags\nim0,train,cow\nim1,val,cow,sheep\n",
        "fname,labels,is_valid\nim0.jpg,cow,False\nim1.jpg,cow sheep,True\nim2.jpg,sheep,True\n",
        "TRAIN,gs://bucket/images/im0.jpg,cow\nVAL,gs://bucket/images/im1.jpg,cow,sheep\n",
    ],
)
def test_a_column_gives_the_split(root, text):
    write(root / "data.csv", text)
    assert tags_of(root) == {"im0": COW}
    assert tags_of(root, "val")["im1"] == BOTH


def test_classes_txt_orders_the_columns(root):
    write(root / "classes.txt", "sheep\ncow\n")
    write(root / "train.csv", "image,cow,sheep,seen\nim0,1,0,1\nim1,1,1,1\nim2,0,0,1\n")
    assert tags_of(root) == {"im0": SHEEP, "im1": BOTH, "im2": NONE}
    assert problems_of(root) == ["column that is not read"]


def test_columns_without_header_follow_classes_txt(root):
    write(root / "classes.txt", "background\ncow\nsheep\n")
    write(root / "train.csv", "im0,1,0\nim1,1,1\nim2,0,0\n")
    assert tags_of(root) == ONE_HOT


def test_unclear_cells_of_a_column_are_unsure(root):
    rows = "im0,1,\nim1,?,1\nim2,0,maybe\n"
    write(root / "train.csv", f"image,cow,sheep\n{rows}im0,1,0\nim1,0,1\nim1,0,1\nim2,0,0\n")
    assert tags_of(root) == {
        "im0": Tags((1,), (2,)),
        "im1": Tags((2,), (1,)),
        "im2": Tags((), (2,)),
    }
    assert "cell that is neither 0 nor 1" in problems_of(root)


def test_rows_that_contradict_each_other_leave_the_class_unsure(root):
    write(root / "train.csv", "image,cow,sheep\nim0,1,0\nim0,0,0\nim1,1,1\n")
    assert tags_of(root) == {"im0": Tags((), (1,)), "im1": BOTH}


def test_other_columns_are_named(root):
    write(root / "train.csv", "Path,Sex,Age,cow,sheep\nim0,F,60,1,0\nim1,M,5,1,1\nim2,M,7,0,0\n")
    assert tags_of(root) == ONE_HOT
    (problem,) = read_dataset(root, use="tags").problems
    assert problem.message == "columns that are not read: Sex, Age"


def test_export_of_label_studio(root):
    choices = '"{""choices"":[""cow"",""sheep""]}"'
    rows = f"1,cow,2024-01-01,/data/upload/im0.jpg,2.3\n2,{choices},2024-01-01,im1.jpg,2.5\n"
    write(root / "project-1.csv", f"annotation_id,choice,created_at,image,lead_time\n{rows}")
    assert tags_of(root) == {"im0": COW, "im1": BOTH}


def test_unknown_tag_leaves_the_other_classes_unsure(root):
    write(root / "classes.txt", "cow\nsheep\n")
    write(root / "train.csv", "image,tags\nim0,cow goat\nim1,cow sheep\nim2,\n")
    assert tags_of(root) == {"im0": Tags((1,), (2,)), "im1": BOTH, "im2": NONE}


def test_table_of_names_alone_tags_nothing(root):
    write(root / "train.csv", "image,tags\nim0,cow\nim1,sheep\n")
    write(root / "test.csv", "image\nim2\n")
    assert tags_of(root, "test") == {"im2": None}
    assert "table without tags" in problems_of(root)


def test_tables_of_something_else_are_named(root):
    write(root / "class_dict.csv", "name,r,g,b\ncow,128,0,0\n")
    write(root / "data.csv", "image,tags\nim0,cow\nim1,cow,sheep\nim2,\n")
    assert tags_of(root) == ONE_HOT
    assert problems_of(root) == ["table without images"]


def test_tables_of_measures_beside_one_of_tags_are_named(root):
    write(root / "sizes.csv", "image,width,height\nim0,40,30\nim1,40,30\n")
    write(root / "train.csv", "image,tags\nim0,cow\nim1,cow,sheep\nim2,\n")
    assert tags_of(root) == ONE_HOT
    (problem,) = read_dataset(root, use="tags").problems
    assert problem.kind == "table without tags" and "numbers alone in column" in problem.message


def test_masks_of_other_names_or_suffixes(root):
    write(root / "train.csv", "im0,cow\nim1,cow,sheep\nim2,\n")
    for name in ("im0_mask.png", "im1.jpg", "other.png"):
        write_image(root / "masks" / name)
    dataset = read_dataset(root, use="masks")
    assert [len(sample.annotations) for sample in dataset.samples] == [1, 0, 0]
    (problem,) = dataset.problems
    message = "2 files such as im1.jpg, other.png are no <id>.png of an image; not read"
    assert problem.message == message


@pytest.mark.parametrize(
    ("cells", "names", "cell", "tags"),
    [
        (["polar bear", "brown bear", "cow"], [], "polar bear", ["polar bear"]),
        (["polar bear, cow", "polar bear"], [], "polar bear, cow", ["polar bear", "cow"]),
        (["polar bear cow"], ["cow", "polar bear"], "polar bear cow", ["polar bear", "cow"]),
        (["cow", "Polar Bear"], ["cow", "polar bear"], "Polar Bear", ["Polar Bear"]),
        (["a b", "a c", "b c", "a b c"], [], "a c", ["a", "c"]),
        (["cow sheep", "sheep cow"], [], "cow sheep", ["cow", "sheep"]),
        (["cow", "?sheep cow"], [], "? sheep cow", ["?sheep", "cow"]),
        (["tench, Tinca"], ["tench, Tinca"], "tench, Tinca", ["tench, Tinca"]),
        (["[cow"], [], "[cow", ["[cow"]),
    ],
)
def test_what_a_cell_is_split_into(cells, names, cell, tags):
    assert TagSplitter(cells, names).tags(cell) == tags
