import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.builders import kinds, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.constraints import constraints_of
from wsseg.data.formats.published import CLICKS, read_clicks
from wsseg.data.formats.table import MARKS, READABLE, detect_format
from wsseg.data.formats.voc_xml import VOC_NAMES
from wsseg.data.load import read_weak, with_annotations
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.params import DataParams
from wsseg.data.strokes import Scribble, Strokes, stroke_map
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE

FIRST, SECOND = "2007_000032", "2010_005582"
UNREADABLE = "mark that cannot be read"
REAL_COUNTS = (
    *(960, 823, 1247, 1023, 1415, 660, 2347, 1278, 3201, 747),
    *(777, 1596, 801, 805, 10472, 1186, 1003, 777, 691, 888),
)


def click(x=10.5, y=20.25, label=10, **more):
    return {"y": y, "x": x, "rank": 1, "cls": label, **more}


@pytest.fixture
def root(tmp_path):
    """A VOC folder of two images of 60x40 pixels, its class list Pascal VOC's."""
    names = "".join(f"{name}:::\n" for name in ("background", *VOC_NAMES))
    write(tmp_path / "voc" / "labelmap.txt", names.encode())
    write(
        tmp_path / "voc" / "ImageSets" / "Segmentation" / "train.txt",
        f"{FIRST}\n{SECOND}\n".encode(),
    )
    for id in (FIRST, SECOND):
        path = write(tmp_path / "voc" / "JPEGImages" / f"{id}.jpg", b"")
        Image.new("RGB", (60, 40)).save(path)
    return tmp_path / "voc"


def laid_over(root, *files, closed=None):
    data = DataParams(root=root, weak="none", val=None, annotations=files, closed=closed)
    return read_weak(data)


def test_a_click_is_a_point_of_the_class_of_its_number(tmp_path):
    path = write(tmp_path / "clicks.json", {FIRST: [click(), click(1, 2, 20)], SECOND: []})
    first, second = read_clicks(path).images
    assert (first.image, first.size, first.closed, first.tags) == (FIRST, None, None, None)
    assert [(mark.kind, mark.name, mark.points, mark.width) for mark in first.marks] == [
        ("point", "cow", ((10.5, 20.25),), None),
        ("point", "tvmonitor", ((1.0, 2.0),), None),
    ]
    assert (second.image, second.marks) == (SECOND, ())
    assert read_clicks(path).names == VOC_NAMES
    assert read_clicks(path).problems == ()


@pytest.mark.parametrize("label", range(21))
def test_numbers_are_those_of_voc_and_0_is_the_background(tmp_path, label):
    path = write(tmp_path / "clicks.json", {FIRST: [click(label=label)]})
    (page,) = read_clicks(path).images
    assert page.marks[0].name == ("background", *VOC_NAMES)[label]


def test_clicks_are_laid_over_images(root, tmp_path):
    path = write(tmp_path / "clicks.json", {FIRST: [click()], "2009_000001": [click()]})
    dataset = laid_over(root, path)
    first, second = dataset.samples
    assert first.strokes == (Scribble(10, ((10.5, 20.25),)),)
    assert second.annotations == ()
    (problem,) = dataset.problems
    assert problem.message.startswith("1 of 2 images are not in the data set's splits")
    constraints = constraints_of(first, 21)
    assert constraints.classes.tolist() == [0, 10]
    assert constraints.known[20, 10] == 10
    assert constraints.known[0, 0] == IGNORE


def test_clicks_on_objects_and_on_the_background_add_up(root, tmp_path):
    objects = write(tmp_path / "objects.json", {FIRST: [click()], SECOND: [click(label=15)]})
    background = write(tmp_path / "background.json", {FIRST: [click(50, 30, 0)]})
    for files in ((objects, background), (background, objects)):
        dataset = laid_over(root, *files)
        constraints = constraints_of(dataset.samples[0], 21)
        assert constraints.classes.tolist() == [0, 10]
        assert (constraints.known[20, 10], constraints.known[30, 50]) == (10, 0)
        assert kinds(dataset) == ["clicks on the background alone"]
        assert constraints_of(dataset.samples[1], 21).classes.tolist() == [0, 15]
    opened = laid_over(root, objects, background, closed=False)
    assert len(constraints_of(opened.samples[0], 21).classes) == 21


