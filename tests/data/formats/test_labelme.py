import base64
import json
import zlib
from io import BytesIO

import numpy as np
import pytest
from helpers.builders import kinds, only_sample, write, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.annotation import Box, Boxes, Region, Regions, Tags, Unknown
from wsseg.data.constraints import constraints_of, region_mask
from wsseg.data.formats.labelme import LABELME, read_labelme
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import with_annotations
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError

SIZE = (30, 40)
OTHER = "shape that cannot be used"
POLYGON = "polygon cannot be used"
NO_NUMBER = "box has a corner that is no finite number"
BOX = Boxes((Box(1, 2, 1, 6, 5),))


def png(window, mode="L", kind="PNG"):
    file = BytesIO()
    Image.fromarray(np.asarray(window, np.uint8)).convert(mode).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


def shape(kind, *points, label="cow", **more):
    return {
        "label": label,
        "points": [list(point) for point in points],
        "group_id": None,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": None,
        **more,
    }


def page(*shapes, **more):
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.jpg",
        "imageData": "/9j/no-image-at-all",
        "imageHeight": 30,
        "imageWidth": 40,
        **more,
    }


RECTANGLE = shape("rectangle", (2.0, 1.0), (6.0, 5.0))


@pytest.fixture
def root(tmp_path):
    """A data set of one image, "a", beside its JSON."""
    write_image(tmp_path / "set" / "a.jpg")
    write(tmp_path / "set" / "a.json", page(RECTANGLE))
    return tmp_path / "set"


def annotations(root, *shapes, use="all", **more):
    write(root / "a.json", page(*shapes, **more))
    dataset = read_dataset(root, "labelme", use=use)
    assert dataset.problems == ()
    return only_sample(dataset).annotations


def test_saved_file_is_found_and_read(root):
    assert detect_format(root) == "labelme"
    dataset = read_dataset(root)
    sample = only_sample(dataset)
    assert dataset.classes.names == ("background", "cow")
    assert (sample.id, sample.split, sample.size) == ("a", "train", SIZE)
    assert sample.image == root / "a.jpg"
    assert sample.annotations == (BOX,)


@pytest.mark.parametrize(
    "points",
    [
        [(6.0, 5.0), (2.0, 1.0)],
        [(2, 5), (6, 1)],
        [(2.0, 1.0), (6.0, 1.0), (6.0, 5.0), (2.0, 5.0)],
    ],
)
def test_rectangles_have_corners_in_any_order(root, points):
    assert annotations(root, shape("rectangle", *points)) == (BOX,)


def test_box_around_an_oriented_rectangle(root):
    corners = [(4, 1), (6, 3), (4, 5), (2, 3)]
    assert annotations(root, shape("oriented_rectangle", *corners)) == (BOX,)


def test_polygons_points_and_lines(root):
    corners = [(2.0, 1.0), (6.0, 1.0), (6.0, 5.0)]
    shapes = (
        shape("polygon", *corners, label="sheep", group_id=1),
        shape(None, *corners),
        shape("point", (3.5, 4.5)),
        shape("points", (8.0, 8.0), (9.0, 9.5)),
        shape("line", (1.0, 2.0), (30.0, 20.0), label="_background_"),
        shape("linestrip", (1.0, 2.0), (3.0, 4.0), (5.0, 1.0)),
    )
    strokes = Strokes(
        (
            Scribble(1, ((3.5, 4.5),)),
            Scribble(1, ((8.0, 8.0),)),
            Scribble(1, ((9.0, 9.5),)),
            Scribble(0, ((1.0, 2.0), (30.0, 20.0))),
            Scribble(1, ((1.0, 2.0), (3.0, 4.0), (5.0, 1.0))),
        )
    )
    flat = tuple(value for corner in corners for value in corner)
    regions = Regions((Region(2, (flat,)), Region(1, (flat,))), partial=True)
    assert annotations(root, *shapes) == (strokes, regions)


