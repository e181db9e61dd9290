import pytest

from wsseg.cli.doctor import settings
from wsseg.cli.doctor.data import index


def looked(config):
    return {each.subject: each for each in settings.look(config, index(config.data))}


def test_a_run_on_boxes(configured):
    found = looked(configured())
    assert list(found) == ["settings", "trainer", "model.weights"]
    assert {each.state for each in found.values()} == {"ok"}
    assert found["trainer"].found == "cpu, devices 1, precision auto"


def test_a_run_on_tags_has_a_classifier_too(configured):
    tags = ["pipeline=tags", "data.weak=tags", "cam.affinity=learned", "classifier.weights=null"]
    encoder = "classifier.encoder=mobilenetv3_small_050"
    found = looked(configured(*tags, encoder))
    trainers = ["trainer", "classifier.trainer", "affinity.trainer"]
    assert list(found) == ["settings", *trainers, "model.weights", "classifier.weights"]
    assert {each.state for each in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("override", "subject", "told"),
    [
        ("seeds.name=unheard", "settings", "seeds.name must be a known name"),
        ("model.encoder=tu-unheard", "settings", "unheard"),
        ("rounds.refiner=unheard", "settings", "unheard"),
        ("pipeline=tags", "settings", "data.weak must be tags"),
        ("machine.precision=17-true", "trainer", "17-true"),
        ("machine.devices=3", "trainer", "a multiple of machine.devices"),
        ("model.weights=/no/such/file.pth", "model.weights", "/no/such/file.pth"),
    ],
)
def test_what_a_run_would_stop_at_is_a_problem(configured, override, subject, told):
    found = looked(configured(override))[subject]
    assert found.state == "problem" and told in found.found
    assert found.remedy


def test_a_gpu_that_is_not_there_is_a_problem(configured, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert looked(configured("machine.device=cuda"))["trainer"].state == "problem"
