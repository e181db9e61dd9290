import csv
import os

import numpy as np
import pytest
from helpers.builders import tags_of, write, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsseg.data.annotation import MaskFile, Tags
from wsseg.data.formats import csv_tags, paths
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.truth import read_truth
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map

SIZE = (30, 40)


@pytest.fixture
def root(tmp_path):
    """Two images, "a" and "b", in the split "train"; the classes are cow and sheep."""
    root = tmp_path / "set"
    write_image(root / "images/a.jpg")
    write_image(root / "images/b.png")
    write(root / "train.csv", "a.jpg,sheep,cow\nb.png,cow\n")
    return root


def kinds(dataset):
    return [(problem.kind, problem.fatal) for problem in dataset.problems]


def test_rows_are_tags(root):
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert tags_of(dataset) == {"a": Tags((1, 2)), "b": Tags((1,))}
    assert [(s.image.name, s.size, s.split) for s in dataset.samples] == [
        ("a.jpg", SIZE, "train"),
        ("b.png", SIZE, "train"),
    ]
    assert dataset.problems == ()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a.jpg", Tags(())),
        ("a.jpg,,  ,", Tags(())),
        ("a.jpg,background", Tags(())),
        ("a.jpg, __Background__ ,cow", Tags((1,))),
        (" a.jpg , sheep ,, cow,sheep", Tags((1, 2))),
        ('"a.jpg","sheep"', Tags((2,))),
        ("a.jpg,?cow,sheep", Tags((2,), (1,))),
        ("a.jpg,? cow", Tags((), (1,))),
        ("./a.jpg,cow", Tags((1,))),
        ("\ufeffa.jpg,cow", Tags((1,))),
    ],
)
def test_forms_of_a_row(root, row, expected):
    write(root / "train.csv", f"{row}\n\n,,\nb.png,cow,sheep\r\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert tags_of(dataset) == {"a": expected, "b": Tags((1, 2))}
    assert dataset.problems == ()


@pytest.mark.parametrize("header", ["image", "Image,tags", " IMAGE ,tag,tag"])
def test_header_is_no_image(root, header):
    write(root / "train.csv", f"{header}\na.jpg,cow\nb.png\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((1,)), "b": Tags(())}
    assert dataset.problems == ()


def test_image_of_the_name_image_is_found_below_the_first_row(root):
    write_image(root / "images/image.jpg")
    write(root / "train.csv", "a,cow\nimage,cow\n")
    assert list(tags_of(read_dataset(root, "csv", ["train"], "tags"))) == ["a", "image"]


@pytest.mark.parametrize(
    ("path", "name", "id"),
    [
        ("images/train/c.jpg", "c.jpg", "c"),
        ("images/c.JPG", "c.JPG", "c"),
        ("train/c.jpg", "c", "c"),
        ("c.jpg", "c", "c"),
        ("images/train/deep/c.v1.jpg", "deep/c.v1", "deep/c.v1"),
        ("images/train/c.v1.jpg", "c.v1.jpg", "c.v1"),
        ("elsewhere/c.jpg", "elsewhere/c.jpg", "elsewhere/c"),
        ("images/train/c.jpg", "images/train/c", "c"),
        ("images/c.jpg", "C:\\old\\images\\c.jpg", "c"),
        ("images/c.jpg", "/mnt/old/c.jpg", "c"),
    ],
)
def test_images_are_found_with_and_without_suffix(root, path, name, id):
    write_image(root / path)
    write(root / "train.csv", f"{name},cow\n")
    (sample,) = read_dataset(root, "csv", ["train"], "tags").samples
    assert (sample.id, sample.image) == (id, root / path)


def test_name_without_suffix_that_two_files_fit_is_refused(root):
    write_image(root / "images/a.png")
    write(root / "train.csv", "a,cow\na.jpg,sheep\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((2,))}
    (problem,) = dataset.problems
    assert (problem.subject, problem.fatal) == ("train.csv:1", True)
    assert "may be images/a.jpg and images/a.png; write its folder and suffix" in problem.message


@pytest.mark.parametrize(
    "name",
    [
        *("c.jpg", "../outside.jpg", "/etc/passwd", "images\\c.jpg", "a\\tb.jpg", "b" * 5000),
        *("pictures", "train.csv", "images/../../outside.jpg", "a.jpg;cow", "."),
    ],
)
def test_names_of_no_image_are_left_out(root, name):
    write_image(root.parent / "outside.jpg")
    write(root / "train.csv", f"{name},sheep\nb.png,sheep\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert list(tags_of(dataset)) == ["b"]
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("train.csv:1", True)]


@pytest.mark.parametrize("path", ["images/a.jpg", "masks/a.png"])
def test_links_out_of_the_data_set_are_not_followed(root, tmp_path, path):
    write_label_map(root / "masks" / "a.png", np.zeros(SIZE, np.uint8))
    (root / path).rename(tmp_path / "outside")
    (root / path).symlink_to(tmp_path / "outside")
    dataset = read_dataset(root, "csv", ["train"], "masks")
    assert [sample.id for sample in dataset.samples] == ["b"]
    assert [p.subject for p in dataset.problems if p.fatal] == ["train.csv:1"]


@pytest.mark.parametrize("path", ["train.csv", "val.csv", "classes.txt"])
def test_linked_lists_that_lead_out_are_refused(root, tmp_path, path):
    write(tmp_path / "outside", "secret,secret\n")
    (root / path).unlink(missing_ok=True)
    (root / path).symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="inside the data set") as raised:
        read_dataset(root, "csv", ["train"], "tags")
    assert "secret" not in str(raised.value)


def test_rows_of_one_image_are_joined(root):
    write(root / "train.csv", "a.jpg,cow\nb.png\na.jpg,sheep\na,sheep\nimages/a.jpg,sheep\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((1, 2)), "b": Tags(())}
    assert kinds(dataset) == [("image listed twice in a split", False)]
    message = "1 images stand in several rows, such as 'a' in train.csv:1, train.csv:3, train.csv:4"
    assert dataset.problems[0].message == f"{message} and 1 more; their tags are joined"


def test_tag_with_and_without_question_mark_is_unsure(root):
    write(root / "train.csv", "a.jpg,cow,?cow,sheep\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((2,), (1,))}
    assert kinds(dataset) == [("tag both sure and unsure", False)]


def test_classes_are_those_of_all_files(root):
    write(root / "val.csv", "a.jpg,?ant,zebra\n")
    train, val = (read_dataset(root, "csv", [split], "tags") for split in ("train", "val"))
    assert train.classes == val.classes
    assert train.classes.names == ("background", "ant", "cow", "sheep", "zebra")
    assert tags_of(val) == {"a": Tags((4,), (1,))}
    dataset = read_dataset(root, "csv", use="tags")
    assert tuple(dict.fromkeys(sample.split for sample in dataset.samples)) == ("train", "val")


def test_classes_txt_orders_and_limits_the_classes(root):
    write(root / "classes.txt", "\ufeffbackground\n\n sheep \r\ncow\n")
    write(root / "train.csv", "a.jpg,sheep\nb.png,shep,cow,?Cow\n")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert dataset.classes.names == ("background", "sheep", "cow")
    assert tags_of(dataset) == {"a": Tags((1,)), "b": Tags((2,), (1,))}
    assert kinds(dataset) == [
        ("tag of an unknown class", False),
        ("class name in another case", False),
    ]
    assert dataset.problems[0].subject == "train.csv:2"
    assert "'shep'" in dataset.problems[0].message


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"cow\xe4", "UTF-8"),
        ("cow\nbackground\n", "begun by background"),
        ("background\n", "1 to 254 names"),
        ("cow\ncow\n", "distinct"),
        ("co\x07w\n", "printable name"),
        ("\n".join(map(str, range(300))), "300 names|301 names"),
    ],
)
def test_damaged_classes_are_refused(root, content, rule):
    write(root / "classes.txt", content)
    with pytest.raises(InputError, match=rule):
        read_dataset(root, "csv", ["train"], "tags")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"a.jpg,k\xfche\n", "UTF-8"),
        ("a.jpg,cow\n".encode("utf-16-le"), "NUL byte, as in UTF-16"),
        ('a.jpg,"cow\nb.png,cow\n', "unexpected end of data in line 2"),
        ('a.jpg,"cow"x\n', "readable CSV"),
        ("a.jpg," + "x" * (csv.field_size_limit() + 1), "field larger than field limit"),
        ("", "1 to 254 names"),
        ("a.jpg\nb.png,background\n", "1 to 254 names"),
        ("a.jpg,co\x07w\n", "printable name"),
        ("a.jpg,1,0\nb.png,0,1\n", "names, got columns of 0 and 1 without header"),
        ("image,label\na.jpg,1\nb.png,0\n", "names, got numbers alone in column 'label'"),
        ("image,cow\na.jpg,0.7\nb.png,0.2\n", "names, got numbers alone in column 'cow'"),
        ("a.jpg,1 30 5 2\nb.png,7 9\n", "names, got numbers such as '1 30 5 2' alone"),
        ("image,cow,sheep\na.jpg,1,0\nb.png,1,-1\n", "1, 0 and [?], got 0 in 1 cells and -1 in 1"),
        (
            "image,mask\na.jpg,a_mask.png\nb.png,b_mask.png\n",
            "names of images such as 'a_mask.png'",
        ),
        ("a.jpg," + ",".join(f"c{n}" for n in range(255)), "256 names"),
    ],
)
def test_damaged_csv_is_refused(root, content, rule):
    write(root / "train.csv", content)
    with pytest.raises(InputError, match=rule) as raised:
        read_dataset(root, "csv", ["train"], "tags")
    assert len(str(raised.value)) < 500


