import base64
import json
import math
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from helpers.brush import packed, plain_runs, rgba
from helpers.builders import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.annotation import Box, Boxes, Regions, Tags, Unknown
from wsseg.data.constraints import constraints_of, label_map_of, region_mask
from wsseg.data.formats.labelstudio import LABELSTUDIO, read_labelstudio
from wsseg.data.formats.table import FORMATS, detect_format, read_dataset
from wsseg.data.load import read_weak, with_annotations
from wsseg.data.params import DataParams
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE

SIZE = (50, 200)
UNREADABLE = "mark that cannot be read"

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def result(type, drawn, name="cow", **more):
    return {
        "id": "Wq3sPzB1xk",
        "from_name": "label",
        "to_name": "image",
        "type": type,
        "origin": "manual",
        "original_width": 200,
        "original_height": 50,
        "image_rotation": 0,
        "value": {**drawn, type: [name] if isinstance(name, str) else name},
        **more,
    }


def box(x=10, y=20, width=30, height=40, name="cow", rotation=0, **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation}
    return result("rectanglelabels", value, name, **more)


def polygon(points=((10, 20), (40, 20), (40, 60), (10, 60)), name="cow", **more):
    value = {"points": [list(point) for point in points], "closed": True}
    return result("polygonlabels", value, name, **more)


def key_point(x=25, y=50, width=0.75, name="sheep", **more):
    return result("keypointlabels", {"x": x, "y": y, "width": width}, name, **more)


def ellipse(x=50, y=50, across=10, down=20, rotation=0, name="cow", **more):
    value = {"x": x, "y": y, "radiusX": across, "radiusY": down, "rotation": rotation}
    return result("ellipselabels", value, name, **more)


def brush(mask, name="sheep", **more):
    values = rgba(mask, (0, 120, 255, 255))
    rle = list(packed(values, plain_runs(values)))
    return result("brushlabels", {"format": "rle", "rle": rle}, name, **more)


def choices(*names, **value):
    return {"type": "choices", "to_name": "image", "value": {**value, "choices": list(names)}}


def annotation(*results, **more):
    return {"id": 7, "completed_by": 1, "was_cancelled": False, "result": list(results), **more}


def task(*annotations, image="/data/upload/3/0a1b2c3d-a.jpg", **more):
    return {
        "id": 11,
        "annotations": list(annotations),
        "drafts": [],
        "predictions": [],
        "data": {"image": image},
        **more,
    }


@pytest.fixture
def root(tmp_path):
    """A folder with the images "a" and "b" and without annotations."""
    (tmp_path / "set" / "images").mkdir(parents=True)
    for id in "ab":
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "set" / "images" / f"{id}.jpg")
    return tmp_path / "set"


def read(root, *results, use="all"):
    write(root / "project-3.json", [task(annotation(*results))])
    dataset = read_dataset(root, use=use)
    (sample,) = dataset.samples
    return sample, dataset


def only_page(path):
    (page,) = read_labelstudio(path).images
    return page


def names(page):
    return [page.image, *page.other_names]


def kinds(pages_or_dataset):
    found = pages_or_dataset.problems
    return [problem[2] if isinstance(problem, tuple) else problem.kind for problem in found]


def test_a_data_set_of_all_kinds_of_marks(root):
    mask = np.zeros(SIZE, bool)
    mask[3:9, 150:180] = True
    drawn = (box(), key_point(), polygon(name="sheep"), brush(mask), choices("cow", "sheep"))
    sample, dataset = read(root, *drawn)
    assert dataset.classes.names == ("background", "cow", "sheep")
    assert (sample.id, sample.size, sample.split) == ("a", SIZE, "train")
    assert sample.image == root / "images" / "a.jpg"
    assert dataset.problems == ()
    tags, boxes, strokes, regions = sample.annotations
    assert tags == Tags((1, 2))
    assert boxes == Boxes((Box(1, 20, 10, 80, 30),))
    assert strokes == Strokes((Scribble(2, ((50.0, 25.0),), width=3.0),))
    expected = np.full(SIZE, IGNORE)
    expected[10:30, 20:80] = 2
    expected[mask] = 2
    assert (label_map_of(regions, SIZE, 3) == expected).all()


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("boxes", (Boxes((Box(1, 20, 10, 80, 30),)),)),
        ("tags", (Tags((1,)),)),  # "sheep" is drawn nowhere, so the choice may mean anything
        ("none", ()),
    ],
)
def test_what_is_wanted_is_read(root, use, expected):
    sample, _ = read(root, box(), choices("sheep"), use=use)
    assert sample.annotations == expected


