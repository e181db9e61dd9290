import pytest
import torch

from wsseg.cli.doctor import weights
from wsseg.networks.params import ClassifierParams, SegmenterParams


@pytest.fixture(autouse=True)
def empty_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


def looked(settings):
    (found,) = weights.look("model.weights", settings)
    return found


def test_no_weights_are_fine():
    assert "random numbers" in looked(SegmenterParams(weights=None)).found


def test_a_file(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"0" * 2_500_000)
    found = looked(SegmenterParams(weights=str(path)))
    assert found.state == "ok" and found.found == f"{path}, 2.5 MB"
    missing = looked(SegmenterParams(weights=str(tmp_path / "other.pth")))
    assert missing.state == "problem" and missing.remedy == "check the path"


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (SegmenterParams(encoder="resnet34"), "smp-hub/resnet34.imagenet"),
        (SegmenterParams(encoder="tu-mobilenetv2_100"), "timm/mobilenetv2_100.ra_in1k"),
        (ClassifierParams(encoder="resnet50"), "timm/resnet50."),
        (ClassifierParams(encoder="hf-hub:someone/net"), "someone/net"),
    ],
)
def test_weights_of_a_hub_are_downloaded(monkeypatch, settings, place):
    found = looked(settings)
    assert found.state == "warning"
    assert found.found.startswith(place) and "is downloaded at the first use" in found.found
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert looked(settings).state == "problem"


def test_weights_in_the_cache_of_the_hub(monkeypatch):
    asked = []

    def cached(repository, name, revision):
        asked.append((repository, name, revision))
        return "/cache/model.safetensors" if name == "model.safetensors" else None

    monkeypatch.setattr(weights, "try_to_load_from_cache", cached)
    found = looked(SegmenterParams(encoder="resnet34"))
    assert found.state == "ok" and found.found.endswith("downloaded already")
    assert asked[0][0] == "smp-hub/resnet34.imagenet" and asked[0][2]


def test_weights_in_the_cache_of_torch(tmp_path):
    folder = tmp_path / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "mobilenetv2_100_ra-b33bc2c4.pth").write_bytes(b"0")
    assert looked(ClassifierParams(encoder="mobilenetv2_100")).state == "ok"


@pytest.mark.parametrize(
    "settings",
    [SegmenterParams(encoder="resnet34", weights="unheard"), ClassifierParams(encoder="unheard")],
)
def test_weights_that_nobody_has_are_a_problem(settings):
    found = looked(settings)
    assert found.state == "problem" and "unheard" in found.found
