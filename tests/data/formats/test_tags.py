"""Tags of the formats that have boxes too, and tags made from boxes."""

import json
from pathlib import Path

import pytest
from helpers.builders import tags_of, write, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsseg.data.annotation import Box, Boxes, MaskFile, Tags
from wsseg.data.formats.table import read_dataset
from wsseg.data.formats.voc_lists import ImageSets
from wsseg.data.load import read_weak, tags_from_boxes
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.params import DataParams
from wsseg.errors import InputError

BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def class_file(root, name, content, split="train"):
    write(root / f"ImageSets/Main/{name}_{split}.txt", content)


@pytest.fixture
def voc(tmp_path):
    """Three images in the split "train", two classes, class files and no XML."""
    root = tmp_path / "voc"
    write(root / "ImageSets/Main/train.txt", "a\nb\nc\n")
    write(root / "labelmap.txt", "background:::\ncow:::\nsheep:::\n")
    class_file(root, "cow", "a  1\nb -1\nc  0\n")
    class_file(root, "sheep", "a  1\nb -1\nc -1\n")
    for id in "abc":
        write_image(root / f"JPEGImages/{id}.jpg")
    return root


def notes(dataset):
    assert not any(problem.fatal for problem in dataset.problems)
    return {problem.kind: problem.message for problem in dataset.problems}


def tagged_splits(root):
    return ImageSets(root).tagged_splits(read_dataset(root, "voc").classes)


def test_voc_class_files_say_present_absent_or_difficult(voc):
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((1, 2)), "b": Tags(()), "c": Tags((), (1,))}
    assert dataset.problems == ()
    assert {sample.size for sample in dataset.samples} == {(30, 40)}


def test_voc_image_in_no_class_file_is_not_annotated(voc):
    class_file(voc, "cow", "a  1\nb -1\n")
    class_file(voc, "sheep", "a  1\nb -1\n")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset)["c"] is None
    assert dataset.samples[2].annotations == ()
    assert notes(dataset)["image without tags"].startswith("c in no class file")


def test_voc_image_that_one_file_leaves_out_is_unsure_there(voc):
    class_file(voc, "sheep", "b  1\n")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((1,), (2,)), "b": Tags((2,)), "c": Tags((), (1, 2))}
    message = notes(dataset)["image that a class file does not list"]
    assert message.startswith("a, c not listed; unsure there")


def test_voc_class_without_a_file_is_unsure_everywhere(voc):
    (voc / "ImageSets/Main/sheep_train.txt").unlink()
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((1,), (2,)), "b": Tags((), (2,)), "c": Tags((), (1, 2))}
    assert "sheep" in notes(dataset)["class without a class file"]


def test_voc_split_without_any_class_file_is_refused(voc):
    for name in ("cow", "sheep"):
        (voc / f"ImageSets/Main/{name}_train.txt").unlink()
    with pytest.raises(InputError, match=r"add them, or set data\.weak=boxes_as_tags"):
        read_dataset(voc, "voc", ["train"], "tags")
    assert tagged_splits(voc) == ()
    class_file(voc, "goat", "a 1\n")
    with pytest.raises(InputError, match="no such file of a known class"):
        read_dataset(voc, "voc", ["train"], "tags")
    assert tagged_splits(voc) == ()


def test_voc_split_of_masks_only_beside_one_with_tags_is_not_tagged(voc):
    (voc / "ImageSets/Main/val.txt").write_text("b\n")
    dataset = read_dataset(voc, "voc", ["train", "val"], "tags")
    assert [sample.tags is None for sample in dataset.samples] == [False, False, False, True]
    assert "val: no file" in notes(dataset)["split without tags"]


@pytest.mark.parametrize(
    "line", ["a", "1", "a 2", "a one", "a 1.0", "a --1", "\x00", "1 a", "a\u00b9"]
)
def test_voc_lines_of_another_form_are_left_out(voc, line):
    class_file(voc, "cow", f"{line}\n\n a  1 \nb -1\r\nc -1")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset)["a"] == Tags((1, 2))
    (problem,) = dataset.problems
    assert problem.kind == "malformed line of a class file"
    assert problem.subject == "ImageSets/Main/cow_train.txt:1"


def test_voc_contradicting_lines_are_noted_and_the_first_counts(voc):
    class_file(voc, "cow", "a 1\na 1\na -1\nb -1\nc -1\n")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset)["a"] == Tags((1, 2))
    assert [p.subject for p in dataset.problems] == ["ImageSets/Main/cow_train.txt:3"]
    assert "class file contradicts itself" in notes(dataset)


