import json

import numpy as np
import pytest
from helpers.builders import kinds, only_sample, write, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from wsseg.data.annotation import Box, Boxes, Region, Regions
from wsseg.data.constraints import label_map_of, region_mask
from wsseg.data.formats.coco import coco_splits
from wsseg.data.formats.geometry import fitted_runs
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE

SIZE = (30, 40)
SQUARE = [2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]
UNUSABLE = "polygon cannot be used"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def drawn(bbox=(2, 1, 4, 4), category_id=7, image_id=1, **more):
    return {"bbox": list(bbox), "category_id": category_id, "image_id": image_id, **more}


def page(*annotations, images=None, categories=None):
    return {
        "images": images or [{"id": 1, "file_name": "a.jpg", "height": 30, "width": 40}],
        "annotations": list(annotations),
        "categories": categories or [{"id": 9, "name": "sheep"}, {"id": 7, "name": "cow"}],
    }


@pytest.fixture
def root(tmp_path):
    """A data set of one image, "a", in the split "train"."""
    write_image(tmp_path / "set" / "images/train/a.jpg")
    write(tmp_path / "set" / "annotations/instances_train.json", page(drawn()))
    return tmp_path / "set"


def test_categories_become_labels_in_the_order_of_their_ids(root):
    dataset = read_dataset(root, "coco", ["train"])
    sample = only_sample(dataset)
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert sample.annotations == (Boxes((Box(1, 2, 1, 6, 5),)),)
    assert (sample.id, sample.size, sample.split) == ("a", SIZE, "train")


@pytest.mark.parametrize(
    ("bbox", "expected", "kind"),
    [
        ((2.4, 1.6, 4.2, 4), (2, 1, 7, 6), None),
        ((10.1, 1, 20.9, 4), (10, 1, 31, 5), None),
        ((0, 0, 40, 30), (0, 0, 40, 30), None),
        ((-3, 1, 9, 4), (0, 1, 6, 5), "box leaves the image"),
        ((30, 20, 99, 99), (30, 20, 40, 30), "box leaves the image"),
        ((5, 5, 0, 4), None, "box has no area"),
        ((5.2, 5.2, 0.3, 0.3), (5, 5, 6, 6), None),
        ((40, 1, 4, 4), None, "box lies outside the image"),
        ((5, 5, -2, 4), (3, 5, 5, 9), "box with swapped corners"),
        ((5, 5, -20, 4), None, "box is inverted"),
        ((float("nan"), 1, 4, 4), None, "box has a corner that is no finite number"),
        ((1, 1, float("inf"), 4), None, "box has a corner that is no finite number"),
        ((1, 1, 10**400, 4), None, "box has a corner that is no finite number"),
        ((1, 1, 4), None, "box has a corner that is no finite number"),
        ((1, 1, 4, None), None, "box has a corner that is no finite number"),
        ((1, 1, 4, [4]), None, "box has a corner that is no finite number"),
    ],
)
def test_boxes_are_brought_inside_the_image(root, bbox, expected, kind):
    write(root / "annotations/instances_train.json", page(drawn(bbox)))
    dataset = read_dataset(root, "coco", ["train"])
    boxes = only_sample(dataset).boxes
    assert [(b.left, b.top, b.right, b.bottom) for b in boxes] == ([expected] if expected else [])
    assert kinds(dataset) == ([kind] if kind else [])


def test_crowds_are_marked(root):
    write(root / "annotations/instances_train.json", page(drawn(iscrowd=1, segmentation=[SQUARE])))
    assert only_sample(read_dataset(root, "coco", ["train"])).boxes[0].crowd
    regions = only_sample(read_dataset(root, "coco", ["train"], "masks")).annotations[0]
    assert regions.items[0].crowd


def test_image_without_annotations_has_no_object(root):
    write(root / "annotations/instances_train.json", page())
    assert only_sample(read_dataset(root, "coco", ["train"])).annotations == (Boxes(()),)
    assert only_sample(read_dataset(root, "coco", ["train"], "masks")).annotations == (Regions(()),)


