import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.builders import write
from helpers.formats import FORMATS, encoded, image_bytes
from helpers.running import wsseg
from PIL import Image

from wsseg.cli import proposal
from wsseg.data.load import read_weak
from wsseg.data.name_patterns import FRAMES
from wsseg.runs.config import load_config


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Commands run in a folder of their own, with the weights of MobileNetV2 in another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    torch.save({}, tmp_path / "weights" / "mobilenetv2_100_tfslim_in1k_bn.pth")
    monkeypatch.setenv("WSSEG_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def written(root, name=None):
    """Run ``wsseg init`` and return the settings that the file holds, as given and as read."""
    path = Path(f"{name or root.name}.yaml")
    assert wsseg("init", root) == 0
    return yaml.safe_load(path.read_text()), load_config(path)


def folders(root, *names, n=5, split=""):
    for name in names:
        for number in range(n):
            write(root / split / name / f"{number}.png", image_bytes(seed=number))
    return root


def table(root, *rows):
    for number in range(len(rows)):
        write(root / "images" / f"{number}.png", image_bytes(seed=number))
    lines = (f"{number}.png,{tags}\n" for number, tags in enumerate(rows))
    write(root / "tags.csv", "image,tags\n" + "".join(lines))
    return root


def test_boxes_in_splits_of_their_own(tmp_path, scenes, capfd):
    values, config = written(shutil.copytree(scenes, tmp_path / "farm"))
    assert values["data"] == {"root": str(tmp_path / "farm"), "format": "voc", "val": "val"}
    assert values["pipeline"] == "weak" and values["run_dir"] == "runs/farm"
    assert config.model.encoder == "tu-mobilenetv2_100" and config.model.scale == 1
    out = capfd.readouterr().out
    assert "splits of the data set: train 6, val 3 images" in out
    assert "# Written by wsseg init: 9 images, 5 classes; images that show them:" in out
    assert out.endswith(
        "farm.yaml is written. Next:\n  wsseg check farm.yaml\n  wsseg run farm.yaml\n"
    )
    lines = [line for line in out.splitlines() if ": " in line and not line.startswith(" #")]
    assert sum("#" in line for line in lines) >= 10


def test_the_written_file_passes_doctor_and_check(tmp_path, scenes):
    root = shutil.copytree(scenes, tmp_path / "farm")
    assert wsseg("init", root) == 0
    assert wsseg("doctor", "farm.yaml") == 0
    assert wsseg("check", "farm.yaml", "--fast") == 0


def test_labelme_without_splits(tmp_path):
    values, _ = written(FORMATS["labelme"]().write(tmp_path / "farm"))
    assert values["data"] == {"root": str(tmp_path / "farm"), "format": "labelme", "split": 0.2}


def test_frames_of_videos_are_grouped(tmp_path):
    made = FORMATS["labelme"]()
    page = json.loads(made.files["a.json"])
    for clip in range(3):
        for frame in range(0, 50, 10):
            name = f"clip{clip}_{frame:05}"
            write(tmp_path / "farm" / f"{name}.png", image_bytes())
            write(tmp_path / "farm" / f"{name}.json", {**page, "imagePath": f"{name}.png"})
    values, config = written(tmp_path / "farm")
    assert values["data"]["group"] == FRAMES
    dataset = read_weak(config.data)
    assert len({sample.id[:5] for sample in dataset.split("val")}) == 1


def test_class_folders_have_a_classifier(tmp_path):
    values, _ = written(folders(tmp_path / "farm", "cow", "sheep"))
    assert values["data"] == {"root": str(tmp_path / "farm"), "format": "folders", "split": 0.2}
    assert values["classifier"]["frozen_blocks"] == 7
    assert "classes" not in values["data"]


def test_a_split_named_valid_needs_no_setting(tmp_path, capfd):
    root = folders(tmp_path / "farm", "cow", "sheep", split="train")
    values, config = written(folders(root, "cow", "sheep", n=2, split="valid"))
    assert values["data"] == {"root": str(root), "format": "folders", "val": "val"}
    assert len(read_weak(config.data).split("val")) == 4
    assert "train 10, valid 4 images" in capfd.readouterr().out


def test_splits_of_other_names(tmp_path):
    root = folders(tmp_path / "farm", "cow", "sheep", split="test")
    values, config = written(folders(root, "cow", "sheep", n=2, split="val"))
    assert (values["data"]["train"], values["data"]["val"]) == ("test", "val")
    assert len(read_weak(config.data).split("test")) == 10


def test_a_table_of_tags_leaves_out_a_class_of_every_image(tmp_path):
    rows = [f"grass,{'cow' if n % 2 else 'yes'}" for n in range(10)]
    values, config = written(table(tmp_path / "farm", *rows))
    assert values["data"]["classes"] == ["cow", "yes"]  # the second one is in quotes
    dataset = read_weak(config.data)
    assert dataset.classes.names == ("background", "cow", "yes")
    assert len(dataset.split("val")) == 2


def test_tags_that_teach_nothing_are_a_warning(tmp_path, capfd):
    written(table(tmp_path / "farm", "cow", "cow", "cow"))
    assert "every tagged image shows cow; add images without it" in capfd.readouterr().err


def test_points_need_no_settings_of_their_own(tmp_path):
    lines = [
        {"image": f"{n}.png", "marks": [{"type": "point", "class": "cow", "points": [[3, 3]]}]}
        for n in range(4)
    ]
    for n in range(4):
        write(tmp_path / "farm" / "images" / f"{n}.png", image_bytes(seed=n))
    write(tmp_path / "farm" / "train.jsonl", "\n".join(map(json.dumps, lines)))
    values, config = written(tmp_path / "farm")
    assert "seeds" not in values and config.seeds.strokes == "strokes"
    assert config.trainer.loss is None


def test_masks_alone_train_the_upper_bound(tmp_path):
    made = FORMATS["voc"]()
    root = made.write(tmp_path / "farm")
    shutil.rmtree(root / "Annotations")
    shutil.rmtree(root / "ImageSets" / "Main")
    values, _ = written(root)
    assert values["pipeline"] == "full"


def test_large_images_are_reduced_as_far_as_small_boxes_allow(tmp_path):
    def scale(side, name):
        box = {"type": "box", "class": "cow", "points": [[9, 9], [9 + side, 9 + side]]}
        for n in range(2):
            image = Image.fromarray(np.zeros((900, 1200, 3), np.uint8))
            write(tmp_path / name / "images" / f"{n}.png", encoded(image))
        lines = [{"image": f"{n}.png", "marks": [box]} for n in range(2)]
        write(tmp_path / name / "train.jsonl", "\n".join(map(json.dumps, lines)))
        return written(tmp_path / name)[1]

    config = scale(200, "large")
    assert config.model.scale == 0.25 and config.trainer.crop == (224, 256)
    assert scale(20, "small").model.scale == 0.5


def test_a_gpu_gets_a_larger_network(tmp_path, scenes, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA X")
    values, config = written(shutil.copytree(scenes, tmp_path / "farm"))
    assert values["model"]["preset"] == "resnet50" and "prediction" not in values
    assert config.trainer.steps == 4000


def test_without_a_file_of_weights_the_hub_has_some(tmp_path, scenes, monkeypatch):
    monkeypatch.setenv("WSSEG_WEIGHTS", str(tmp_path / "none"))
    values, config = written(shutil.copytree(scenes, tmp_path / "farm"))
    assert values["model"]["weights"] == "imagenet"
    assert config.model.mean == (0.485, 0.456, 0.406) and config.model.encoder_kwargs == {}


def test_without_network_or_weights_the_network_starts_at_random(tmp_path, scenes, monkeypatch):
    monkeypatch.setenv("WSSEG_WEIGHTS", str(tmp_path / "none"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("wsseg.networks.weights.WeightSource.is_cached", False)
    values, config = written(shutil.copytree(scenes, tmp_path / "farm"))
    assert values["model"]["preset"] == "demo" and config.model.weights is None


@pytest.mark.parametrize("name", ["a: b", "1", "${x}", "é #1", "yes"])
def test_any_name_of_a_folder_is_read_back(tmp_path, name):
    root = FORMATS["labelme"]().write(tmp_path / name)
    _, config = written(root, proposal.run_name(root))
    assert config.data.root == root


def test_a_file_is_never_replaced(tmp_path, capfd):
    root = FORMATS["labelme"]().write(tmp_path / "farm")
    path = write(tmp_path / "farm.yaml", "mine")
    assert wsseg("init", root) == 2
    assert path.read_text() == "mine"
    expected = "error: farm.yaml exists; remove it, or name another file with --out\n"
    assert capfd.readouterr().err == expected
    assert wsseg("init", root, "--out", "new/other.yaml") == 0
    assert (tmp_path / "new" / "other.yaml").is_file()


def test_what_cannot_be_read_is_refused_and_nothing_is_written(tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    assert wsseg("init", "empty") == 2
    assert "empty is of no known format" in capfd.readouterr().err
    assert wsseg("init", "missing") == 2
    assert "data.root missing must be a folder, got no such folder" in capfd.readouterr().err
    write(tmp_path / "bare" / "images" / "a.png", image_bytes())
    write(tmp_path / "bare" / "train.jsonl", '{"classes": ["cow"]}\n{"image": "a.png"}\n')
    assert wsseg("init", "bare") == 2
    assert "No image of bare has an annotation" in capfd.readouterr().err
    assert not list(tmp_path.glob("*.yaml"))


def test_zoom_is_proposed_for_enough_images_with_boxes(tmp_path):
    def zoomed(count):
        boxes = [{"type": "box", "class": "cow", "points": [[2, 2], [20, 20]]}]
        for n in range(count):
            write(tmp_path / f"{count}" / "images" / f"{n}.png", image_bytes())
        lines = [{"image": f"{n}.png", "marks": boxes} for n in range(count)]
        write(tmp_path / f"{count}" / "train.jsonl", "\n".join(map(json.dumps, lines)))
        return written(tmp_path / f"{count}")[1].zoom.folds

    assert zoomed(4) == 0
    assert zoomed(30) == 2
