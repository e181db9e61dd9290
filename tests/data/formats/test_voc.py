from pathlib import Path

import numpy as np
import pytest
from helpers.builders import only_sample, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.annotation import Box, Boxes, MaskFile
from wsseg.data.constraints import label_map_of
from wsseg.data.formats.table import READABLE, detect_format, read_dataset
from wsseg.data.formats.voc_lists import ImageSets
from wsseg.data.formats.voc_xml import VOC_NAMES
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map

SIZE = "<size><width>40</width><height>30</height></size>"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
BOMB = (
    '<!DOCTYPE a [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>',
    '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
    '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><annotation/>',
)


def xml_object(corners, name="cow"):
    edges = "".join(f"<{k}>{v}</{k}>" for k, v in zip(CORNERS, corners, strict=True))
    return f"<object><name>{name}</name><bndbox>{edges}</bndbox></object>"


def xml(*objects, size=SIZE):
    return f"<annotation>{size}{''.join(objects)}</annotation>"


@pytest.fixture
def root(tmp_path):
    """A data set of one image, "a", in the split "train"."""
    write(tmp_path / "ImageSets/Segmentation/train.txt", "a\n")
    write(tmp_path / "labelmap.txt", "# label:color\nbackground:0,0,0::\ncow:1,0,0::\nsheep:::\n")
    write(tmp_path / "Annotations/a.xml", xml(xml_object((1, 1, 10, 20))))
    (tmp_path / "JPEGImages").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "JPEGImages" / "a.jpg")
    return tmp_path


def test_corners_count_from_one_and_include_the_last_pixel(root):
    sample = only_sample(read_dataset(root, "voc", ["train"]))
    assert sample.annotations == (Boxes((Box(1, 0, 0, 10, 20),)),)
    assert sample.size == (30, 40)
    assert (sample.id, sample.split) == ("a", "train")
    assert sample.image == root / "JPEGImages" / "a.jpg"


@pytest.mark.parametrize(
    ("corners", "expected", "kind"),
    [
        ((1, 1, 40, 30), (0, 0, 40, 30), None),
        ((2.4, 2.6, 10.2, 20.4), (1, 2, 10, 20), None),
        ((5, 5, 5, 5), (4, 4, 5, 5), None),
        ((0, 0, 10, 20), (0, 0, 10, 20), "box leaves the image"),
        ((31, 21, 50, 90), (30, 20, 40, 30), "box leaves the image"),
        ((-9, -9, 1e300, 1e300), (0, 0, 40, 30), "box leaves the image"),
        ((41, 1, 50, 20), None, "box lies outside the image"),
        ((-9, 1, 0, 20), None, "box lies outside the image"),
        ((5, 1, 4, 20), (3, 0, 5, 20), "box with swapped corners"),
        ((1, 20, 10, 2), (0, 1, 10, 20), "box with swapped corners"),
        ((99, 1, 4, 20), None, "box is inverted"),
        ((4, 20, 9, -3), None, "box is inverted"),
        (("nan", 1, 10, 20), None, "box has a corner that is no finite number"),
        ((1, 1, "inf", 20), None, "box has a corner that is no finite number"),
        (("", 1, 10, 20), None, "box has a corner that is no finite number"),
        (("ten", 1, 10, 20), None, "box has a corner that is no finite number"),
    ],
)
def test_boxes_are_brought_inside_the_image(root, corners, expected, kind):
    write(root / "Annotations/a.xml", xml(xml_object(corners)))
    dataset = read_dataset(root, "voc", ["train"])
    boxes = only_sample(dataset).boxes
    assert [(b.left, b.top, b.right, b.bottom) for b in boxes] == ([expected] if expected else [])
    assert [problem.kind for problem in dataset.problems] == ([kind] if kind else [])
    assert not any(problem.fatal for problem in dataset.problems)


def test_xml_without_objects_says_that_there_is_none(root):
    write(root / "Annotations/a.xml", xml())
    assert only_sample(read_dataset(root, "voc", ["train"])).annotations == (Boxes(()),)


def test_missing_xml_is_visible_and_leaves_the_image_unannotated(root):
    (root / "Annotations" / "a.xml").unlink()
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).annotations == ()
    assert only_sample(dataset).size == (30, 40)
    assert [(p.kind, p.fatal) for p in dataset.problems] == [("image without XML", False)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<annotation>",
        b"\x00\x01\x02",
        b"\xff\xfe<annotation/>",
        b'<?xml version="1.0" encoding="nonsense"?><annotation/>',
        b"<annotation>\xe4</annotation>",
        *BOMB,
    ],
)
def test_damaged_or_hostile_xml_leaves_its_image_out(root, content):
    write(root / "Annotations/a.xml", content)
    dataset = read_dataset(root, "voc", ["train"])
    assert dataset.samples == ()
    assert [problem.fatal for problem in dataset.problems] == [True]
    assert "Annotations/a.xml must be" in dataset.problems[0].message


