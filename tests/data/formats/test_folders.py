import numpy as np
import pytest
from helpers.builders import tags_of
from PIL import Image

from wsseg.data.annotation import MaskFile, Tags
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.truth import read_truth
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map

SIZE = (30, 40)


def write_images(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(root / path)
    return root


@pytest.fixture
def root(tmp_path):
    """A cow and a sheep in "train", a cow in "val"."""
    return write_images(tmp_path / "set", "train/cow/a.jpg", "train/sheep/b.png", "val/cow/c.jpg")


def kinds(dataset):
    return [(problem.kind, problem.fatal) for problem in dataset.problems]


def test_the_folder_is_the_tag(root):
    dataset = read_dataset(root, use="tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert tags_of(dataset) == {"cow/a": Tags((1,)), "sheep/b": Tags((2,)), "cow/c": Tags((1,))}
    assert [(s.image.relative_to(root).as_posix(), s.size, s.split) for s in dataset.samples] == [
        ("train/cow/a.jpg", SIZE, "train"),
        ("train/sheep/b.png", SIZE, "train"),
        ("val/cow/c.jpg", SIZE, "val"),
    ]
    assert dataset.problems == ()


def splits_of(dataset):
    return tuple(dict.fromkeys(sample.split for sample in dataset.samples))


def test_classes_are_those_of_all_splits(root):
    write_images(root, "val/ant/d.jpg")
    train, val = (read_dataset(root, "folders", [split], "tags") for split in ("train", "val"))
    assert train.classes == val.classes
    assert tags_of(val) == {"ant/d": Tags((1,)), "cow/c": Tags((2,))}


def test_folders_of_classes_alone_are_one_split(tmp_path):
    write_images(tmp_path, "cow/a.jpg", "cow/barn/2020/a.jpg", "sheep/b.jpg", "train/c.jpg")
    dataset = read_dataset(tmp_path, use="tags")
    assert splits_of(dataset) == ("train",)
    assert dataset.classes.names == ("background", "cow", "sheep", "train")
    assert tags_of(dataset) == {
        "cow/a": Tags((1,)),
        "cow/barn/2020/a": Tags((1,)),
        "sheep/b": Tags((2,)),
        "train/c": Tags((3,)),
    }


def test_splits_may_have_any_name(tmp_path):
    write_images(tmp_path, "monday/cow/a.jpg", "tuesday/cow/deep/b.jpg", "tuesday/ant/c.jpg")
    assert splits_of(read_dataset(tmp_path, "folders", use="tags")) == ("monday", "tuesday")
    assert tags_of(read_dataset(tmp_path, "folders", ["tuesday"], "tags")) == {
        "ant/c": Tags((1,)),
        "cow/deep/b": Tags((2,)),
    }


@pytest.mark.parametrize("name", ["background", "__background__", "Background"])
def test_background_folder_shows_no_object(root, name):
    write_images(root, f"train/{name}/d.jpg")
    dataset = read_dataset(root, "folders", ["train"], "tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert tags_of(dataset)[f"{name}/d"] == Tags(())


def test_image_in_no_class_folder_is_left_out(root):
    write_images(root, "train/d.jpg", "train/e.jpg")
    dataset = read_dataset(root, "folders", ["train"], "tags")
    assert list(tags_of(dataset)) == ["cow/a", "sheep/b"]
    assert kinds(dataset) == [("image in no class folder", True)]
    assert "train/d.jpg and 1 more" in dataset.problems[0].message


def test_one_name_in_two_classes_is_two_images_and_two_suffixes_are_a_problem(root):
    write_images(root, "train/sheep/a.jpg", "train/cow/a.png")
    dataset = read_dataset(root, "folders", ["train"], "tags")
    assert list(tags_of(dataset)) == ["cow/a", "sheep/a", "sheep/b"]
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("train/cow/a.png", True)]


def test_hidden_folders_and_other_files_play_no_part(root):
    write_images(root, "train/.cache/d.jpg", ".thumbnails/cow/e.jpg")
    (root / "train" / "cow" / "notes.txt").write_text("a note")
    dataset = read_dataset(root, use="tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert len(dataset.samples) == 3 and dataset.problems == ()


def test_damaged_image_is_left_out(root):
    (root / "train" / "cow" / "a.jpg").write_bytes(b"no image")
    dataset = read_dataset(root, "folders", ["train"], "tags")
    assert list(tags_of(dataset)) == ["sheep/b"]
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("train/cow/a.jpg", True)]


def test_linked_image_that_leads_out_is_left_out(root, tmp_path):
    path = root / "train" / "cow" / "a.jpg"
    path.rename(tmp_path / "outside.jpg")
    path.symlink_to(tmp_path / "outside.jpg")
    dataset = read_dataset(root, "folders", ["train"], "tags")
    assert list(tags_of(dataset)) == ["sheep/b"]
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("train/cow/a.jpg", True)]


@pytest.mark.parametrize("path", ["test", "train/ant"])
def test_linked_folders_are_named_and_not_followed(root, tmp_path, path):
    write_images(tmp_path, "outside/ant/a.jpg")
    (root / path).symlink_to(tmp_path / "outside")
    dataset = read_dataset(root, "folders", ["train"], "tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert len(dataset.samples) == 2
    assert kinds(dataset) == [("linked folder", False)]
    assert dataset.problems[0].subject == path


@pytest.mark.parametrize("split", ["test", "../set/train", "", "train/cow"])
def test_unknown_split_names_the_known_ones(root, split):
    with pytest.raises(InputError, match="known: train, val"):
        read_dataset(root, "folders", [split], "tags")


def test_folder_names_that_are_no_class_are_refused(root):
    write_images(root, "train/co\x07w/d.jpg")
    with pytest.raises(InputError, match="printable name"):
        read_dataset(root, "folders", ["train"], "tags")


def test_splits_without_class_folders_are_refused(tmp_path):
    write_images(tmp_path, "train/a.jpg", "val/b.jpg")
    with pytest.raises(InputError, match="<split>/<class>, got images directly in train, val"):
        read_dataset(tmp_path, "folders", use="tags")


def test_only_background_is_refused(tmp_path):
    write_images(tmp_path, "train/background/a.jpg")
    with pytest.raises(InputError, match="1 to 254 names"):
        read_dataset(tmp_path, "folders", ["train"], "tags")


def test_boxes_are_refused(root):
    with pytest.raises(InputError, match=r"class folders has no boxes; set data\.weak=tags"):
        read_weak(DataParams(root=root, weak="boxes"))
    assert len(read_weak(DataParams(root=root, weak="tags")).samples) == 3


def test_masks_lie_beside_the_splits(root):
    path = root / "masks" / "train" / "cow" / "a.png"
    write_label_map(path, np.full(SIZE, 1, np.uint8))
    dataset = read_dataset(root, "folders", ["train"], "masks")
    assert [s.annotations for s in dataset.samples] == [(MaskFile(path),), ()]
    assert (
        splits_of(read_dataset(root, "folders", use="tags")) == ("train", "val")
        and dataset.problems == ()
    )
    truth = read_truth(root, splits=["train"])
    assert (truth.label_map(truth.samples("train")[0]) == 1).all()


def test_masks_of_class_folders_alone(tmp_path):
    write_images(tmp_path, "cow/a.jpg", "sheep/b.jpg")
    write_label_map(tmp_path / "masks/sheep/b.png", np.full(SIZE, 2, np.uint8))
    first, second = read_dataset(tmp_path, use="masks").samples
    assert first.annotations == ()
    assert second.annotations == (MaskFile(tmp_path / "masks/sheep/b.png"),)


def test_class_called_masks_is_not_lost_in_silence(tmp_path):
    write_images(tmp_path, "hats/a.jpg", "gloves/b.jpg", "masks/c.jpg", "masks/gloves/b.jpg")
    dataset = read_dataset(tmp_path, use="tags")
    assert dataset.classes.names == ("background", "gloves", "hats")
    assert kinds(dataset) == [("mask without image", False)]
    message = "2 files such as b.jpg, c.jpg are no <id>.png of an image; not read"
    assert dataset.problems[0].message == message


@pytest.mark.parametrize(
    ("paths", "format"),
    [
        (("cow/a.jpg", "sheep/b.jpg"), "folders"),
        (("train/cow/a.jpg", "train/sheep/b.JPG"), "folders"),
        (("cow/a.jpg", "background/b.jpg"), "folders"),
        (("cow/a.jpg", "sheep/b.jpg", "train.csv"), "csv"),
        (("cow/a.jpg",), None),
        (("train/a.jpg", "val/b.jpg"), None),
        (("images/train/a.jpg", "images/val/b.jpg"), None),
        (("JPEGImages/a.jpg", "SegmentationClass/a.png"), None),
        (("a.jpg", "b.jpg"), None),
        ((".cache/a.jpg", ".git/b.jpg"), None),
    ],
)
def test_format_is_found_where_no_other_fits(tmp_path, paths, format):
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    if format:
        assert detect_format(tmp_path) == format
    else:
        with pytest.raises(InputError, match=r"looked for .* \(csv\); .* \(folders\); check"):
            detect_format(tmp_path)


def test_each_image_is_opened_once(root, monkeypatch):
    opened, original = [], Image.open
    monkeypatch.setattr(
        Image, "open", lambda file, **more: opened.append(file.name) or original(file, **more)
    )
    read_dataset(root, use="tags")
    assert len(opened) == len(set(opened)) == 3


def test_all_kinds_of_images_are_read_and_others_are_named(tmp_path):
    write_images(tmp_path, "cow/1.jfif", "cow/2.gif", "cow/3.ppm", "sheep/4.JPE", "sheep/5.webp")
    (tmp_path / "cow/6.HEIC").write_bytes(b"heic")
    dataset = read_dataset(tmp_path, use="tags")
    assert [sample.id for sample in dataset.samples] == [
        *("cow/1", "cow/2", "cow/3", "sheep/4", "sheep/5")
    ]
    (problem,) = dataset.problems
    assert problem.message == "6.HEIC is HEIC, which is not read; convert it to JPEG"


@pytest.mark.parametrize(
    "junk", ["__MACOSX/cow/._a.jpg", "cow/.ipynb_checkpoints/a-checkpoint.jpg", "@eaDir/x/a.jpg"]
)
def test_leftovers_of_other_programs_are_ignored(tmp_path, junk):
    write_images(tmp_path, "cow/a.jpg", "sheep/b.jpg")
    (tmp_path / junk).parent.mkdir(parents=True)
    (tmp_path / junk).write_bytes((tmp_path / "cow/a.jpg").read_bytes())
    dataset = read_dataset(tmp_path, use="tags")
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert list(tags_of(dataset)) == ["cow/a", "sheep/b"] and dataset.problems == ()


def test_folder_of_an_archive_is_no_split_of_its_own(tmp_path):
    write_images(tmp_path, "Animals/cow/a.jpg", "Animals/sheep/b.jpg")
    assert splits_of(read_dataset(tmp_path, use="tags")) == ("train",)


def test_masks_beside_the_images_of_class_folders_are_no_images(tmp_path):
    write_images(tmp_path, "cow/a.png", "cow/a_mask.png", "sheep/b.png", "sheep/b_mask.png")
    dataset = read_dataset(tmp_path, "folders", use="tags")
    assert list(tags_of(dataset)) == ["cow/a", "sheep/b"]
    (problem,) = dataset.problems
    message = "2 files such as cow/a_mask are masks by their names, and no images; not read"
    assert problem.message == message


@pytest.mark.parametrize("names", [("obj_train_data", "obj_valid_data"), ("ann", "img")])
def test_folders_of_other_formats_are_no_classes(tmp_path, names):
    write_images(tmp_path, *(f"{name}/{index}.jpg" for index, name in enumerate(names)))
    with pytest.raises(InputError, match="of no known format"):
        detect_format(tmp_path)