def test_without_choices_tags_are_the_classes_that_are_drawn(root):
    sample, _ = read(root, box(), key_point(), use="tags")
    assert sample.annotations == (Tags((1, 2)),)


def test_masks_are_full(root):
    sample, _ = read(
        root, box(), polygon(), polygon(((50, 0), (60, 0), (60, 50)), "sheep"), use="masks"
    )
    (regions,) = sample.annotations
    assert not regions.partial
    assert [region.label for region in regions.items] == [1, 2]


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        (box(height=20, width=10, rotation=90), (10, 10, 20, 30)),
        (box(50, 50, 10, 20, rotation=180), (80, 15, 100, 25)),
        (box(50, 50, 10, 20, rotation=-90), (100, 5, 110, 25)),
        (box(50, 20, 10, 40, rotation=45), (85, 10, 115, 39)),
        (box(40, 60, -30, -40), (20, 10, 80, 30)),
        (box(rotation=None), (20, 10, 80, 30)),
    ],
)
def test_a_turned_rectangle_gives_the_box_around_it(root, drawn, expected):
    sample, _ = read(root, drawn)
    (found,) = sample.boxes
    assert (found.left, found.top, found.right, found.bottom) == expected


def test_an_ellipse_covers_its_pixels(root):
    for rotation, (across, down) in ((0, (20, 10)), (90, (10, 20)), (180, (20, 10))):
        sample, _ = read(root, ellipse(rotation=rotation))
        (regions,) = sample.annotations
        rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
        distance = np.hypot((columns - 100) / across, (rows - 25) / down)
        mask = region_mask(regions.items[0], SIZE)
        assert mask[distance < 0.9].all()
        assert not mask[distance > 1.1].any()


@pytest.mark.parametrize(("width", "expected"), [(0.75, 3.0), (0, None), (None, None), ("?", None)])
def test_the_width_of_a_key_point_is_its_radius(root, width, expected):
    sample, _ = read(root, key_point(width=width))
    assert sample.strokes == (Scribble(1, ((50.0, 25.0),), width=expected),)


def test_marks_of_the_background_are_strokes_and_no_class(root):
    sample, dataset = read(root, key_point(name="background"), key_point(60, 50, name="sheep"))
    assert dataset.classes.names == ("background", "sheep")
    assert [stroke.label for stroke in sample.strokes] == [0, 1]


@pytest.mark.parametrize(
    ("drawn", "kind"),
    [
        (None, UNREADABLE),
        ([], UNREADABLE),
        ({}, UNREADABLE),
        ({"type": "rectanglelabels"}, UNREADABLE),
        ({"type": ["rectanglelabels"], "value": {}}, UNREADABLE),
        (result("vectorlabels", {"vertices": []}), UNREADABLE),
        ({"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"}, UNREADABLE),
        (result("textarea", {"text": ["a cow"]}), UNREADABLE),
        (box(value=[]), UNREADABLE),
        (box(name=[]), UNREADABLE),
        (box(name=[3]), UNREADABLE),
        (polygon(value={"polygonlabels": ["cow"]}), UNREADABLE),
        (polygon(value={"polygonlabels": ["cow"], "points": [[1, 2], [3]]}), UNREADABLE),
        (polygon(value={"polygonlabels": ["cow"], "points": [{"x": 1, "y": 2}]}), UNREADABLE),
        (polygon(((0, 0), (9, 9))), "polygon cannot be used"),
        (polygon(((0, 0), (9, 9), (math.nan, 9))), "polygon cannot be used"),
        (box(x=math.nan), "box has a corner that is no finite number"),
        (box(width=math.inf), "box has a corner that is no finite number"),
        (box(height="wide"), "box has a corner that is no finite number"),
        (box(rotation=math.inf), "box has a corner that is no finite number"),
        (box(x=120), "box lies outside the image"),
        (box(x=-10), "box leaves the image"),
        (key_point(x=math.inf), "stroke cannot be drawn"),
        (key_point(x=400), "stroke outside the image"),
        (key_point(is_positive=False), UNREADABLE),
        (ellipse(rotation=math.nan), "polygon cannot be used"),
        (ellipse(across=math.inf), "polygon cannot be used"),
        (brush(np.ones((3, 4), bool)), UNREADABLE),
        (result("brushlabels", {"format": "rle", "rle": "AAEC"}), UNREADABLE),
        (result("brushlabels", {"format": "png", "rle": []}), UNREADABLE),
        (result("brushlabels", {"rle": []}), UNREADABLE),
        (choices("cow", x=3, y=4, width=5, height=6), UNREADABLE),
        (choices(), UNREADABLE),
        (choices(3), UNREADABLE),
        (box(name=["cow", "sheep"]), "mark of several classes"),
    ],
)
def test_what_cannot_be_used_is_noted_and_the_rest_is_read(root, drawn, kind):
    sample, dataset = read(root, drawn, box(10, 20, 30, 40))
    assert kinds(dataset) == [kind]
    assert not any(problem.fatal for problem in dataset.problems)
    assert sample.boxes[-1] == Box(1, 20, 10, 80, 30)