def test_split_without_annotations_is_not_annotated(root):
    write(
        root / "annotations/instances_train.json",
        {key: value for key, value in page().items() if key != "annotations"},
    )
    dataset = read_dataset(root, "coco", ["train"])
    assert only_sample(dataset).annotations == ()
    assert kinds(dataset) == ["split without annotations"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "readable JSON"),
        (b'{"images": [', "readable JSON"),
        (b"\xff{}", "UTF-8"),
        (b"[" * 100_000, "readable JSON"),
        (b"[]", "JSON object"),
        (b"{}", "lists 'images' and 'annotations'"),
        (b'{"images": {}, "annotations": []}', "lists 'images' and 'annotations'"),
        (b'{"images": [], "annotations": []}', "1 to 254 names"),
        (page(categories=[{"id": 1}]), "printable name"),
        (page(categories=[{"id": "one", "name": "cow"}]), "whole number"),
        (page(categories=[{"id": 1.5, "name": "cow"}]), "whole number"),
        (page(categories=[{"id": 1, "name": "cow"}] * 2), "whole number of its own"),
        (page(categories=[{"id": i, "name": "cow"} for i in (1, 2)]), "distinct"),
        (page(categories=[3]), "whole number"),
    ],
)
def test_damaged_json_is_refused(root, content, rule):
    write(root / "annotations/instances_train.json", content)
    with pytest.raises(InputError, match=rule):
        read_dataset(root, "coco", ["train"])


def test_byte_order_mark_is_no_damage(root):
    write(
        root / "annotations/instances_train.json",
        b"\xef\xbb\xbf" + json.dumps(page(drawn())).encode(),
    )
    assert only_sample(read_dataset(root, "coco", ["train"])).boxes


@pytest.mark.parametrize("entry", [None, 3, {"id": 1}, {"id": [1], "file_name": "a.jpg"}, []])
def test_damaged_image_entry_is_left_out(root, entry):
    good = {"id": 5, "file_name": "a.jpg", "height": 30, "width": 40}
    write(root / "annotations/instances_train.json", page(images=[entry, good]))
    dataset = read_dataset(root, "coco", ["train"])
    assert only_sample(dataset).id == "a"
    assert [problem.fatal for problem in dataset.problems] == [True]


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (None, "annotation without image"),
        ({"bbox": [1, 1, 2, 2]}, "annotation without image"),
        (drawn(image_id=[1]), "annotation without image"),
        (drawn(image_id=99), "annotation without image"),
        (drawn(category_id=1), "object of an unknown class"),
        (drawn(category_id=[7]), "object of an unknown class"),
        (drawn(category_id=None), "object of an unknown class"),
    ],
)
def test_damaged_annotation_is_left_out(root, entry, kind):
    write(root / "annotations/instances_train.json", page(entry, drawn()))
    dataset = read_dataset(root, "coco", ["train"])
    assert len(only_sample(dataset).boxes) == 1
    assert kinds(dataset) == [kind]


@pytest.mark.parametrize(
    "name", ["../outside.jpg", "/etc/passwd", "", ".", "a\\b.jpg", "a\x00.jpg", "no.jpg", "\ud800"]
)
def test_file_names_that_lead_elsewhere_or_nowhere_are_left_out(root, name):
    write_image(root.parent / "outside.jpg")
    good = {"id": 5, "file_name": "a.jpg", "height": 30, "width": 40}
    write(
        root / "annotations/instances_train.json",
        page(images=[{"id": 1, "file_name": name, "height": 30, "width": 40}, good]),
    )
    dataset = read_dataset(root, "coco", ["train"])
    assert only_sample(dataset).id == "a"
    assert [problem.fatal for problem in dataset.problems] == [True]
    assert dataset.problems[0].message.isprintable()


def test_link_out_of_the_data_set_is_left_out(root):
    write_image(root.parent / "outside.jpg")
    (root / "images/train/a.jpg").unlink()
    (root / "images/train/a.jpg").symlink_to(root.parent / "outside.jpg")
    dataset = read_dataset(root, "coco", ["train"])
    assert dataset.samples == ()
    assert "inside the data set" in dataset.problems[0].message


def test_second_image_of_an_id_is_left_out(root):
    write_image(root / "images/train/a.png")
    write_image(root / "images/train/b.jpg")
    names = [(1, "a.jpg"), (2, "a.png"), (1, "b.jpg"), (3, "a.jpg")]
    images = [{"id": i, "file_name": name, "height": 30, "width": 40} for i, name in names]
    write(root / "annotations/instances_train.json", page(images=images))
    dataset = read_dataset(root, "coco", ["train"])
    assert only_sample(dataset).image.name == "a.jpg"
    assert [problem.fatal for problem in dataset.problems] == [True] * 2  # the last adds to a.jpg


