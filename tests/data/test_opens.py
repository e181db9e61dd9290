"""Annotation files are opened once per command."""

import shutil
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.formats import FORMATS
from helpers.running import wsseg

from wsseg.data.formats.table import read_raw

SUFFIXES = {".xml", ".json", ".jsonl", ".txt", ".csv", ".yaml"}
SMALL = (
    "voc",
    "coco",
    "yolo",
    "csv",
    "cvat",
    "labelme",
    "labelstudio",
    "jsonl",
    "clicks",
    "csv_boxes",
    "pairs",
)
_counters = []


def _audit(event, arguments):
    # An ``opener`` raises the event a second time, without a mode.
    is_opened = event == "open" and arguments[1] is not None
    if is_opened and _counters and isinstance(arguments[0], str | Path):
        _counters[-1][str(arguments[0])] += 1


sys.addaudithook(_audit)


@contextmanager
def opens_below(root):
    """Yield a counter of how often each annotation file below a folder was opened."""
    counter, opened = Counter(), Counter()
    _counters.append(counter)
    try:
        yield opened
    finally:
        _counters.remove(counter)
    for path, count in counter.items():
        if Path(path).is_relative_to(root) and Path(path).suffix in SUFFIXES:
            opened[Path(path).relative_to(root).as_posix()] += count


@pytest.fixture(params=SMALL)
def small(request, tmp_path):
    made = FORMATS[request.param]()
    root = made.write(tmp_path / "set")
    return made, root


def test_reading_opens_each_annotation_file_once(small):
    made, root = small
    with opens_below(root) as opened:
        read_raw(root, "auto")
    assert {*opened.values()} == {1}
    assert opened.keys() >= {name for name in made.drawn if not name.startswith("clicks")}


def test_check_opens_each_annotation_file_once(small):
    made, root = small
    over = [root / made.over] if made.over else []
    with opens_below(root) as opened:
        wsseg("check", root, *over, "--fast")
    assert {name for name, count in opened.items() if count > 1} == set()
    assert opened.keys() >= {*made.drawn}


def test_doctor_opens_each_annotation_file_once(small, tmp_path):
    made, root = small
    (tmp_path / "c.yaml").write_text(
        f"run_dir: {tmp_path}/run\ndata: {{root: {root}, val: null, weak: all}}\n"
    )
    over = [f"data.annotations=[{root / made.over}]"] if made.over else []
    with opens_below(root) as opened:
        wsseg("doctor", tmp_path / "c.yaml", *over)
    assert {name for name, count in opened.items() if count > 1} == set()
    assert opened.keys() >= {*made.drawn} - {"val.txt"}  # its split is not used


def test_changed_classes_and_a_new_split_open_nothing_twice(small, tmp_path):
    made, root = small
    config = tmp_path / "c.yaml"
    config.write_text(
        f"run_dir: {tmp_path}/run\n"
        f"data: {{root: {root}, val: v, split: 0.5, classes: {{animal: [cow]}}}}\n"
    )
    for command in ("check", "doctor"):
        with opens_below(root) as opened:
            wsseg(command, config)
        assert {name for name, count in opened.items() if count > 1} == set()
        assert opened.keys() >= {*made.drawn} - {made.over and f"{made.over}/clicks.json"}
    with opens_below(root) as opened:
        assert wsseg("init", root, "--out", tmp_path / "new.yaml") in {0, 2}
    assert {name for name, count in opened.items() if count > 1} == set()


def test_run_and_report_open_each_annotation_file_once(finished, scenes, config_file, tmp_path):
    """The run is finished but for its last label maps, so that every stage is visited."""
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "round-2" / "manifest.json").unlink()
    with opens_below(scenes) as opened:
        assert wsseg("run", config_file, f"run_dir={run}", f"data.root={scenes}") == 0
    assert {*opened.values()} == {1}
    assert {name for name in opened if name.endswith(".xml")} == {
        path.relative_to(scenes).as_posix() for path in (scenes / "Annotations").iterdir()
    }
    with opens_below(scenes) as opened:
        assert wsseg("report", run) == 0
    assert {*opened.values()} == {1}
    with opens_below(scenes) as opened:
        assert wsseg("report", run, "--compare", finished) == 0
    assert {*opened.values()} == {1}


def test_with_a_label_map_only_listed_files_are_opened(tmp_path):
    root = FORMATS["voc"]().write(tmp_path / "set")
    (root / "ImageSets/Segmentation/train.txt").write_text("a\n")
    with opens_below(root) as opened:
        read_raw(root, "voc")
    assert [name for name in opened if name.endswith(".xml")] == ["Annotations/a.xml"]
    (root / "labelmap.txt").unlink()
    with opens_below(root) as opened:
        read_raw(root, "voc")
    assert len([name for name in opened if name.endswith(".xml")]) == 2
    assert {*opened.values()} == {1}


def test_names_that_many_files_share_are_opened_once(tmp_path):
    root = FORMATS["labelme"]().write(tmp_path / "set", {"labels.txt": b"cow\nsheep\n"})
    with opens_below(root) as opened:
        read_raw(root)
    assert opened == {"a.json": 1, "b.json": 1, "labels.txt": 1}