def test_both_files_may_lie_in_one_folder(root, tmp_path):
    write(tmp_path / "clicks" / "a.json", {FIRST: [click()]})
    write(tmp_path / "clicks" / "b.json", {FIRST: [click(50, 30, 0)]})
    dataset = laid_over(root, tmp_path / "clicks")
    assert [stroke.label for stroke in dataset.samples[0].strokes] == [10, 0]


def test_clicks_on_the_background_alone_are_pointed_out(root, tmp_path):
    path = write(tmp_path / "background.json", {FIRST: [click(50, 30, 0)]})
    dataset = laid_over(root, path)
    assert kinds(dataset) == ["clicks on the background alone"]
    assert "data.closed=false" in dataset.problems[0].message
    mixed = write(tmp_path / "mixed.json", {FIRST: [click(50, 30, 0), click()]})
    assert laid_over(root, mixed).problems == ()


@pytest.mark.parametrize(
    "bad",
    [
        None,
        3,
        [],
        "click",
        {},
        {"x": 1, "y": 2},
        click(label=21),
        click(label=-1),
        click(label=True),
        click(label=3.0),
        click(label="cow"),
        click(label=None),
        click(label=[1]),
        click(label=10**400),
    ],
)
def test_a_damaged_click_is_left_out(root, tmp_path, bad):
    path = write(tmp_path / "clicks.json", {FIRST: [bad, click()]})
    dataset = laid_over(root, path)
    assert dataset.samples[0].strokes == (Scribble(10, ((10.5, 20.25),)),)
    assert kinds(dataset) == [UNREADABLE]
    assert dataset.problems[0].subject == f"clicks.json '{FIRST}' [0]"


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (click(x=math.nan), "stroke cannot be drawn"),
        (click(y=-math.inf), "stroke cannot be drawn"),
        (click(x=1e300), "stroke cannot be drawn"),
        (click(x=10**400), "stroke cannot be drawn"),
        (click(x=None), "stroke cannot be drawn"),
        (click(x=[3]), "stroke cannot be drawn"),
        (click(x=754.3), "stroke outside the image"),
        (click(y=-3), "stroke outside the image"),
    ],
)
def test_a_click_in_no_pixel_is_left_out(root, tmp_path, bad, kind):
    path = write(tmp_path / "clicks.json", {FIRST: [click(), bad]})
    dataset = laid_over(root, path)
    assert len(dataset.samples[0].strokes) == 1
    assert kinds(dataset) == [kind]


