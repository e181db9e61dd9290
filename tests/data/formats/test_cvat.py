import math
import re
import weakref

import numpy as np
import pytest
from helpers.builders import kinds, only_sample, write, write_image
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.annotation import Box, Boxes, Region, Regions, Tags, Unknown
from wsseg.data.constraints import region_mask
from wsseg.data.formats import cvat
from wsseg.data.formats.cvat import CVAT, read_cvat
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import with_annotations
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError

SIZE = (30, 40)
NAMES = ("background", "cow", "sheep", "grass")
META = """<meta><task><id>7</id><name>pasture</name><size>1</size><mode>annotation</mode>
    <overlap>0</overlap><subset>Train</subset><labels>
      <label><name>sheep</name><color>#33ddff</color><type>any</type><attributes>
        <attribute><name>extreme</name><mutable>False</mutable><input_type>checkbox</input_type>
          <default_value>false</default_value><values>false</values></attribute>
      </attributes></label>
      <label><name>background</name><color>#000000</color><type>any</type><attributes/></label>
      <label><name>cow</name><color>#ff6a4d</color><type>any</type><attributes/></label>
      <label><name>pose</name><type>skeleton</type><attributes/><svg/></label>
      <label><name>nose</name><type>points</type><attributes/><parent>pose</parent></label>
    </labels><owner><username>someone</username></owner></task><dumped>2024-01-02</dumped></meta>"""
BOX = '<box label="cow" source="manual" occluded="0" xtl="{}" ytl="{}" xbr="{}" ybr="{}" {}></box>'
OTHER = "shape that cannot be used"
POLYGON = "polygon cannot be used"


def page(*shapes, name="a.jpg", subset="Train", sides='width="40" height="30"'):
    return f'<image id="0" name="{name}" subset="{subset}" {sides}>{"".join(shapes)}</image>'


def xml(*images, meta=META):
    head = '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
    return f"{head}{meta}\n{''.join(images)}\n</annotations>\n"


def box(xtl=2, ytl=1, xbr=6, ybr=5, more='z_order="0"'):
    return BOX.format(xtl, ytl, xbr, ybr, more)


def drawn(tag, points, label="cow", order=0, **attributes):
    inner = "".join(f'<attribute name="{k}">{v}</attribute>' for k, v in attributes.items())
    head = f'<{tag} label="{label}" source="manual" occluded="0" points="{points}"'
    return f'{head} z_order="{order}">{inner}</{tag}>'


def mask(rle, left=3, top=2, width=4, height=3, label="cow"):
    place = f'left="{left}" top="{top}" width="{width}" height="{height}"'
    return f'<mask label="{label}" source="manual" occluded="0" rle="{rle}" {place} z_order="0"/>'


@pytest.fixture
def root(tmp_path):
    """A data set of one image, "a", in the split "train"."""
    write_image(tmp_path / "set" / "images/a.jpg")
    write(tmp_path / "set" / "annotations.xml", xml(page(box())))
    return tmp_path / "set"


def annotations(root, *shapes, use="all"):
    write(root / "annotations.xml", xml(page(*shapes)))
    dataset = read_dataset(root, "cvat", use=use)
    assert dataset.problems == ()
    return only_sample(dataset).annotations


def test_export_is_found_and_read(root):
    assert detect_format(root) == "cvat"
    dataset = read_dataset(root)
    sample = only_sample(dataset)
    assert dataset.classes.names == ("background", "sheep", "cow", "pose")
    assert (sample.id, sample.split, sample.size) == ("a", "train", SIZE)
    assert sample.annotations == (Boxes((Box(2, 2, 1, 6, 5),)),)


