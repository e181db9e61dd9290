import io
import zlib

import numpy as np
import pytest
from helpers.builders import kinds, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.annotation import MaskFile
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.published import SCRIBBLES, read_scribbles
from wsseg.data.formats.table import MARKS, READABLE, detect_format
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.strokes import Scribble
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map

VOC_ID = "2007_000032"
HEAD = (
    "<folder>JPEGImages</folder><source><submittedBy>volunteer</submittedBy></source>"
    "<size><width>60</width><height>40</height><depth>3</depth></size>"
)
BOMBS = (
    '<!DOCTYPE a [<!ENTITY a "boom"><!ENTITY b "&a;&a;&a;&a;">]>'
    "<annotation><polygon><tag>&b;</tag></polygon></annotation>",
    '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    "<annotation><polygon><tag>&a;</tag></polygon></annotation>",
    '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><annotation><polygon></polygon></annotation>',
)


def line(tag, *points):
    drawn = "".join(f"<point><X>{x}</X><Y>{y}</Y></point>" for x, y in points)
    return f"<polygon><tag>{tag}</tag>{drawn}</polygon>"


def xml(*lines, filename="a.jpg"):
    named = "" if filename is None else f"<filename>{filename}</filename>"
    return f"<annotation>{named}{HEAD}{''.join(lines)}</annotation>"


def scribbled(path, label_map=None):
    if label_map is None:
        label_map = np.full((40, 60), IGNORE, np.uint8)
        label_map[5, 5:30], label_map[30:38, 50] = 1, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_map(path, label_map)
    return path


@pytest.fixture
def root(tmp_path):
    """A VOC folder of two images of 60x40 pixels; its classes are the cow and the table."""
    ids = ("a", VOC_ID)
    write(tmp_path / "voc/labelmap.txt", "background:::\ncow:::\ntable:::\ndiningtable:::\n")
    write(tmp_path / "voc/ImageSets/Segmentation/train.txt", "\n".join(ids))
    for id in ids:
        path = write(tmp_path / f"voc/JPEGImages/{id}.jpg", "")
        Image.new("RGB", (60, 40)).save(path)
    return tmp_path / "voc"


def laid_over(root, *files, weak="none"):
    return read_weak(DataParams(root=root, weak=weak, val=None, annotations=files))


def test_polygons_are_lines_through_the_middles_of_pixels(tmp_path):
    text = xml(line("cow", (12, 30), (14, 31), (20, 33)), line("background", (1, 2)))
    (page,) = read_scribbles(write(tmp_path / "a.xml", text)).images
    assert (page.image, page.size, page.closed, page.tags) == ("a.jpg", (40, 60), None, None)
    assert [(mark.kind, mark.name, mark.points, mark.width) for mark in page.marks] == [
        ("scribble", "cow", ((12.5, 30.5), (14.5, 31.5), (20.5, 33.5)), None),
        ("scribble", "background", ((1.5, 2.5),), None),
    ]
    assert page.marks[1].subject == "a.xml polygon[1]"


def test_lines_are_laid_over_images(root, tmp_path):
    text = xml(line("cow", (5, 5), (29, 5)), line("background", (50, 30), (50, 37)))
    write(tmp_path / "scribbles" / "a.xml", text)
    write(tmp_path / "scribbles" / "elsewhere.xml", xml(line("cow", (1, 1)), filename="c.jpg"))
    dataset = laid_over(root, tmp_path / "scribbles")
    assert dataset.samples[0].strokes == (
        Scribble(1, ((5.5, 5.5), (29.5, 5.5))),
        Scribble(0, ((50.5, 30.5), (50.5, 37.5))),
    )
    assert dataset.samples[1].annotations == ()
    assert kinds(dataset) == ["marks without an image"]
    constraints = constraints_of(dataset.samples[0], 4)
    assert constraints.classes.tolist() == [0, 1]
    known = constraints.known
    assert (known[5, 5:30] == 1).all() and (known[30:38, 50] == 0).all()
    assert known[20, 20] == IGNORE


@pytest.mark.parametrize(
    ("filename", "expected"),
    [("a.jpg", "table"), (f"{VOC_ID}.jpg", "diningtable"), (VOC_ID, "diningtable")],
)
def test_names_are_completed_in_files_of_pascal_voc_alone(root, tmp_path, filename, expected):
    path = write(tmp_path / "scribble.xml", xml(line("table", (5, 5)), filename=filename))
    (page,) = read_scribbles(path).images
    assert page.marks[0].name == expected
    (stroke,) = [s for sample in laid_over(root, path).samples for s in sample.strokes]
    assert stroke.label == {"table": 2, "diningtable": 3}[expected]


