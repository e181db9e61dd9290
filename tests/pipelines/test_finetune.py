"""The finetune pipeline from the command line: weak labels, a few masks, and both together."""

import json

import numpy as np
import pytest
from helpers.builders import write_settings
from helpers.running import wsseg

from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.networks.prediction import load_segmenter
from wsseg.runs.config import Config
from wsseg.stages.finetune.training import _last_config
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scenes, a finished run on their boxes, and a list of three images whose masks are given."""
    folder = tmp_path_factory.mktemp("finetune")
    write_scenes(folder / "scenes", train=9, val=3, seed=0, sides=(48, 64))
    for name in ("weak", "finetune"):
        write_settings(
            folder / f"{name}.yaml",
            pipeline=name,
            data={"root": f"{folder}/scenes"},
            seeds={"name": "box"},
            trainer={"steps": 24, "decoder_lr": 3e-3},
            rounds={"count": 2, "refiner": "none"},
        )
    assert wsseg("run", folder / "weak.yaml", f"run_dir={folder}/base") == 0
    (folder / "masks.txt").write_text("\n".join(names(folder)[:3]) + "\n")
    return folder


def names(folder):
    return (folder / "scenes/ImageSets/Segmentation/train.txt").read_text().split()


def run(folder, name, *overrides, base=True):
    given = [f"data.masks={folder}/masks.txt", *([f"finetune.base={folder}/base"] * base)]
    out = folder / name
    assert wsseg("run", folder / "finetune.yaml", f"run_dir={out}", *given, *overrides) == 0
    return out


def summary(run_dir):
    return json.loads((run_dir / "report" / "summary.json").read_text())


@pytest.mark.parametrize("method", ["augment", "pretrain", "semi"])
def test_each_method_ends_with_a_network_labels_and_what_they_were_worth(folder, method):
    done = run(folder, method, f"finetune.method={method}")
    load_segmenter(done / "finetuned/model/model.ckpt")
    worth = summary(done)["masks"]
    assert worth["images"] == 3
    assert worth["method"] == method
    assert set(worth["val_miou"]) == {"base", "masks-only", "finetuned"}
    assert all(0 <= value <= 1 for value in worth["val_miou"].values())
    assert worth["reliability"]


def test_masks_are_the_labels_of_their_images_at_every_stage(folder):
    done = run(folder, "augment", "finetune.method=augment")
    for name in names(folder)[:3]:
        mask = read_label_map(folder / f"scenes/SegmentationClass/{name}.png")
        known = mask != IGNORE
        for stage in ("masks", "filtered", "finetuned"):
            found = read_label_map(done / stage / "labels" / f"{name}.png")
            np.testing.assert_array_equal(found[known], mask[known])


@pytest.mark.parametrize("base", [False, True])
def test_supervised_is_the_masks_alone(folder, base):
    said = ["finetune.method=supervised", "finetune.masks_only=false"]
    done = run(folder, f"supervised-{base}", *said, base=base)
    found = summary(done)
    assert {*found["masks"]["val_miou"]} - {"base"} == {"masks-only", "finetuned"}
    assert found["masks"]["val_miou"]["finetuned"] is None
    assert found["val_miou"] == found["masks"]["val_miou"]["masks-only"]


def test_without_a_base_the_masks_train_the_first_network(folder):
    semi = ["finetune.method=semi", "finetune.semi.reliable_first=true", "data.weak=none"]
    done = run(folder, "nothing", *semi, base=False)
    assert len(list((done / "masks-only/model").glob("snapshot-*.ckpt"))) == 2
    assert "reliability" not in summary(done)["masks"]  # the network has learned these masks
    assert (done / "reliability/manifest.json").exists()


def test_every_option_of_semi_at_once(folder):
    options = [
        "burn_in=4",
        "threshold=filter",
        "focal=1.5",
        "confidence_power=1",
        "boundary=0.5",
        "shrink=0.5",
        "lookahead=1",
        "strong_views=2",
        "feature_view=true",
        "update_every=2",
        f"extra={folder}/scenes/JPEGImages",
        "reject=0.9",
    ]
    given = ["finetune.method=semi", *(f"finetune.semi.{option}" for option in options)]
    done = run(folder, "options", *given, "finetune.filter.rule=per_class")
    assert summary(done)["masks"]["val_miou"]["finetuned"] is not None


def test_a_network_that_collapses_is_never_the_result(folder, capsys):
    done = run(folder, "collapsed", "trainer.decoder_lr=100", "finetune.masks_only=false")
    assert "the base's network is the result" in capsys.readouterr().err
    worth = summary(done)["masks"]
    assert worth["collapsed"] >= 12
    assert worth["val_miou"]["finetuned"] == worth["val_miou"]["base"]  # the same network
    assert "collapsed by step" in (done / "report/index.html").read_text()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["finetune.base=nowhere"], "is not the folder of a run"),
        (["data.masks=null"], "data.masks"),
        (["finetune.filter.rule=calibrated"], "finetune.filter.rule must be another without"),
        (["finetune.method=semi", "finetune.semi.burn_in=24"], "below the 24 steps"),
        (["finetune.method=semi", "finetune.semi.extra=nowhere"], "must be a folder"),
        (
            ["finetune.method=semi", "finetune.semi.strong_views=0"],
            "1 without feature_view",
        ),
        (["model.encoder=nobody"], "cannot be built"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_one_line_before_any_training(
    folder,
    tmp_path,
    capsys,
    overrides,
    said,
):
    given = [f"data.masks={folder}/masks.txt", f"run_dir={tmp_path}/run", *overrides]
    assert wsseg("run", folder / "finetune.yaml", *given) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run/masks-only").exists()


@pytest.mark.parametrize(("method", "factor"), [("augment", 1), ("pretrain", 0.1), ("semi", 1)])
def test_rates_of_the_last_training(method, factor):
    given = {"run_dir": "run", "data": {"root": "data"}, "finetune": {"method": method}}
    given["trainer"] = {"steps": 7}
    config = Config.model_validate(given)
    last, first = _last_config(config).trainer, config.trainer
    assert (last.steps, last.encoder_lr) == (7, pytest.approx(factor * first.encoder_lr))
    assert last.decoder_lr == pytest.approx(factor * first.decoder_lr)


def test_a_base_of_another_network_is_refused(folder, tmp_path, capsys):
    given = [f"data.masks={folder}/masks.txt", f"finetune.base={folder}/base"]
    given += ["finetune.masks_only=false", "model.decoder_kwargs.decoder_channels=[16,8,8,8,8]"]
    assert wsseg("run", folder / "finetune.yaml", f"run_dir={tmp_path}/run", *given) == 2
    assert "the network of" in capsys.readouterr().err
