"""Which foundation models a run uses, and what happens before it when one cannot be used."""

import shutil

import pytest
from helpers.builders import sample

from wsseg.cli.doctor import settings as doctor
from wsseg.data.annotation import Tags
from wsseg.data.model import Classes, Dataset
from wsseg.data.strokes import Scribble, Strokes
from wsseg.errors import InputError
from wsseg.runs.config import config_from_values
from wsseg.stages import checks, foundation
from wsseg.stages.foundation import (
    foundation_models,
    map_records,
    refiner_records,
    seed_records,
    weights_of,
)

CLASSES = Classes(("background", "cow", "sheep"))
TAGGED = sample(Tags((1,)), id="a")
STROKED = sample(Strokes((Scribble(1, ((1, 1),)),)), id="b")
ALL = {
    "cam": {"method": "clip", "affinity": "dino", "clip": {"model": "c"}, "dino": {"model": "d"}},
    "seeds": {"strokes": "dino_walker", "dino": {"model": "s"}},
}
OF_TAGS = {"cam.clip.model": ("c", "CLIP"), "cam.dino.model": ("d", "DINO")}
OF_STROKES = {"seeds.dino.model": ("s", "DINO")}


def config_of(**groups):
    return config_from_values({"run_dir": "r", "data": {"root": "d"}, **groups}, "test")


def dataset_of(*samples):
    return Dataset("voc", samples, CLASSES, ())


def test_the_settings_name_the_models():
    assert foundation_models(config_of()) == {}
    assert foundation_models(config_of(**ALL)) == OF_TAGS | OF_STROKES
    assert foundation_models(config_of(**ALL, pipeline="full")) == {}
    assert foundation_models(config_of(cam={"method": "sam3"})) == {
        "cam.sam3.model": (None, "SAM 3 with text")
    }


@pytest.mark.parametrize(
    "seeds",
    [
        {"name": "dino_walker"},
        {"strokes": "dino_walker"},
        {"name": "intersection", "sources": ["box", "dino_walker"]},
        {"boxes": "intersection", "sources": ["dino_walker", "box"]},
    ],
)
def test_a_seed_counts_wherever_it_is_named(seeds):
    assert [*foundation_models(config_of(seeds=seeds))] == ["seeds.dino.model"]


def test_models_that_no_annotation_needs_are_left_out():
    config = config_of(**ALL)
    assert foundation_models(config, dataset_of(TAGGED)) == OF_TAGS
    assert foundation_models(config, dataset_of(STROKED)) == OF_STROKES
    assert foundation_models(config, dataset_of(TAGGED, STROKED)) == OF_TAGS | OF_STROKES


SAM = {"seeds.sam.model": ("m", "SAM")}


@pytest.mark.parametrize(
    "groups",
    [
        {"seeds": {"name": "sam"}},
        {"seeds": {"boxes": "sam"}},
        {"seeds": {"name": "intersection", "sources": ["sam", "grabcut"]}},
        {"rounds": {"refiner": "sam"}},
        {"cam": {"refiner": "sam"}},
    ],
)
def test_sam_counts_as_a_seed_and_as_a_refiner(groups):
    seeds = {**groups.get("seeds", {}), "sam": {"model": "m"}}
    assert foundation_models(config_of(**{**groups, "seeds": seeds})) == SAM


@pytest.mark.parametrize("rounds", [{"clean": False}, {"count": 0}])
def test_a_refiner_that_no_round_uses_needs_no_model(rounds):
    assert foundation_models(config_of(rounds={"refiner": "sam", **rounds})) == {}


def test_seeds_do_not_depend_on_the_model_of_a_refiner():
    config = config_of(rounds={"refiner": "sam"}, seeds={"sam": {"model": "m"}})
    assert seed_records(config, dataset_of(STROKED)) == {}
    assert refiner_records(config, "crf") == {}
    with pytest.raises(InputError, match="there is no folder m"):
        refiner_records(config, "sam")