def test_files_of_old_versions_know_polygons_only(root):
    corners = [[2, 1], [6, 1], [6, 5]]
    old = {
        "imageData": "A" * 9000,
        "shapes": [{"label": "cow", "points": corners, "line_color": None, "fill_color": None}],
        "imagePath": "a.jpg",
        "lineColor": [0, 255, 0, 128],
    }
    write(root / "a.json", old)
    assert detect_format(root) == "labelme"
    sample = only_sample(read_dataset(root, use="masks"))
    assert sample.annotations == (Regions((Region(1, ((2.0, 1.0, 6.0, 1.0, 6.0, 5.0),)),)),)
    assert sample.size == SIZE


def test_circles_become_polygons(root):
    (regions,) = annotations(root, shape("circle", (20.0, 15.0), (20.0, 24.0)), use="masks")
    rows, columns = np.mgrid[:30, :40] + 0.5
    expected = np.hypot(columns - 20, rows - 15) <= 9
    found = region_mask(regions.items[0], SIZE)
    assert np.count_nonzero(found != expected) < 0.06 * np.count_nonzero(expected)


@pytest.mark.parametrize("mode", ["L", "1", "P"])
@pytest.mark.parametrize(
    "corners", [((3, 2), (6, 4)), ((3, 2), (7, 5)), ((6, 4), (3, 2)), ((2.6, 1.7), (6.4, 4.4))]
)
def test_masks_lie_in_their_rectangle(root, corners, mode):
    window = np.array([[0, 1, 1, 0], [1, 0, 1, 0], [0, 0, 0, 1]])
    coded = png(window * 255 if mode == "1" else window, mode)
    (regions,) = annotations(root, shape("mask", *corners, mask=coded), use="masks")
    expected = np.zeros(SIZE, bool)
    expected[2:5, 3:7] = window
    assert np.array_equal(region_mask(regions.items[0], SIZE), expected)


def test_masks_are_cut_at_the_image(root):
    coded = png(np.ones((4, 5)))
    (regions,) = annotations(root, shape("mask", (37, -2), (41, 1), mask=coded), use="masks")
    expected = np.zeros(SIZE, bool)
    expected[:2, 37:] = True
    assert np.array_equal(region_mask(regions.items[0], SIZE), expected)


def test_flags_that_are_set_are_tags_with_what_is_drawn(root):
    flags = {"sheep": True, "dog": False, "ant": "yes"}
    assert annotations(root, flags=flags) == (Tags((1,)),)
    # where things are drawn, flags that are no class of these are about something else
    assert annotations(root, RECTANGLE, flags=flags, use="tags") == (Tags((1,)),)
    assert annotations(root, RECTANGLE, flags=flags) == (BOX,)
    assert annotations(root, RECTANGLE, flags={"cow": True}) == (Tags((1,)), BOX)
    for unset in ({"dog": False}, {}, None, ["dog"]):
        write(root / "a.json", page(RECTANGLE, flags=unset))
        assert read_labelme(root / "a.json").images[0].tags is None
        assert only_sample(read_dataset(root, use="all")).annotations == (BOX,)


def test_pixels_in_the_file_are_never_decoded(root, monkeypatch):
    def refused(*_):
        raise AssertionError("decoded")

    monkeypatch.setattr(base64, "b64decode", refused)
    assert annotations(root, RECTANGLE, imageData="!" * 100_000) == (BOX,)
    assert annotations(root, RECTANGLE, imageData=None) == (BOX,)


@pytest.mark.parametrize(
    ("folder", "images", "split"),
    [
        ("train", "train", "train"),
        ("val", "val", "val"),
        ("test", "images", "test"),
        ("annotations", "images", "train"),
        ("annotations", ".", "train"),
        ("images", "images", "train"),
        ("images/val", "images/val", "val"),
        ("annotations/val", "images/val", "val"),
        ("json", "images", "train"),
        (".", "images", "train"),
    ],
)
def test_folders_where_files_and_images_lie(tmp_path, folder, images, split):
    write_image(tmp_path / f"{images}/a.jpg")
    write(tmp_path / f"{folder}/a.json", page(RECTANGLE, imagePath="..\\images\\a.jpg"))
    assert detect_format(tmp_path) == "labelme"
    sample = only_sample(read_dataset(tmp_path))
    assert (sample.split, sample.image) == (split, tmp_path / images / "a.jpg")