def test_a_mark_on_an_image_of_unknown_size_is_left_out(root):
    sizeless = {"original_width": None, "original_height": 0}
    sample, dataset = read(root, box(**sizeless), choices("cow"))
    assert (sample.boxes, sample.size, sample.tagged) == ((), SIZE, (1,))
    assert kinds(dataset) == [UNREADABLE]
    assert "original_width and original_height" in dataset.problems[0].message


@pytest.mark.parametrize("side", [0, -5, 70_000, 10**400, math.nan, "two", 12.5])
def test_an_impossible_size_is_none(root, side):
    sample, dataset = read(root, box(original_width=side), choices("cow"))
    assert (sample.boxes, sample.size, kinds(dataset)) == ((), SIZE, [UNREADABLE])


def test_an_image_that_was_turned_in_the_tool_is_noted(root):
    sample, dataset = read(root, box(image_rotation=90))
    assert sample.boxes == (Box(1, 20, 10, 80, 30),)
    assert kinds(dataset) == ["image turned in the tool"]


def test_skipped_annotations_and_predictions_are_not_used(root):
    write(
        root / "project-3.json",
        [
            task(annotation(box(name="wolf"), was_cancelled=True), annotation(box())),
            task(
                annotation(box(), was_cancelled=True),
                image="/data/upload/3/0a1b2c3d-b.jpg",
                predictions=[{"model_version": "v1", "result": [box(name="wolf")]}],
            ),
        ],
    )
    dataset = read_dataset(root)
    assert dataset.classes.names == ("background", "cow")
    assert [len(sample.boxes) for sample in dataset.samples] == [1, 0]
    assert kinds(dataset) == ["predictions alone"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((None, None), "sheep"),
        (("2024-03-01T09:30:00.1Z", "2024-03-02T08:00:00.2Z"), "sheep"),
        (("2024-03-02T09:30:00.1Z", "2024-03-01T08:00:00.2Z"), "cow"),
        ((7, "2024-03-01T08:00:00.2Z"), "cow"),
    ],
)
def test_of_several_annotations_the_last_one_is_used(root, times, expected):
    pair = zip(("cow", "sheep"), times, strict=True)
    made = [annotation(box(name=name), updated_at=time) for name, time in pair]
    write(root / "project-3.json", [task(*made)])
    page = only_page(root / "project-3.json")
    assert [mark.name for mark in page.marks] == [expected]
    assert kinds(read_labelstudio(root / "project-3.json")) == ["several annotations of an image"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("/data/upload/3/0a1b2c3d-a%20b.jpg", ["0a1b2c3d-a b.jpg", "a b.jpg"]),
        ("/data/upload/3/0a1b2c3d-deadbeef-a.jpg", ["0a1b2c3d-deadbeef-a.jpg", "deadbeef-a.jpg"]),
        ("/data/upload/3/a.jpg", ["a.jpg"]),
        ("/data/local-files/?d=field/west/a.jpg", ["/field/west/a.jpg"]),
        ("/data/local-files/?d=field%2Fwest%2Fa%20b.jpg", ["/field/west/a b.jpg"]),
        ("http://localhost:8080/data/local-files/?d=field\\west\\a.jpg", ["/field/west/a.jpg"]),
        ("/data/local-files/?d=field/0a1b2c3d-a.jpg", ["/field/0a1b2c3d-a.jpg"]),
        ("s3://bucket/herd/0a1b2c3d-a.jpg", ["/bucket/herd/0a1b2c3d-a.jpg"]),
        (
            "https://example.org/herd/a.jpg?X-Amz-Date=20240301&d=b.jpg",
            ["/example.org/herd/a.jpg"],
        ),
        ("a.jpg", ["a.jpg"]),
        ("https://example.org/..%2F..%2Fetc%2Fpasswd", ["/example.org/etc/passwd"]),
    ],
)
def test_names_of_the_image_by_its_address(tmp_path, image, expected):
    path = write(tmp_path / "project-3.json", [task(annotation(box()), image=image)])
    assert names(only_page(path)) == expected


