"""A mixture of annotations from the command line: every kind of annotation in one data set."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from helpers.builders import TINY, write_settings
from helpers.running import wsseg

from wsseg.data.annotation import Boxes, MaskFile, Regions, Tags
from wsseg.data.classes import is_only_tagged
from wsseg.data.constraints import constraints_of
from wsseg.data.formats.table import read_dataset
from wsseg.data.load import read_weak
from wsseg.data.params import DataParams
from wsseg.data.strokes import Scribble, Strokes, stroke_map
from wsseg.data.writers.jsonl import write_jsonl
from wsseg.labelmaps import IGNORE, read_label_map, write_label_map
from wsseg.networks.losses.registry import SPARSE_LOSSES
from wsseg.synthetic.scenes import write_scenes

MIX = "boxes=0.2,scribbles=0.2,points+boxes=0.1,points=0.1,tags=0.2,masks=0.1,nothing=0.1"

CLASSIFIER = {"trainer": TINY["trainer"]}
LOSS = {"partial_ce": 1, "gated_crf": 0.1, "dense_crf": 0.1, "tree_energy": 0.4, "agmm": 0.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    write_scenes(folder / "scenes", train=10, val=3, seed=0, sides=(48, 64))
    out = folder / "mixed.jsonl"
    assert wsseg("simulate", folder / "scenes", out, "--mix", MIX, "--workers", "1") == 0
    write_settings(
        folder / "c.yaml",
        data={"root": f"{folder}/scenes", "weak": "none", "annotations": [str(out)]},
        classifier=CLASSIFIER,
        cam={"scales": [1.0], "refiner": "none"},
        trainer={"loss": LOSS},
        rounds={"count": 2, "min_island": 0.01},
    )
    return folder


@pytest.fixture(scope="module")
def dataset(folder):
    data = DataParams(
        format="voc", root=folder / "scenes", weak="none", annotations=(folder / "mixed.jsonl",)
    )
    return read_weak(data)


@pytest.fixture(scope="module")
def finished(folder):
    """A run that nothing interrupted."""
    assert wsseg("run", folder / "c.yaml", f"run_dir={folder}/run") == 0
    return folder / "run"


def labels_of(run, stage, sample):
    return read_label_map(run / stage / "labels" / f"{sample.id}.png")


def assert_strokes_stay(run, stages, samples):
    count = 0
    for sample in samples:
        for drawn in (a for a in sample.annotations if isinstance(a, Strokes)):
            marked = stroke_map(drawn, sample.size)
            count += int((marked != IGNORE).sum())
            for stage in stages:
                found = labels_of(run, stage, sample)
                np.testing.assert_array_equal(found[marked != IGNORE], marked[marked != IGNORE])
    return count


def test_every_kind_is_there_and_every_label_keeps_to_it(finished, dataset):
    samples = dataset.split("train")
    kinds = {type(drawn) for sample in samples for drawn in sample.annotations}
    assert kinds == {Boxes, Strokes, Tags, MaskFile}
    assert sum(not sample.annotations for sample in samples) == 1
    assert sum(is_only_tagged(sample) for sample in samples) == 2
    for sample in samples:
        constraints = constraints_of(sample, len(dataset.classes))
        for stage in ("seeds", "round-1", "round-2"):
            assert constraints.allows(labels_of(finished, stage, sample)).all()


def test_strokes_are_never_overwritten(finished, dataset):
    stages = ["seeds", "round-1", "round-2"]
    assert assert_strokes_stay(finished, stages, dataset.split("train")) > 100


@pytest.mark.parametrize(
    "overrides",
    [
        ["rounds.clean=false"],
        ["rounds.refiner=par", "seeds.strokes=grabcut_strokes"],
        ["seeds.strokes=superpixel_votes", "seeds.boxes=grabcut_votes"],
        ["seeds.name=strokes", "rounds.refiner=none", "rounds.min_island=0.2"],
        ["data.closed=false", "data.stroke_width=5"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_strokes_are_never_overwritten_whatever_is_set(folder, dataset, tmp_path, overrides):
    arguments = [f"run_dir={tmp_path}/run", "rounds.count=1", *overrides]
    assert wsseg("run", folder / "c.yaml", *arguments) == 0
    assert assert_strokes_stay(tmp_path / "run", ["seeds", "round-1"], dataset.split("train"))


def test_losses_follow_from_how_much_is_labelled(finished, folder):
    """In the first round few pixels have a label, in the second all that are not in islands."""
    keys = {}
    for name, loss in {"default": "null", "sparse": json.dumps(SPARSE_LOSSES)}.items():
        run = folder / f"losses-{name}"
        shutil.copytree(finished if name == "default" else folder / "losses-default", run)
        settings = [f"trainer.loss={loss}", "rounds.min_island=0"]
        assert wsseg("run", folder / "c.yaml", f"run_dir={run}", *settings) == 0
        paths = [run / f"round-{number}/model/manifest.json" for number in (1, 2)]
        keys[name] = [json.loads(path.read_text())["key"] for path in paths]
    assert keys["default"][0] == keys["sparse"][0]
    assert keys["default"][1] != keys["sparse"][1]


def test_only_tagged_images_get_their_labels_from_maps(finished, dataset):
    tagged = [sample for sample in dataset.split("train") if is_only_tagged(sample)]
    for sample in tagged:
        found = labels_of(finished, "seeds", sample)
        np.testing.assert_array_equal(found, labels_of(finished, "tag-seeds", sample))
    assert len(list((finished / "tag-seeds" / "labels").glob("*.png"))) == len(tagged)
    manifest = json.loads((finished / "classifier" / "manifest.json").read_text())
    precision = manifest["results"]
    assert precision["images"] if "images" in precision else precision["loss"]


def test_summary_knows_what_the_annotations_cost(finished):
    summary = json.loads((finished / "report" / "summary.json").read_text())
    assert [stage["name"] for stage in summary["stages"]] == ["seeds", "round-1", "round-2"]
    least, most = summary["annotation_seconds"]
    assert 0 < least < most


def test_comparing_names_what_is_worth_annotating(finished, tmp_path):
    assert wsseg("compare", finished, "--out", tmp_path / "page") == 0
    page = (tmp_path / "page" / "index.html").read_text()
    assert "against annotation time" in page and 'id="costs"' in page


def test_open_marks_leave_the_other_classes_possible(folder):
    settings = DataParams(
        format="voc",
        root=folder / "scenes",
        weak="none",
        annotations=(folder / "mixed.jsonl",),
        closed=False,
        stroke_width=2,
    )
    drawn = [s for s in read_weak(settings).samples if s.strokes and not s.boxes]
    assert drawn
    for sample in drawn:
        assert len(constraints_of(sample, 6).classes) == 6
        assert all(stroke.width for stroke in sample.strokes)


def test_what_is_written_is_read_again(tmp_path):
    write_scenes(tmp_path / "scenes", train=3, val=1, seed=0, sides=(48, 64))
    dataset = read_dataset(tmp_path / "scenes", "voc", ["train"], use="none")
    mask = tmp_path / "masks" / "a.png"
    first, second, third = dataset.samples
    write_label_map(mask, np.zeros(second.size, np.uint8))
    region = read_dataset(tmp_path / "scenes", "voc", ["train"]).samples[0].annotations[0]
    drawn = (
        (Tags((1, 2), (3,)), region, Strokes((Scribble(1, ((1.5, 2.5), (9.0, 4.25)), width=2.0),))),
        (MaskFile(mask),),
        (),
    )
    given = [
        replace(sample, annotations=made)
        for sample, made in zip((first, second, third), drawn, strict=True)
    ]
    write_jsonl(tmp_path / "all.jsonl", dataset.classes, given)
    data = DataParams(
        root=tmp_path / "scenes", val=None, weak="none", annotations=[tmp_path / "all.jsonl"]
    )
    assert [set(s.annotations) for s in read_weak(data).samples] == [set(made) for made in drawn]
    assert not any(isinstance(a, Regions) for s in given for a in s.annotations)
