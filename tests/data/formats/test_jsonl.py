"""wsseg's own format as a data set, and laid over others."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.jsonl import read_jsonl
from wsseg.data.formats.table import detect_format, read_dataset
from wsseg.data.load import with_annotations
from wsseg.data.model import Classes, Dataset, Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, write_label_map

SIZE = (40, 60)
NAMES = ["background", "cow", "sheep"]
CLASSES = Classes(tuple(NAMES))
POINT = {"type": "point", "class": "cow", "points": [[5.5, 6.5]]}
SCRIBBLE = {"type": "scribble", "class": "background", "points": [[1, 30], [50, 35]], "width": 2}
BOX = {"type": "box", "class": "sheep", "points": [[30, 20], [10, 5]]}
EXTREME = {"type": "extreme", "class": "cow", "points": [[20, 1], [40, 10], [25, 20], [12, 9]]}
POLYGON = {"type": "polygon", "class": "cow", "points": [[2, 2], [9, 2], [9, 9]]}
RUNS = {"type": "runs", "class": "sheep", "size": list(SIZE), "counts": [0, 40, 2360]}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    for name in ("a", "b"):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{name}.png")
    return folder


def page(*marks, image="a.png", **more):
    return {"image": image, "marks": list(marks), **more}


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines))
    return path


def read(root, *lines, use="all"):
    write(root / "train.jsonl", {"classes": NAMES}, *lines)
    return read_dataset(root, "jsonl", use=use)


def bare(*places):
    samples = tuple(Sample(id, Path(f"{id}.png"), SIZE, (), split) for split, id in places)
    return Dataset(CLASSES, samples)


def kinds(dataset):
    return dict(Counter(problem.kind for problem in dataset.problems))


def test_every_kind_of_mark(root):
    dataset = read(root, page(POINT, SCRIBBLE, BOX, EXTREME, POLYGON, RUNS, size=list(SIZE)))
    assert dataset.classes == CLASSES and dataset.problems == ()
    (sample,) = dataset.samples
    assert (sample.id, sample.size, sample.split) == ("a", SIZE, "train")
    boxes, strokes, regions = sample.annotations
    assert boxes == Boxes((Box(2, 10, 5, 30, 20), Box(1, 12, 1, 40, 20)))
    lines = Scribble(1, ((5.5, 6.5),)), Scribble(0, ((1.0, 30.0), (50.0, 35.0)), 2.0)
    assert strokes == Strokes(lines)
    triangle = Region(1, ((2.0, 2.0, 9.0, 2.0, 9.0, 9.0),))
    assert regions == Regions((triangle, Region(2, rle=(SIZE, (0, 40, 2360)))), partial=True)


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("boxes", (Boxes((Box(2, 10, 5, 30, 20),)),)),
        ("tags", (Tags((1, 2)),)),
        ("masks", (Regions((Region(1, ((2.0, 2.0, 9.0, 2.0, 9.0, 9.0),)),)),)),
        ("none", ()),
    ],
)
def test_what_is_wanted_is_read(root, use, expected):
    (sample,) = read(root, page(POINT, BOX, POLYGON), use=use).samples
    assert sample.annotations == expected


def test_tags_and_masks(root):
    write_label_map(root / "masks" / "b.png", np.zeros(SIZE, np.uint8))
    mask = {"type": "mask", "file": "masks/b.png"}
    first, second = read(
        root, page(tags=["cow"], unsure=["sheep"]), page(mask, image="b.png", tags=[])
    ).samples
    assert first.annotations == (Tags((1,), (2,)),)
    assert second.annotations == (Tags(()), MaskFile(root / "masks" / "b.png"))


def test_without_a_list_the_classes_are_what_is_named(root):
    write(root / "x.jsonl", page(POINT, SCRIBBLE, tags=["ant"]))
    dataset = read_dataset(root)
    assert detect_format(root) == "jsonl"
    assert dataset.classes.names == ("background", "ant", "cow")
    assert dataset.samples[0].split == "train"


def test_splits_are_those_of_lines_or_files(root):
    write(root / "val.jsonl", {"classes": NAMES}, page(POINT), page(image="b.png", split="test"))
    dataset = read_dataset(root)
    assert {(s.id, s.split) for s in dataset.samples} == {("a", "val"), ("b", "test")}
    with pytest.raises(InputError, match="known: test, val"):
        read_dataset(root, splits=["train"])


def test_an_image_that_stands_twice_has_the_marks_of_both(root):
    (sample,) = read(root, page(POINT), page(SCRIBBLE, tags=["cow"])).samples
    assert {type(drawn) for drawn in sample.annotations} == {Strokes, Tags}
    assert len(sample.strokes) == 2


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "[" * 100_000,
        '"text"',
        {"marks": []},
        {"image": 5},
        {"image": "../a.png"},
        {"image": "/etc/passwd"},
        page(size=[0, 60]),
        page(size="large"),
        page(tags="cow"),
        page(unsure=["cow"]),
        page(closed="no"),
        page(split=""),
        {**page(), "markz": []},
        {"classes": NAMES, "image": "a.png"},
    ],
)
def test_lines_that_cannot_be_read_are_left_out_and_noted(root, line):
    dataset = read(root, line, page(POINT, image="b.png"))
    assert [sample.id for sample in dataset.samples] == ["b"]
    assert kinds(dataset) == {"line that cannot be read": 1}
    assert dataset.problems[0].subject == "train.jsonl line 2"


@pytest.mark.parametrize(
    "mark",
    [
        5,
        {},
        {"type": "dot", "class": "cow"},
        {"type": ["point"], "class": "cow"},
        {"type": "point", "class": 5, "points": [[1, 1]]},
        {"type": "point", "class": "cow"},
        {"type": "point", "class": "cow", "points": [[1, 1], [2, 2]]},
        {"type": "box", "class": "cow", "points": [[1, 1]]},
        {"type": "polygon", "class": "cow", "points": [[1, 1], [2, 2], 3]},
        {"type": "point", "class": "cow", "points": [["x", None]]},
        {"type": "point", "class": "cow", "points": [[900, 900]]},
        {"type": "point", "class": "cow", "points": [[1e300, 5]]},
        {"type": "scribble", "class": "cow", "points": [[-100, 20], [20, -100]]},
        {"type": "scribble", "class": "cow", "points": [[1, 1], [5, 5]], "width": -1},
        {"type": "point", "class": "dog", "points": [[1, 1]]},
        {"type": "mask"},
        {"type": "mask", "file": "../../secret.png"},
        {"type": "runs", "class": "cow", "size": [4, 4], "counts": [16]},
        {"type": "runs", "class": "cow", "size": list(SIZE), "counts": [10**9]},
        {"type": "point", "class": "cow", "points": [[1, 1]], "colour": "red"},
    ],
)
def test_marks_that_cannot_be_used_leave_their_class_unknown(root, mark):
    dataset = read(root, page(mark, SCRIBBLE, size=list(SIZE)))
    (sample,) = dataset.samples
    assert sample.strokes == (Scribble(0, ((1.0, 30.0), (50.0, 35.0)), 2.0),)
    assert sum(kinds(dataset).values()) == 1
    # What was left out may be a cow, or of any class if the mark names none of the data set.
    constraints = constraints_of(sample, 3)
    is_cow = isinstance(mark, dict) and mark.get("class") == "cow"
    assert constraints.classes.tolist() == ([0, 1] if is_cow else [0, 1, 2])
    assert (constraints.known == IGNORE).any()


def test_of_tags_with_an_unknown_name_the_others_count(root):
    """The unknown one may mean any class."""
    dataset = read(root, page(tags=["caw"]), page(image="b.png", tags=["cow", "caw"]))
    first, second = dataset.samples
    assert first.annotations == (Tags((), (1, 2)),)
    assert second.annotations == (Tags((1,), (2,)),)
    assert kinds(dataset) == {"tag of an unknown class": 2}


def test_a_mask_that_leads_out_of_its_folder_is_refused(root, tmp_path):
    write_label_map(tmp_path / "outside.png", np.zeros(SIZE, np.uint8))
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    dataset = read(root, page({"type": "mask", "file": "link.png"}), page(POINT, image="b.png"))
    assert [sample.id for sample in dataset.samples] == ["b"]
    assert dataset.problems[0].fatal and "inside the data set" in dataset.problems[0].message


def test_damaged_files_are_input_errors(root):
    (root / "train.jsonl").write_bytes(b"\xff{")
    with pytest.raises(InputError, match="UTF-8"):
        read_dataset(root, "jsonl")
    write(root / "train.jsonl", {"classes": "cow"})
    with pytest.raises(InputError, match="a list of names"):
        read_dataset(root, "jsonl")


def test_the_same_name_in_two_splits_is_told_apart_by_the_split(tmp_path):
    dataset = bare(("train", "a"), ("val", "a"), ("train", "herd/b"))
    path = write(
        tmp_path / "x.jsonl",
        page(POINT, split="train"),
        page(SCRIBBLE, split="val"),
        page(POINT, image="b.jpg"),
        page(POINT),
        page(POINT, image="other.png"),
    )
    found = with_annotations(dataset, [path])
    assert [len(sample.strokes) for sample in found.samples] == [1, 1, 1]
    assert [sample.strokes[0].label for sample in found.samples] == [1, 0, 1]
    (problem,) = found.problems
    assert problem.message.startswith("2 of 5 images are not in") and "a.png" in problem.message


def test_nothing_that_fits_says_why(tmp_path):
    with pytest.raises(InputError, match="got none of them; check"):
        with_annotations(bare(("train", "c")), [write(tmp_path / "x.jsonl", page(POINT))])
    with pytest.raises(InputError, match=r"got none of them \(line must be JSON"):
        with_annotations(bare(("train", "c")), [write(tmp_path / "x.jsonl", "garbage")])


def test_masks_of_other_numbers_are_refused(tmp_path):
    mask = {"type": "mask", "file": "a.png"}
    path = write(tmp_path / "x.jsonl", {"classes": ["background", "sheep", "cow"]}, page(mask))
    with pytest.raises(InputError, match="number its masks by that list"):
        with_annotations(bare(("train", "a")), [path])
    write(path, {"classes": ["background", "sheep", "cow"]}, page(POINT))
    assert with_annotations(bare(("train", "a")), [path]).samples[0].strokes[0].label == 1


def test_marks_of_another_size_are_left_out(tmp_path):
    path = write(tmp_path / "x.jsonl", page(POINT, size=[80, 120]))
    found = with_annotations(bare(("train", "a")), [path])
    assert found.samples[0].annotations == () and kinds(found) == {"marks of another size": 1}


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_mutated_lines_give_problems_or_input_errors(tmp_path, data):
    text = json.dumps(page(POINT, SCRIBBLE, BOX, POLYGON, RUNS, size=list(SIZE), tags=["cow"]))
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 8))
    path = tmp_path / "m.jsonl"
    path.write_text(text[:start] + data.draw(st.text(max_size=4)) + text[start + length :])
    try:
        pages = read_jsonl(path)
        found = with_annotations(bare(("train", "a")), [path])
    except InputError:
        return
    assert len(pages.images) <= 2
    constraints_of(found.samples[0], 3)