@pytest.mark.parametrize(
    ("data", "upload", "expected"),
    [
        (
            {"photo": "/data/upload/3/0a1b2c3d-a.jpg", "text": "a cow"},
            None,
            ["0a1b2c3d-a.jpg", "a.jpg"],
        ),
        ({"one": "a.jpg", "two": "b.jpg"}, "0a1b2c3d-c.jpg", ["0a1b2c3d-c.jpg", "c.jpg"]),
        ({}, "0a1b2c3d-c.jpg", ["0a1b2c3d-c.jpg", "c.jpg"]),
    ],
)
def test_the_image_may_have_another_key(tmp_path, data, upload, expected):
    path = write(
        tmp_path / "project-3.json", [task(annotation(box()), data=data, file_upload=upload)]
    )
    assert names(only_page(path)) == expected


@pytest.mark.parametrize(
    "bad",
    [
        None,
        [],
        {"data": []},
        {"data": {"image": "a.jpg"}},
        {"data": {"image": "a.jpg"}, "annotations": {}},
        {"data": {"image": "a.jpg"}, "annotations": [3]},
        {"data": {"image": "a.jpg"}, "annotations": [{"result": None}]},
        {"data": {"image": ["a.jpg"]}, "annotations": []},
        {"data": {}, "annotations": []},
        {"data": {"one": "a.jpg", "two": "b.jpg"}, "annotations": []},
        {"data": {"image": "data:image/png;base64,iVBORw0KGgo="}, "annotations": []},
        {"data": {"image": "https://example.org/herd/"}, "annotations": []},
        {"data": {"image": "field/.."}, "annotations": []},
        {"data": {"image": "a%00.jpg"}, "annotations": []},
        {"data": {"image": "a\ud800.jpg"}, "annotations": []},
    ],
)
def test_a_damaged_task_is_left_out(root, bad):
    write(root / "project-3.json", [bad, task(annotation(box()))])
    dataset = read_dataset(root)
    assert [sample.id for sample in dataset.samples] == ["a"]
    assert kinds(dataset) == ["task that cannot be read"]
    assert dataset.problems[0].subject == "project-3.json [0]"


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "readable JSON"),
        (b'[{"data": {"image"', "readable JSON"),
        (b'[{"data": ' + b"[" * 100_000, "readable JSON"),
        (b'[{"data": 1' + b"0" * 10_000 + b"}]", "readable JSON"),
        (b"\xff[]", "UTF-8"),
        (b'{"data": {}}', "got dict"),
        (b"3", "got int"),
        ([{"image": "a.jpg", "label": []}], "'annotator' in them; export it as \"JSON\""),
        ([3], "'annotator' in them; export it as \"JSON\""),
    ],
)
def test_another_file_is_refused(tmp_path, content, got):
    with pytest.raises(InputError, match=got):
        read_labelstudio(write(tmp_path / "project-3.json", content))


def minimal(*regions, image="/data/upload/3/0a1b2c3d-a.jpg", id=11, **more):
    """A task of JSON_MIN as the converter writes it."""
    ends = {"annotator": 1, "annotation_id": 7, "created_at": "2024", "updated_at": "2024"}
    labels = {"label": list(regions)} if regions else {}
    return {"image": image, "id": id, **labels, **more, **ends, "lead_time": 3.5}


def flat(result):
    sizes = {key: result[key] for key in ("original_width", "original_height")}
    return {**result["value"], **sizes}


