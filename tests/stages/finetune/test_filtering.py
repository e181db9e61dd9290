"""Filtering of pseudo-labels by confidence, through the stages."""

import numpy as np
import pytest
import torch

from wsseg.data.classes import has_full_mask
from wsseg.data.constraints import constraints_of, labelled_pixels
from wsseg.data.load import read_weak
from wsseg.data.model import Sample
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE, read_label_map
from wsseg.networks.checkpoints import save_network
from wsseg.networks.segmenter import build_network
from wsseg.runs.config import Config
from wsseg.runs.labelling import label_path
from wsseg.runs.run import Run
from wsseg.runs.stage import Stage
from wsseg.stages.finetune.base_run import BaseRun
from wsseg.stages.finetune.filtering import calibrate, filter_labels, thresholds_of
from wsseg.stages.finetune.masks import label_masks, remove_full_mask
from wsseg.stages.finetune.pseudo_labels import predict_pseudo_labels, read_confidence
from wsseg.stages.finetune.unlabelled import mean_iou, rank_by_reliability
from wsseg.stages.params import FilterParams, FinetuneParams
from wsseg.synthetic.scenes import write_scenes


@pytest.fixture
def run(tmp_path):
    write_scenes(tmp_path / "scenes", train=6, val=2, seed=0, sides=(48, 64))
    names = (tmp_path / "scenes/ImageSets/Segmentation/train.txt").read_text().split()
    (tmp_path / "masks.txt").write_text("\n".join(names[:2]))
    config = Config.model_validate(
        {
            "run_dir": tmp_path / "run",
            "machine": {"workers": 1, "device": "cpu"},
            "data": {
                "format": "voc",
                "root": tmp_path / "scenes",
                "masks": tmp_path / "masks.txt",
            },
            "prediction": {"scales": [1.0], "flip": False},
            "finetune": {"base": tmp_path / "base"},
        }
    )
    return Run(tmp_path / "run", config)


@pytest.fixture
def dataset(run):
    return read_weak(run.config.data)


def network_of(run, dataset, settings, seed):
    torch.manual_seed(seed)
    network = build_network(settings, len(dataset.classes))
    with torch.no_grad():
        network.get_submodule("segmentation_head")[0].weight.mul_(20)  # so that it is ever sure
    path = run.path.parent / f"network-{seed}" / "model.ckpt"
    save_network(path, "segmenter", network, settings, dataset.classes)
    return path


@pytest.fixture
def base(run, dataset, model_settings):
    path = network_of(run, dataset, model_settings, 0)
    return BaseRun(Stage("round-1/model", path.parent, "a key", {}))


def with_filter(run, **settings):
    finetune = FinetuneParams(
        base=run.config.finetune.base, filter=FilterParams.model_validate(settings)
    )
    return Run(run.path, run.config.model_copy(update={"finetune": finetune}))


def believed(run, dataset, base):
    predicted = predict_pseudo_labels(run, dataset, base)
    calibration = calibrate(run, dataset, predicted)
    return predicted, calibration, filter_labels(run, dataset, predicted, calibration)


def test_masks_do_not_reach_what_they_calibrate(run, dataset, base):
    predicted = predict_pseudo_labels(run, dataset, base)
    given = [sample for sample in dataset.split("train") if has_full_mask(sample)]
    assert len(given) == 2
    for sample in given:
        found = read_label_map(label_path(predicted, sample))
        mask = labelled_pixels(sample, len(dataset.classes))
        assert constraints_of(remove_full_mask(sample), len(dataset.classes)).allows(found).all()
        assert (found != mask)[mask != IGNORE].any()


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "none"},
        {"rule": "global", "confidence": 0.6},
        {"rule": "per_class"},
        {"rule": "calibrated", "precision": 0.7},
    ],
    ids=lambda settings: settings["rule"],
)
def test_what_is_sure_enough_stays_and_the_rest_is_ignored(run, dataset, base, settings):
    run = with_filter(run, **settings)
    predicted, calibration, filtered = believed(run, dataset, base)
    least = np.append(thresholds_of(calibration), np.full(250, np.inf))
    kept = 0
    for sample in dataset.split("train"):
        made = read_label_map(label_path(predicted, sample))
        found = read_label_map(label_path(filtered, sample))
        known = constraints_of(sample, len(dataset.classes)).known
        if has_full_mask(sample):
            np.testing.assert_array_equal(found, known)
            continue
        sure = read_confidence(predicted, sample.id) >= least[made]
        expected = np.where(known != IGNORE, known, np.where(sure, made, IGNORE))
        np.testing.assert_array_equal(found, expected)
        kept += int((sure & (known == IGNORE)).sum())
    assert kept > 0
    assert 0 <= calibration.results["calibration_error"] <= 1


def test_precision_gate_keeps_its_promise_on_the_masks(run, dataset, base):
    run = with_filter(run, rule="calibrated", precision=0.8)
    predicted, calibration, _ = believed(run, dataset, base)
    least = thresholds_of(calibration)
    right, total = np.zeros(len(least)), np.zeros(len(least))
    for sample in (s for s in dataset.split("train") if has_full_mask(s)):
        made, mask = read_label_map(label_path(predicted, sample)), labelled_pixels(sample, 9)
        sure = read_confidence(predicted, sample.id)
        for label in np.unique(made):
            chosen = (made == label) & (sure >= least[label]) & (mask != IGNORE)
            total[label] += chosen.sum()
            right[label] += (chosen & (mask == label)).sum()
    assert total.sum() > 0
    assert (right >= 0.8 * total).all()


def test_without_masks_there_is_nothing_to_tune_by(run):
    bare = read_weak(run.config.data.model_copy(update={"masks": None}))
    with pytest.raises(InputError, match=r"data\.masks"):
        label_masks(run, bare)


@pytest.mark.parametrize(
    ("text", "got"), [("", "an empty file"), ("nobody\n", "nobody"), (None, "No such file")]
)
def test_a_list_that_names_no_masks_is_refused(run, text, got):
    listed = run.path.parent / "masks.txt"
    listed.unlink() if text is None else listed.write_text(text)
    with pytest.raises(InputError, match=got):
        read_weak(run.config.data)


def test_agreement_is_the_mean_iou():
    one, other = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 2]])
    assert mean_iou(one, other) == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert mean_iou(one, one) == 1


def test_reliable_images_come_first(run, dataset, base, model_settings):
    samples: list[Sample] = list(dataset.split("train"))
    with pytest.raises(InputError, match="reliable_first"):
        rank_by_reliability(run, base, samples)
    earlier = (network_of(run, dataset, model_settings, 1),)
    ranked = rank_by_reliability(run, BaseRun(base.model, None, earlier), samples)
    assert {sample.id for sample in ranked} == {sample.id for sample in samples}
    maps = [
        predict_pseudo_labels(
            Run(run.path / name, run.config), dataset, BaseRun(Stage("m", path, name, {}))
        )
        for name, path in (("a", base.model.path), ("b", earlier[0].parent))
    ]
    unmasked = [sample for sample in ranked if not has_full_mask(sample)]
    scores = [mean_iou(*(read_label_map(label_path(m, s)) for m in maps)) for s in unmasked]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) > 1