def test_xml_may_be_in_another_declared_encoding_or_have_a_byte_order_mark(root):
    text = '<?xml version="1.0" encoding="iso-8859-1"?>' + xml(xml_object((1, 1, 9, 9)))
    for content in (
        text.encode("latin-1"),
        b"\xef\xbb\xbf" + xml(xml_object((1, 1, 9, 9))).encode(),
    ):
        write(root / "Annotations/a.xml", content)
        assert only_sample(read_dataset(root, "voc", ["train"])).boxes == (Box(1, 0, 0, 9, 9),)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shep", "object of an unknown class"),
        ("", "object of an unknown class"),
        ("background", "object of the background"),
    ],
)
def test_object_of_an_unknown_class_is_left_out(root, name, kind):
    write(root / "Annotations/a.xml", xml(xml_object((1, 1, 9, 9), name)))
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).boxes == ()
    assert [problem.kind for problem in dataset.problems] == [kind]


@pytest.mark.parametrize(
    "size", ["", "<size><width>0</width><height>30</height></size>", "<size/>"]
)
def test_implausible_size_is_read_from_the_header(root, size):
    write(root / "Annotations/a.xml", xml(size=size))
    assert only_sample(read_dataset(root, "voc", ["train"])).size == (30, 40)


def test_indexing_decodes_no_image_whose_size_is_given(root):
    write(root / "JPEGImages/a.jpg", b"not an image")
    assert only_sample(read_dataset(root, "voc", ["train"])).size == (30, 40)


@pytest.mark.parametrize("line", ["b", "/etc/passwd", "../../etc/passwd", "a\x00b"])
def test_listed_image_that_is_not_in_the_folder_is_left_out(root, line):
    write(root / "ImageSets/Segmentation/train.txt", f"a\n{line}\n")
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).id == "a"
    assert [problem.fatal for problem in dataset.problems] == [True]


@pytest.mark.parametrize(
    "line", ["../a", "a.jpg", "C:\\data\\a.jpg", "/home/ann/JPEGImages/a", "a 1"]
)
def test_a_line_may_name_its_image_by_a_path(root, line):
    write(root / "ImageSets/Segmentation/train.txt", f"{line}\n")
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).id == "a" and dataset.problems == ()


@pytest.mark.parametrize("path", ["JPEGImages/b.jpg", "Annotations/b.xml"])
def test_links_out_of_the_data_set_are_not_followed(root, tmp_path_factory, path):
    outside = tmp_path_factory.mktemp("outside")
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "b.jpg")
    write(root / "Annotations/b.xml", xml())
    (root / path).rename(outside / "b")
    (root / path).symlink_to(outside / "b")
    write(root / "ImageSets/Segmentation/train.txt", "a\nb\n")
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).id == "a"
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("b", True)]
    assert "inside the data set" in dataset.problems[0].message


def test_linked_folder_that_leads_out_is_refused(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "images"
    (root / "JPEGImages").rename(outside)
    (root / "JPEGImages").symlink_to(outside)
    with pytest.raises(InputError, match="inside the data set"):
        read_dataset(root, "voc", ["train"])


def test_links_inside_the_data_set_are_followed(root):
    (root / "JPEGImages" / "b.jpg").symlink_to(root / "JPEGImages" / "a.jpg")
    write(root / "ImageSets/Segmentation/train.txt", "b\n")
    assert only_sample(read_dataset(root, "voc", ["train"])).id == "b"


@pytest.mark.parametrize("name", ["a.JPG", "a.jpeg", "a.png", "deep/er/a.jpg", "my photo.jpg"])
def test_images_are_found_by_listing(root, name):
    (root / "JPEGImages" / name).parent.mkdir(parents=True, exist_ok=True)
    (root / "JPEGImages" / "a.jpg").rename(root / "JPEGImages" / name)
    id = name.rpartition(".")[0]
    write(root / "ImageSets/Segmentation/train.txt", f"{id}\n")
    write(root / f"Annotations/{id}.xml", xml())
    sample = only_sample(read_dataset(root, "voc", ["train"]))
    assert (sample.id, sample.image) == (id, root / "JPEGImages" / name)


def test_two_images_of_one_name_are_reported(root):
    Image.new("RGB", (40, 30)).save(root / "JPEGImages" / "a.png")
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).image.name == "a.jpg"
    assert [problem.kind for problem in dataset.problems] == ["two images of one name"]