def test_json_min(root):
    mask = np.zeros(SIZE, bool)
    mask[3:9, 150:180] = True
    regions = [flat(one) for one in (box(), key_point(), polygon(name="sheep"), brush(mask))]
    full = (box(), key_point(), polygon(name="sheep"), brush(mask), choices("cow", "sheep"))
    expected, _ = read(root, *full)
    for chosen in ({"choices": ["cow", "sheep"]}, ["cow", "sheep"]):
        write(root / "project-3.json", [minimal(*regions, choice=chosen)])
        assert detect_format(root) == "labelstudio"
        dataset = read_dataset(root, use="all")
        assert dataset.problems == ()
        assert dataset.samples[0].annotations == expected.annotations


def test_json_min_whose_keys_were_sorted(root):
    page = minimal(flat(box()), choice={"choices": ["cow"]})
    write(root / "project-3.json", [page])
    expected = read_dataset(root, use="all").samples
    write(root / "project-3.json", [dict(sorted(page.items()))])
    assert read_dataset(root, use="all").samples == expected
    write(root / "project-3.json", [dict(sorted(minimal(choice="cow").items()))])
    with pytest.raises(InputError, match="'choice' may be a choice or a part of the data"):
        read_labelstudio(root / "project-3.json")


def test_json_min_of_tags_empty_and_untouched_tasks(root):
    records = [
        minimal(choice="cow", comment=[{"text": ["dark"]}]),
        minimal(image="b.jpg", id=12),
        {**minimal(image="c.jpg", id=13), "annotation_id": None},
    ]
    write(root / "project-3.json", records)
    first, second, third = read_labelstudio(root / "project-3.json").images
    assert (first.tags, first.objects) == (("cow",), None)
    assert (second.tags, second.objects, second.marks) == (None, (), ())
    assert (third.tags, third.objects, third.marks) == (None, None, ())


def test_json_min_of_labels_apart_from_their_rectangles(root):
    place = {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}
    sizes = {"original_width": 200, "original_height": 50}
    drawn = {**place, **sizes}
    record = minimal(rectangle=[drawn], kind=[{**drawn, "labels": ["cow"]}])
    write(root / "project-3.json", [record])
    dataset = read_dataset(root, use="all")
    assert dataset.problems == ()
    assert dataset.samples[0].annotations == (Boxes((Box(1, 20, 10, 80, 30),)),)


@pytest.mark.parametrize("name", ["project-3.json", "train.json", "annotations/train.json"])
def test_the_format_is_told_from_others(root, name):
    (root / "annotations").mkdir()
    write(
        root / name, b"\xef\xbb\xbf \n" + json.dumps([task(annotation(box()))], indent=2).encode()
    )
    assert detect_format(root) == "labelstudio"
    assert read_dataset(root).samples[0].boxes
    coco = {"images": [], "annotations": [], "categories": []}
    write(root / "annotations/instances_val.json", coco)
    with pytest.raises(InputError, match=r"coco and labelstudio; choose with data\.format"):
        detect_format(root)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b'{"annotations": [], "data": {}}'),
        ("a.json", b'[{"shapes": []}]'),
        ("a.json", b""),
        ("a.txt", b'[{"data": {}}]'),
    ],
)
def test_files_of_others_do_not_fit(tmp_path, name, content):
    assert not LABELSTUDIO.fits(write(tmp_path / name, content))
    assert not LABELSTUDIO.fits(tmp_path / "missing.json")


def test_files_named_after_splits_are_splits(root):
    write(root / "train.json", [task(annotation(box()))])
    write(root / "val.json", [task(annotation(box()), image="b.jpg")])
    dataset = read_dataset(root)
    assert [(sample.id, sample.split) for sample in dataset.samples] == [
        ("a", "train"),
        ("b", "val"),
    ]


def test_an_export_is_laid_over_another_data_set(root):
    write(root / "Annotations" / "a.xml", b"<annotation/>")
    write(root / "ImageSets" / "Segmentation" / "train.txt", b"a\n")
    write(root / "labelmap.txt", b"background:::\nsheep:::\ncow:::\n")
    (root / "images").rename(root / "JPEGImages")
    over = write(
        root / "over" / "project-3.json",
        [task(annotation(key_point(), box(name="wolf"), polygon()))],
    )
    data = DataParams(root=root, weak="none", val=None, annotations=(over,))
    dataset = read_weak(data)
    (sample,) = dataset.samples
    assert sample.strokes == (Scribble(1, ((50.0, 25.0),), width=3.0),)
    assert kinds(dataset) == ["mark of an unknown class"]
    known = constraints_of(sample, 3).known
    assert (known[25, 50], known[15, 30], known[0, 0]) == (1, 2, IGNORE)
    other = write(root / "over" / "project-3.json", [task(annotation(box()), image="c.jpg")])
    with pytest.raises(InputError, match="about images of the data set"):
        read_weak(data.model_copy(update={"annotations": (other,)}))