def test_voc_ids_outside_the_split_are_counted_not_listed(voc):
    others = "".join(f"x{n} 1\n" for n in range(5000))
    for name in ("cow", "sheep"):
        class_file(voc, name, f"a 1\nb -1\nc -1\n{others}")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert [sample.id for sample in dataset.samples] == ["a", "b", "c"]
    assert "and 4997 more not in the list" in notes(dataset)["tagged image outside its split"]


def test_voc_problems_of_lines_are_bounded(voc):
    class_file(voc, "cow", "a 1\nb -1\nc -1\n" + "junk\n" * 5000)
    problems = read_dataset(voc, "voc", ["train"], "tags").problems
    assert len(problems) == 101
    assert problems[-1].message == "4900 like these, not listed"
    assert {problem.kind for problem in problems} == {"malformed line of a class file"}


def test_voc_ids_with_blanks_are_found(voc):
    write_image(voc / "JPEGImages/my photo.jpg")
    write(voc / "ImageSets/Segmentation/train.txt", "my photo\n")
    class_file(voc, "cow", "my photo  1\n")
    class_file(voc, "sheep", "my photo -1\n")
    assert tags_of(read_dataset(voc, "voc", ["train"], "tags")) == {"my photo": Tags((1,))}


def test_voc_names_and_splits_with_underscores(voc):
    names = ("traffic_light", "light", "hard_hat", "hat")
    write(voc / "labelmap.txt", "".join(f"{name}:::\n" for name in names))
    for split in ("val", "hard_val", "val_2"):
        write(voc / f"ImageSets/Main/{split}.txt", "a\nb\nc\n")
        for label, name in enumerate(names):
            lines = "".join(f"{id} {1 if label == n else -1}\n" for n, id in enumerate("abc"))
            class_file(voc, name, lines, split)
    assert ImageSets(voc).splits == ("hard_val", "train", "val", "val_2")
    for split in ("val", "hard_val", "val_2"):
        dataset = read_dataset(voc, "voc", [split], "tags")
        assert tags_of(dataset) == {"a": Tags((1,)), "b": Tags((2,)), "c": Tags((3,))}
        assert dataset.problems == ()


def test_voc_classes_of_class_files_where_nothing_else_names_them(voc):
    (voc / "labelmap.txt").unlink()
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert dataset.classes == read_dataset(voc, "voc", ["train"]).classes
    assert tags_of(dataset)["a"].present == (1, 2)
    class_file(voc, "ant", "a -1\nb -1\nc 1\n")
    class_file(voc, "background", "a 1\nb 1\nc 1\n")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert dataset.classes.names == ("background", "ant", "cow", "sheep")
    assert tags_of(dataset) == {"a": Tags((2, 3)), "b": Tags(()), "c": Tags((1,), (2,))}
    assert dataset.problems == ()


def test_voc_file_of_an_unknown_class_is_noted(voc):
    class_file(voc, "shep", "a 1\n")
    dataset = read_dataset(voc, "voc", ["train"], "tags")
    assert tags_of(dataset)["a"] == Tags((1, 2))
    assert "shep" in notes(dataset)["class file of an unknown class"]


def test_voc_empty_class_files_are_no_splits(voc):
    write(voc / "ImageSets/Main/val.txt", "")
    class_file(voc, "cow", "", "val")
    assert ImageSets(voc).splits == ("train", "val")
    assert tagged_splits(voc) == ("train", "val")
    assert len(read_dataset(voc, use="tags").samples) == 3


def test_voc_class_file_that_leads_out_or_is_no_text_is_refused(voc, tmp_path):
    path = voc / "ImageSets/Main/cow_train.txt"
    path.rename(tmp_path / "outside.txt")
    path.symlink_to(tmp_path / "outside.txt")
    with pytest.raises(InputError, match="inside the data set"):
        read_dataset(voc, "voc", ["train"], "tags")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere.txt")
    assert "cow" in notes(read_dataset(voc, "voc", ["train"], "tags"))["class without a class file"]
    path.unlink()
    path.write_bytes(b"a 1\n\xff\xfe")
    with pytest.raises(InputError, match=r"cow_train\.txt must be UTF-8"):
        read_dataset(voc, "voc", ["train"], "tags")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_class_files_give_problems_or_input_errors(voc, data):
    path = voc / "ImageSets/Main/cow_train.txt"
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    put = data.draw(st.binary(max_size=6) | st.sampled_from([b"-1", b" 0", b"../", b"\n", b"\r"]))
    path.write_bytes(content[:start] + put + content[stop:])
    try:
        dataset = read_dataset(voc, "voc", ["train"], "tags")
    except InputError as error:
        assert "cow_train.txt" in str(error)
    else:
        assert [sample.id for sample in dataset.samples] == ["a", "b", "c"]
        for sample in dataset.samples:
            assert {*sample.tags.present, *sample.tags.unsure} <= {1, 2}
            assert list(sample.tags.present) == sorted({*sample.tags.present})
    finally:
        path.write_bytes(content)