def test_polygons_points_and_lines(root):
    shapes = (
        drawn("polygon", "2.00,1.00;6.00,1.00;6.00,5.00", "sheep"),
        drawn("points", "3.50,4.50;20.25,9.75"),
        drawn("points", "8.5,8.5", width=5),
        drawn("polyline", "1.50,2.50;30.00,20.00;31.00,2.00", "background", width=2.5),
        drawn("polyline", "1,2;3,4"),
    )
    strokes = Strokes(
        (
            Scribble(2, ((3.5, 4.5),)),
            Scribble(2, ((20.25, 9.75),)),
            Scribble(2, ((8.5, 8.5),), 5.0),
            Scribble(0, ((1.5, 2.5), (30.0, 20.0), (31.0, 2.0)), 2.5),
            Scribble(2, ((1.0, 2.0), (3.0, 4.0))),
        )
    )
    outline = Region(1, ((2.0, 1.0, 6.0, 1.0, 6.0, 5.0),))
    assert annotations(root, *shapes) == (strokes, Regions((outline,), partial=True))


def test_four_points_of_an_object_are_extreme_where_an_attribute_says_so(root):
    points = "2.0,4.0;5.0,1.0;9.0,3.0;6.0,7.0"
    extreme = drawn("points", points, extreme="true")
    assert annotations(root, extreme) == (Boxes((Box(2, 2, 1, 9, 7),)),)
    (strokes,) = annotations(root, drawn("points", points, extreme="false"))
    assert len(strokes.items) == 4


def test_box_around_a_rotated_box(root):
    turned = box(10, 10, 20, 14, 'rotation="90.00" z_order="0"')
    assert annotations(root, turned) == (Boxes((Box(2, 13, 7, 17, 17),)),)


@pytest.mark.parametrize("degrees", [0, 30, 90, 330])
def test_ellipses_become_polygons(root, degrees):
    shape = '<ellipse label="cow" cx="20" cy="15" rx="12" ry="6" rotation="{}" z_order="0"/>'
    (regions,) = annotations(root, shape.format(degrees), use="masks")
    rows, columns = np.mgrid[:30, :40] + 0.5
    x, y = columns - 20, rows - 15
    turn = math.radians(degrees)
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    expected = (along / 12) ** 2 + (across / 6) ** 2 <= 1
    found = region_mask(regions.items[0], SIZE)
    assert np.count_nonzero(found != expected) < 0.06 * np.count_nonzero(expected)
    assert regions.items[0].label == 2 and not regions.partial


def test_masks_are_run_lengths_of_rows_in_their_window(root):
    (regions,) = annotations(root, mask("1, 2, 3, 1, 5"), use="masks")
    expected = np.zeros(SIZE, bool)
    expected[2:5, 3:7] = [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert np.array_equal(region_mask(regions.items[0], SIZE), expected)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_masks_anywhere_are_cut_at_the_image(tmp_path, data):
    height, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 40))
    left, top = data.draw(st.integers(-8, 39)), data.draw(st.integers(-8, 29))
    seed, share = data.draw(st.integers(0, 99)), data.draw(st.sampled_from([0.1, 0.5, 0.9, 1]))
    window = np.random.default_rng(seed).random((height, width)) < share
    flat = window.ravel()
    ends = [*(np.flatnonzero(flat[1:] != flat[:-1]) + 1), flat.size]
    rle = [0] * bool(flat[0]) + np.diff(ends, prepend=0).tolist()
    expected = np.zeros((80, 100), bool)
    expected[top + 10 : top + 10 + height, left + 10 : left + 10 + width] = window
    expected = expected[10:40, 10:50]
    path = tmp_path / "a.xml"
    shape = mask(str(rle)[1:-1], left, top, width, height)
    path.write_text(xml(page(shape)))
    pages = read_cvat(path)
    if expected.any():
        (mark,) = pages.images[0].marks
        assert np.array_equal(region_mask(Region(1, rle=mark.runs), SIZE), expected)
    else:
        assert pages.problems[0].kind == OTHER


def test_tags_say_what_is_there_with_what_is_drawn(root):
    tag = '<tag label="sheep" source="manual"></tag>'
    assert annotations(root, tag) == (Tags((1,)),)
    assert annotations(root, tag, box()) == (Tags((1,)), Boxes((Box(2, 2, 1, 6, 5),)))
    assert annotations(root, tag, box(), use="tags") == (Tags((1, 2)),)
    assert annotations(root, box(), use="tags") == (Tags((2,)),)
    assert annotations(root, '<tag label="background"/>') == (Tags(()),)


