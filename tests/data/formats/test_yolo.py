import numpy as np
import pytest
from helpers.builders import kinds, only_sample, write, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsseg.data.annotation import Box, Boxes, Regions
from wsseg.data.constraints import label_map_of, region_mask
from wsseg.data.formats.geometry import fitted_box
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE

SIZE = (30, 40)
YAML = "train: images/train\nnames: [cow, sheep]\n"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture
def root(tmp_path):
    """A data set of one image, "a", in the split "train"."""
    root = tmp_path / "set"
    write_image(root / "images/train/a.jpg")
    write(root / "data.yaml", YAML)
    write(root / "labels/train/a.txt", "1 0.5 0.5 0.25 0.2\n")
    return root


def test_centres_become_edges(root):
    dataset = read_dataset(root, "yolo", ["train"])
    sample = only_sample(dataset)
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert sample.annotations == (Boxes((Box(2, 15, 12, 25, 18),)),)
    assert (sample.id, sample.size) == ("a", SIZE)
    assert dataset.problems == ()


@given(
    left=st.integers(0, 638),
    top=st.integers(0, 478),
    data=st.data(),
)
def test_whole_pixels_survive_six_decimals(left, top, data):
    right, bottom = data.draw(st.integers(left + 1, 639)), data.draw(st.integers(top + 1, 479))
    x, w = (left + right) / 2 / 639, (right - left) / 639
    y, h = (top + bottom) / 2 / 479, (bottom - top) / 479
    x, y, w, h = (float(f"{value:.6f}") for value in (x, y, w, h))
    corners = ((x - w / 2) * 639, (y - h / 2) * 479, (x + w / 2) * 639, (y + h / 2) * 479)
    box, problem = fitted_box(1, corners, (479, 639), "a")
    assert (box.left, box.top, box.right, box.bottom) == (left, top, right, bottom)
    assert problem is None


@pytest.mark.parametrize(
    ("line", "expected", "kind"),
    [
        ("0 0.5 0.5 1 1", (0, 0, 40, 30), None),
        ("0.0 0.5 0.5 1.0 1.0", (0, 0, 40, 30), None),
        ("0 0.25 0.1 0.75 0.1 0.5 0.9", (10, 3, 30, 27), None),
        ("0 0.1 0.5 0.4 0.2", (0, 12, 12, 18), "box leaves the image"),
        ("0 0.5 0.5 0 0.2", None, "box has no area"),
        ("0,0.5,0.5,1,1", (0, 0, 40, 30), None),
        ("0 0,5 0,5 1,0 1", (0, 0, 40, 30), None),
        ("0 20 15 10 6", None, "box lies outside the image"),
        ("0 0.5 0.5 -0.1 0.2", (18, 12, 22, 18), "box with swapped corners"),
        ("0 nan 0.5 0.1 0.2", None, "box has a corner that is no finite number"),
        ("0 0.5 0.5 inf 0.2", None, "box has a corner that is no finite number"),
        ("0 0.1 0.1 nan 0.1 0.5 0.9", None, "box has a corner that is no finite number"),
        ("0 0.5 0.5 0.1", None, "malformed line"),
        ("0 0.5 0.5 0.1 0.2 0.9", (18, 12, 22, 18), "confidence at the end of a line"),
        ("0 0.5 0.5 0.1 0.2 9", None, "malformed line"),
        ("cow 0.5 0.5 0.1 0.2", (18, 12, 22, 18), None),
        ("ox 0.5 0.5 0.1 0.2", None, "object of an unknown class"),
        ("0.5 0.5 0.5 0.1 0.2", None, "object of an unknown class"),
        ("inf 0.5 0.5 0.1 0.2", None, "object of an unknown class"),
        ("0 \x00", None, "malformed line"),
        ("0 1 2 3 4 5 6 7", None, "malformed line"),
        ("2 0.5 0.5 0.1 0.2", None, "object of an unknown class"),
        ("-1 0.5 0.5 0.1 0.2", None, "object of an unknown class"),
    ],
)
def test_lines_become_boxes_or_problems(root, line, expected, kind):
    write(root / "labels/train/a.txt", f"\n{line}\n")
    dataset = read_dataset(root, "yolo", ["train"])
    boxes = only_sample(dataset).boxes
    assert [(b.left, b.top, b.right, b.bottom) for b in boxes] == ([expected] if expected else [])
    assert [(p.kind, p.subject) for p in dataset.problems] == (
        [(kind, "labels/train/a.txt:2")] if kind else []
    )


def test_missing_or_empty_label_file_means_no_object(root):
    write_image(root / "images/train/b.jpg")
    write_image(root / "images/train/c.jpg")
    write(root / "labels/train/c.txt", "")
    dataset = read_dataset(root, "yolo", ["train"])
    assert [sample.annotations for sample in dataset.samples[1:]] == [(Boxes(()),)] * 2
    assert dataset.problems == ()


