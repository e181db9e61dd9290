"""Networks on box crops, each of which predicts images that it has not learned from."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.builders import sample, write_settings
from helpers.examples import example_from
from helpers.killing import assert_same_run
from helpers.running import hashes, wsseg

from wsseg.data.annotation import Box, Boxes
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.model import Sample
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.refine.params import CleaningParams
from wsseg.runs.config import load_config
from wsseg.runs.labelling import label_path
from wsseg.runs.recipes import end_with
from wsseg.runs.run import Run, open_run
from wsseg.runs.stage import finished_stage
from wsseg.stages import zoom as module
from wsseg.stages.rounds import seed_labels
from wsseg.stages.zoom import correct_boxes, deal, zoom_labels

SIZE = (40, 60)
BOX = Box(1, left=10, top=10, right=50, bottom=30)
SMALL = Box(2, left=2, top=2, right=8, bottom=20)
AVERAGE = CleaningParams(first_weight=0.4, box_gap=None, reset_iou=0)
FITTED = CleaningParams(first_weight=0.4, reset_iou=0)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return write_settings(
        tmp_path_factory.mktemp("configs") / "zoom.yaml",
        seeds={"name": "grabcut"},
        zoom={"folds": 2, "side": 32, "steps": 7},
        rounds={"count": 1},
    )


@pytest.fixture(scope="module")
def zoomed(tmp_path_factory, scenes, settings):
    """A finished run with zoom."""
    folder = tmp_path_factory.mktemp("runs") / "zoom"
    assert wsseg("run", settings, f"run_dir={folder}", f"data.root={scenes}") == 0
    return folder


def config_for(settings, scenes, folder, *more):
    return load_config(settings, [f"run_dir={folder}", f"data.root={scenes}", *more])


def rectangle(top, bottom, left, right, label=1, background=0):
    label_map = np.full(SIZE, background, np.uint8)
    label_map[top:bottom, left:right] = label
    return label_map


def corrected(first, *shares, params=AVERAGE, more=()):
    boxes = [box for box, _ in shares] + [box for box in more if isinstance(box, Box)]
    others = [annotation for annotation in more if not isinstance(annotation, Box)]
    example = example_from(None, Boxes(tuple(boxes)), *others, size=SIZE)
    filled = [
        (box, np.full((box.bottom - box.top, box.right - box.left), share, np.float32))
        if np.isscalar(share)
        else (box, share)
        for box, share in shares
    ]
    before = first.copy()
    label_map = correct_boxes(filled, example, first, params)
    np.testing.assert_array_equal(first, before)
    assert example.constraints.allows(label_map).all()
    return label_map


def test_no_image_is_predicted_by_a_network_that_was_trained_on_it(
    scenes, settings, tmp_path, monkeypatch
):
    trained, predicted, train, predict = {}, {}, module.train_on_pairs, module.segmenter_of

    def recording_train(stage, pairs, *arguments, **named):
        trained[stage.name] = {pair.image.stem for pair in pairs()}
        return train(stage, pairs, *arguments, **named)

    def recording_label(image, **named):
        monkeypatch.setattr(
            module,
            "segmenter_of",
            lambda fold, device: predicted.update({image.id: fold.name}) or predict(fold, device),
        )
        return label(image, **named)

    label = module._label
    monkeypatch.setattr(module, "train_on_pairs", recording_train)
    monkeypatch.setattr(module, "_label", recording_label)
    config = config_for(settings, scenes, tmp_path / "run", "zoom.folds=3")
    dataset = read_dataset(scenes, "voc", ["train"])
    with open_run(config) as run:
        stage = zoom_labels(run, dataset, seed_labels(run, dataset))
    ids = {image.id for image in dataset.samples}
    assert predicted.keys() == ids and {*stage.labels} == ids
    assert {*trained} == {"zoom/fold-1", "zoom/fold-2", "zoom/fold-3"}
    for identity, fold in predicted.items():
        assert identity not in trained[fold] and len(trained[fold]) == 4
        assert identity in finished_stage(config.run_dir, fold).results["held_out"]


def test_labels_of_the_run_keep_to_the_boxes_and_feed_round_1(zoomed, scenes):
    samples = read_dataset(scenes, "voc", ["train"]).samples
    changed = 0
    for one in samples:
        labels, seeds = (
            read_label_map(zoomed / stage / "labels" / f"{one.id}.png")
            for stage in ("zoom", "seeds")
        )
        assert constraints_of(one, 6).allows(labels).all()
        changed += (labels != seeds).sum()
    assert changed
    upstream = json.loads((zoomed / "round-1" / "manifest.json").read_text())["upstream"]
    assert {*upstream} == {"zoom", "round-1/model"}
    model = json.loads((zoomed / "round-1" / "model" / "manifest.json").read_text())
    assert {*model["upstream"]} == {"zoom"}


def test_the_report_shows_the_stage(zoomed):
    summary = json.loads((zoomed / "report" / "summary.json").read_text())
    stages = {stage["name"]: stage for stage in summary["stages"]}
    assert [*stages] == ["seeds", "zoom", "round-1"] == Run(zoomed).label_stages()[:3]
    assert 0 < stages["zoom"]["label_miou"] <= 1 and stages["zoom"]["signals"]
    folds = [finished_stage(zoomed, f"zoom/fold-{number}").manifest.seconds for number in (1, 2)]
    assert stages["zoom"]["seconds"] > sum(folds)
    assert [verdict["stage"] for verdict in summary["verdicts"]] == ["round-1"]
    assert "<th>zoom" in (zoomed / "report" / "index.html").read_text().replace(" scope=row", "")
    assert Run(zoomed).last_model().name == "round-1/model"


def test_a_second_call_does_nothing_again(zoomed, scenes, settings, capsys):
    before = {path: path.stat().st_mtime_ns for path in zoomed.glob("**/*.png")}
    assert wsseg("run", settings, f"run_dir={zoomed}", f"data.root={scenes}") == 0
    assert {path: path.stat().st_mtime_ns for path in zoomed.glob("**/*.png")} == before
    assert "zoom/fold-2: up to date" in capsys.readouterr().err


def test_a_changed_rule_trains_nothing_again(zoomed, scenes, settings, tmp_path):
    copy = shutil.copytree(zoomed, tmp_path / "run")
    given = [f"run_dir={copy}", f"data.root={scenes}", "rounds.first_weight=0.9"]
    assert wsseg("run", settings, *given, "--until", "zoom") == 0
    for fold in ("zoom/fold-1", "zoom/fold-2"):
        manifests = [(run / fold / "manifest.json").read_text() for run in (copy, zoomed)]
        assert manifests[0] == manifests[1]
    labels = [
        {name: value for name, value in hashes(run).items() if name.startswith("zoom/")}
        for run in (copy, zoomed)
    ]
    assert labels[0].keys() == labels[1].keys() and labels[0] != labels[1]


def test_an_interrupted_training_ends_as_the_unbroken_one(
    zoomed, scenes, settings, tmp_path, monkeypatch
):
    given = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("wsseg.stages.training.save_network", stop)
        assert wsseg("run", settings, *given) == 130
    assert list((tmp_path / "run").glob("zoom/fold-1/checkpoint/*"))
    assert wsseg("run", settings, *given) == 0
    assert_same_run(tmp_path / "run", zoomed)


def test_a_run_can_end_before_and_after_the_stage(scenes, settings, zoomed, tmp_path):
    config = load_config(settings)
    assert end_with(config, "seeds").zoom.folds == 0
    assert end_with(config, "zoom").zoom.folds == 2 and end_with(config, "zoom").rounds.count == 0
    given = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]
    assert wsseg("run", settings, *given, "--until", "zoom") == 0
    assert not (tmp_path / "run" / "round-1").exists()
    made, whole = hashes(tmp_path / "run"), hashes(zoomed)
    assert made == {name: whole[name] for name in whole if name.startswith(("seeds", "zoom"))}
    off = load_config(settings, ["zoom.folds=0"])
    with pytest.raises(InputError, match=r"seeds, round-1, got zoom; set zoom\.folds=2"):
        end_with(off, "zoom")
    assert Run(tmp_path / "run", off).label_stages()[:2] == ["seeds", "round-1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("zoom.folds=1", "zoom.folds in "),
        ("zoom.folds=6", "must be 0, or 2 to 5, got 6"),
        ("zoom.side=8", "zoom.side"),
    ],
)
def test_wrong_settings(settings, given, message):
    with pytest.raises(InputError) as caught:
        load_config(settings, [given])
    assert message in str(caught.value)


def test_too_few_images_are_refused_before_any_work(tmp_path, scenes, settings, capsys):
    data = shutil.copytree(scenes, tmp_path / "data")
    listed = data / "ImageSets" / "Segmentation" / "train.txt"
    listed.write_text("\n".join(listed.read_text().split()[:2]))
    given = [f"run_dir={tmp_path / 'run'}", f"data.root={data}", "zoom.folds=3"]
    assert wsseg("run", settings, *given) == 2
    said = capsys.readouterr().err
    assert "zoom.folds must be at most 2, the number of training images with boxes" in said
    assert not (tmp_path / "run" / "seeds").exists()


def test_seeds_without_objects_are_refused_before_a_training(tmp_path, scenes, settings, capsys):
    dataset = read_dataset(scenes, "voc", ["train"])
    for number, one in enumerate(dataset.samples):
        box = one.boxes[0]
        label_map = np.zeros(one.size, np.uint8)
        if number == 0:  # in the first part, which the first network does not learn from
            label_map[box.slices] = box.label
        write_label_map(tmp_path / "masks" / f"{one.id}.png", label_map)
    given = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}"]
    given += ["seeds.name=folder", f"seeds.folder={tmp_path / 'masks'}"]
    assert wsseg("run", settings, *given) == 2
    assert "zoom/fold-1 cannot learn: no label map of stage seeds" in capsys.readouterr().err
    assert not (tmp_path / "run" / "zoom").exists()


def test_it_does_not_apply_without_boxes(scenes, settings, tmp_path):
    dataset = read_dataset(scenes, "voc", ["train"])
    strokes = [
        replace(one, annotations=(Strokes((Scribble(1, ((3, 3), (9, 9)), 2),)),))
        for one in dataset.samples
    ]
    config = config_for(settings, scenes, tmp_path / "run", "seeds.name=strokes")
    drawn = replace(dataset, samples=tuple(strokes))
    with open_run(config) as run:
        assert zoom_labels(run, drawn, seed_labels(run, drawn)) is None
    assert not (tmp_path / "run" / "zoom").exists()


def test_images_without_boxes_keep_their_seeds(scenes, settings, tmp_path):
    dataset = read_dataset(scenes, "voc", ["train"])
    first, second, third, *others = dataset.samples
    crowd = replace(first.boxes[0], crowd=True)
    whole = Box(first.boxes[0].label, 0, 0, third.size[1], third.size[0])
    mixed = [
        replace(first, annotations=(Strokes((Scribble(1, ((3, 3), (9, 9)), 2),)),)),
        replace(second, annotations=(Boxes((crowd, Box(1, 5, 5, 6, 6))),)),
        replace(third, annotations=(Boxes((whole, whole, Box(1, 5, 5, 6, 6))),)),
        *others,
    ]
    config = config_for(settings, scenes, tmp_path / "run", "seeds.name=auto")
    drawn = replace(dataset, samples=tuple(mixed))
    with open_run(config) as run:
        seeds = seed_labels(run, drawn)
        stage = zoom_labels(run, drawn, seeds)
    for kept in mixed[:2]:
        maps = [read_label_map(label_path(of, kept)) for of in (stage, seeds)]
        np.testing.assert_array_equal(*maps)
    assert {*stage.labels} == {*seeds.labels}


def test_parts_are_of_about_the_same_size():
    boxed = [sample(Boxes((BOX,)), id=str(number), size=SIZE) for number in range(7)]
    unboxed = [sample(id="x", size=SIZE), sample(Boxes((SMALL,)), id="y", size=SIZE)]
    parts = deal([*unboxed, *boxed], 3)
    assert [len(part) for part in parts] == [3, 2, 2]
    assert sorted(s.id for part in parts for s in part) == [s.id for s in boxed]
    assert deal(boxed, 0) == [] and deal(unboxed, 2) == []
    with pytest.raises(InputError, match="at most 1, the number of training images with boxes"):
        deal(boxed[:1], 2)


def test_the_average_decides():
    first = rectangle(10, 30, 10, 30)
    share = np.full((20, 40), 0.1, np.float32)
    share[:, 10:30] = 0.9
    expected = rectangle(10, 30, 20, 40)
    np.testing.assert_array_equal(corrected(first, (BOX, share)), expected)
    alone = AVERAGE.model_copy(update={"first_weight": 0.0})
    np.testing.assert_array_equal(corrected(first, (BOX, share), params=alone), expected)
    without = AVERAGE.model_copy(update={"first_weight": 1.0})
    np.testing.assert_array_equal(corrected(first, (BOX, share), params=without), first)


def test_an_object_that_the_network_does_not_see_comes_back():
    first = rectangle(10, 30, 10, 50)
    np.testing.assert_array_equal(corrected(first, (BOX, 0.0), params=FITTED), first)


def test_segments_grow_to_the_sides_of_their_boxes():
    first = rectangle(14, 26, 18, 42)
    share = np.full((20, 40), 0.6, np.float32)  # 0.36 in the average with the background
    np.testing.assert_array_equal(corrected(first, (BOX, share)), first)
    fitted = corrected(first, (BOX, share), params=FITTED)
    np.testing.assert_array_equal(fitted, rectangle(10, 30, 10, 50))


def test_ignore_crowds_small_boxes_and_marks_stay():
    first = rectangle(10, 30, 10, 50)
    first[10:30, 40:50] = IGNORE
    first[SMALL.slices] = 2
    crowd = Box(2, 0, 32, 60, 40, crowd=True)
    first[crowd.slices] = IGNORE
    scribble = Strokes((Scribble(0, ((15, 15), (20, 15)), 3),))
    label_map = corrected(first, (BOX, 1.0), more=(SMALL, crowd, scribble))
    assert (label_map[10:30, 40:50] == IGNORE).all() and (label_map[crowd.slices] == IGNORE).all()
    assert (label_map[SMALL.slices] == 2).all()
    assert label_map[15, 17] == 0 and label_map[25, 30] == 1


def test_a_box_in_front_keeps_what_lies_behind_it():
    front = Box(2, left=20, top=15, right=35, bottom=28)
    first = rectangle(10, 30, 10, 50)
    first[18:25, 24:30] = 2
    label_map = corrected(first, (BOX, 1.0), (front, 0.0), params=AVERAGE)
    assert (label_map[15:28, 20:35] == 1).all()
    label_map = corrected(first, (BOX, 0.0), (front, 1.0), params=AVERAGE)
    assert (label_map[15:28, 20:35] == 2).all()


def test_boxes_of_one_class_may_overlap_and_repeat():
    other = Box(1, left=30, top=5, right=58, bottom=25)
    first = rectangle(10, 30, 10, 50)
    first[5:25, 30:58] = 1
    whole = Box(1, 0, 0, 60, 40)
    label_map = corrected(first, (BOX, 0.9), (other, 0.9), (BOX, 0.9), (whole, 0.0))
    assert (label_map[BOX.slices] == 1).all() and (label_map[other.slices] == 1).all()
    assert isinstance(label_map, np.ndarray) and label_map.dtype == np.uint8


def test_samples_are_dealt_whatever_their_ids():
    samples = [Sample(f"a/{n}", sample().image, SIZE, (Boxes((BOX,)),), "train") for n in range(2)]
    assert [[s.id for s in part] for part in deal(samples, 2)] == [["a/0"], ["a/1"]]