def test_labels_file_orders_the_classes(root):
    names = "__ignore__\n_background_\nsheep\ncow\n\nant\n"
    write(root / "labels.txt", names.encode())
    assert read_dataset(root).classes.names == ("background", "sheep", "cow", "ant")
    (root / "train").mkdir()
    for name in ("a.json", "a.jpg"):
        (root / name).rename(root / "train" / name)
    assert read_dataset(root).classes.names == ("background", "sheep", "cow", "ant")


def test_labels_file_that_leads_out_is_refused(root, tmp_path):
    (tmp_path / "outside.txt").write_text("cow\n")
    (root / "labels.txt").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(InputError, match="inside the data set"):
        read_dataset(root)


@pytest.mark.parametrize(
    "path",
    ["a.jpg", "../images/a.jpg", "..\\..\\a.jpg", "C:\\pictures\\a.jpg", "/home/someone/a.jpg"],
)
def test_only_the_last_part_of_the_image_path_counts(root, path):
    write(root / "a.json", page(RECTANGLE, imagePath=path))
    assert only_sample(read_dataset(root)).image == root / "a.jpg"


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "b.jpg", "x" * 5000])
def test_image_that_is_not_in_the_data_set_is_left_out(root, path):
    write(root / "b.json", page(RECTANGLE, imagePath=path))
    dataset = read_dataset(root)
    assert only_sample(dataset).id == "a"
    assert [(p.subject, p.fatal) for p in dataset.problems] == [("b.json", True)]


@pytest.mark.parametrize("path", ["", "..", "images/", "a\x00.jpg", "..\\..", None, 7, ["a.jpg"]])
def test_file_without_an_image_is_refused(root, path):
    write(root / "a.json", page(RECTANGLE, imagePath=path))
    with pytest.raises(InputError, match=r"imagePath in .*a\.json must be"):
        read_labelme(root / "a.json")


def test_two_files_of_one_image_add_up(root):
    write(root / "annotations/a.json", page(shape("rectangle", (7, 7), (9, 9))))
    boxes = Boxes((Box(1, 2, 1, 6, 5), Box(1, 7, 7, 9, 9)))
    assert only_sample(read_dataset(root, "labelme")).annotations == (boxes,)


def test_laid_over_other_images(root):
    bare = Sample("herd/a", root / "a.jpg", SIZE, (), "train")
    shapes = (
        RECTANGLE,
        shape("point", (3.5, 4.5), label="sheep"),
        shape("point", (1, 1), label="x"),
    )
    write(root / "a.json", page(*shapes))
    classes = Classes(("background", "sheep", "cow"))
    for place in (root, root / "a.json"):
        dataset = with_annotations(Dataset(classes, (bare,)), [place])
        boxes, strokes, unknown = only_sample(dataset).annotations
        assert boxes == Boxes((Box(2, 2, 1, 6, 5),))
        assert strokes == Strokes((Scribble(1, ((3.5, 4.5),)),))
        # What cannot be used may be of any class.
        assert unknown.labels == ()
        assert kinds(dataset) == ["mark of an unknown class"]