def test_split_without_any_label_file_is_reported(root):
    (root / "labels/train/a.txt").unlink()
    dataset = read_dataset(root, "yolo", ["train"])
    assert only_sample(dataset).annotations == (Boxes(()),)
    assert kinds(dataset) == ["split without labels"]


@pytest.mark.parametrize(
    ("image", "label", "entry"),
    [
        ("images/train/a.jpg", "labels/train/a.txt", "images/train"),
        ("train/images/a.jpg", "train/labels/a.txt", "../train/images"),
        ("train/images/a.jpg", "train/labels/a.txt", "train"),
        ("images/images/a.jpg", "images/labels/a.txt", "images/images"),
        ("train/a.jpg", "train/a.txt", "./train/"),
        ("images/train/a.jpg", "images/train/a.txt", "images/train"),
    ],
)
def test_label_files_are_found(tmp_path, image, label, entry):
    write_image(tmp_path / image)
    write(tmp_path / label, "0 0.5 0.5 1 1\n")
    write(tmp_path / "data.yaml", f"train: {entry}\nnames: {{0: cow}}\n")
    dataset = read_dataset(tmp_path)
    assert len(only_sample(dataset).boxes) == 1
    assert dataset.problems == ()


def test_images_folder_above_the_data_set_plays_no_part(tmp_path):
    write_image(tmp_path / "images/set/train/a.jpg")
    write(tmp_path / "images/set/train/a.txt", "0 0.5 0.5 1 1\n")
    write(tmp_path / "images/set/data.yaml", "train: train\nnames: [cow]\n")
    assert len(only_sample(read_dataset(tmp_path / "images" / "set")).boxes) == 1


def test_lists_of_images(root):
    write_image(root / "images/train/b.png")
    lines = f"./images/train/a.jpg\n\nimages/train/b.png\n{root}/images/train/a.jpg\n"
    write(root / "train.txt", lines)
    write(root / "data.yaml", "train: train.txt\nnames: [cow, sheep]\n")
    dataset = read_dataset(root, "yolo", ["train"])
    assert [sample.id for sample in dataset.samples] == ["images/train/a", "images/train/b"]
    assert len(dataset.samples[0].boxes) == 1
    assert dataset.problems == ()


def test_several_folders_keep_their_names_apart(root):
    write_image(root / "images/more/a.jpg")
    write(root / "data.yaml", "train: [images/train, images/more]\nnames: [cow, sheep]\n")
    dataset = read_dataset(root, "yolo", ["train"])
    assert [sample.id for sample in dataset.samples] == ["train/a", "more/a"]


def test_second_image_of_a_name_is_left_out(root):
    write_image(root / "images/train/a.png")
    dataset = read_dataset(root, "yolo", ["train"])
    assert only_sample(dataset).image.name == "a.jpg"
    assert [problem.fatal for problem in dataset.problems] == [True]


@pytest.mark.parametrize(
    "line", ["a" * 5000, "../outside.jpg", "/etc/passwd", "no.jpg", "a\x00.jpg", "http://a"]
)
def test_listed_images_elsewhere_are_left_out(root, line):
    write_image(root.parent / "outside.jpg")
    write(root / "train.txt", f"{line}\nimages/train/a.jpg\n")
    write(root / "data.yaml", "train: train.txt\nnames: [cow, sheep]\n")
    dataset = read_dataset(root, "yolo", ["train"])
    assert len(dataset.samples) == 1
    assert [(p.fatal, p.subject) for p in dataset.problems] == [(True, "train.txt:1")]


@pytest.mark.parametrize("path", ["images/train/b.jpg", "labels/train/b.txt"])
def test_links_out_of_the_data_set_are_not_followed(root, tmp_path_factory, path):
    outside = tmp_path_factory.mktemp("outside")
    write_image(root / "images/train/b.jpg")
    write(root / "labels/train/b.txt", "secret")
    (root / path).rename(outside / "b")
    (root / path).symlink_to(outside / "b")
    dataset = read_dataset(root, "yolo", ["train"])
    assert only_sample(dataset).id == "a"
    assert [(p.fatal, p.subject) for p in dataset.problems] == [(True, "images/train/b.jpg")]
    assert "secret" not in dataset.problems[0].message


@pytest.mark.parametrize("entry", ["../outside", "/etc", "nowhere", "images/../.."])
def test_split_outside_the_data_set_is_refused(root, entry):
    (root.parent / "outside").mkdir()
    write(root / "data.yaml", f"train: {entry}\nnames: [cow]\n")
    with pytest.raises(InputError, match="folder or list of images inside"):
        read_dataset(root, "yolo", ["train"])


def test_path_of_another_machine_is_reported_and_not_followed(root):
    write(root / "data.yaml", f"path: /data/sets/cows\n{YAML}")
    dataset = read_dataset(root, "yolo", ["train"])
    assert len(only_sample(dataset).boxes) == 1
    assert kinds(dataset) == ["path of data.yaml leads elsewhere"]