@pytest.mark.parametrize(
    ("json_path", "image_path", "file_name", "id"),
    [
        ("annotations/instances_train.json", "images/train/a.jpg", "a.jpg", "a"),
        ("annotations/instances_train.json", "images/train/x/a.jpg", "x/a.jpg", "x/a"),
        ("annotations/instances_train.json", "images/a.jpg", "a.jpg", "a"),
        ("annotations/instances_train.json", "images/train/a.jpg", "images/train/a.jpg", None),
        ("annotations/instances_train2017.json", "train2017/a.jpg", "a.jpg", "a"),
        ("annotations/instances_train2017.json", "images/train2017/a.jpg", "./a.jpg", "a"),
        ("annotations/train.json", "train/a.jpg", "a.jpg", "a"),
        ("train.json", "a.v1.jpg", "a.v1.jpg", "a.v1"),
        ("train/_annotations.coco.json", "train/a.jpg", "a.jpg", "a"),
    ],
)
def test_usual_layouts_are_found(tmp_path, json_path, image_path, file_name, id):
    write_image(tmp_path / image_path)
    images = [{"id": 1, "file_name": file_name, "height": 30, "width": 40}]
    write(tmp_path / json_path, page(drawn(), images=images))
    assert detect_format(tmp_path) == "coco"
    assert tuple(coco_splits(tmp_path)) == ("train",)
    sample = only_sample(read_dataset(tmp_path))
    assert sample.id == (id or file_name.removesuffix(".jpg"))
    assert sample.image == tmp_path / image_path
    assert len(sample.boxes) == 1


def test_year_is_kept_where_it_tells_splits_apart(root):
    for year in ("2014", "2017"):
        write(root / f"annotations/instances_val{year}.json", page())
    write(root / "annotations/captions_val2017.json", page())
    write(root / "package.json", page())
    assert tuple(coco_splits(root)) == ("train", "val2014", "val2017")


@pytest.mark.parametrize("asked", ["train", "train2017"])
def test_year_may_be_left_out(root, asked):
    (root / "annotations/instances_train.json").rename(
        root / "annotations/instances_train2017.json"
    )
    assert only_sample(read_dataset(root, "coco", [asked])).split == asked


@pytest.mark.parametrize("asked", ["val", "train2014", "../train"])
def test_unknown_split_names_the_known_ones(root, asked):
    with pytest.raises(InputError, match="known: train"):
        read_dataset(root, "coco", [asked])


def test_splits_of_other_categories_are_refused(root):
    write(root / "annotations/instances_val.json", page(categories=[{"id": 7, "name": "ox"}]))
    with pytest.raises(InputError, match="of the categories of annotations/instances_train"):
        read_dataset(root)


def test_category_named_background_is_the_background(root):
    categories = [{"id": 0, "name": "Background"}, {"id": 7, "name": "cow"}]
    write(
        root / "annotations/instances_train.json",
        page(drawn(), drawn(category_id=0), categories=categories),
    )
    dataset = read_dataset(root, "coco", ["train"])
    assert dataset.classes.names == ("background", "cow")
    assert [box.label for box in only_sample(dataset).boxes] == [1]
    assert kinds(dataset) == ["object of the background"]


@pytest.mark.parametrize("size", [{}, {"height": 0, "width": 40}, {"height": "x", "width": []}])
def test_implausible_size_is_read_from_the_header(root, size):
    write(
        root / "annotations/instances_train.json",
        page(images=[{"id": 1, "file_name": "a.jpg", **size}]),
    )
    dataset = read_dataset(root, "coco", ["train"])
    assert only_sample(dataset).size == SIZE
    assert kinds(dataset) == ["image entry without size"]


def test_indexing_decodes_no_image_whose_size_is_given(root):
    (root / "images/train/a.jpg").write_bytes(b"not an image")
    assert only_sample(read_dataset(root, "coco", ["train"])).size == SIZE


def encodings():
    mask = np.zeros(SIZE, np.uint8, order="F")
    mask[1:5, 2:6] = 1
    mask[20, 30] = 1
    packed = coco_mask.encode(mask)
    flat = np.concatenate([[0], mask.ravel(order="F"), [2]])
    runs = np.diff(np.flatnonzero(np.concatenate([[True], np.diff(flat[1:-1]) != 0, [True]])))
    compressed = {"size": list(SIZE), "counts": packed["counts"].decode()}
    return mask.astype(bool), compressed, {"size": list(SIZE), "counts": runs.tolist()}


def test_run_lengths_of_both_kinds_are_read():
    mask, compressed, plain = encodings()
    for segmentation in (compressed, plain):
        region = region_of(segmentation)
        assert isinstance(region.rle[1], bytes) == (segmentation is compressed)
        assert (region_mask(region, SIZE) == mask).all()


def region_of(segmentation):
    runs, problem = fitted_runs(segmentation, SIZE, "a")
    assert problem is None
    return Region(1, rle=runs)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_compressed_run_lengths_of_any_mask_are_accepted(seed, share):
    mask = np.random.default_rng(seed).random(SIZE) < share
    packed = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    region = region_of({"size": list(SIZE), "counts": packed["counts"].decode()})
    assert (region_mask(region, SIZE) == mask).all()