def coco(root, *annotations, **more):
    content = {
        "images": [
            {"id": n, "file_name": f"{id}.jpg", "height": 30, "width": 40}
            for n, id in enumerate("ab")
        ],
        "annotations": list(annotations),
        "categories": [{"id": 9, "name": "sheep"}, {"id": 7, "name": "cow"}],
        **more,
    }
    for id in "ab":
        write_image(root / f"images/train/{id}.jpg")
    write(root / "annotations/instances_train.json", json.dumps(content))
    return read_dataset(root, "coco", ["train"], "tags")


def test_coco_categories_are_tags_whatever_the_geometry(tmp_path):
    dataset = coco(
        tmp_path,
        {"image_id": 0, "category_id": 9, "bbox": [1, 1, 4, 4]},
        {"image_id": 0, "category_id": 7, "bbox": [900, 1, -4, 4]},
        {"image_id": 0, "category_id": 9, "iscrowd": 1, "segmentation": {"size": [1, 1]}},
        {"image_id": 0, "category_id": 5, "bbox": [1, 1, 4, 4]},
    )
    assert tags_of(dataset) == {"a": Tags((1, 2)), "b": Tags(())}
    assert [problem.kind for problem in dataset.problems] == ["object of an unknown class"]


def test_coco_crowd_alone_is_present_and_no_list_says_nothing(tmp_path):
    crowd = {"image_id": 0, "category_id": 7, "iscrowd": 1}
    assert tags_of(coco(tmp_path, crowd)) == {"a": Tags((1,)), "b": Tags(())}
    assert tags_of(coco(tmp_path, annotations=None)) == {"a": None, "b": None}


def test_yolo_class_numbers_are_tags_whatever_the_geometry(tmp_path):
    for id in "ab":
        write_image(tmp_path / f"images/train/{id}.jpg")
    write(tmp_path / "data.yaml", "train: images/train\nnames: [cow, sheep]\n")
    write(
        tmp_path / "labels/train/a.txt", "1 0.5 0.5 nan -3\n1 9\n0\n\ncow 0.5 0.5 1 1\n7 0 0 1 1\n"
    )
    dataset = read_dataset(tmp_path, "yolo", ["train"], "tags")
    assert tags_of(dataset) == {"a": Tags((1, 2)), "b": Tags(())}
    kinds = [problem.kind for problem in dataset.problems]
    assert kinds == ["object of an unknown class"]


def test_tags_from_boxes():
    cows = Boxes((Box(2, 0, 0, 1, 1), Box(1, 0, 0, 2, 2), Box(2, 3, 3, 4, 4, crowd=True)))
    mask = MaskFile(Path("b.png"))
    given_ = {"a": (cows,), "b": (mask, Boxes(())), "c": (), "d": (mask,)}
    samples = [Sample(id, Path(f"{id}.jpg"), (9, 9), of, "train") for id, of in given_.items()]
    boxed = Dataset(Classes(("background", "cow", "sheep")), tuple(samples))
    tagged = tags_from_boxes(boxed)
    assert [sample.annotations for sample in tagged.samples] == [
        (Tags((1, 2)),),
        (mask, Tags(())),
        (),
        (mask,),
    ]
    assert boxed.samples == tuple(samples) and samples[0].annotations == (cows,)


def test_weak_labels_are_what_the_settings_name(voc):
    write(voc / "ImageSets/Main/val.txt", "b\n")
    write(
        voc / "Annotations/a.xml",
        f"<annotation><object><name>cow</name>{BOX}</object></annotation>",
    )
    read = {
        weak: read_weak(DataParams(root=voc, weak=weak, val=None))
        for weak in ("boxes", "tags", "boxes_as_tags")
    }
    annotations = {weak: dataset.samples[0].annotations for weak, dataset in read.items()}
    assert annotations == {
        "boxes": (Boxes((Box(1, 0, 0, 9, 9),)),),
        "tags": (Tags((1, 2)),),
        "boxes_as_tags": (Tags((1,)),),
    }
    splits = {sample.split for sample in read_weak(DataParams(root=voc)).samples}
    assert splits == {"train", "val"}


@pytest.mark.parametrize("name", ["msrc15", "magnetic_tile"])
def test_real_tags_are_the_classes_of_the_boxes(shared_data, name):
    tags, boxes = (
        read_weak(DataParams(root=shared_data / name, weak=weak))
        for weak in ("tags", "boxes_as_tags")
    )
    assert tags.classes == boxes.classes and tags.problems == ()
    assert len(tags.samples) > 300 and tags.samples == boxes.samples
    assert any(sample.tags.present for sample in tags.samples)