def test_path_inside_the_data_set_is_followed(tmp_path):
    write_image(tmp_path / "set/images/train/a.jpg")
    write(tmp_path / "set/labels/train/a.txt", "0 0.5 0.5 1 1\n")
    write(tmp_path / "data.yaml", f"path: set\n{YAML}")
    assert len(only_sample(read_dataset(tmp_path, "yolo", ["train"])).boxes) == 1


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"names: [", "readable YAML"),
        (b"\xff", "UTF-8"),
        (b"\x00", "readable YAML"),
        (b"[" * 2000, "readable YAML"),
        (b"cow", "YAML mapping"),
        (b"train: images/train", "with 'names'"),
        (b"names: 3", "with 'names'"),
        (b"names: []", "with 'names'"),
        (b"names: [[cow]]", "with 'names'"),
        (b"names: {cow: 1}", "with 'names'"),
        (b"names: &a [*a]", "readable YAML"),
        (b"names: [cow, cow]\ntrain: images/train", "distinct"),
        (b"names: ['']\ntrain: images/train", "printable name"),
        (b"names: [cow]\ntrain: {a: b}", "folders and lists"),
    ],
)
def test_damaged_yaml_is_refused(root, content, rule):
    write(root / "data.yaml", content)
    with pytest.raises(InputError, match=rule):
        read_dataset(root, "yolo", ["train"])


def test_yaml_cannot_make_objects(root):
    write(root / "data.yaml", YAML + "x: !!python/object/apply:os.system ['touch pwned']\n")
    assert only_sample(read_dataset(root, "yolo", ["train"])).id == "a"
    assert not list(root.rglob("pwned"))


def test_class_names_stay_text(root):
    write(root / "data.yaml", "train: images/train\nnames: {1: no, 0: 7, 3: 1e3}\nnc: 3\n")
    dataset = read_dataset(root, "yolo", ["train"])
    assert dataset.classes.names == ("background", "7", "no", "1e3")
    assert only_sample(dataset).boxes[0].label == 2
    assert dataset.problems == ()


def test_number_of_classes_that_contradicts_the_names_is_reported(root):
    write(root / "data.yaml", YAML + "nc: 5\n")
    assert kinds(read_dataset(root, "yolo", ["train"])) == [
        "number of classes contradicts the names"
    ]


def test_splits_are_the_keys_that_name_something(root):
    write(root / "data.yaml", YAML + "val: images/train\ntest:  # none\n")
    assert tuple(dict.fromkeys(sample.split for sample in read_dataset(root, "yolo").samples)) == (
        "train",
        "val",
    )
    assert detect_format(root) == "yolo"
    with pytest.raises(InputError, match="known: train, val"):
        read_dataset(root, "yolo", ["test"])


def test_undecodable_label_file_and_damaged_image_are_left_out(root):
    write_image(root / "images/train/b.jpg")
    write(root / "images/train/c.jpg", b"no image")
    write(root / "labels/train/b.txt", b"\xff\xfe\x00")
    dataset = read_dataset(root, "yolo", ["train"])
    assert only_sample(dataset).id == "a"
    assert [problem.fatal for problem in dataset.problems] == [True, True]


def test_polygons_become_regions(root):
    polygon = "0 0.05 0.1 0.15 0.1 0.15 0.2 0.05 0.2"
    write(root / "labels/train/a.txt", f"\ufeff{polygon}\n1 0.5 0.5 0.1 0.2\n")
    dataset = read_dataset(root, "yolo", ["train"], "masks")
    regions = only_sample(dataset).annotations[0]
    expected = np.zeros(SIZE, np.uint8)
    expected[3:6, 2:6], expected[12:18, 18:22] = 1, IGNORE
    assert (label_map_of(regions, SIZE, 3) == expected).all()
    assert region_mask(regions.items[0], SIZE).sum() == 12
    assert kinds(dataset) == ["object without polygon"]


def test_boxes_are_no_mask_but_no_object_is(root):
    write_image(root / "images/train/b.jpg")
    first, second = read_dataset(root, "yolo", ["train"], "masks").samples
    assert first.annotations == ()
    assert second.annotations == (Regions(()),)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), use=st.sampled_from(["boxes", "masks"]))
def test_mutated_files_give_problems_or_input_errors(root, data, use):
    path = root / data.draw(st.sampled_from(["data.yaml", "labels/train/a.txt"]))
    content = path.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    put = data.draw(st.binary(max_size=6) | st.sampled_from([b"nan", b"-1", b"[", b"../", b"\n"]))
    path.write_bytes(content[:start] + put + content[stop:])
    try:
        dataset = read_dataset(root, "yolo", ["train"], use)
    except InputError as error:
        assert str(root) in str(error) or "class" in str(error)
    else:
        assert dataset.samples or dataset.problems
        for sample in dataset.samples:
            for box in sample.boxes:
                assert box.right <= SIZE[1] and box.bottom <= SIZE[0]
    finally:
        path.write_bytes(content)