def test_reading_changes_nothing(root):
    path = write(root / "project-3.json", [task(annotation(box()))])
    before = path.read_bytes()
    read_labelstudio(path)
    assert path.read_bytes() == before
    assert FORMATS["labelstudio"] is LABELSTUDIO


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_json_gives_problems_or_input_errors(root, data):
    mask = np.eye(*SIZE, dtype=bool)
    drawn = (box(), key_point(), polygon(), ellipse(), choices("cow"), brush(mask))
    content = json.dumps([task(annotation(*drawn[i:])) for i in range(len(drawn))]).encode()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    kind = st.sampled_from([b"NaN", b"null", b"-1", b"{}", b"[]", b"9", b"1e999", b'"../'])
    put = data.draw(st.binary(max_size=4) | kind)
    path = write(root / "project-3.json", content[:start] + put + content[stop:])
    try:
        pages = read_labelstudio(path)
        dataset = read_dataset(root, "labelstudio")
    except InputError as error:
        assert str(error)
        return
    assert pages.images or pages.problems
    for sample in dataset.samples:
        for found in sample.boxes:
            assert found.right <= sample.size[1] and found.bottom <= sample.size[0]


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_json_in_any_place_gives_problems_or_input_errors(root, data):
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["x", "y", "points", "rle", "d"]), inner, max_size=3)
        ),
        max_leaves=6,
    )
    drawn = data.draw(st.sampled_from([box(), key_point(), polygon(), ellipse(), choices("cow")]))
    drawn = json.loads(json.dumps(drawn))
    made = [task(annotation(drawn))]
    places = [made[0], made[0]["data"], made[0]["annotations"][0], drawn, drawn["value"]]
    place = data.draw(st.sampled_from(places))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(anything)
    path = write(root / "project-3.json", made)
    pages = read_labelstudio(path)
    assert pages.images or pages.problems


def test_annotations_of_an_image_in_two_tasks_add_up(root):
    write(root / "project-3.json", [task(annotation(box())), task(annotation(polygon()))])
    (sample,) = read_dataset(root, use="all").samples
    assert [type(found) for found in sample.annotations] == [Boxes, Regions]


def apart(type, drawn, **more):
    """A region whose control has no labels."""
    one = {**result(type, drawn), **more}
    del one["value"][type]
    return one


@pytest.mark.parametrize("labels", ["labels", "choices", "taxonomy"])
@pytest.mark.parametrize(
    ("type", "drawn", "expected"),
    [
        ("rectangle", {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}, Boxes),
        ("polygon", {"points": [[10, 20], [40, 20], [40, 60]], "closed": True}, Regions),
        ("ellipse", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0}, Regions),
        ("keypoint", {"x": 25, "y": 50, "width": 1}, Strokes),
        ("vector", {"vertices": [{"x": 1, "y": 1}, {"x": 9, "y": 9}], "closed": False}, Strokes),
    ],
)
def test_regions_with_their_labels_in_another_result(root, labels, type, drawn, expected):
    region = apart(type, drawn, id="r1", from_name="shape")
    named = [["animal", "cow"]] if labels == "taxonomy" else ["cow"]
    label = {**region, "from_name": "kind", "type": labels, "value": {**drawn, labels: named}}
    note = {**region, "from_name": "note", "type": "textarea", "value": {**drawn, "text": ["wet"]}}
    sample, dataset = read(root, region, label, note)
    assert dataset.problems == ()
    assert dataset.classes.names == ("background", "cow")
    assert [found.__class__ for found in sample.annotations] == [expected]


def test_choices_of_a_labelled_region_are_its_attributes(root):
    drawn = {**box(), "id": "r1"}
    place = {key: drawn["value"][key] for key in ("x", "y", "width", "height")}
    choice = {**drawn, "from_name": "pose", "type": "choices"}
    choice["value"] = {**place, "choices": ["lying"]}
    sample, dataset = read(root, drawn, choice)
    assert (sample.boxes, dataset.problems) == ((Box(1, 20, 10, 80, 30),), ())
    assert sample.tags is None