@pytest.mark.parametrize(
    ("image", "clicks"),
    [
        (SECOND, None),
        (SECOND, {}),
        (SECOND, "clicks"),
        ("../2007_000032", []),
        ("/etc/passwd", []),
        ("", []),
        ("a\u0000b", []),
        ("a\ud800", []),
    ],
)
def test_a_damaged_image_is_left_out(root, tmp_path, image, clicks):
    path = write(tmp_path / "clicks.json", {FIRST: [click()], image: clicks})
    dataset = laid_over(root, path)
    assert len(dataset.samples[0].strokes) == 1
    assert kinds(dataset) == ["image that cannot be read"]


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"2007_000032": [{"x": 3, "y"', "readable JSON"),
        (b'{"2007_000032": ' + b"[" * 100_000, "readable JSON"),
        (b'{"2007_000032": [{"x": 1' + b"0" * 10_000 + b"}]}", "readable JSON"),
        (b"\xff{}", "UTF-8"),
        (b"[]", "object of lists of clicks"),
        (b"NaN", "object of lists of clicks"),
    ],
)
def test_another_file_is_refused(tmp_path, content, rule):
    with pytest.raises(InputError, match=rule):
        read_clicks(write(tmp_path / "clicks.json", content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="readable file"):
        read_clicks(tmp_path / "clicks.json")


@pytest.mark.parametrize(
    ("name", "content", "fits"),
    [
        ("a.json", {FIRST: [click()]}, True),
        ("a.JSON", {FIRST: [], SECOND: [click()]}, True),
        ("a.json", b'\xef\xbb\xbf\n{ "a" :\n [ {"x":1,"y":2,"cls":0}]}', True),
        ("a.jsonl", {FIRST: [click()]}, False),
        ("a.json", {"images": [{"id": 1}], "annotations": []}, False),
        ("a.json", {"version": "5", "shapes": [{"x": 1, "y": 2, "cls": 3}]}, False),
        ("a.json", [{"data": {}, "annotations": []}], False),
        ("a.json", {}, False),
        ("a.json", b"", False),
    ],
)
def test_the_format_is_told_from_others(tmp_path, name, content, fits):
    assert CLICKS.fits(write(tmp_path / name, content)) == fits
    assert not CLICKS.fits(tmp_path / "missing.json")


def test_clicks_are_no_data_set_of_their_own(root, tmp_path):
    assert MARKS["clicks"] is CLICKS
    assert "clicks" not in READABLE
    write(root / "clicks.json", {FIRST: [click()]})
    assert detect_format(root) == "voc"
    write(tmp_path / "alone" / "clicks.json", {FIRST: [click()]})
    with pytest.raises(InputError, match="of no known format"):
        detect_format(tmp_path / "alone")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_json_gives_problems_or_input_errors(root, tmp_path, data):
    content = json.dumps({FIRST: [click(), click(1, 2, 0)], SECOND: [click(label=3)]}).encode()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    kind = st.sampled_from([b"NaN", b"null", b"-1", b"{}", b"[]", b"9", b"1e999", b'"../'])
    put = data.draw(st.binary(max_size=4) | kind)
    path = write(tmp_path / "clicks.json", content[:start] + put + content[stop:])
    try:
        dataset = laid_over(root, path)
    except InputError as error:
        assert str(path) in str(error)
        return
    for sample in dataset.samples:
        for stroke in sample.strokes:
            assert len(stroke.points) == 1
            # A point may lie outside if its disc reaches into the image.
            assert (stroke_map(Strokes((stroke,)), sample.size) == stroke.label).any()


def images_of(clicks):
    """An image that is as large as any of Pascal VOC, for each id of a file."""
    ids = (page.image for page in clicks.images)
    samples = tuple(Sample(id, Path(f"{id}.jpg"), (500, 500), (), "train") for id in ids)
    return Dataset(Classes(("background", *VOC_NAMES)), samples)


def test_real_clicks(shared_data):
    folder = shared_data / "voc_human_weak_labels"
    objects = folder / "voc_whats_the_point.json"
    background = folder / "voc_whats_the_point_bg_from_scribbles.json"
    clicks = read_clicks(objects)
    assert (len(clicks.images), clicks.problems) == (12_180, ())
    counts = Counter(mark.name for page in clicks.images for mark in page.marks)
    assert counts == dict(zip(VOC_NAMES, REAL_COUNTS, strict=True))
    dataset = with_annotations(images_of(clicks), [objects, background])
    assert len(dataset.samples) == 12_180
    assert Counter(kinds(dataset)) == {
        "stroke outside the image": 47,  # the others leave it by less than half their width
        "clicks on the background alone": 1,
    }
    labels = Counter(stroke.label for sample in dataset.samples for stroke in sample.strokes)
    assert sum(labels.values()) == 32_614 + 32_697 - 47
    for sample in dataset.samples[::1000]:
        constraints = constraints_of(sample, 21)
        assert constraints.known.shape == (500, 500)
        drawn = {stroke.label for stroke in sample.strokes}
        assert drawn <= {*np.unique(constraints.known)} <= {*drawn, IGNORE}


def test_real_clicks_agree_with_the_published_list_of_images(shared_data):
    folder = shared_data / "voc_human_weak_labels"
    listed = (folder / "train_aug.txt").read_text().split()[::2]
    ids = {line.removeprefix("/JPEGImages/").removesuffix(".jpg") for line in listed}
    clicked = {page.image for page in read_clicks(folder / "voc_whats_the_point.json").images}
    assert len(ids) == 10_582
    assert ids <= clicked