@pytest.mark.parametrize("filename", [None, "", "  "])
def test_without_a_file_name_the_image_is_that_of_the_file(tmp_path, filename):
    path = write(tmp_path / f"{VOC_ID}.xml", xml(line("plant", (5, 5)), filename=filename))
    (page,) = read_scribbles(path).images
    assert (page.image, page.marks[0].name) == (VOC_ID, "pottedplant")


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (line("wolf", (5, 5)), "mark of an unknown class"),
        (line("", (5, 5)), "mark of an unknown class"),
        ("<polygon/>", "mark of an unknown class"),
        (line("cow"), "stroke cannot be drawn"),
        (line("cow", ("nan", 5)), "stroke cannot be drawn"),
        (line("cow", (5, "inf")), "stroke cannot be drawn"),
        (line("cow", (5, "1e300")), "stroke cannot be drawn"),
        (line("cow", (5, "9" * 500)), "stroke cannot be drawn"),
        (line("cow", (5, "five")), "stroke cannot be drawn"),
        ("<polygon><tag>cow</tag><point><X>3</X></point></polygon>", "stroke cannot be drawn"),
        (line("cow", (70, 5), (90, 9)), "stroke outside the image"),
        (line("cow", (5, -9)), "stroke outside the image"),
    ],
)
def test_a_damaged_line_is_left_out(root, tmp_path, bad, kind):
    path = write(tmp_path / "a.xml", xml(line("cow", (5, 5)), bad))
    dataset = laid_over(root, path)
    assert dataset.samples[0].strokes == (Scribble(1, ((5.5, 5.5),)),)
    assert kinds(dataset) == [kind]


def test_deep_nesting_is_no_line(tmp_path):
    deep = "<polygon>" * 50_000 + "</polygon>" * 50_000
    (page,) = read_scribbles(write(tmp_path / "a.xml", xml(deep))).images
    assert [mark.points for mark in page.marks] == [()]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        xml(line("cow", (5, 5)))[:-20],
        b"\x00\x01\x02",
        b"\xff\xfe<annotation/>",
        b'<?xml version="1.0" encoding="nonsense"?><annotation/>',
        *BOMBS,
    ],
)
def test_damaged_or_hostile_xml_is_refused(tmp_path, content):
    path = write(tmp_path / "a.xml", content)
    with pytest.raises(InputError, match="XML of scribbles without DTD") as raised:
        read_scribbles(path)
    assert raised.value.subject == str(path)


@pytest.mark.parametrize("filename", ["../a.jpg", "/etc/passwd", "a&#8;.jpg", "x/../y"])
def test_a_file_name_that_leads_elsewhere_is_refused(tmp_path, filename):
    text = xml(line("cow", (5, 5)), filename=filename)
    with pytest.raises(InputError, match=r"a\.xml"):
        read_scribbles(write(tmp_path / "a.xml", text))


def test_label_maps_are_laid_over_images(root, tmp_path):
    path = scribbled(tmp_path / "scribbles" / "a.png")
    for files in (path, path.parent):
        dataset = laid_over(root, files)
        assert dataset.samples[0].annotations == (MaskFile(path),)
        assert dataset.problems == ()
        known = constraints_of(dataset.samples[0], 4).known
        assert (known[5, 5:30] == 1).all() and (known[30:38, 50] == 0).all()
        assert (known != IGNORE).sum() == 25 + 8


def test_the_path_of_a_label_map_is_absolute(tmp_path, monkeypatch):
    path = scribbled(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    (page,) = read_scribbles(path.relative_to(tmp_path)).images
    (mark,) = page.marks
    assert (page.image, page.size, mark.kind, mark.file) == ("a", (40, 60), "mask", path)


def test_lines_and_label_maps_may_lie_in_one_folder(root, tmp_path):
    path = scribbled(tmp_path / "scribbles" / f"{VOC_ID}.png")
    write(tmp_path / "scribbles" / "a.xml", xml(line("cow", (5, 5))))
    first, second = laid_over(root, tmp_path / "scribbles").samples
    assert first.strokes == (Scribble(1, ((5.5, 5.5),)),)
    assert second.annotations == (MaskFile(path),)


@pytest.mark.parametrize(
    ("share", "ignored", "refused"),
    [(0.9, 0, True), (1.0, 0, True), (0.55, 0, True), (0.4, 0, False), (0.9, 0.05, False)],
)
def test_0_in_place_of_255_is_refused(tmp_path, share, ignored, refused):
    label_map = np.ones(1000, np.uint8)
    label_map[: int(share * 1000)] = 0
    label_map[1000 - int(ignored * 1000) :] = IGNORE
    path = scribbled(tmp_path / "a.png", label_map.reshape(20, 50))
    if not refused:
        assert read_scribbles(path).images[0].marks[0].file == path
        return
    with pytest.raises(InputError, match="write unmarked pixels as 255") as raised:
        read_scribbles(path)
    assert f"got 0 on {share:.0%} of the pixels and 255 on none" in str(raised.value)


def test_a_label_map_without_a_mark_says_nothing(root, tmp_path):
    path = scribbled(tmp_path / "a.png", np.full((40, 60), IGNORE, np.uint8))
    (sample, _) = laid_over(root, path).samples
    assert (constraints_of(sample, 4).known == IGNORE).all()


def png(array, **options):
    file = io.BytesIO()
    Image.fromarray(array, **options).save(file, "png")
    return file.getvalue()


def huge_png():
    """A file of a few bytes that claims 60,000x60,000 pixels."""
    chunk = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    body = (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "readable label map"),
        (b"\x89PNG\r\n\x1a\n", "readable label map"),
        (png(np.full((40, 60), IGNORE, np.uint8))[:-30], "readable label map"),
        (huge_png(), "readable label map"),
        (png(np.zeros((40, 60, 3), np.uint8)), "mode RGB"),
        (png(np.zeros((40, 60), np.uint16)), "mode I;16"),
        (b"<annotation/>", "readable label map"),
    ],
)
def test_another_image_is_refused(tmp_path, content, rule):
    path = write(tmp_path / "a.png", content)
    with pytest.raises(InputError, match=rule) as raised:
        read_scribbles(path)
    assert raised.value.subject == str(path)