def bomb(height, width):
    """A PNG whose header claims more than it holds."""
    data = bytearray(base64.b64decode(png(np.ones((3, 4)))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return base64.b64encode(data).decode()


WINDOW = ((3, 2), (6, 4))


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (None, OTHER),
        ([], OTHER),
        ({}, OTHER),
        (shape("rectangle"), OTHER),
        (shape("rectangle", (1, 1), (float("nan"), 5)), NO_NUMBER),
        (shape("rectangle", (1, 1), (None, 5)), NO_NUMBER),
        (shape("rectangle", (1, 1), (10**400, 5)), NO_NUMBER),
        (shape("rectangle", (1, 1), (float("inf"), 5)), NO_NUMBER),
        (shape("rectangle", (90, 90), (99, 99)), "box lies outside the image"),
        (shape("rectangle", (1, 1), (2, 2, 2)), OTHER),
        (shape("rectangle", label="cow") | {"points": "1,1"}, OTHER),
        (shape("rectangle", label="cow") | {"points": [1, 2]}, OTHER),
        (RECTANGLE | {"label": None}, OTHER),
        (RECTANGLE | {"label": " "}, OTHER),
        (RECTANGLE | {"shape_type": "sphere"}, OTHER),
        (RECTANGLE | {"shape_type": ["polygon"]}, OTHER),
        (shape("polygon", (1, 1), (2, 2)), POLYGON),
        (shape("polygon", (1, 1), (2, 2), (1e9, 3)), POLYGON),
        (shape("linestrip", (1, 1), (float("nan"), 2)), "stroke cannot be drawn"),
        (shape("point", (99, 99)), "stroke outside the image"),
        (shape("circle", (1, 1)), OTHER),
        (shape("circle", (1, 1), (1, 1)), OTHER),
        (shape("circle", (1, 1), (float("nan"), 1)), OTHER),
        (shape("mask", *WINDOW), OTHER),
        (shape("mask", *WINDOW, mask=7), OTHER),
        (shape("mask", *WINDOW, mask="n\u00e4"), OTHER),
        (shape("mask", *WINDOW, mask="AAAA"), OTHER),
        (shape("mask", *WINDOW, mask=png(np.ones((3, 4)))[:60]), OTHER),
        (shape("mask", *WINDOW, mask=png(np.ones((3, 4)), "RGB")), OTHER),
        (shape("mask", *WINDOW, mask=png(np.ones((3, 4)), "LA")), OTHER),
        (shape("mask", *WINDOW, mask=png(np.ones((3, 4)), kind="BMP")), OTHER),
        (shape("mask", *WINDOW, mask=png(np.zeros((3, 4)))), OTHER),
        (shape("mask", *WINDOW, mask=png(np.ones((9, 4)))), OTHER),
        (shape("mask", (0, 0), (59, 59), mask=png(np.ones((60, 60)))), OTHER),
        (shape("mask", (50, 2), (53, 4), mask=png(np.ones((3, 4)))), OTHER),
        (shape("mask", (3, 2), (float("inf"), 4), mask=png(np.ones((3, 4)))), OTHER),
        (shape("mask", (3, 2), mask=png(np.ones((3, 4)))), OTHER),
        (shape("mask", *WINDOW, mask=bomb(9000, 10_000)), OTHER),
        (shape("mask", *WINDOW, mask=bomb(60_000, 60_000)), OTHER),
        (shape("mask", *WINDOW, mask=bomb(5, 4)), OTHER),
    ],
)
def test_shape_that_cannot_be_used_is_left_out_and_noted(root, wrong, kind):
    write(root / "a.json", page(wrong, RECTANGLE))
    dataset = read_dataset(root, "labelme", use="all")
    labels = (1,) if wrong and wrong.get("label") == "cow" else ()
    assert only_sample(dataset).annotations == (BOX, Unknown(labels))
    assert kinds(dataset) == [kind]
    assert dataset.problems[0].subject == "a.json shapes[0]"


def test_mask_needs_the_size_of_its_image(root):
    masked = shape("mask", *WINDOW, mask=png(np.ones((3, 4))))
    write(root / "a.json", page(masked, RECTANGLE, imageHeight=None))
    dataset = read_dataset(root, "labelme", use="all")
    assert only_sample(dataset).annotations == (BOX, Unknown((1,)))
    assert "width and height are given" in dataset.problems[0].message


