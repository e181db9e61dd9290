import json
import shutil

import numpy as np
import pytest
from PIL import Image

from wsseg.bands import ImageParams
from wsseg.data.check import Report, check_dataset
from wsseg.data.model import Classes, Problem
from wsseg.data.params import DataParams
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map
from wsseg.synthetic.scenes import CLASSES, write_scenes

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
        ("class without any tagged image", False),
        ("box with a side under 9 pixels", False),
    }


def image_of(root, id):
    (path,) = (root / "JPEGImages").glob(f"{id}.*")
    return path


def put_image(root, id, image, **options):
    path = image_of(root, id)
    image.save(path, **options)
    return path


def tag(root, id, *names):
    """Rewrite the line of an image in each class file."""
    (split,) = (s for s in ("train", "val") if id in ids(root, s))
    for name in CLASSES.names[1:]:
        path = root / "ImageSets" / "Main" / f"{name}_{split}.txt"
        lines = [line for line in path.read_text().splitlines() if line.split()[0] != id]
        path.write_text("\n".join([*lines, f"{id} {1 if name in names else -1}"]))


def annotate(root, id, size, *objects):
    """Draw boxes on an image, and tag it so."""
    tag(root, id, *(name for name, _ in objects))
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
    assert found(root) == {("mask of other colours than labelmap.txt", False)}
    (root / "labelmap.txt").write_text((root / "labelmap.txt").read_text().replace("0,0,0", ""))
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
        "image without tags",
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
    with pytest.raises(InputError, match="of no known format: it has no image"):
        check_dataset(tmp_path)


def contradictions(root, **options):
    return {kind for kind, _ in found(root, **options) if "tag" in kind}


def test_tags_that_contradict_boxes(root):
    id = ids(root)[0]
    size = first_mask(root)[1].shape
    (root / "SegmentationClass" / f"{id}.png").unlink()
    annotate(root, id, size, ("disc", (1, 1, 40, 40)))
    tag(root, id, "ring")
    problems = [p for p in check_dataset(root, workers=1).problems if p.subject == id]
    assert [(p.kind, p.fatal) for p in problems] == [
        ("box of a class that the tags call absent", False),
        ("tag without any box", False),
    ]
    assert "disc" in problems[0].message and "ring" in problems[1].message


def test_a_class_tagged_unsure_contradicts_no_box(root):
    id = ids(root)[0]
    path = root / "ImageSets" / "Main" / "disc_train.txt"
    annotate(root, id, first_mask(root)[1].shape, ("disc", (1, 1, 40, 40)))
    (root / "SegmentationClass" / f"{id}.png").unlink()
    path.write_text(path.read_text().replace(f"{id} 1", f"{id} 0"))
    assert contradictions(root) == set()
    assert any(line.endswith("and perhaps 1") for line in check_dataset(root, workers=1).lines())


def test_masks_that_contradict_tags(root):
    id = ids(root)[0]
    shutil.rmtree(root / "Annotations")
    path, labels = first_mask(root)
    tag(root, id, *(CLASSES.names[label] for label in np.unique(labels) if label))
    assert found(root) == set()
    tag(root, id)
    assert contradictions(root, deep=False) == set()
    (problem,) = (p for p in check_dataset(root, workers=1).problems if "call absent" in p.kind)
    assert problem.kind == "mask with classes that the tags call absent"
    assert problem.subject == f"{id} ({path.name})"


def test_ignored_pixels_are_no_confusion_where_tags_say_no_object(root):
    shutil.rmtree(root / "Annotations")
    path, labels = first_mask(root)
    write_label_map(path, (labels > 0) * np.uint8(255))
    assert ("0/255 confusion in a mask", False) in found(root)
    tag(root, ids(root)[0])
    assert found(root) == set()


def test_voc_of_tags_alone_and_of_boxes_alone(root):
    whole = check_dataset(root, deep=False, workers=1)
    main = root / "ImageSets" / "Main"
    for path in main.glob("*_*.txt"):
        path.rename(root / path.name)
    boxed = check_dataset(root, deep=False, workers=1)
    assert [split.boxes for split in boxed.splits] == [split.boxes for split in whole.splits]
    assert [(split.with_tags, split.tagged) for split in boxed.splits] == [(0, ())] * 2
    for path in root.glob("*_*.txt"):
        path.rename(main / path.name)
    shutil.rmtree(root / "Annotations")
    tagged = check_dataset(root, deep=False, workers=1)
    assert [split.tagged for split in tagged.splits] == [split.tagged for split in whole.splits]
    assert [split.boxes for split in tagged.splits] == [(), ()]
    assert [split.annotated for split in tagged.splits] == [6, 3]
    assert tagged.errors == () and not any("XML" in problem.kind for problem in tagged.problems)


def test_only_the_splits_with_class_files_are_tagged(root):
    for path in (root / "ImageSets" / "Main").glob("*_val.txt"):
        path.unlink()
    report = check_dataset(root, deep=False, workers=1)
    assert [(split.name, split.with_tags) for split in report.splits] == [("train", 6), ("val", 0)]
    lines = report.lines()
    assert any(line.startswith("train: 6 images, ") and "6 tagged" in line for line in lines)
    assert any(line.startswith("val: 3 images, ") and "tagged" not in line for line in lines)