@pytest.mark.parametrize(
    "segmentation",
    [
        {},
        {"size": [3, 3], "counts": [9]},
        {"size": [40, 30], "counts": [1200]},
        {"size": [30, 40], "counts": [1199]},
        {"size": [30, 40], "counts": [10**12]},
        {"size": [30, 40], "counts": [-1, 1201]},
        {"size": [30, 40], "counts": [1200.0]},
        {"size": [30, 40], "counts": "\x00"},
        {"size": [30, 40], "counts": "oooooooooooooooooooo0"},
        {"size": [30, 40], "counts": "PPPP"},
        {"size": [30, 40], "counts": None},
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, float("nan")]],
        [[1, 2, 3, 4, 5, 1e30]],
        [[50, 50, 60, 50, 60, 60]],
        ["abc"],
    ],
)
def test_unusable_polygons_leave_the_pixels_of_their_box_unknown(root, segmentation):
    write(
        root / "annotations/instances_train.json",
        page(drawn(segmentation=segmentation), drawn((20, 20, 4, 4), segmentation=[SQUARE])),
    )
    dataset = read_dataset(root, "coco", ["train"], "masks")
    assert set(kinds(dataset)) == {UNUSABLE, "object without polygon"}
    label_map = label_map_of(only_sample(dataset).annotations[0], SIZE, 3)
    assert set(np.unique(label_map)) <= {0, 1, IGNORE}
    crowd = only_sample(dataset).annotations[0].items[0]
    assert crowd.crowd and region_mask(crowd, SIZE).sum() == 16


def test_image_whose_objects_have_no_polygon_has_no_mask(root):
    assert only_sample(read_dataset(root, "coco", ["train"], "masks")).annotations == ()


@pytest.mark.parametrize(
    ("polygon", "rows", "columns"),
    [
        (SQUARE, slice(1, 5), slice(2, 6)),
        ([-9, -9, 6, -9, 6, 5, -9, 5], slice(0, 5), slice(0, 6)),
        ([30, 20, 99, 20, 99, 99, 30, 99], slice(20, 30), slice(30, 40)),
        ([-9, -9, 99, -9, 99, 99, -9, 99], slice(0, 30), slice(0, 40)),
    ],
)
def test_polygons_are_cut_at_the_edges(root, polygon, rows, columns):
    write(root / "annotations/instances_train.json", page(drawn(segmentation=[polygon])))
    sample = only_sample(read_dataset(root, "coco", ["train"], "masks"))
    expected = np.zeros(SIZE, np.uint8)
    expected[rows, columns] = 1
    assert (label_map_of(sample.annotations[0], SIZE, 3) == expected).all()


def test_box_may_be_missing_where_there_is_an_polygon(root):
    write(
        root / "annotations/instances_train.json",
        page({"image_id": 1, "category_id": 9, "segmentation": [SQUARE]}),
    )
    assert only_sample(read_dataset(root, "coco", ["train"])).boxes == (Box(2, 2, 1, 6, 5),)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), use=st.sampled_from(["boxes", "masks"]))
def test_mutated_json_gives_problems_or_input_errors(root, data, use):
    _, compressed, plain = encodings()
    annotations = [drawn(segmentation=s) for s in (compressed, plain, [SQUARE])]
    content = json.dumps(page(*annotations)).encode()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    put = data.draw(st.binary(max_size=4) | st.sampled_from([b"NaN", b"null", b"-1", b"{}", b"9"]))
    write(root / "annotations/instances_train.json", content[:start] + put + content[stop:])
    try:
        dataset = read_dataset(root, "coco", ["train"], use)
    except InputError as error:
        assert "instances_train.json" in str(error) or "class" in str(error)
        return
    assert dataset.samples or dataset.problems
    for sample in dataset.samples:
        for box in sample.boxes:
            assert box.right <= sample.size[1] and box.bottom <= sample.size[0]
        if use == "masks" and sample.annotations and max(sample.size) < 1000:
            label_map = label_map_of(sample.annotations[0], sample.size, 3)
            assert set(np.unique(label_map)) <= {0, 1, 2, IGNORE}


def test_real_folder(shared_data):
    dataset = read_dataset(shared_data / "magnetic_tile")
    assert (len(dataset.split("train")), len(dataset.split("val"))) == (323, 105)
    assert len(dataset.classes) == 6
    assert dataset.problems == ()
    masks = read_dataset(shared_data / "magnetic_tile", use="masks")
    assert masks.problems == ()
    for boxes, regions in zip(dataset.samples[::20], masks.samples[::20], strict=True):
        label_map = label_map_of(regions.annotations[0], regions.size, 6)
        outside = label_map.copy()
        for box in boxes.boxes:
            outside[box.slices] = 0
        assert not outside.any()
        assert {box.label for box in boxes.boxes} == set(np.unique(label_map)) - {0}