def test_numbers_are_class_names_where_classes_txt_says_so(root):
    write(root / "classes.txt", "0\n1\n")
    write(root / "train.csv", "a.jpg,1\nb.png,0\n")
    assert tags_of(read_dataset(root, "csv", ["train"], "tags")) == {
        "a": Tags((2,)),
        "b": Tags((1,)),
    }


def test_empty_list_beside_a_full_one_is_noted(root):
    write(root / "val.csv", "image,tag\n")
    dataset = read_dataset(root, use="tags")
    assert len(dataset.samples) == 2
    assert kinds(dataset) == [("CSV without images", False)]


def test_damaged_image_is_left_out(root):
    write(root / "images/a.jpg", b"no image")
    dataset = read_dataset(root, "csv", ["train"], "tags")
    assert list(tags_of(dataset)) == ["b"]
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("train.csv:1", True)]


def test_problems_of_cells_are_bounded(root):
    write(root / "classes.txt", "cow\nsheep\n")
    write(root / "train.csv", "image,cow\n" + "a.jpg,1\n" * 900 + "a.jpg,maybe\n" * 200)
    problems = read_dataset(root, "csv", ["train"], "tags").problems
    of_cells = [p for p in problems if p.kind == "cell that is neither 0 nor 1"]
    assert len(of_cells) == 101
    assert of_cells[-1].message == "100 like these, not listed"