def test_line_that_stands_twice_is_read_once(root):
    write(root / "ImageSets/Segmentation/train.txt", "a\r\n\r\na\r\n")
    dataset = read_dataset(root, "voc", ["train"])
    assert only_sample(dataset).id == "a"
    assert [problem.kind for problem in dataset.problems] == ["image listed twice in a split"]


def test_splits_come_from_segmentation_else_main_with_a_second_column(root):
    write(root / "ImageSets/Main/train.txt", "nowhere\n")
    write(root / "ImageSets/Main/val.txt", "a -1\n")
    write(root / "ImageSets/Main/cow_val.txt", "a -1\n")
    write(root / "ImageSets/Main/hard_val.txt", "a\n")
    write(root / "ImageSets/Main/trainval.txt", "a\n")
    assert ImageSets(root).splits == ("hard_val", "train", "val")
    dataset = read_dataset(root, "voc", ["train", "val"])
    assert [(s.id, s.split) for s in dataset.samples] == [("a", "train"), ("a", "val")]
    assert dataset.problems == ()


@pytest.mark.parametrize("split", ["test", "../Segmentation/train", ""])
def test_unknown_split_names_the_known_ones(root, split):
    with pytest.raises(InputError, match="known: train"):
        read_dataset(root, "voc", [split])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["zebra", "ant"], ("background", "ant", "zebra")),
        (["person", "cow"], ("background", "cow", "person")),
        (["person", "ant"], ("background", "ant", "person")),
    ],
)
def test_classes_without_label_map_come_from_all_xmls(root, names, expected):
    (root / "labelmap.txt").unlink()
    for id, name in zip("ab", names, strict=True):
        write(root / f"Annotations/{id}.xml", xml(xml_object((1, 1, 9, 9), name)))
    dataset = read_dataset(root, "voc", ["train"])
    assert dataset.classes.names == expected
    assert only_sample(dataset).boxes[0].label == expected.index(names[0])


def test_an_image_of_the_challenge_has_its_twenty_classes(root):
    (root / "labelmap.txt").unlink()
    for path in (*root.glob("*/a.*"), *root.glob("ImageSets/*/*.txt")):
        text = path.suffix == ".txt" and path.write_text("2007_000033\n")
        text or path.rename(path.with_stem("2007_000033"))
    dataset = read_dataset(root, "voc", ["train"])
    assert dataset.classes.names == ("background", *VOC_NAMES)


@pytest.mark.parametrize("void", ["ignored", "void", "Unlabeled"])
def test_label_map_loses_its_void_entry(root, void):
    write(root / "labelmap.txt", f"\ufeffbackground:0,0,0::\ncow:::\n{void}:9,9,9::\n")
    assert read_dataset(root, "voc", ["train"]).classes.names == ("background", "cow")


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"cow\xe4:::", "UTF-8"),
        ("background:::\nvoid:::\ncow:::", "ended by"),
        ("cow:::\nbackground:::", "begun by background"),
        ("background:::", "1 to 254 names"),
        ("background:::\ncow:::\ncow:::", "distinct"),
    ],
)
def test_label_maps_that_would_shift_mask_labels_are_refused(root, content, rule):
    write(root / "labelmap.txt", content)
    with pytest.raises(InputError, match=rule):
        read_dataset(root, "voc", ["train"])


def test_no_class_name_anywhere_is_refused(root):
    (root / "labelmap.txt").unlink()
    write(root / "Annotations/a.xml", xml())
    with pytest.raises(InputError, match=r"labelmap\.txt must be there"):
        read_dataset(root, "voc", ["train"])


def test_masks_are_files_and_images_without_one_are_not_annotated(root):
    assert only_sample(read_dataset(root, "voc", ["train"], "masks")).annotations == ()
    write_label_map(root / "SegmentationClass" / "a.png", np.zeros((30, 40), np.uint8))
    dataset = read_dataset(root, "voc", ["train"], "masks")
    mask = MaskFile(root / "SegmentationClass" / "a.png")
    assert only_sample(dataset).annotations == (mask,)
    assert dataset.problems == ()


