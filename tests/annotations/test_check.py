import json
import shutil

import numpy as np
import pytest
from PIL import Image

from wsseg.annotations.check import Report, check_dataset
from wsseg.annotations.model import Classes, Problem
from wsseg.annotations.scenes import write_scenes
from wsseg.errors import InputError
from wsseg.labels import write_label_map

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@pytest.fixture
def root(tmp_path):
    """A generated VOC folder of 6 training and 3 validation images, every class in both."""
    write_scenes(tmp_path / "scenes", train=6, val=3, seed=0)
    return tmp_path / "scenes"


def ids(root, split="train"):
    return (root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()


def found(root, **options):
    problems = check_dataset(root, workers=1, **options).problems
    return {(problem.kind, problem.fatal) for problem in problems} - {
        ("class without any box", False),
        ("box with a side under 9 pixels", False),
    }


def image_of(root, id):
    (path,) = (root / "JPEGImages").glob(f"{id}.*")
    return path


def put_image(root, id, image, **options):
    path = image_of(root, id)
    image.save(path, **options)
    return path


def annotate(root, id, size, *objects):
    items = "".join(
        f"<object><name>{name}</name><bndbox>"
        + "".join(f"<{key}>{edge}</{key}>" for key, edge in zip(CORNERS, corners, strict=True))
        + "</bndbox></object>"
        for name, corners in objects
    )
    height, width = size
    content = f"<size><width>{width}</width><height>{height}</height></size>{items}"
    (root / "Annotations" / f"{id}.xml").write_text(f"<annotation>{content}</annotation>")


def turned(image, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"image": image, "exif": exif}


def test_sound_data_set_has_no_problem_and_its_counts_add_up(root):
    report = check_dataset(root, workers=1)
    assert found(root) == set()
    assert report.format == "voc"
    assert [(split.name, split.images) for split in report.splits] == [("train", 6), ("val", 3)]
    for split in report.splits:
        assert split.annotated == split.images
        assert split.boxes[0] == 0
        assert all(n >= m for n, m in zip(split.boxes, split.images_with, strict=True))
        written = sum(
            (root / "Annotations" / f"{id}.xml").read_text().count("<object>")
            for id in ids(root, split.name)
        )
        assert sum(split.boxes) == written


def test_worker_processes_find_the_same(root):
    image_of(root, ids(root)[0]).write_bytes(b"no image")
    assert check_dataset(root, workers=1) == check_dataset(root, workers=2)


def test_unreadable_and_truncated_images(root):
    first, second, *_ = ids(root)
    image_of(root, first).write_bytes(b"no image")
    noise = np.random.default_rng(0).integers(0, 255, (96, 128, 3), dtype=np.uint8)
    path = put_image(root, second, Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[:20_000])
    report = check_dataset(root, workers=1)
    unreadable = [p for p in report.problems if p.kind == "unreadable image"]
    assert [(p.subject, p.fatal) for p in unreadable] == [(first, True), (second, True)]


def test_decoding_is_left_out_when_not_deep(root):
    (root / "SegmentationClass" / f"{ids(root)[0]}.png").write_bytes(b"no mask")
    assert found(root, deep=False) == set()
    assert found(root, deep=True) == {("unreadable mask, or one of colours", True)}


def test_size_that_only_exif_explains_is_said_so(root):
    id = ids(root)[0]
    put_image(root, id, **turned(Image.new("RGB", (320, 213)), 6))
    annotate(root, id, (213, 320), ("disc", (1, 1, 100, 100)))
    (root / "SegmentationClass" / f"{id}.png").unlink()
    (problem,) = (p for p in check_dataset(root, workers=1).problems if "EXIF" in p.kind)
    assert problem.fatal
    assert problem.message == (
        "annotated 320x213 but upright it is 213x320 because of its EXIF orientation 6; "
        "draw the annotations on the upright image or strip the tag"
    )


def test_turned_image_annotated_upright_is_a_note(root):
    id = ids(root)[0]
    put_image(root, id, **turned(Image.new("RGB", (320, 213)), 6))
    annotate(root, id, (320, 213), ("disc", (1, 1, 100, 100)))
    (root / "SegmentationClass" / f"{id}.png").unlink()
    assert found(root) == {("image turned by EXIF", False)}


def test_size_that_nothing_explains(root):
    id = ids(root)[0]
    put_image(root, id, Image.new("RGB", (50, 60)))
    assert ("image of another size than annotated", True) in found(root)


@pytest.mark.parametrize(
    ("mode", "note"),
    [("RGBA", "alpha channel is dropped"), ("LA", "alpha"), ("I;16", "16-bit"), ("L", None)],
)
def test_odd_modes_are_noted(root, mode, note):
    id = ids(root)[0]
    with Image.open(image_of(root, id)) as image:
        size = image.size
    put_image(root, id, Image.new(mode, size))
    kinds = [kind for kind, _ in found(root)]
    assert len(kinds) == (note is not None)
    assert all(note in kind for kind in kinds)


def first_mask(root):
    path = root / "SegmentationClass" / f"{ids(root)[0]}.png"
    return path, np.asarray(Image.open(path)).copy()


@pytest.mark.parametrize(
    ("change", "kind", "fatal"),
    [
        (lambda labels: labels[1:], "mask of another size than its image", True),
        (lambda labels: labels * 0 + 77, "mask with unknown labels", True),
        (lambda labels: (labels > 0) * np.uint8(255), "0/255 confusion in a mask", False),
        (lambda labels: labels * 0 + 255, "0/255 confusion in a mask", False),
        (
            lambda labels: (labels > 0) * ((labels.max() % 5) + np.uint8(1)),
            "mask with classes that no box has",
            False,
        ),
    ],
)
def test_masks_that_do_not_fit(root, change, kind, fatal):
    path, labels = first_mask(root)
    write_label_map(path, change(labels))
    assert (kind, fatal) in found(root)


def test_coloured_mask(root):
    path, labels = first_mask(root)
    Image.fromarray(np.stack([labels] * 3, -1)).save(path)
    assert found(root) == {("unreadable mask, or one of colours", True)}


def test_ignored_pixels_without_object_are_no_confusion_where_no_box_is(root):
    id = ids(root)[0]
    path, labels = first_mask(root)
    write_label_map(path, (labels > 0) * np.uint8(255))
    annotate(root, id, labels.shape)
    assert found(root) == set()


def test_image_in_two_splits(root):
    id = ids(root)[0]
    with (root / "ImageSets" / "Segmentation" / "val.txt").open("a") as file:
        file.write(f"\n{id}\n")
    (problem,) = check_dataset(root, workers=1).errors
    assert (problem.subject, problem.kind) == (id, "the same image in two splits")


def test_same_content_in_two_splits_and_twice_in_one(root):
    one, other, *_ = ids(root)
    (third, *_) = ids(root, "val")
    for id in (other, third):
        shutil.copy(image_of(root, one), image_of(root, id))
    problems = found(root, deep=False)
    assert ("the same image in two splits", True) in problems
    assert ("image stored twice", False) in problems


def test_equal_sizes_alone_are_no_copies(root):
    for n, id in enumerate(ids(root)[:2]):
        path = image_of(root, id)
        path.write_bytes(path.read_bytes().ljust(100_000, bytes([n])))
    assert found(root) == set()


def test_names_that_differ_in_case_or_suffix_only(root):
    one = ids(root)[0]
    path = image_of(root, one)
    shutil.copy(path, path.with_suffix(".bmp"))
    shutil.copy(path, path.with_name(path.name.upper()))
    shutil.copy(root / "Annotations" / f"{one}.xml", root / "Annotations" / f"{one.upper()}.xml")
    with (root / "ImageSets" / "Segmentation" / "train.txt").open("a") as file:
        file.write(f"\n{one.upper()}\n")
    kinds = {kind for kind, _ in found(root)}
    assert kinds == {
        "two images of one name",
        "names that differ in case only",
        "image stored twice",
    }


def test_one_name_for_two_images_is_a_warning(tmp_path):
    for n, split in enumerate(("train", "val")):
        folder = tmp_path / "images" / split
        folder.mkdir(parents=True)
        Image.new("RGB", (40, 30), (n, 0, 0)).save(folder / "a.png")
        content = {
            "images": [{"id": 1, "file_name": "a.png", "height": 30, "width": 40}],
            "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 20, 20]}],
            "categories": [{"id": 1, "name": "cow"}],
        }
        path = tmp_path / "annotations" / f"instances_{split}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    assert found(tmp_path) == {("one name for two images", False)}


def test_boxes_worth_a_note(root):
    id = ids(root)[0]
    _, labels = first_mask(root)
    height, width = labels.shape
    annotate(root, id, (height, width), ("disc", (1, 1, width, height)), ("ring", (1, 1, 8, 20)))
    (root / "SegmentationClass" / f"{id}.png").unlink()
    problems = [p for p in check_dataset(root, workers=1).problems if p.subject == id]
    assert [problem.kind for problem in problems] == [
        "box covers the whole image",
        "box with a side under 9 pixels",
    ]


def test_classes_without_any_box_name_the_splits(root):
    for id in ids(root, "val"):
        path = root / "Annotations" / f"{id}.xml"
        path.write_text(path.read_text().replace("disc", "ring"))
    with (root / "labelmap.txt").open("a") as file:
        file.write("unicorn:1,1,1::\n")
    problems = check_dataset(root, deep=False, workers=1).problems
    messages = {p.subject: p.message for p in problems if p.kind == "class without any box"}
    assert "no box in val;" in messages["class disc"]
    assert "no box in any split;" in messages["class unicorn"]


def test_problems_of_the_reader_stand_once(root):
    (root / "Annotations" / f"{ids(root)[0]}.xml").write_text("<")
    assert len(check_dataset(root, workers=1).errors) == 1


def test_dangling_link_is_an_unreadable_image(root):
    path = image_of(root, ids(root)[0])
    path.unlink()
    path.symlink_to(root / "JPEGImages" / "nowhere.png")
    assert found(root) == {("unreadable image", True)}


def test_folder_of_no_format_is_refused(tmp_path):
    with pytest.raises(InputError, match="none of these"):
        check_dataset(tmp_path)


def test_many_equal_problems_are_counted_not_printed():
    flood = tuple(Problem(f"{n}.xml", "cut", kind="box leaves the image") for n in range(5000))
    broken = Problem("a.xml", "damaged", fatal=True, kind="must be XML")
    report = Report("voc", Classes(("background", "cow")), (), (*flood, broken))
    assert report.errors == (broken,)
    assert report.lines() == [
        "format voc, 1 classes and background",
        "error: must be XML (1)",
        "  a.xml: damaged",
        "warning: box leaves the image (5000)",
        "  0.xml: cut",
        "  1.xml: cut",
        "  2.xml: cut",
        "  and 4997 more; --all lists them",
        "1 errors, 5000 warnings",
    ]


def test_real_folders(shared_data):
    for name in ("msrc15", "magnetic_tile"):
        report = check_dataset(shared_data / name, deep=False, workers=1)
        assert report.errors == ()
        assert all(split.annotated == split.images for split in report.splits)
        assert any("boxes in" in line for line in report.lines())
