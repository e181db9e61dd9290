"""Problems that stop a run before its work are those that check and doctor report."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers.builders import sample, write, write_image, write_settings
from helpers.running import wsseg

from wsseg.data.annotation import Box, Boxes, MaskFile, Region, Regions, Tags
from wsseg.data.findings import missing_objects, tags_without_contrast
from wsseg.data.formats.table import read_dataset
from wsseg.data.model import Classes
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.labelmaps import write_label_map
from wsseg.networks.params import SegmenterParams
from wsseg.runs.config import load_config
from wsseg.runs.recipes import end_with
from wsseg.stages import checks

CROWD = Box(1, 0, 0, 5, 5, crowd=True)
CLASSES = Classes(("background", "cow", "sheep"))


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ((Boxes((Box(1, 0, 0, 5, 5),)),), None),
        ((Tags((1,)),), None),
        ((Strokes((Scribble(1, ((1, 1),)),)),), None),
        ((Regions((Region(1, ((0, 0, 5, 0, 5, 5),)),), partial=True),), None),
        ((MaskFile("unread.png"),), None),
        ((), "no image is annotated; annotate some, or name a file in data.annotations"),
        ((Boxes((CROWD, CROWD)),), "all of its 2 objects are crowds (iscrowd 1), whose pixels are"),
        ((Boxes(()),), "no annotation of its 1 images names an object"),
        ((Strokes((Scribble(0, ((1, 1),)),)),), "no annotation of its 1 images names an object"),
        ((Tags((), unsure=(1,)),), "no annotation of its 1 images names an object"),
    ],
)
def test_a_training_split_without_an_object_is_found(annotations, message):
    other = sample(Boxes((Box(1, 0, 0, 5, 5),)), id="b", split="val")
    found = [str(problem) for problem in missing_objects([sample(*annotations), other])]
    assert len(found) == (message is not None)
    assert all(line.startswith(f"split train: {message}") for line in found)


def test_a_class_of_every_tagged_image_is_found_unless_a_mask_may_lack_it():
    both = [sample(Tags((1, 2)), id="a"), sample(Tags((1,), unsure=(2,)), id="b")]
    found = [problem.subject for problem in tags_without_contrast(both, CLASSES)]
    assert found == ["class cow", "class sheep"]
    boxed = sample(Boxes((Box(2, 0, 0, 5, 5),)), id="c")
    assert [p.subject for p in tags_without_contrast([*both, boxed], CLASSES)] == ["class sheep"]
    masked = sample(MaskFile("unread.png"), id="c")
    assert list(tags_without_contrast([*both, masked], CLASSES)) == []
    assert list(tags_without_contrast([boxed], CLASSES)) == []


@pytest.fixture
def refused(tmp_path, capsys):
    """Return the exit codes and texts of check, doctor and run for a data set."""

    def asked(root, *overrides):
        config = write_settings(
            tmp_path / "tiny.yaml", data={"root": str(root), "format": "auto", "weak": "all"}
        )
        arguments = [config, f"run_dir={tmp_path / 'run'}", *overrides]
        answers = {}
        for name in ("check", "doctor", "run"):
            code = wsseg(name, *([root] if name == "check" else arguments))
            answers[name] = code, " ".join("".join(capsys.readouterr()).replace("│", "").split())
        stages = [path.parent.name for path in (tmp_path / "run").glob("*/manifest.json")]
        assert stages == [], "the run began"
        return answers

    return asked


def coco(root, annotations, train=("a", "b"), val=("c",)):
    for split, names in (("train", train), ("val", val)):
        for name in names:
            path = root / "images" / split / f"{name}.png"
            write_image(path)
            with path.open("ab") as file:
                file.write(name.encode())
        images = [
            {"id": n, "file_name": f"{name}.png", "height": 30, "width": 40}
            for n, name in enumerate(names)
        ]
        marks = [
            {"id": n, "image_id": n, "category_id": 1, "bbox": [5, 5, 20, 20], **more}
            for n, more in enumerate(annotations[: len(names)])
        ]
        content = {"images": images, "annotations": marks, "categories": [{"id": 1, "name": "cow"}]}
        write(root / "annotations" / f"instances_{split}.json", content)
    return root


def test_copies_of_one_image_in_two_splits_are_an_error_everywhere(tmp_path, refused):
    root = coco(tmp_path / "data", [{}, {}])
    shutil.copy(root / "images" / "train" / "b.png", root / "images" / "val" / "c.png")
    answers = refused(root)
    assert [code for code, _ in answers.values()] == [1, 1, 2]
    for _, said in answers.values():
        assert "b (train) and c (val) hold the same image" in said
    assert "or set data.val=null to measure nothing" in answers["run"][1]


def test_an_image_that_two_splits_list_is_an_error_everywhere(scenes, tmp_path, refused):
    root = shutil.copytree(scenes, tmp_path / "data")
    lists = root / "ImageSets" / "Segmentation"
    with (lists / "val.txt").open("a") as file:
        file.write("\ntrain-0000\n")
    answers = refused(root)
    assert [code for code, _ in answers.values()] == [1, 1, 2]
    assert all("train-0000 is in train and val" in said for _, said in answers.values())


def test_what_is_not_measured_may_be_in_two_splits(tmp_path):
    config = write_settings(tmp_path / "tiny.yaml", data={"weak": "all", "format": "auto"})
    root = coco(tmp_path / "data", [{}, {}], val=("a",))
    places = [f"run_dir={tmp_path / 'run'}", f"data.root={root}", "data.val=null", "seeds.name=box"]
    assert wsseg("run", config, *places, "--until", "seeds") == 0


def test_crowds_alone_are_a_warning_of_check_and_stop_a_run(tmp_path, refused):
    answers = refused(coco(tmp_path / "data", [{"iscrowd": 1}] * 2))
    assert [code for code, _ in answers.values()] == [0, 1, 2]
    for _, said in answers.values():
        assert "split train: all of its 2 objects are crowds (iscrowd 1)" in said


def test_a_class_of_every_image_is_the_same_problem_for_doctor_and_run(tmp_path, refused):
    for number, name in enumerate(("a", "b", "c")):
        write_image(tmp_path / "data" / f"{name}.png", (30, 40 + number))
    write(tmp_path / "data" / "train.csv", "a.png,cow\nb.png,cow,sheep\n")
    write(tmp_path / "data" / "val.csv", "c.png,cow\n")
    answers = refused(tmp_path / "data", "classifier.encoder=mobilenetv3_small_050")
    assert [code for code, _ in answers.values()] == [0, 1, 2]
    for _, said in answers.values():
        assert "class cow: in every tagged image of train" in said
        assert "data.classes" in said


def test_weights_are_downloaded_before_any_stage(
    config_file, scenes, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr("wsseg.networks.weights.try_to_load_from_cache", lambda *_, **__: None)

    def offline(*_, **__):
        try:
            raise OSError("no route to host")
        except OSError as error:
            raise InputError("the network cannot be built", hint="check it") from error

    monkeypatch.setattr(checks, "build_network", offline)
    places = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "model.weights=imagenet"]
    places += ["model.encoder=resnet34"]
    assert wsseg("run", config_file, *places) == 2
    said = capsys.readouterr().err
    assert "the weights of resnet34 cannot be downloaded from smp-hub/resnet34.imagenet" in said
    assert "no route to host; connect to the network once, name a file of model.weights" in said
    assert not (tmp_path / "run" / "seeds").exists()
    assert wsseg("run", config_file, *places, "--until", "seeds") == 0  # needs no network


def test_weights_on_this_machine_are_not_loaded(monkeypatch):
    monkeypatch.setattr("wsseg.networks.weights.try_to_load_from_cache", lambda *_, **__: "/cached")
    monkeypatch.setattr(checks, "build_network", None)
    for weights in ("imagenet", None):
        checks._download_weights(
            "model.weights", SegmenterParams(encoder="resnet34", weights=weights)
        )


def test_a_missing_gpu_stops_a_run_before_its_seeds(
    config_file, scenes, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    places = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "machine.device=cuda"]
    assert wsseg("run", config_file, *places) == 2
    assert "machine.device is cuda, but torch finds no GPU" in capsys.readouterr().err
    assert not (tmp_path / "run" / "seeds").exists()


def test_a_run_ends_with_its_seeds_and_measures_them(config_file, scenes, tmp_path):
    run = tmp_path / "run"
    places = [f"run_dir={run}", f"data.root={scenes}", "machine.device=cpu"]
    assert wsseg("run", config_file, *places, "--until", "seeds") == 0
    summary = json.loads((run / "report" / "summary.json").read_text())
    assert [stage["name"] for stage in summary["stages"]] == ["seeds"]
    assert 0 < summary["stages"][0]["label_miou"] <= 1


@pytest.mark.parametrize(
    ("count", "until", "expected"),
    [(2, "seeds", 0), (2, "round-1", 1), ("auto", "round-5", 5), ("auto", "seeds", 0)],
)
def test_a_run_ends_after_a_round(config_file, count, until, expected):
    settings = load_config(config_file, [f"rounds.count={count}"])
    assert end_with(settings, until).rounds.count == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds.count=2", "--until must be one of seeds, round-1, round-2, got round-3"),
        ("pipeline=full", "--until round-3: the pipeline full has no rounds"),
    ],
)
def test_a_stage_that_a_run_does_not_have_is_refused(
    config_file, tmp_path, override, message, capsys
):
    assert wsseg("run", config_file, f"run_dir={tmp_path}/run", override, "--until", "round-3") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_seeds_of_background_alone_are_never_trained_on(scenes, config_file, tmp_path, capsys):
    for one in read_dataset(scenes, "voc", ["train"]).samples:
        label_map = np.zeros(one.size, np.uint8)
        label_map[:, 10:] = 255
        write_label_map(tmp_path / "seeds" / f"{one.id}.png", label_map)
    places = [f"run_dir={tmp_path / 'run'}", f"data.root={scenes}", "seeds.name=folder"]
    assert wsseg("run", config_file, *places, f"seeds.folder={tmp_path / 'seeds'}") == 2
    said = capsys.readouterr().err
    assert "label maps of stage seeds must be labelled as an object in some pixel, got" in said
    assert "% IGNORE; if its masks hold 0 and 255, write the object's class number" in said
    assert not (tmp_path / "run" / "round-1" / "model" / "model.ckpt").exists()


def test_a_damaged_file_of_weights_is_refused(tmp_path):
    network = SegmenterParams(weights=str(write(tmp_path / "w.pth", "junk")))
    with pytest.raises(InputError, match=r"w\.pth must be a file of tensors"):
        checks._download_weights("model.weights", network)
