import shutil

import pytest
import torch
from helpers.builders import transformer

from wsseg.cli.doctor import settings
from wsseg.networks import weights
from wsseg.networks.params import ClassifierNetworkParams, SegmenterParams

SMALL_TAGS = [
    *("data.weak=tags", "cam.affinity=learned"),
    "classifier.encoder=mobilenetv3_small_050",
]


def checked(config):
    return {check.subject: check for check in settings.check_settings_and_data(config)}


def test_a_run_on_boxes(configured, scenes):
    checks = checked(configured("data.format=auto"))
    assert list(checks) == ["data", "settings", "trainer", "model.weights"]
    assert {check.state for check in checks.values()} == {"ok"}
    assert checks["data"].message == f"{scenes}: voc; images: 6 train, 3 val; 5 classes"
    assert checks["trainer"].message == "cpu, devices 1, precision auto"


def test_a_run_on_tags_has_a_classifier_too(configured):
    checks = checked(configured(*SMALL_TAGS))
    trainers = ["trainer", "classifier.trainer", "cam.affinity"]
    assert list(checks) == ["data", "settings", *trainers, "model.weights", "classifier"]
    assert {check.state for check in checks.values()} == {"ok"}


def test_demo_scenes_are_not_generated(configured, tmp_path):
    check = checked(configured(f"data.root={tmp_path}/scenes", "data.format=scenes"))["data"]
    assert "generated when the run starts; images: 120 train, 40 val" in check.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("override", "subject", "message"),
    [
        ("data.root=/no/such/folder", "data", "data.root /no/such/folder must be a folder"),
        ("data.train=practice", "data", "practice"),
        ("data.format=coco", "data", "instances_train.json"),
        ("data.annotations=[/no/such/points.json]", "data", "/no/such/points.json"),
        ("seeds.name=unheard", "settings", "seeds.name must be a known name"),
        ("model.encoder=tu-unheard", "settings", "unheard"),
        ("rounds.refiner=unheard", "settings", "unheard"),
        ("machine.precision=17-true", "trainer", "17-true"),
        ("machine.devices=3", "trainer", "a multiple of machine.devices"),
        ("model.weights=/no/such/file.pth", "model.weights", "/no/such/file.pth"),
    ],
)
def test_what_would_stop_a_run_is_a_problem(configured, override, subject, message):
    check = checked(configured(override))[subject]
    assert check.state == "problem" and message in check.message
    assert check.remedy


@pytest.mark.parametrize(("strict", "state"), [("false", "warning"), ("true", "problem")])
def test_a_missing_image_is_reported(configured, scenes, tmp_path, strict, state):
    copy = shutil.copytree(scenes, tmp_path / "fewer")
    (copy / "JPEGImages" / "train-0000.png").unlink()
    config = configured(f"data.root={copy}", f"strict={strict}")
    counts, missing, *_ = settings.check_settings_and_data(config)
    assert "images: 5 train" in counts.message
    assert missing.state == state
    assert "train-0000" in missing.message and missing.remedy.startswith(f"wsseg check {copy}")


def test_data_without_permission_is_a_problem(configured, monkeypatch):
    def refused(_):
        raise PermissionError(13, "Permission denied", "/data")

    monkeypatch.setattr(settings, "_read", refused)
    checks = checked(configured())
    assert checks["data"].state == "problem" and "Permission denied" in checks["data"].message
    assert checks["trainer"].state == "ok"


@pytest.fixture
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def weights_of(network):
    return settings.check_weights("model.weights", network)


def test_no_weights_are_ok():
    assert "at random" in weights_of(SegmenterParams(weights=None)).message


def test_a_file_of_weights(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(625_000)}, path)
    check = weights_of(SegmenterParams(weights=str(path)))
    assert check.state == "ok" and check.message == f"{path}, 2.5 MB"
    path.write_bytes(b"0" * 2_500_000)
    check = weights_of(SegmenterParams(weights=str(path)))
    assert check.state != "ok" and "a file of tensors" in check.message


@pytest.mark.usefixtures("empty_caches")
@pytest.mark.parametrize(
    ("network", "source"),
    [
        (SegmenterParams(encoder="resnet34"), "smp-hub/resnet34.imagenet"),
        (SegmenterParams(encoder="tu-mobilenetv2_100"), "timm/mobilenetv2_100.ra_in1k"),
        (transformer("DPT", weights="imagenet"), "timm/vit_small_patch14_reg4_dinov2.lvd142m"),
        (ClassifierNetworkParams(encoder="resnet50"), "timm/resnet50."),
        (ClassifierNetworkParams(encoder="hf-hub:someone/net"), "someone/net"),
    ],
)
def test_weights_to_be_downloaded(monkeypatch, network, source):
    check = weights_of(network)
    assert check.state == "warning"
    assert check.message.startswith(source) and "is downloaded at the first use" in check.message
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert weights_of(network).state == "problem"


@pytest.mark.usefixtures("empty_caches")
def test_weights_in_a_cache(tmp_path, monkeypatch):
    folder = tmp_path / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "mobilenetv2_100_ra-b33bc2c4.pth").write_bytes(b"0")
    assert weights_of(ClassifierNetworkParams(encoder="mobilenetv2_100")).state == "ok"
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_, **__: "/cache/x")
    check = weights_of(SegmenterParams(encoder="resnet34"))
    assert check.state == "ok" and check.message.endswith("downloaded already")


@pytest.mark.parametrize(
    "network",
    [
        SegmenterParams(encoder="resnet34", weights="unheard"),
        ClassifierNetworkParams(encoder="unheard"),
    ],
)
def test_unknown_weights_are_a_problem(network):
    check = weights_of(network)
    assert check.state == "problem" and "unheard" in check.message