def test_label_maps_of_another_size_or_of_unknown_classes_are_refused(root, tmp_path):
    unknown = np.where(np.eye(40, 60) > 0, 9, IGNORE).astype(np.uint8)
    path = scribbled(tmp_path / "a.png", unknown)
    with pytest.raises(InputError, match="made of labels 0 to 3 and 255"):
        constraints_of(laid_over(root, path).samples[0], 4)
    dataset = laid_over(root, scribbled(path, np.full((40, 61), IGNORE, np.uint8)))
    assert dataset.samples[0].annotations == ()
    assert "drawn on 61x40 pixels, but the image is 60x40" in dataset.problems[0].message


def test_a_link_out_of_the_folder_is_not_followed(root, tmp_path):
    outside = scribbled(tmp_path / "outside.png")
    (tmp_path / "scribbles").mkdir()
    (tmp_path / "scribbles" / "a.png").symlink_to(outside)
    dataset = laid_over(root, tmp_path / "scribbles")
    assert dataset.samples[0].annotations == ()
    assert [problem.fatal for problem in dataset.problems] == [True]
    assert "inside the data set" in dataset.problems[0].message


@pytest.mark.parametrize(
    ("name", "content", "fits"),
    [
        ("a.xml", xml(line("cow", (5, 5))), True),
        ("a.XML", "\ufeff\n" + xml(line("cow", (5, 5))), True),
        ("a.png", b"", True),
        ("a.xml", xml("<object><name>cow</name></object>"), False),
        ("a.xml", xml("<object><polygon><pt/></polygon></object>"), False),
        ("a.xml", '<annotations><image><polygon label="cow"/></image></annotations>', False),
        ("a.xml", "", False),
        ("a.txt", xml(line("cow", (5, 5))), False),
        ("a.jpg", b"", False),
    ],
)
def test_the_format_is_told_from_others(tmp_path, name, content, fits):
    assert SCRIBBLES.fits(write(tmp_path / name, content)) == fits
    assert not SCRIBBLES.fits(tmp_path / "missing.xml")


def test_scribbles_are_no_data_set_of_their_own(root):
    assert MARKS["scribbles"] is SCRIBBLES
    assert "scribbles" not in READABLE
    write(root / "a.xml", xml(line("cow", (5, 5))))
    assert detect_format(root) == "voc"


def test_an_empty_folder_is_of_no_format(root, tmp_path):
    (tmp_path / "scribbles").mkdir()
    with pytest.raises(
        InputError, match=r"of a known format \(jsonl, .*scribbles, coco, voc, yolo\)"
    ):
        laid_over(root, tmp_path / "scribbles")


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), suffix=st.sampled_from([".xml", ".png"]))
def test_mutated_files_give_problems_or_input_errors(root, tmp_path, data, suffix):
    text = xml(line("cow", (5, 5), (29, 5)), line("background", (50, 30)))
    content = scribbled(tmp_path / "b.png").read_bytes() if suffix == ".png" else text.encode()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    put = data.draw(st.binary(max_size=4) | st.sampled_from([b"nan", b"-1", b"<", b"../", b"1e9"]))
    path = write(tmp_path / f"a{suffix}", content[:start] + put + content[stop:])
    try:
        sample = laid_over(root, path).samples[0]
        constraints = constraints_of(sample, 4)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert {*np.unique(constraints.known)} <= {0, 1, 2, 3, IGNORE}