def test_a_region_without_a_label_may_be_of_any_class(root):
    drawn = {"x": 10, "y": 20, "width": 30, "height": 40}
    sample, dataset = read(root, apart("rectangle", drawn, id="r1"), box(60))
    assert sample.annotations == (Boxes((Box(1, 120, 10, 180, 30),)), Unknown())
    assert kinds(dataset) == [UNREADABLE]


def png_url(pixels, mode):
    file = BytesIO()
    Image.fromarray(pixels, mode).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize("mode", ["RGBA", "L"])
def test_a_bitmask_covers_its_pixels(root, mode):
    mask = np.zeros(SIZE, bool)
    mask[3:9, 150:180] = True
    pixels = mask.astype(np.uint8) * 255
    if mode == "RGBA":  # black on transparent, as the tool draws
        pixels = np.dstack([np.zeros((*SIZE, 3), np.uint8), pixels])
    drawn = result("bitmasklabels", {"imageDataURL": png_url(pixels, mode)})
    sample, dataset = read(root, drawn)
    assert dataset.problems == ()
    assert np.array_equal(region_mask(sample.annotations[0].items[0], SIZE), mask)


@pytest.mark.parametrize(
    "address",
    ["", "data:image/png;base64,!!", png_url(np.ones((3, 4), np.uint8), "L"), None],
)
def test_a_damaged_bitmask_leaves_its_class_unknown(root, address):
    sample, dataset = read(root, result("bitmasklabels", {"imageDataURL": address}), box(60))
    assert sample.annotations == (Boxes((Box(1, 120, 10, 180, 30),)), Unknown((1,)))
    assert kinds(dataset) == [UNREADABLE]


def test_a_closed_vector_is_a_polygon_and_curves_are_unknown(root):
    corners = [{"x": x, "y": y} for x, y in ((10, 20), (40, 20), (40, 60))]
    closed = result("vectorlabels", {"vertices": corners, "closed": True})
    curve = result("vectorlabels", {"vertices": [{**corners[0], "isBezier": True}]}, "sheep")
    sample, dataset = read(root, closed, curve)
    assert sample.annotations[1:] == (Unknown((2,)),)
    assert sample.annotations[0].items[0].polygons == ((20.0, 10.0, 80.0, 10.0, 80.0, 30.0),)
    assert kinds(dataset) == [UNREADABLE]


def test_an_unusable_mark_leaves_its_class_unknown(root):
    sample, _ = read(root, box(), polygon(((0, 0),), "sheep", value={"polygonlabels": ["sheep"]}))
    assert sample.annotations == (Boxes((Box(1, 20, 10, 80, 30),)), Unknown((2,)))


def test_ground_truth_is_preferred_to_later_annotations(root):
    truth = annotation(box(), ground_truth=True, updated_at="2024-03-01")
    later = annotation(box(name="sheep"), ground_truth=False, updated_at="2024-03-02")
    write(root / "project-3.json", [task(truth, later)])
    path = root / "project-3.json"
    assert [mark.name for mark in only_page(path).marks] == ["cow"]
    assert kinds(read_labelstudio(path)) == []


def test_what_nobody_submitted_says_nothing_and_an_empty_submission_is_background(root):
    """The tasks of case S8, and a draft."""
    tasks = [
        task(annotation(box())),
        task(image="b.jpg"),
        task(annotation(), image="c.jpg"),
        task(annotation(box(), was_cancelled=True), image="d.jpg"),
        task(image="e.jpg", drafts=[{"result": [box()]}]),
    ]
    for id in "cde":
        Image.new("RGB", SIZE[::-1]).save(root / "images" / f"{id}.jpg")
    write(root / "project-3.json", tasks)
    for use, empty in (
        ("all", Boxes(())),
        ("boxes", Boxes(())),
        ("tags", Tags(())),
        ("masks", Regions(())),
    ):
        found = {s.id: s.annotations for s in read_dataset(root, use=use).samples}
        assert {id: found[id] for id in "bcde"} == {"b": (), "c": (empty,), "d": (), "e": ()}
        assert found["a"] or use == "masks"
    known = constraints_of(read_dataset(root, use="all").samples[2], 2).known
    assert (known == 0).all()


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("/data/upload/1/00000000-im0.jpg", "images/00000000-im0.jpg"),  # S2
        ("/data/upload/1/00000000-im0.jpg", "images/im0.jpg"),
        ("/data/upload/1/00000000-my_cow_1.jpg", "images/my cow (1).jpg"),
        ("/data/upload/1/00000000-my_cow_1.jpg", "herd/west/my cow (1).JPG"),
        ("/data/local-files/?d=field/west/im0.jpg", "images/west/im0.jpg"),
        ("/data/local-files/?d=field/west/im0.jpg", "photos/im0.jpg"),
        ("s3://bucket/west/im0.jpg", "images/im0.jpg"),
        ("C:\\field\\west\\im0.jpg", "west/im0.jpg"),
        ("/data/local-files/?d=field/K%C3%BChe%20im%20Stall.jpg", "images/Kühe im Stall.jpg"),
    ],
)
def test_images_are_found_by_either_name(tmp_path, address, file):
    root = tmp_path / "set"
    (root / file).parent.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1]).save(root / file)
    write(root / "project-1.json", [task(annotation(box()), image=address)])
    dataset = read_dataset(root)
    assert dataset.problems == ()
    assert [sample.image for sample in dataset.samples] == [root / file]