def test_image_without_shapes_says_nothing(root):
    assert annotations(root) == ()
    (found,) = read_cvat(root / "annotations.xml").images
    assert (found.marks, found.tags, found.closed) == ((), None, None)


def test_later_layers_are_in_front(root):
    shapes = [drawn("points", f"{x},1", order=order) for x, order in ((1, 2), (2, -1), (3, 2))]
    (strokes,) = annotations(root, *shapes)
    assert [item.points[0][0] for item in strokes.items] == [2, 1, 3]


@pytest.mark.parametrize("source", ["task", "job", "project"])
def test_labels_stand_in_the_order_of_the_file(root, source):
    meta = f"<meta><{source}><labels><label><name>z</name></label><label><name>cow</name></label>"
    write(root / "annotations.xml", xml(page(box()), meta=f"{meta}</labels></{source}></meta>"))
    assert read_dataset(root).classes.names == ("background", "z", "cow")


def test_labels_are_those_that_are_drawn_where_there_is_no_meta(root):
    write(root / "annotations.xml", xml(page(box(), drawn("points", "1,1", "ant")), meta=""))
    assert read_cvat(root / "annotations.xml").names == ()
    assert read_dataset(root).classes.names == ("background", "ant", "cow")


@pytest.mark.parametrize(
    ("subset", "split"), [("Train", "train"), ("Validation", "validation"), ("default", "train")]
)
def test_subsets_are_splits(root, subset, split):
    write(root / "annotations.xml", xml(page(box(), subset=subset)))
    assert only_sample(read_dataset(root, "cvat")).split == split


def test_images_of_a_project_lie_in_folders_named_after_subsets(root):
    for folder, shade in (("Train", 0), ("default", 9)):
        write_image(root / f"images/{folder}/herd/b.jpg")
        Image.new("RGB", SIZE[::-1], (shade,) * 3).save(root / f"images/{folder}/herd/b.jpg")
    found = [page(box(), name="herd/b.jpg", subset=subset) for subset in ("Train", "default")]
    write(root / "annotations.xml", xml(*found))
    samples = read_dataset(root, "cvat").samples
    assert [sample.image.relative_to(root).as_posix() for sample in samples] == [
        "images/Train/herd/b.jpg",
        "images/default/herd/b.jpg",
    ]


def test_images_in_folders_and_of_one_split_a_file(root):
    write_image(root / "images/far/b.png")
    (root / "annotations.xml").unlink()
    write(root / "annotations/train.xml", xml(page(box(), subset="default")))
    write(root / "annotations/val.xml", xml(page(box(), subset="", name="far/b.png")))
    samples = read_dataset(root).samples
    assert {(sample.split, sample.id) for sample in samples} == {("train", "a"), ("val", "far/b")}


def test_image_that_stands_twice_has_the_marks_of_both(root):
    write(root / "annotations.xml", xml(page(box()), page(box(7, 7, 9, 9))))
    boxes = (Box(2, 2, 1, 6, 5), Box(2, 7, 7, 9, 9))
    assert only_sample(read_dataset(root)).annotations == (Boxes(boxes),)


