"""Pairs of images and label maps in folders."""

import numpy as np
import pytest
from helpers.builders import write, write_image
from PIL import Image

from wsseg.data.annotation import MaskFile
from wsseg.data.check import check_dataset
from wsseg.data.formats.pair_folders import find_pairs
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.truth import read_truth
from wsseg.errors import InputError

SIZE = (30, 40)
CLASSES = "background\ncow\nsheep\n"


def write_mask(path, *labels, mode="L"):
    """Write a label map with a column for each label."""
    path.parent.mkdir(parents=True, exist_ok=True)
    label_map = np.zeros(SIZE, np.uint8)
    label_map[0, : len(labels)] = labels
    Image.fromarray(label_map).convert(mode).save(path)


def write_pairs(root, *pairs, classes=CLASSES):
    """Write images and their masks; a pair without mask is an image alone."""
    for image, *masks in pairs:
        write_image(root / image)
        for mask in masks:
            write_mask(root / mask, 1, 2)
    if classes:
        write(root / "classes.txt", classes)
    return root


def found(root):
    """Return the split, id, image and mask of each image."""
    assert detect_format(root) == "pairs"
    dataset = read_dataset(root, use="masks")
    assert dataset.classes.names == ("background", "cow", "sheep")
    return [
        (s.split, s.id, s.image.relative_to(root).as_posix(), *_masks(s, root))
        for s in dataset.samples
    ]


def _masks(sample, root):
    assert all(isinstance(annotation, MaskFile) for annotation in sample.annotations)
    return [annotation.path.relative_to(root).as_posix() for annotation in sample.annotations]