def folder_of(root, *paths):
    for n, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (n, 0, 0)).save(root / path)
    return root


def test_class_folders(tmp_path):
    root = folder_of(tmp_path, "train/cow/a.png", "train/background/b.png", "val/sheep/c.png")
    report = check_dataset(root, workers=1)
    assert report.lines() == [
        "format folders, 2 classes and background",
        "train: 2 images, 2 tagged",
        "  cow: tagged in 1",
        "  sheep: tagged in 0",
        "  no object: tagged in 1",
        "val: 1 images, 1 tagged",
        "  cow: tagged in 0",
        "  sheep: tagged in 1",
        "warning: class without any tagged image (2)",
        "  class cow: no image tagged so in val; it cannot be learned or measured there",
        "  class sheep: no image tagged so in train; it cannot be learned or measured there",
        "0 errors, 2 warnings",
    ]
    write_label_map(root / "masks/train/cow/a.png", np.full((30, 40), 2, np.uint8))
    assert contradictions(root) == {"mask with classes that the tags call absent"}


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        ("a.png,cow\nb.png,sheep\n", set()),
        ("a.png,cow\nb.png,cow,sheep\n", {"class in every tagged image"}),
        ("a.png,cow,sheep\nb.png,?cow,\n", {"class in every tagged image"}),
        ("a.png,cow,\nb.png\n", {"only one class"}),
        ("a.png,cow\nb.png,cow\n", {"class in every tagged image", "only one class"}),
    ],
)
def test_tags_that_teach_a_classifier_nothing(tmp_path, rows, kinds):
    (folder_of(tmp_path, "a.png", "b.png") / "train.csv").write_text(rows)
    assert check_dataset(tmp_path, workers=1).errors == ()
    assert {kind for kind, _ in found(tmp_path)} == kinds


def test_negatives_are_missed_in_the_training_split_only(tmp_path):
    folder_of(tmp_path, "train/cow/a.png", "train/sheep/b.png", "val/cow/c.png")
    assert "class in every tagged image" not in {kind for kind, _ in found(tmp_path)}


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


def deep_folder(root, most):
    root.mkdir()
    (root / "train.csv").write_text("a.png,cow\n")
    values = np.linspace(0, most, 40, dtype=np.uint16).reshape(1, 40).repeat(30, axis=0)
    Image.fromarray(values).save(root / "a.png")
    return root


@pytest.mark.parametrize(
    ("most", "reading", "source", "message"),
    [
        (
            2800,
            {},
            "0..4095",
            "values from 0 to 2800 are scaled from 0..4095 to 8 bits, 40 grey levels "
            "(at most 12 from 0..65535); set data.range=[0, 4095] to scale all images alike",
        ),
        (
            60_000,
            {},
            "0..65535",
            "values from 0 to 60000 are scaled from 0..65535 to 8 bits, 40 grey levels; "
            "set data.range=[0, 65535] to scale all images alike",
        ),
        (
            2800,
            {"range": (0, 65535)},
            "0..65535",
            "values from 0 to 2800 are scaled from 0..65535 to 8 bits, 12 grey levels "
            "(at most 12 from 0..65535)",
        ),
    ],
)
def test_deep_images_report_their_range_and_levels(tmp_path, most, reading, source, message):
    root = deep_folder(tmp_path / "deep", most)
    problems = check_dataset(root, workers=1, reading=ImageParams(**reading)).problems
    (problem,) = (p for p in problems if "bit" in p.kind)
    assert (problem.kind, problem.message, problem.fatal) == (
        f"16-bit values are scaled from {source} to 8 bits",
        message,
        False,
    )
    fast = check_dataset(root, workers=1, deep=False).problems
    assert "16-bit values are scaled to 8 bits" in [p.kind for p in fast]


def test_real_folders(shared_data):
    for name in ("msrc15", "magnetic_tile"):
        report = check_dataset(shared_data / name, deep=False, workers=1)
        assert report.errors == ()
        assert all(split.annotated == split.images for split in report.splits)
        assert any("boxes in" in line for line in report.lines())
        assert not any("tag" in problem.kind for problem in report.problems)
        if name == "msrc15":
            assert all(split.tagged[1:] == split.images_with[1:] for split in report.splits)


def test_classes_that_differ_in_case_are_named(root):
    listed = (root / "labelmap.txt").read_text().splitlines()
    (root / "labelmap.txt").write_text(
        "\n".join([*listed, f"{listed[2].split(':')[0].upper()}:::"])
    )
    assert ("classes that differ in case or blanks only", False) in found(root)


def test_masks_alone_are_annotations(root):
    for path in (*root.glob("Annotations/*.xml"), *root.glob("ImageSets/Main/*_*.txt")):
        path.unlink()
    report = check_dataset(root, deep=False, workers=1)
    assert all(split.annotated == split.drawn["full masks"] for split in report.splits)
    assert not any(problem.kind.startswith("class without") for problem in report.problems)


def test_links_are_followed_as_in_a_run(root, tmp_path):
    image = next((root / "JPEGImages").iterdir())
    image.rename(tmp_path / f"outside{image.suffix}")
    image.symlink_to(tmp_path / f"outside{image.suffix}")
    for links in (False, True):
        report = check_dataset(DataParams(root=root, links=links), deep=False, workers=1)
        assert (not report.errors) == links