def test_laid_over_other_images(root):
    image = root / "images" / "a.jpg"
    bare = Sample("a", image, SIZE, (Boxes((Box(1, 0, 0, 3, 3),)),), "train")
    write(
        root / "annotations.xml",
        xml(page(box(), drawn("points", "3.5,4.5", "sheep"), drawn("points", "1,1", "dog"))),
    )
    dataset = with_annotations(Dataset(Classes(NAMES), (bare,)), [root / "annotations.xml"])
    boxes, strokes, unknown = only_sample(dataset).annotations
    assert boxes == Boxes((Box(1, 0, 0, 3, 3), Box(1, 2, 1, 6, 5)))
    assert strokes == Strokes((Scribble(2, ((3.5, 4.5),)),))
    # What cannot be used may be of any class.
    assert unknown.labels == ()
    assert kinds(dataset) == ["mark of an unknown class"]


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (box("nan"), "box has a corner that is no finite number"),
        (box("", 1, 2, 3), "box has a corner that is no finite number"),
        (box(1e300, 1, 1e301, 3), "box lies outside the image"),
        (box(1, 1, 5, 5, 'rotation="inf"'), "box has a corner that is no finite number"),
        (box(1e308, 1, 1.5e308, 5, 'rotation="45"'), "box has a corner that is no finite number"),
        (drawn("polygon", "1,1;2,2"), POLYGON),
        (drawn("polygon", "1,1;2,nan;3,3"), POLYGON),
        (drawn("polygon", "1,1;2;3,3"), OTHER),
        (drawn("polygon", ""), OTHER),
        ('<polygon label="cow"/>', OTHER),
        (drawn("polyline", "1,1;1e12,1"), "stroke cannot be drawn"),
        (drawn("polyline", "1,1;2,2", width="wide"), "stroke cannot be drawn"),
        (drawn("polyline", "1,1;2,2", width="-1"), "stroke cannot be drawn"),
        (drawn("points", "nan,1"), "stroke cannot be drawn"),
        (drawn("points", "90,90"), "stroke outside the image"),
        (drawn("points", "1,1;2,2;3,3", extreme="true"), OTHER),
        (drawn("points", "1,1", label=" "), OTHER),
        ('<points points="1,1"/>', OTHER),
        ('<ellipse label="cow" cx="9" cy="9" rx="0" ry="3"/>', OTHER),
        ('<ellipse label="cow" cx="9" cy="9" rx="nan" ry="3"/>', OTHER),
        ('<ellipse label="cow" cx="1e300" cy="9" rx="1e300" ry="3"/>', POLYGON),
        ('<cuboid label="cow" xtl1="1" ytl1="1"/>', OTHER),
        (
            '<skeleton label="pose"><points label="nose" points="1,1" outside="1"/></skeleton>',
            OTHER,
        ),
        (mask("1, 2, 3"), OTHER),
        (mask("1, -2, 13"), OTHER),
        (mask("1, x"), OTHER),
        (mask(""), OTHER),
        (mask("1.5, 10.5"), OTHER),
        (mask("nan, 12"), OTHER),
        (mask("inf, 12"), OTHER),
        (mask("12"), OTHER),
        (mask("0, 12", left=40), OTHER),
        (mask("0, 12", left="1e300"), OTHER),
        (mask("0, 12", left="1.5"), OTHER),
        (mask("0, 12", top="nan"), OTHER),
        (mask("0, 1000000000", width=50_000, height=20_000), OTHER),
        (mask("0, 12", width=""), OTHER),
    ],
)
def test_shape_that_cannot_be_used_is_left_out_and_noted(root, shape, kind):
    write(root / "annotations.xml", xml(page(shape, box())))
    dataset = read_dataset(root, "cvat", use="all")
    name = re.search(r'^<\w+ label="(.*?)"', shape)
    labels = {"cow": (2,), "pose": (3,)}.get(name[1] if name else "", ())
    assert only_sample(dataset).annotations == (Boxes((Box(2, 2, 1, 6, 5),)), Unknown(labels))
    assert kinds(dataset) == [kind]
    assert "annotations.xml image 'a.jpg'" in dataset.problems[0].subject


@pytest.mark.parametrize(
    ("sides", "rule"),
    [("", "width and height are given"), ('width="13000" height="13000"', "67,108,864 pixels")],
)
def test_mask_that_nobody_has_room_for_is_not_decoded(root, sides, rule):
    shape = mask("0, 100000000", 0, 0, 10_000, 10_000)
    write(root / "annotations.xml", xml(page(shape, sides=sides)))
    assert rule in read_dataset(root, "cvat", use="masks").problems[0].message


def test_noise_is_no_mask(root):
    rows = 4097
    stripes = ", ".join(["2048"] * rows)
    write(
        root / "annotations.xml",
        xml(page(mask(stripes, 0, 0, 2048, rows), sides='width="2048" height="4097"')),
    )
    assert "4,194,304 changes" in read_dataset(root, "cvat", use="masks").problems[0].message