@pytest.mark.parametrize("sides", [(None, None), (0, 40), (10**9, 10**9), ("x", 40)])
def test_size_that_is_none_comes_from_the_image(root, sides):
    write(root / "a.json", page(RECTANGLE, imageHeight=sides[0], imageWidth=sides[1]))
    assert only_sample(read_dataset(root)).size == SIZE


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02",
        b"null",
        b"[]",
        b"7",
        b'{"shapes": [}',
        json.dumps(page(RECTANGLE)).encode()[:-9],
        json.dumps(page(RECTANGLE, shapes=None)).encode(),
        json.dumps(page(RECTANGLE, shapes={})).encode(),
        b'{"imagePath": "a.jpg"}',
        b'{"shapes": ' + b"[" * 100_000,
        b'{"shapes": ' + b"1" * 5000 + b"}",
        '{"shapes": [], "imagePath": "\u00e4"}'.encode("latin-1"),
    ],
)
def test_damaged_or_hostile_file_is_refused(root, content):
    write(root / "a.json", content)
    with pytest.raises(InputError, match=r"a\.json must be"):
        read_labelme(root / "a.json")


@pytest.mark.parametrize("path", ["a.json", "a.jpg"])
def test_links_out_of_the_data_set_are_not_followed(root, tmp_path, path):
    (root / path).rename(tmp_path / "outside")
    (root / path).symlink_to(tmp_path / "outside")
    if path == "a.json":
        with pytest.raises(InputError, match="inside the data set"):
            read_dataset(root, "labelme")
    else:
        dataset = read_dataset(root, "labelme")
        assert dataset.samples == ()
        assert "inside the data set" in dataset.problems[0].message


def test_other_json_is_not_taken_for_it(tmp_path):
    coco = {"info": {"shapes": 1}, "images": [], "annotations": [], "categories": []}
    write(tmp_path / "annotations/instances_train.json", coco)
    write(tmp_path / "val/_annotations.coco.json", coco)
    write(tmp_path / "b.json", [page(RECTANGLE)])
    write(tmp_path / "c.json", {"name": "shapes"})
    write(tmp_path / "d.json", b"")
    write(tmp_path / "e.txt", page(RECTANGLE))
    assert list(LABELME.files(tmp_path)) == []
    assert detect_format(tmp_path) == "coco"


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_give_problems_or_input_errors(root, data):
    shapes = (
        RECTANGLE,
        shape("circle", (9, 9), (12, 9)),
        shape("linestrip", (1, 1), (5, 5)),
        shape("mask", *WINDOW, mask=png(np.ones((3, 4)))),
    )
    content = json.dumps(page(*shapes, flags={"ant": True})).encode()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    puts = [b"NaN", b"-1", b"{", b"[[", b"null", b"../", b"9" * 12, b"1e999", b'"', b"\\u0000"]
    put = data.draw(st.binary(max_size=6) | st.sampled_from(puts))
    write(root / "a.json", content[:start] + put + content[stop:])
    try:
        dataset = read_dataset(root, "labelme", use="all")
    except InputError as error:
        assert str(root) in str(error) or "class" in str(error)
    else:
        assert dataset.samples or dataset.problems


TURNED = ((45.06, 5.06), (77.94, 17.06), (65.94, 49.94), (33.06, 37.94))


@pytest.mark.parametrize("kind", ["rotation", "quadrilateral", "cuboid", "rectangle"])
def test_shapes_of_x_anylabeling_give_the_box_around_their_points(tmp_path, kind):
    """Cases A1b and A1c: such shapes alone, and one among good ones."""
    write_image(tmp_path / "a.jpg", size=(90, 120))
    sides = {"imageHeight": 90, "imageWidth": 120}
    odd = shape(kind, *TURNED, direction=0.35, label="sheep")
    write(tmp_path / "a.json", page(odd, **sides))
    dataset = read_dataset(tmp_path)
    assert dataset.problems == ()
    assert only_sample(dataset).annotations == (Boxes((Box(1, 33, 5, 78, 50),)),)
    good = shape("rectangle", (38, 10), (73, 10), (73, 45), (38, 45))
    write(tmp_path / "a.json", page(good, odd, **sides))
    boxes = Boxes((Box(1, 38, 10, 73, 45), Box(2, 33, 5, 78, 50)))
    assert only_sample(read_dataset(tmp_path)).annotations == (boxes,)