@pytest.mark.parametrize("split", ["val", "../train", "", "train.csv"])
def test_unknown_split_names_the_known_ones(root, split):
    with pytest.raises(InputError, match="known: train"):
        read_dataset(root, "csv", [split], "tags")


def test_boxes_are_refused(root):
    with pytest.raises(InputError, match=r"A csv data set has no boxes; set data\.weak=tags"):
        read_weak(DataParams(root=root, weak="boxes", val=None))
    assert tags_of(read_weak(DataParams(root=root, weak="tags", val=None)))["b"] == Tags((1,))


def test_masks_are_the_truth_where_there_are_any(root):
    write_label_map(root / "masks" / "a.png", np.full(SIZE, 2, np.uint8))
    dataset = read_dataset(root, "csv", ["train"], "masks")
    assert [sample.annotations for sample in dataset.samples] == [
        (MaskFile(root / "masks" / "a.png"),),
        (),
    ]
    truth = read_truth(root)
    first, second = truth.samples("train")
    assert (truth.label_map(first) == 2).all() and (truth.label_map(second) == IGNORE).all()


def test_format_is_found_where_no_other_fits(root):
    assert detect_format(root) == "csv"
    write(root / "data.yaml", "names: [cow]")
    assert detect_format(root) == "yolo"


def test_each_header_is_read_once(root, monkeypatch):
    read, original = [], csv_tags.image_size
    monkeypatch.setattr(csv_tags, "image_size", lambda path: read.append(path) or original(path))
    write(root / "train.csv", "a.jpg,cow\na,cow\nb,cow\n")
    read_dataset(root, "csv", ["train"], "tags")
    assert read == [root / "images" / "a.jpg", root / "images" / "b.png"]


def test_folders_are_listed_once_and_only_for_names_without_suffix(root, monkeypatch):
    listed, original = [], paths.files_by_id
    monkeypatch.setattr(
        paths, "files_by_id", lambda folder, s: listed.append(folder) or original(folder, s)
    )
    read_dataset(root, "csv", ["train"], "tags")
    assert listed == []
    write(root / "train.csv", "a,cow\nb,cow\nc,cow\n")
    read_dataset(root, "csv", ["train"], "tags")
    assert listed == [root]


def test_reading_leaves_the_folder_as_it_was(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    limit = csv.field_size_limit()
    read_dataset(root, use="tags")
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert csv.field_size_limit() == limit


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_give_problems_or_input_errors(root, data):
    path = root / data.draw(st.sampled_from(["train.csv", "classes.txt"]))
    content = path.read_bytes() if path.exists() else b"cow\nsheep\n"
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    put = data.draw(st.binary(max_size=6) | st.sampled_from([b"?", b"../", b'"', b",", b"\n"]))
    path.write_bytes(content[:start] + put + content[stop:])
    try:
        dataset = read_dataset(root, "csv", ["train"], "tags")
    except InputError as error:
        assert str(root) in str(error) or "class" in str(error)
    else:
        assert dataset.samples or dataset.problems
        for sample in dataset.samples:
            labels = {*sample.tags.present, *sample.tags.unsure}
            assert labels <= {*range(1, len(dataset.classes))}
            assert os.path.realpath(sample.image).startswith(os.path.realpath(root))
    finally:
        path.write_bytes(content)
        if path.name == "classes.txt":
            path.unlink()