LAYOUTS = {
    "plain": [("train", "a", "images/a.jpg", "masks/a.png")],
    "endings": [("train", "a", "img/a.png", "annotations/a_label.tif")],
    "bmp": [("train", "a", "images/a.bmp", "gt/a-mask.bmp")],
    "deep": [("train", "field/a", "images/field/a.jpg", "masks/field/a.png")],
    "splits outside": [
        ("train", "a", "train/images/a.jpg", "train/masks/a.png"),
        ("val", "b", "val/images/b.jpg", "val/masks/b.png"),
    ],
    "splits inside": [
        ("train", "a", "images/train/a.jpg", "masks/train/a_mask.png"),
        ("val", "a", "images/val/a.jpg", "masks/val/a_mask.png"),
    ],
    "nnU-Net": [
        ("train", "c_1", "imagesTr/c_1_0000.png", "labelsTr/c_1.png"),
        ("test", "c_2", "imagesTs/c_2_0000.png", "labelsTs/c_2.png"),
    ],
    "CamVid": [
        ("train", "a", "train/a.png", "trainannot/a.png"),
        ("val", "b", "val/b.png", "valannot/b.png"),
    ],
    "CamVid of fast.ai": [("train", "a", "train/a.png", "train_labels/a_L.png")],
    "KITTI": [("training", "a", "training/image_2/a.png", "training/semantic/a.png")],
    "FiftyOne": [("train", "a", "data/a.jpg", "fields/a.png")],
    "Supervisely": [
        ("train", "ds0/a", "ds0/img/a.jpg", "ds0/masks_machine/a.png"),
        ("train", "ds1/a", "ds1/img/a.jpg", "ds1/masks_machine/a.png"),
    ],
    "Cityscapes": [
        (
            "val",
            "bonn/b_1",
            *(
                "leftImg8bit/val/bonn/b_1_leftImg8bit.png",
                "gtFine/val/bonn/b_1_gtFine_labelIds.png",
            ),
        )
    ],
    "one folder": [("train", "a", "a.jpg", "a_mask.png"), ("train", "b", "b.jpg", "b_mask.png")],
    "twins": [("train", "a", "train/a.jpg", "train/a.png")],
    "DeepGlobe": [("train", "1", "train/1_sat.jpg", "train/1_mask.png")],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    expected = LAYOUTS[layout]
    write_pairs(tmp_path, *(files for _, _, *files in expected))
    assert found(tmp_path) == expected
    assert read_dataset(tmp_path, use="masks").problems == ()


def test_folders_of_unknown_names_are_told_apart_by_their_files(tmp_path):
    write_pairs(tmp_path, ("pics/a.jpg", "answers/a.png"), ("pics/b.jpg", "answers/b.png"))
    assert found(tmp_path)[1] == ("train", "b", "pics/b.jpg", "answers/b.png")


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_classes_whose_images_have_the_same_numbers_are_no_pairs(tmp_path, suffix):
    rng = np.random.default_rng(0)
    for name, shape in (("cow", (*SIZE, 3)), ("xray", SIZE)):
        for index in range(3):
            path = write_image(tmp_path / f"{name}/{index}{suffix}")
            Image.fromarray(rng.integers(0, 255, shape, np.uint8)).save(path)
    assert find_pairs(tmp_path) == []
    assert detect_format(tmp_path) == "folders"


def test_one_file_with_the_ending_of_a_mask_makes_no_pair(tmp_path):
    for name in ("cow/a.png", "cow/b.png", "cow/c.png", "cow/a_mask.png", "sheep/d.png"):
        write_image(tmp_path / name)
    assert find_pairs(tmp_path) == []


def test_pairs_are_no_class_folders(tmp_path):
    write_pairs(tmp_path, ("train/images/a.jpg", "train/masks/a.png"))
    message = "train/images and train/masks hold images and masks of the same names"
    with pytest.raises(InputError, match=f"{message}.*set data.format=pairs"):
        read_dataset(tmp_path, "folders")


def test_truth_and_counts(tmp_path):
    write_pairs(tmp_path, ("images/a.jpg", "masks/a.png"), ("images/b.jpg",))
    truth = read_truth(tmp_path)
    first, second = truth.samples("train")
    assert truth.label_map(first)[0, :3].tolist() == [1, 2, 0]
    assert truth.covers(first) and not truth.covers(second)
    lines = check_dataset(tmp_path, workers=1).lines()
    assert any("2 images" in line and "1 full masks" in line for line in lines)


@pytest.mark.parametrize("weak", ["boxes", "tags"])
def test_other_annotations_are_refused(tmp_path, weak):
    write_pairs(tmp_path, ("images/a.jpg", "masks/a.png"))
    with pytest.raises(InputError, match=f"has no {weak}; set data.weak=masks"):
        read_weak(DataParams(root=tmp_path, weak=weak, val=None))
    masks = read_weak(DataParams(root=tmp_path, weak="masks", val=None))
    assert masks.samples[0].annotations == (MaskFile(tmp_path / "masks/a.png"),)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labelmap.txt", "background:0,0,0::\ncow:128,0,0::\nsheep:0,128,0::\n"),
        ("dataset.json", {"labels": {"background": 0, "cow": 1, "sheep": 2}}),
        ("dataset.json", {"labels": {"0": "background", "2": "sheep", "1": "cow"}}),
        ("dataset.json", {"labels": {"background": 0, "cow": 1, "sheep": 2, "ignore": 3}}),
        ("classes.txt", "cow\nsheep\n"),
    ],
)
def test_names_of_the_classes(tmp_path, name, content):
    write_pairs(tmp_path, ("images/a.jpg", "masks/a.png"), classes="")
    write(tmp_path / name, content)
    assert found(tmp_path) == LAYOUTS["plain"]


def test_masks_in_the_colours_of_labelmap_txt(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[0, :2], colours[0, 2] = (0, 128, 0), (9, 9, 9)
    (tmp_path / "masks").mkdir()
    Image.fromarray(colours).save(tmp_path / "masks/a.png")
    write(tmp_path / "labelmap.txt", "background:0,0,0::\ncow:128,0,0::\nsheep:0,128,0::\n")
    truth = read_truth(tmp_path)
    (sample,) = truth.samples("train")
    assert truth.label_map(sample)[0, :4].tolist() == [2, 2, 255, 0]


@pytest.mark.parametrize("labels", [None, [], {}, {"cow": 1, "sheep": 3}, {"all": [1, 2]}])
def test_labels_that_are_no_numbers_from_0_are_refused(tmp_path, labels):
    write_pairs(tmp_path, ("images/a.jpg", "masks/a.png"), classes="")
    write(tmp_path / "dataset.json", {"labels": labels})
    with pytest.raises(InputError, match="one name for each number from 0"):
        read_dataset(tmp_path, use="masks")


def test_masks_without_class_names_are_refused_with_their_values(tmp_path):
    write_pairs(tmp_path, ("images/a.jpg", "masks/a.png"), classes="")
    message = "1 of 1 masks such as masks/a.png hold the values 0, 1, 2, and no file in .* names"
    with pytest.raises(InputError, match=f"{message}.*write classes.txt"):
        read_dataset(tmp_path, use="masks")


def test_masks_of_0_and_255_are_refused(tmp_path):
    write_pairs(tmp_path, ("images/a.jpg",), classes="cow\n")
    write_mask(tmp_path / "masks/a.png", 255)
    message = "hold only 0 and 255, which means ignored; write the class's number, 1, instead"
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path, use="masks")


