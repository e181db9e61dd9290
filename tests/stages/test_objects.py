"""Networks that lower the maps of classes that they have not learned."""

import json
import re

import numpy as np
import pytest
from helpers.builders import TINY, write_settings
from helpers.killing import assert_same_run
from helpers.running import wsseg
from PIL import Image

from wsseg.data.formats.table import read_dataset
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_scores, write_label_map
from wsseg.stages.tags import objects
from wsseg.stages.tags.objects import ObjectPair, group_classes, lower
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture(scope="module")
def config_file(tmp_path_factory):
    return write_settings(
        tmp_path_factory.mktemp("configs") / "tiny.yaml",
        data={"weak": "tags"},
        classifier={"trainer": TINY["trainer"]},
        cam={"scales": [1.0], "groups": 2, "foreground": 0.05, "background": 0.05},
        rounds={"count": 0},
    )


def tagged(scenes):
    return read_dataset(scenes, "voc", ["train"], use="tags").samples


@pytest.fixture(scope="module")
def focused(tmp_path_factory, scenes, config_file):
    """A finished run, and the images that each of its networks learned from."""
    folder = tmp_path_factory.mktemp("runs") / "focused"
    learned, original = {}, objects.train_on_pairs

    def train(stage, pairs, *more):
        learned[stage.name] = [pair.image.stem for pair in pairs()]
        return original(stage, pairs, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "train_on_pairs", train)
        assert wsseg("run", config_file, f"run_dir={folder}", f"data.root={scenes}") == 0
    return folder, learned


def test_no_network_learns_from_images_with_the_classes_of_its_group(focused, scenes):
    samples = tagged(scenes)
    groups = group_classes(samples, 2)
    assert sorted(label for group in groups for label in group) == sorted(
        {label for s in samples for label in s.tagged}
    )
    assert focused[1].keys() == {"focused/group-1", "focused/group-2"}
    for group, learned in zip(groups, focused[1].values(), strict=True):
        expected = {s.id for s in samples if not {*s.tagged} & {*group}}
        assert learned and {*learned} == expected


def test_maps_become_lower_by_what_the_networks_of_their_groups_say(focused, scenes):
    run, _ = focused
    changed = 0
    for sample in tagged(scenes):
        before_labels, before = read_scores(run / "spread" / "scores" / f"{sample.id}.npz")
        after_labels, after = read_scores(run / "focused" / "scores" / f"{sample.id}.npz")
        np.testing.assert_array_equal(before_labels, after_labels)
        assert (after <= before + 1e-3).all() and (after >= np.maximum(before - 0.301, 0)).all()
        changed += (after < before - 0.01).any()
    assert changed


def test_first_labels_are_made_from_the_focused_maps(focused):
    run, _ = focused
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert [*summary["thresholds"]] == ["cams", "focused"]


def test_an_interrupted_run_ends_with_the_same_maps(focused, scenes, config_file, tmp_path):
    run = tmp_path / "run"
    calls, original = [], objects.lower

    def stops(maps, objectness):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(maps, objectness)

    arguments = [config_file, f"run_dir={run}", f"data.root={scenes}", "machine.workers=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "lower", stops)
        assert wsseg("run", *arguments) != 0
    assert wsseg("run", *arguments) == 0
    assert_same_run(run, focused[0])


def test_more_groups_than_classes_are_refused_before_any_training(scenes):
    with pytest.raises(InputError, match=r"cam\.groups must be at most 1, .* got 3; set it to 0"):
        group_classes([s for s in tagged(scenes) if s.tagged == s.tagged[:1]][:1], 3)


def test_classes_that_every_image_shows_are_refused(config_file, tmp_path, capsys):
    """Images of two classes, each with both, leave nothing to learn from."""
    data = tmp_path / "data"
    write_scenes(data, train=6, val=2, seed=0, sides=(48, 64))
    for name in ("disc", "square", "triangle", "star", "ring"):
        for path in data.glob(f"ImageSets/Main/{name}_train.txt"):
            shown = "1" if name in ("disc", "square") else "-1"
            lines = [line.split()[0] for line in path.read_text().splitlines()]
            signs = [shown if number else "-1" for number in range(len(lines))]
            path.write_text("\n".join(f"{a} {b}" for a, b in zip(lines, signs, strict=True)))
    arguments = [config_file, f"run_dir={tmp_path / 'run'}", f"data.root={data}"]
    assert wsseg("run", *arguments) == 2
    problem = r"cam\.groups=2: each image with tags may show a class of group 1.*; set it to 0"
    assert re.search(problem, capsys.readouterr().err)
    assert not (tmp_path / "run" / "classifier").exists()


def test_labels_without_an_object_stop_before_any_of_the_trainings(
    scenes, config_file, tmp_path, capsys
):
    run = tmp_path / "run"
    levels = ["cam.foreground=5", "cam.background=5"]
    assert wsseg("run", config_file, f"run_dir={run}", f"data.root={scenes}", *levels) == 2
    problem = r"focused/labels must be labelled as an object .*; set cam\.groups=0"
    assert re.search(problem, capsys.readouterr().err)
    assert not (run / "focused" / "group-1").exists()


def test_objects_of_all_classes_are_one(tmp_path):
    label_map = np.array([[0, 1, 4, IGNORE]], np.uint8)
    write_label_map(tmp_path / "a.png", label_map)
    Image.fromarray(np.zeros((1, 4, 3), np.uint8)).save(tmp_path / "a.jpg")
    _, planes, factor = ObjectPair(tmp_path / "a.jpg", tmp_path / "a.png", (True, True)).read()
    assert planes[0].tolist() == [[0, 1, 1, IGNORE]] and factor == 1


def test_a_map_is_lowered_by_the_mean_over_its_cells():
    objectness = np.zeros((8, 8))
    objectness[:4, :2] = 1
    lowered = lower(np.full((2, 2, 2), 0.5, np.float32), objectness)
    np.testing.assert_allclose(lowered, [[[0.35, 0.2], [0.2, 0.2]]] * 2, rtol=1e-6)