@pytest.mark.parametrize("sides", ["", 'width="0" height="30"', 'width="1e9" height="nan"'])
def test_size_that_is_none_comes_from_the_image(root, sides):
    write(root / "annotations.xml", xml(page(box(), sides=sides)))
    assert only_sample(read_dataset(root)).size == SIZE


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "", "..", "..\\b.jpg", "a&#10;b.jpg"]
)
def test_name_that_could_lead_elsewhere_is_left_out(root, name):
    write(
        root / "annotations.xml",
        xml(page(box()), page(box(), name=name), page(box(), subset=name or "..")),
    )
    dataset = read_dataset(root, "cvat")
    assert only_sample(dataset).id == "a"
    assert kinds(dataset) == ["image that cannot be read"] * 2


def test_missing_image_is_left_out(root):
    write(
        root / "annotations.xml",
        xml(page(box()), page(box(), name="b.jpg"), page(box(), name="x" * 5000)),
    )
    dataset = read_dataset(root, "cvat")
    assert only_sample(dataset).id == "a"
    assert [problem.fatal for problem in dataset.problems] == [True, True]


@pytest.mark.parametrize("path", ["annotations.xml", "images/b.jpg"])
def test_links_out_of_the_data_set_are_not_followed(root, tmp_path, path):
    write_image(root / "images/b.jpg")
    write(root / "annotations.xml", xml(page(box()), page(box(), name="b.jpg")))
    (root / path).rename(tmp_path / "outside")
    (root / path).symlink_to(tmp_path / "outside")
    if path == "annotations.xml":
        with pytest.raises(InputError, match="inside the data set"):
            read_dataset(root, "cvat")
    else:
        dataset = read_dataset(root, "cvat")
        assert only_sample(dataset).id == "a"
        assert "inside the data set" in dataset.problems[0].message


LAUGHS = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02",
        b"<annotations>",
        b"<annotations><image></annotations>",
        xml(page(box()))[:-30],
        b"<annotations>\xe4</annotations>",
        b"\xff\xfe<annotations/>",
        b'<?xml version="1.0" encoding="nonsense"?><annotations/>',
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotations>&l9;</annotations>',
        '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotations>&a;</annotations>',
        '<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><annotations/>',
        "<annotation/>",
        '<annotations xmlns="urn:other"/>',
        f"<{'a' * 9999}/>",
        '<annotations><track id="0" label="cow"><box frame="0"/></track></annotations>',
    ],
)
def test_damaged_or_hostile_file_is_refused(root, content):
    write(root / "annotations.xml", content)
    with pytest.raises(InputError, match=r"annotations\.xml must be"):
        read_cvat(root / "annotations.xml")


def test_deep_nesting_is_read(root):
    deep = "<a>" * 20_000 + "</a>" * 20_000
    write(root / "annotations.xml", xml(page(deep, box())))
    assert kinds(read_dataset(root, "cvat")) == [OTHER]


def test_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_cvat(tmp_path / "a.xml")


def test_other_xml_is_not_taken_for_it(tmp_path):
    write(tmp_path / "a.xml", "<annotation><object/></annotation>")
    write(tmp_path / "b.txt", xml())
    write(tmp_path / "c.xml", b"")
    assert list(CVAT.files(tmp_path)) == []


def test_images_that_were_read_are_forgotten(root, monkeypatch):
    seen, original = [], cvat._image

    def watched(image, *more):
        seen.append(weakref.ref(image))
        assert sum(earlier() is not None for earlier in seen) <= 2
        return original(image, *more)

    monkeypatch.setattr(cvat, "_image", watched)
    write(root / "annotations.xml", xml(*(page(box(), name=f"{n}.jpg") for n in range(50))))
    assert len(read_cvat(root / "annotations.xml").images) == 50


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_give_problems_or_input_errors(root, data):
    shapes = (
        box(more='rotation="10"'),
        drawn("points", "1,1;2,2;3,3;4,4", extreme="true"),
        drawn("polyline", "1,2;3,4", width=3),
        mask("1, 2, 3, 1, 5"),
        '<ellipse label="cow" cx="9" cy="9" rx="3" ry="3" rotation="5"/><tag label="cow"/>',
    )
    content = xml(page(*shapes)).encode()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(start + 8, len(content))))
    puts = [b"nan", b"-1", b"<", b"../", b"9" * 12, b"1e308", b"inf", b'"', b"\x00", b"&#0;"]
    put = data.draw(st.binary(max_size=6) | st.sampled_from(puts))
    write(root / "annotations.xml", content[:start] + put + content[stop:])
    try:
        dataset = read_dataset(root, "cvat", use="all")
    except InputError as error:
        assert str(root) in str(error) or "class" in str(error)
    else:
        assert dataset.samples or dataset.problems


