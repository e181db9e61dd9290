import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsseg.data.annotation import Boxes
from wsseg.data.constraints import constraints_of
from wsseg.data.formats import table as readers
from wsseg.data.load import tags_from_boxes
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labelmaps import read_label_map
from wsseg.synthetic import scenes
from wsseg.synthetic.scenes import CLASSES, generate_scene, write_scenes


def _bytes_of(root):
    return {p.relative_to(root): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def _many(count, size=(96, 112)):
    return [generate_scene(np.random.default_rng((3, i)), size) for i in range(count)]


@given(st.integers(0, 2**32), st.integers(48, 90), st.integers(48, 90))
@settings(max_examples=25, deadline=None)
def test_a_scene_has_its_size_and_known_classes(seed, height, width):
    image, label_map, boxes = generate_scene(np.random.default_rng(seed), (height, width))
    assert image.shape == (height, width, 3) and image.dtype == np.uint8
    assert label_map.shape == (height, width) and label_map.dtype == np.uint8
    assert label_map.max() < len(CLASSES)
    assert {box.label for box in boxes} == set(np.unique(label_map)) - {0}


@given(st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_the_truth_keeps_to_what_its_boxes_allow(seed):
    _, label_map, boxes = generate_scene(np.random.default_rng(seed), (64, 72))
    sample = Sample("a", Path("a.png"), (64, 72), (Boxes(boxes),), "train")
    assert constraints_of(sample, len(CLASSES)).allows(label_map).all()


def test_boxes_of_lone_objects_are_tight():
    lone = [(truth, boxes[0]) for _, truth, boxes in _many(40) if len(boxes) == 1]
    assert lone
    for truth, box in lone:
        rows, columns = np.nonzero(truth)
        assert (box.top, box.left) == (rows.min(), columns.min())
        assert (box.bottom, box.right) == (rows.max() + 1, columns.max() + 1)


def test_scenes_are_worth_learning_from():
    made = _many(150)
    fill = {label: [] for label in range(1, len(CLASSES))}
    for _, truth, boxes in made:
        for box in boxes:
            fill[box.label].append((truth[box.slices] == box.label).mean())
    assert all(len(shares) > 20 for shares in fill.values())
    assert 0.5 < np.mean([share for shares in fill.values() for share in shares]) < 0.65
    assert 0.1 < np.mean([truth > 0 for _, truth, _ in made]) < 0.35
    assert any(len(boxes) == 3 for _, _, boxes in made)
    assert any(box.left == 0 or box.top == 0 for _, _, boxes in made for box in boxes)


def test_the_state_of_the_generator_alone_decides_a_scene():
    first, again = (generate_scene(np.random.default_rng(5), (64, 64)) for _ in range(2))
    other = generate_scene(np.random.default_rng(6), (64, 64))
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all() and first[2] == again[2]
    assert (first[0] != other[0]).any()


def test_a_scene_too_small_for_objects_is_refused():
    with pytest.raises(InputError, match=r"scene size must be at least 48 pixels.*got \(20, 90\)"):
        generate_scene(np.random.default_rng(0), (20, 90))


def test_the_folder_is_pascal_voc(tmp_path):
    write_scenes(tmp_path / "s", train=3, val=2, seed=1, sides=(48, 64))
    root = tmp_path / "s"
    for kind in ("Main", "Segmentation"):
        listed = (root / "ImageSets" / kind / "train.txt").read_text().split()
        assert listed == ["train-0000", "train-0001", "train-0002"]
    assert "disc:128,0,0::" in (root / "labelmap.txt").read_text().splitlines()
    for name in (*listed, "val-0000", "val-0001"):
        image = read_image(root / "JPEGImages" / f"{name}.png")
        truth = read_label_map(root / "SegmentationClass" / f"{name}.png")
        drawn = ElementTree.parse(root / "Annotations" / f"{name}.xml")
        size = tuple(int(drawn.findtext(f"size/{side}", "")) for side in ("height", "width"))
        assert image.shape[:2] == truth.shape == size
        assert all(48 <= side <= 64 for side in size)


def test_class_files_are_in_vocs_form_and_say_what_the_boxes_say(tmp_path):
    root = tmp_path / "s"
    write_scenes(root, train=6, val=3, seed=1, sides=(48, 64))
    for split in ("train", "val"):
        listed = (root / "ImageSets" / "Main" / f"{split}.txt").read_text().split()
        for name in CLASSES.names[1:]:
            lines = (root / "ImageSets" / "Main" / f"{name}_{split}.txt").read_text().splitlines()
            assert lines == [
                f"{id} {' 1' if f'<name>{name}</name>' in xml else '-1'}"
                for id in listed
                for xml in [(root / "Annotations" / f"{id}.xml").read_text()]
            ]


def test_files_beside_a_scene_do_not_change_it(tmp_path):
    write_scenes(tmp_path / "s", train=2, val=2, seed=4, sides=(48, 60))
    for number, split in enumerate(("train", "val")):
        for index in range(2):
            rng = np.random.default_rng((4, number, index))
            size = tuple(int(side) for side in rng.integers(48, 61, 2))
            image, truth, _ = generate_scene(rng, size)
            name = f"{split}-{index:04d}.png"
            assert (read_image(tmp_path / "s" / "JPEGImages" / name) == image).all()
            assert (read_label_map(tmp_path / "s" / "SegmentationClass" / name) == truth).all()


def test_folders_of_an_older_generation_are_made_again(tmp_path):
    write_scenes(tmp_path / "s", train=1, val=0, seed=1, sides=(48, 48))
    made = json.loads((tmp_path / "s" / "scenes.json").read_text())
    (tmp_path / "s" / "scenes.json").write_text(json.dumps({**made, "generation": 1}))
    (tmp_path / "s" / "ImageSets" / "Main" / "disc_train.txt").unlink()
    write_scenes(tmp_path / "s", train=1, val=0, seed=1, sides=(48, 48))
    assert (tmp_path / "s" / "ImageSets" / "Main" / "disc_train.txt").is_file()


def test_demo_scenes_have_the_same_tags_as_their_boxes(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "_DEMO_TRAIN", 5)
    monkeypatch.setattr(readers, "_DEMO_VAL", 2)
    tags = readers.read_dataset(tmp_path / "s", "scenes", use="tags")
    assert tags == tags_from_boxes(readers.read_dataset(tmp_path / "s", "scenes"))
    assert len(tags.samples) == 7 and all(sample.tags.present for sample in tags.samples)


def test_boxes_on_disk_are_those_of_the_truth(tmp_path):
    write_scenes(tmp_path / "s", train=12, val=0, seed=1, sides=(64, 64))
    lone = 0
    for path in sorted((tmp_path / "s" / "Annotations").iterdir()):
        objects = ElementTree.parse(path).findall("object")
        truth = read_label_map(tmp_path / "s" / "SegmentationClass" / f"{path.stem}.png")
        if len(objects) == 1:
            lone += 1
            rows, columns = np.nonzero(truth)
            corners = [int(objects[0].findtext(f"bndbox/{c}", "")) for c in ("xmin", "ymax")]
            assert corners == [columns.min() + 1, rows.max() + 1]
            assert objects[0].findtext("name") == CLASSES.names[truth.max()]
    assert lone


def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        write_scenes(tmp_path / name, train=2, val=1, seed=seed, sides=(48, 60))
    assert _bytes_of(tmp_path / "a") == _bytes_of(tmp_path / "b")
    image = Path("JPEGImages/train-0000.png")
    assert _bytes_of(tmp_path / "a")[image] != _bytes_of(tmp_path / "c")[image]


def test_splits_differ_and_more_scenes_begin_with_the_same(tmp_path):
    write_scenes(tmp_path / "few", train=1, val=1, seed=4, sides=(48, 60))
    write_scenes(tmp_path / "more", train=3, val=1, seed=4, sides=(48, 60))
    few, more = _bytes_of(tmp_path / "few"), _bytes_of(tmp_path / "more")
    image = Path("JPEGImages/train-0000.png")
    assert few[image] == more[image]
    assert few[image] != few[Path("JPEGImages/val-0000.png")]


def test_a_complete_folder_is_kept_and_a_changed_one_replaced(tmp_path):
    root = tmp_path / "s"
    write_scenes(root, train=2, val=0, seed=1, sides=(48, 48))
    image = root / "JPEGImages" / "train-0000.png"
    made = image.stat().st_mtime_ns, image.stat().st_ino
    write_scenes(root, train=2, val=0, seed=1, sides=(48, 48))
    assert (image.stat().st_mtime_ns, image.stat().st_ino) == made
    write_scenes(root, train=1, val=0, seed=1, sides=(48, 48))
    assert [p.name for p in (root / "JPEGImages").iterdir()] == ["train-0000.png"]
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


def test_an_interrupted_generation_leaves_nothing_and_is_done_again(tmp_path, monkeypatch):
    root = tmp_path / "s"
    write_scenes(tmp_path / "whole", train=3, val=0, seed=1, sides=(48, 48))
    write, written = scenes.write_label_map, []

    def interrupted(path, label_map):
        written.append(path)
        if len(written) == 2:
            raise KeyboardInterrupt
        write(path, label_map)

    monkeypatch.setattr(scenes, "write_label_map", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_scenes(root, train=3, val=0, seed=1, sides=(48, 48))
    assert not root.exists()
    write_scenes(root, train=3, val=0, seed=1, sides=(48, 48))
    assert _bytes_of(root) == _bytes_of(tmp_path / "whole")


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("images")
    with pytest.raises(InputError, match="new, empty or a folder of scenes"):
        write_scenes(tmp_path, train=1, val=0, seed=1, sides=(48, 48))
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_the_marker_tells_how_the_folder_was_made(tmp_path):
    write_scenes(tmp_path / "s", train=1, val=0, seed=9, sides=(48, 52))
    made = json.loads((tmp_path / "s" / "scenes.json").read_text())
    assert (made["train"], made["val"], made["seed"], made["sides"]) == (1, 0, 9, [48, 52])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": -1}, "scenes train must be 0 or more, got -1"),
        ({"seed": -2}, "scenes seed must be 0 or more, got -2"),
        ({"sides": (90, 60)}, r"scenes sides must be two lengths in order.*got \(90, 60\)"),
        ({"sides": (8, 60)}, "scenes sides must be two lengths"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, wrong, message):
    arguments = {"train": 1, "val": 1, "seed": 0, **wrong}
    with pytest.raises(InputError, match=message):
        write_scenes(tmp_path / "s", **arguments)
    assert not (tmp_path / "s").exists()