def test_a_group_has_the_records_of_its_models(clip_folder, dino_folder):
    cam = {**ALL["cam"], "clip": {"model": str(clip_folder)}, "dino": {"model": str(dino_folder)}}
    config = config_of(cam=cam)
    records = map_records(config, "clip")
    assert [*records] == ["cam.clip.model"]
    assert seed_records(config, dataset_of(STROKED)) == {}
    record = records["cam.clip.model"]
    assert record["type"] == "clip" and record["licence"] == "not stated (published weights: MIT)"
    assert len(record["sha256"]) == 64
    assert weights_of(config, "seeds.dino.model") is None
    assert weights_of(config, "cam.dino.model").model_type == "dinov2"


BROKEN = {
    "no model": (None, r"cam.clip.model must be the name of a CLIP model, got nothing"),
    "no folder": ("/no/such/folder", "cam.clip.model: there is no folder /no/such/folder"),
    "other family": ("dino", "must be a CLIP model .*, got a model of type dinov2"),
    "no tokenizer": ("bare", "has no tokenizer.json"),
    "cut short": ("short", "must be a complete file of safetensors"),
}


@pytest.fixture
def folders(tmp_path, clip_folder, dino_folder):
    bare, short = (shutil.copytree(clip_folder, tmp_path / name) for name in ("bare", "short"))
    for file in bare.glob("*token*.json"):
        file.unlink()
    data = (short / "model.safetensors").read_bytes()
    (short / "model.safetensors").write_bytes(data[:-100])
    return {"dino": str(dino_folder), "bare": str(bare), "short": str(short)}


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_cannot_be_used_is_refused_before_the_data_are_read(case, folders):
    name, message = BROKEN[case]
    config = config_of(cam={"method": "clip", "clip": {"model": folders.get(name, name)}})
    with pytest.raises(InputError, match=message):
        checks.check_settings(config)


def test_a_model_of_the_hub_is_downloaded_before_the_work(monkeypatch):
    monkeypatch.setattr(foundation, "check_installed", lambda _: None)
    config = config_of(cam={"method": "clip", "clip": {"model": "owner/clip"}})
    monkeypatch.setattr(foundation, "must_be_downloaded", lambda _: True)
    checks.check_settings(config)
    fetched = []
    monkeypatch.setattr(foundation, "fetch_weights", lambda *arguments: fetched.append(arguments))
    foundation.download_models(config, dataset_of(TAGGED))
    assert fetched == [("owner/clip", "CLIP", "cam.clip.model")]
    foundation.download_models(config, dataset_of(STROKED))
    assert len(fetched) == 1


def test_a_learned_affinity_needs_a_classifier(clip_folder):
    cam = {"method": "clip", "affinity": "learned", "clip": {"model": str(clip_folder)}}
    match = "cam.affinity=learned needs a classifier, but cam.method=clip trains none"
    with pytest.raises(InputError, match=match):
        checks.check_settings(config_of(cam=cam))


def test_the_doctor_has_a_line_for_each_model(clip_folder, monkeypatch):
    check = doctor.check_model("cam.clip.model", str(clip_folder), "CLIP")
    assert check.state == "ok"
    assert (
        check.message
        == f"{clip_folder}: clip, licence not stated (published weights: MIT), can be loaded"
    )
    check = doctor.check_model("cam.clip.model", "/no/such/folder", "CLIP")
    assert check.state == "problem" and "there is no folder" in check.message
    monkeypatch.setattr(doctor, "must_be_downloaded", lambda _: True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    check = doctor.check_model("cam.dino.model", "facebook/dinov2-small", "DINO")
    assert check.state == "warning"
    assert check.message.startswith(
        "facebook/dinov2-small (DINO, licence Apache-2.0) is downloaded"
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert doctor.check_model("cam.dino.model", "facebook/dinov2-small", "DINO").state == "problem"


def test_without_transformers_nothing_starts(monkeypatch):
    monkeypatch.setattr("wsseg.foundation.load.find_spec", lambda _: None)
    config = config_of(cam={"method": "clip", "clip": {"model": "owner/clip"}})
    with pytest.raises(InputError, match=r"cam\.clip\.model needs the package transformers"):
        checks.check_settings(config)
    check = doctor.check_model("cam.clip.model", "owner/clip", "CLIP")
    assert check.state == "problem" and check.remedy == "pip install 'wsseg[foundation]'"