@pytest.mark.parametrize(
    ("suffix", "mode", "message"),
    [
        (".jpg", "L", "No file beside the images in .* is a label map .* JPEG changes them"),
        (".png", "RGB", "one 8-bit channel of class numbers, got mode RGB"),
        (".png", "1", "one 8-bit channel of class numbers, got mode 1"),
    ],
)
def test_files_that_hold_no_class_numbers_are_refused(tmp_path, suffix, mode, message):
    write_pairs(tmp_path, ("images/a.jpg",))
    write_mask(tmp_path / f"masks/a{suffix}", 1, mode=mode)
    with pytest.raises(InputError, match=message):
        read_dataset(tmp_path, use="masks")


def test_files_without_partner_are_named(tmp_path):
    pairs = [("images/a.jpg", "masks/a.png"), ("images/b.jpg", "masks/c.png"), ("images/a.png",)]
    write_pairs(tmp_path, *pairs)
    assert [row[1:] for row in found(tmp_path)] == [
        ("a", "images/a.jpg", "masks/a.png"),
        ("b", "images/b.jpg"),
    ]
    assert [str(problem) for problem in read_dataset(tmp_path, use="masks").problems] == [
        "masks: 1 files such as c.png are no <id>.png of an image; not read",
        "images: 1 images without mask, such as b; they count as not annotated",
        "images: 1 further files of the same name, such as a.png; not read",
    ]


def test_the_folder_of_class_numbers_is_chosen_among_several(tmp_path):
    write_pairs(tmp_path, ("images/a.jpg", "labels/a.png"))
    for name in ("labels_colour", "masks"):
        write_mask(tmp_path / name / "a.png", 1, mode="RGB")
    assert found(tmp_path) == [("train", "a", "images/a.jpg", "labels/a.png")]


def test_lists_give_the_splits(tmp_path):
    write_pairs(tmp_path, *((f"images/{n}.jpg", f"masks/{n}.png") for n in "abcd"))
    write(tmp_path / "train.txt", "a\nimages/b.jpg masks/b.png\nz\n")
    write(tmp_path / "val.txt", "c.jpg\n")
    assert [row[:2] for row in found(tmp_path)] == [("train", "a"), ("train", "b"), ("val", "c")]
    assert [str(problem) for problem in read_dataset(tmp_path, use="masks").problems] == [
        "train.txt: 'z' is the name of no image; remove it or add the image",
        "lists of splits: 1 images stand in no list: d; not read",
    ]


def test_linked_masks_that_lead_out_are_left_out(tmp_path):
    root = write_pairs(tmp_path / "set", *((f"images/{n}.jpg", f"masks/{n}.png") for n in "ab"))
    (root / "masks/a.png").rename(tmp_path / "outside.png")
    (root / "masks/a.png").symlink_to(tmp_path / "outside.png")
    dataset = read_dataset(root, use="masks")
    assert [sample.id for sample in dataset.samples] == ["b"]
    assert [problem.fatal for problem in dataset.problems] == [True]


def test_folder_without_pairs_is_refused(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    with pytest.raises(InputError, match="files of equal names, got none"):
        read_dataset(tmp_path, "pairs")


def test_the_number_of_ignore_is_not_labelled(tmp_path):
    write_image(tmp_path / "images/a.jpg")
    write_mask(tmp_path / "masks/a.png", 1, 2, 3)
    labels = {"background": 0, "cow": 1, "sheep": 2, "ignore": 3}
    write(tmp_path / "dataset.json", {"labels": labels})
    for classes, expected in ((None, {0, 1, 2, 255}), (["sheep"], {0, 1, 255})):
        data = DataParams(root=tmp_path, weak="masks", val=None, classes=classes)
        (mask,) = read_weak(data).samples[0].annotations
        assert {*np.unique(mask.read()).tolist()} == expected