def test_a_misclick_leaves_its_class_open(root):
    """Case A4: a polygon of two points, beside a box."""
    write(root / "a.json", page(RECTANGLE, shape("polygon", (9, 3), (20, 13), label="sheep")))
    sample = only_sample(read_dataset(root, use="all"))
    assert sample.annotations == (BOX, Unknown((2,)))
    allowed = constraints_of(sample, 3).allowed
    assert allowed[2].all()  # sheep, anywhere
    assert allowed[1, 1:5, 2:6].all() and allowed[1].sum() == 16  # cow, in its box only


def test_a_shape_to_ignore_leaves_its_box_open(root):
    write(
        root / "a.json",
        page(RECTANGLE, shape("polygon", (9, 3), (20, 3), (20, 13), label="__ignore__")),
    )
    dataset = read_dataset(root, use="all")
    assert dataset.problems == () and dataset.classes.names == ("background", "cow")
    assert only_sample(dataset).annotations == (BOX, Unknown((), (9, 3, 20, 13)))


@pytest.mark.parametrize(
    ("file", "written", "image"),
    [
        ("west/a.json", "a.jpg", "west/a.jpg"),
        ("west/far/deep/a.json", "a.jpg", "west/far/deep/a.jpg"),
        ("json/west/a.json", "../../photos/west/a.jpg", "photos/west/a.jpg"),
        ("json/west/a.json", "..\\..\\photos\\west\\a.jpg", "photos/west/a.jpg"),
        ("labels/west/a.json", "a.jpg", "images/west/a.jpg"),
        ("west/a.json", "C:\\Users\\ann\\herd\\a.jpg", "west/a.jpg"),
        ("json/a.json", "C:\\Users\\ann\\herd\\west\\a.jpg", "photos/west/a.jpg"),
        ("json/a.json", "/home/ann/herd/west/a.jpg", "photos/west/a.jpg"),
        ("json/a.json", "a.jpeg", "photos/far/a.JPG"),
        ("labels/a.json", "a.jpg", "labels/a.jpg"),
    ],
)
def test_images_are_found_from_their_json(tmp_path, file, written, image):
    """The other folders hold images of the same name that are not meant."""
    for place in {image, "east/b.jpg"}:
        write_image(tmp_path / place)
    if image != "photos/far/a.JPG":
        write_image(tmp_path / "images/east/a.jpg")
    write(tmp_path / file, page(RECTANGLE, imagePath=written))
    assert detect_format(tmp_path) == "labelme"
    dataset = read_dataset(tmp_path)
    assert dataset.problems == ()
    assert only_sample(dataset).image == tmp_path / image


def test_images_of_one_name_in_two_folders_stay_apart(tmp_path):
    for folder, name in (("a", "cow"), ("b", "sheep")):
        write_image(tmp_path / folder / "1.jpg")
        marks = RECTANGLE | {"label": name}
        write(tmp_path / folder / "1.json", page(marks, imagePath="1.jpg"))
    dataset = read_dataset(tmp_path)
    expected = {"a/1": [1], "b/1": [2]}
    assert {s.id: [box.label for box in s.boxes] for s in dataset.samples} == expected
    laid_over = with_annotations(read_dataset(tmp_path, use="none"), [tmp_path])
    assert {s.id: [box.label for box in s.boxes] for s in laid_over.samples} == expected


def test_the_nearest_folder_of_a_split_decides(tmp_path):
    for split in ("train", "val"):
        write_image(tmp_path / split / "west" / f"{split}.jpg")
        write(tmp_path / split / "west" / "x.json", page(RECTANGLE, imagePath=f"{split}.jpg"))
    found = {(sample.split, sample.image.stem) for sample in read_dataset(tmp_path).samples}
    assert found == {("train", "train"), ("val", "val")}