def test_one_bad_image_does_not_stop_the_others(root):
    for id in "bc":
        Image.new("RGB", (40, 30)).save(root / "JPEGImages" / f"{id}.jpg")
        write(root / f"Annotations/{id}.xml", xml() if id == "c" else "<")
    write(root / "ImageSets/Segmentation/train.txt", "a\nb\nc\n")
    dataset = read_dataset(root, "voc", ["train"])
    assert [sample.id for sample in dataset.samples] == ["a", "c"]
    assert [problem.subject for problem in dataset.problems] == ["b"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_give_problems_or_input_errors(root, data):
    files = ["Annotations/a.xml", "labelmap.txt", "ImageSets/Segmentation/train.txt"]
    path = root / data.draw(st.sampled_from(files))
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    put = data.draw(st.binary(max_size=6) | st.sampled_from([b"nan", b"-1", b"<", b"../", b"\n"]))
    cut = len(content) if data.draw(st.booleans()) else start + len(put)
    path.write_bytes((content[:start] + put + content[stop:])[:cut])
    try:
        dataset = read_dataset(root, "voc", ["train"])
    except InputError as error:
        assert str(root) in str(error) or "class" in str(error)
    else:
        assert dataset.samples or dataset.problems or not path.read_bytes().strip()
        for box in (box for sample in dataset.samples for box in sample.boxes):
            assert box.right <= 65_535 and box.bottom <= 65_535
    finally:
        path.write_bytes(content)


def test_formats_are_told_apart(root, tmp_path_factory):
    assert detect_format(root) == "voc"
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(InputError, match=r"XML .* \(voc\); .*\(coco\); data.yaml .* \(yolo\)"):
        detect_format(empty)
    with pytest.raises(InputError, match="no such folder"):
        detect_format(empty / "missing")
    write(root / "data.yaml", "names: [cow]")
    with pytest.raises(InputError, match=r"voc and yolo; choose with data\.format"):
        detect_format(root)


def test_unknown_format_and_use_list_the_choices(root):
    with pytest.raises(InputError, match=f"choose one of auto, {', '.join(READABLE)}"):
        read_dataset(root, "pascal")
    with pytest.raises(InputError, match="boxes, tags, masks, all or none, got 'points'"):
        read_dataset(root, use="points")
    (root / "ImageSets/Segmentation/train.txt").unlink()
    assert [sample.split for sample in read_dataset(root).samples] == ["train"]


def test_reading_leaves_the_folder_as_it_was(root):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    read_dataset(root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_relative_root_gives_the_same_samples(root, monkeypatch):
    monkeypatch.chdir(root.parent)
    relative = read_dataset(Path(root.name))
    assert [s.annotations for s in relative.samples] == [
        s.annotations for s in read_dataset(root).samples
    ]


def test_real_folder(shared_data):
    dataset = read_dataset(shared_data / "msrc15")
    assert (len(dataset.split("train")), len(dataset.split("val"))) == (273, 78)
    assert len(dataset.classes) == 16
    assert dataset.problems == ()
    masks = read_dataset(shared_data / "msrc15", splits=["val"], use="masks")
    assert all(isinstance(sample.annotations[0], MaskFile) for sample in masks.samples)


def test_masks_of_colours_are_read_by_labelmap(root):
    write(
        root / "labelmap.txt",
        "# label:color_rgb\nbackground:0,0,0::\ncow:9,8,7::\nsheep:200,0,4::\n",
    )
    pixels = np.zeros((30, 40, 3), np.uint8)
    pixels[3:9, 4:8], pixels[20:, 30:], pixels[0, 0] = (9, 8, 7), (200, 0, 4), (1, 1, 1)
    (root / "SegmentationClass").mkdir(exist_ok=True)
    Image.fromarray(pixels).save(root / "SegmentationClass" / "a.png")
    (mask,) = only_sample(read_dataset(root, "voc", ["train"], "masks")).annotations
    expected = np.zeros((30, 40), np.uint8)
    expected[3:9, 4:8], expected[20:, 30:], expected[0, 0] = 1, 2, 255
    assert (label_map_of(mask, (30, 40), 3) == expected).all()


def test_masks_of_colours_without_their_list_are_refused(root):
    write(root / "labelmap.txt", "background:0,0,0::\ncow:::\n")
    (root / "SegmentationClass").mkdir(exist_ok=True)
    Image.new("RGB", (40, 30)).save(root / "SegmentationClass" / "a.png")
    (mask,) = only_sample(read_dataset(root, "voc", ["train"], "masks")).annotations
    with pytest.raises(InputError, match="one 8-bit channel"):
        label_map_of(mask, (30, 40), 2)
