import math
from contextlib import contextmanager
from dataclasses import replace

import pytest

from wsseg.cli.doctor import need
from wsseg.cli.doctor.data import index
from wsseg.data.model import Tags
from wsseg.files import atomic_write
from wsseg.networks.segmenter import build_network
from wsseg.runs.run import open_run
from wsseg.stages.rounds import seed_labels, train_segmenter

GIVEN_BACK = "checkpoints while training"


def needed(config, dataset=None):
    return need.need_of(config, dataset or index(config.data))


def stored(path):
    """What a folder takes on the disk."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def test_a_real_run_takes_what_was_said(finished, configured):
    """Nothing of it stays that was counted as given back; tiny images are mostly whole blocks."""
    parts = needed(configured())
    said = sum(parts.values()) - parts[GIVEN_BACK]
    assert 1 / 1.5 < stored(finished) / said < 1


def test_networks_are_counted_closely(finished, configured):
    said = needed(configured())["networks"] / need.SPARE
    real = sum(path.stat().st_size for path in finished.glob("round-*/model/model.ckpt"))
    assert real == pytest.approx(said, rel=0.02)


LARGE = ["model.encoder=tu-mobilenetv3_large_100", "model.decoder_kwargs={}"]
"""A network whose checkpoints take more than a report."""


def test_checkpoints_hold_two_moments_of_what_trains_and_lie_there_twice(configured):
    network = build_network(configured(*LARGE).model, 6)
    weights = 4 * sum(tensor.numel() for tensor in network.state_dict().values())
    trained = 4 * sum(tensor.numel() for tensor in network.parameters())

    def said(*overrides):
        """With the report, which comes only when checkpoints have gone."""
        parts = needed(configured(*LARGE, *overrides))
        return (parts["checkpoints while training"] + parts["report"]) / need.SPARE

    assert said() == pytest.approx(2 * (weights + 2 * trained), rel=0.02)
    assert said("trainer.average=0.9") == pytest.approx(2 * (2 * weights + 2 * trained), rel=0.02)
    assert said("trainer.checkpoint_every=12") == pytest.approx(weights + 2 * trained, rel=0.02)
    assert needed(configured(*LARGE, "trainer.checkpoint_every=13"))[GIVEN_BACK] == 0
    assert said("model.frozen_blocks=3") < said()


def test_a_run_never_takes_more_than_was_said(configured, monkeypatch):
    """The most that lies there is when a checkpoint is written beside the one before."""
    config = configured(*LARGE, "trainer.steps=2", "trainer.checkpoint_every=1", "rounds.count=1")
    peaks = []

    @contextmanager
    def watched(path):
        with atomic_write(path) as file:
            yield file
            file.flush()
            peaks.append(stored(config.run_dir))

    monkeypatch.setattr("wsseg.networks.weights.atomic_write", watched)
    with open_run(config) as run:
        dataset = index(config.data)
        train_segmenter(run, dataset, seed_labels(run, dataset), 1)
    assert 1 / 1.5 < max(peaks) / sum(needed(config).values()) < 1


def test_more_rounds_images_and_pixels_take_more(configured):
    few = needed(configured())
    many = needed(configured("rounds.count=4"))
    assert many["networks"] == 2 * few["networks"]
    assert many["labels"] > 1.5 * few["labels"] and many["report"] > few["report"]
    dataset = index(configured().data)
    large = replace(dataset, samples=tuple(replace(s, size=(2000, 3000)) for s in dataset.samples))
    assert needed(configured(), large)["labels"] > 3 * few["labels"]
    assert needed(configured(), large)["report"] < 2 * few["report"]  # shown small all the same


def test_rounds_that_end_by_themselves_are_counted_to_the_last(configured):
    automatic = needed(configured("rounds.count=auto", "rounds.most=7"))
    assert automatic == needed(configured("rounds.count=7"))


def test_naive_rounds_have_no_rules(configured):
    assert needed(configured("rounds.clean=false"))["labels"] < needed(configured())["labels"]


def test_tags_have_a_classifier_and_maps(configured):
    small = ["classifier.encoder=mobilenetv3_small_050", "classifier.weights=null"]
    tags = ["pipeline=tags", "data.weak=tags", *small]
    plain, learned = (
        needed(configured(*tags, f"cam.affinity={affinity}")) for affinity in ("none", "learned")
    )
    boxes = needed(configured())
    assert boxes["activation maps"] == 0 < plain["activation maps"] < learned["activation maps"]
    assert boxes["networks"] < plain["networks"] < learned["networks"]


def test_maps_grow_with_tags(configured):
    config = configured("pipeline=tags", "data.weak=tags")
    dataset = index(config.data)
    images = [replace(sample, size=(400, 400)) for sample in dataset.samples]
    one, three = (
        needed(
            config,
            replace(dataset, samples=tuple(replace(s, annotations=(Tags(tags),)) for s in images)),
        )
        for tags in ((1,), (1, 2, 3))
    )
    assert three["activation maps"] > 2 * one["activation maps"]


def test_a_mixture_without_images_of_tags_alone_has_no_classifier(configured):
    assert needed(configured("pipeline=mixed", "data.weak=all"))["activation maps"] == 0


def test_the_upper_bound_is_one_network(configured):
    assert 2 * needed(configured("pipeline=full"))["networks"] == needed(configured())["networks"]


@pytest.mark.parametrize(
    ("overrides", "networks"),
    [
        (["finetune.method=supervised"], 1),
        (["finetune.method=augment"], 2),
        (["finetune.method=pretrain"], 3),
        (["finetune.method=semi", "finetune.masks_only=false", "finetune.base=/a/run"], 1),
    ],
)
def test_each_method_of_finetune(configured, overrides, networks):
    one = needed(configured("pipeline=full"))["networks"]
    assert needed(configured("pipeline=finetune", *overrides))["networks"] == networks * one


def test_scenes_are_counted_until_they_are_there(configured, tmp_path):
    scenes = f"data.root={tmp_path}/scenes", "data.format=scenes"
    config = configured(*scenes)
    dataset = index(config.data)
    assert math.log10(needed(config, dataset)["scenes"]) == pytest.approx(7, abs=0.5)
    config.data.root.mkdir()
    assert needed(config, dataset)["scenes"] == 0