def test_the_prefixed_name_comes_first(tmp_path):
    for name in ("00000000-a.jpg", "a.jpg"):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / name)
    address = "/data/upload/1/00000000-a.jpg"
    write(tmp_path / "project-1.json", [task(annotation(box()), image=address)])
    (sample,) = read_dataset(tmp_path).samples
    assert sample.image.name == "00000000-a.jpg"


def test_images_of_one_name_in_two_folders_stay_apart(tmp_path):
    tasks = []
    for folder, name in (("a", "cow"), ("b", "sheep")):
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.new("RGB", SIZE[::-1]).save(tmp_path / "images" / folder / "1.png")
        address = f"/data/local-files/?d=herd/{folder}/1.png"
        tasks.append(task(annotation(box(name=name)), image=address))
    path = write(tmp_path / "project-1.json", tasks)
    dataset = read_dataset(tmp_path)
    expected = {"a/1": [1], "b/1": [2]}
    assert {s.id: [box.label for box in s.boxes] for s in dataset.samples} == expected
    bare = read_dataset(tmp_path, use="none")
    laid_over = with_annotations(bare, [path])
    assert {s.id: [box.label for box in s.boxes] for s in laid_over.samples} == expected
    # Where only one of them is left, neither is taken for it.
    left = replace(bare, samples=(replace(bare.samples[0], id="1"),))
    with pytest.raises(InputError, match="none of them"):
        with_annotations(left, [path])


def test_two_uploads_of_one_name_are_reported(root):
    tasks = [
        task(annotation(box(name=name)), image=f"/data/upload/3/{prefix}-a.jpg")
        for prefix, name in (("0a1b2c3d", "cow"), ("1a1b2c3d", "sheep"))
    ]
    write(root / "project-3.json", tasks)
    assert kinds(read_dataset(root)) == ["several uploads of one name"]


def test_corrections_replace_only_what_was_reviewed(root):
    """Boxes of six images, and a project in which people looked at two of them."""
    ids = "abcdef"
    for id in ids:
        Image.new("RGB", SIZE[::-1]).save(root / "images" / f"{id}.jpg")
    marks = [{"type": "box", "class": "cow", "points": [[20, 10], [80, 30]]}]
    lines = [{"classes": ["background", "cow", "sheep"]}]
    lines += [{"image": f"{id}.jpg", "marks": marks} for id in ids]
    write(root / "train.jsonl", "\n".join(map(json.dumps, lines)).encode())
    tasks = [
        task(annotation(box(name="sheep")), image="a.jpg"),
        task(annotation(), image="b.jpg"),
        task(image="c.jpg"),
        task(annotation(box(name="sheep"), was_cancelled=True), image="d.jpg"),
        task(image="e.jpg", drafts=[{"result": [box(name="sheep")]}]),
        task(image="f.jpg", predictions=[{"result": [box(name="sheep")]}]),
    ]
    path = write(root / "over" / "project-3.json", tasks)
    data = DataParams(root=root, val=None, corrections=(path,))
    found = {sample.id: sample for sample in read_weak(data).samples}
    old = (Boxes((Box(1, 20, 10, 80, 30),)),)
    assert found["a"].annotations == (Boxes((Box(2, 20, 10, 80, 30),)),)
    assert found["b"].annotations == (Boxes(()),)
    assert {found[id].annotations for id in "cdef"} == {old}
    assert kinds(read_weak(data)).count("nothing to replace") == 4