def test_a_cuboid_gives_the_box_around_its_corners(root):
    xs, ys = (2, 2, 9, 9, 4, 4, 11, 11), (3, 8, 3, 8, 1, 6, 1, 6)
    keys = [side + depth for depth in "12" for side in ("tl", "bl", "tr", "br")]
    corners = " ".join(f'x{k}="{x}.00" y{k}="{y}.00"' for k, x, y in zip(keys, xs, ys, strict=True))
    cuboid = f'<cuboid label="cow" source="manual" occluded="0" {corners} z_order="0"/>'
    assert annotations(root, cuboid) == (Boxes((Box(2, 2, 1, 11, 8),)),)


def test_a_skeleton_gives_clicks_on_its_visible_joints(root):
    """A box around them would forbid the class on whatever reaches beyond the joints."""
    joint = '<points label="nose" outside="{}" occluded="{}" points="{}"/>'
    joints = joint.format(0, 0, "3.5,4.5") + joint.format(0, 1, "9,9") + joint.format(1, 0, "7,7")
    skeleton = f'<skeleton label="pose" z_order="0">{joints}{joint.format(0, 0, "5,6")}</skeleton>'
    strokes = Strokes((Scribble(3, ((3.5, 4.5),)), Scribble(3, ((5.0, 6.0),))))
    assert annotations(root, skeleton) == (strokes,)


@pytest.mark.parametrize("corners", [(6, 1, 2, 5), (2, 5, 6, 1), (6, 5, 2, 1)])
def test_corners_of_a_box_in_any_order(root, corners):
    assert annotations(root, box(*corners)) == (Boxes((Box(2, 2, 1, 6, 5),)),)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("frame_000000", "images/frame_000000.PNG"),  # case C1
        ("frame_000000.png", "images/frame_000000.PNG"),
        ("field\\im0.jpg", "images/field/im0.jpg"),  # case C4
        ("field\\im0.jpg", "photos/field/im0.jpg"),
        ("my frames.v1.0001", "images/my frames.v1.0001.png"),
        ("im0.jpg", "images/im0.png"),
    ],
)
def test_images_are_found_without_ending_and_with_backslashes(tmp_path, name, file):
    write_image(tmp_path / file)
    write(tmp_path / "annotations.xml", xml(page(box(), name=name)))
    dataset = read_dataset(tmp_path)
    assert dataset.problems == ()
    assert only_sample(dataset).image == tmp_path / file


def test_corrections_keep_what_an_image_without_shapes_had(root):
    """The tag "background" says that there is nothing; no shape and no tag says nothing."""
    old = (Boxes((Box(1, 0, 0, 3, 3),)),)
    for id in "bc":
        write_image(root / f"images/{id}.jpg")
    bare = [Sample(id, root / f"images/{id}.jpg", SIZE, old, "train") for id in "abc"]
    empty = page('<tag label="background" source="manual"></tag>', name="b.jpg")
    path = write(root / "annotations.xml", xml(page(box()), empty, page(name="c.jpg")))
    base = Dataset(Classes(NAMES), tuple(bare))
    corrected = with_annotations(base, [path], instead=True)
    first, second, third = corrected.samples
    assert first.annotations == (Boxes((Box(1, 2, 1, 6, 5),)),)
    assert (second.annotations, third.annotations) == ((Tags(()),), old)
    assert kinds(corrected) == ["nothing to replace"]
    unusable = write(root / "annotations.xml", xml(page(drawn("polygon", "1,1;2,2"))))
    first = with_annotations(base, [unusable], instead=True).samples[0]
    assert first.annotations == (*old, Unknown((1,)))  # the old box, and perhaps more cows
