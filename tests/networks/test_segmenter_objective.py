import pytest
import torch

from wsseg.networks.losses.labelled import cross_entropy, dice
from wsseg.networks.losses.registry import LOSSES, WeightedLosses
from wsseg.networks.params import SegmenterTrainingParams
from wsseg.networks.segmenter import build_network
from wsseg.networks.training_data import Target


@pytest.fixture
def network(model_settings):
    torch.manual_seed(0)
    return build_network(model_settings, 3).eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 32, 32, generator=generator)
    labels = torch.randint(0, 3, (2, 32, 32), generator=generator)
    labels[:, 8:] = 255
    inside, possible = torch.ones(2, 32, 32, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    return images, Target(labels, inside, possible, *torch.zeros(3, 2, 32, 32, dtype=torch.int64))


def test_losses_are_weighed_and_summed(network, batch, model_settings):
    images, target = batch
    trainer = SegmenterTrainingParams(loss={"ce": 2, "dice": 0.5})
    found = WeightedLosses(trainer, model_settings)(network, images, target, 0.0)
    logits = network(images)
    expected = 2 * cross_entropy(logits, target.labels) + 0.5 * dice(logits, target.labels)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ["gated_crf", "dense_crf", "tree_energy", "agmm"])
def test_losses_of_unlabelled_pixels_join_after_the_warm_up(network, batch, model_settings, name):
    images, target = batch
    objective = WeightedLosses(SegmenterTrainingParams(loss={"ce": 1, name: 0.5}), model_settings)
    supervised = cross_entropy(network(images), target.labels)
    torch.testing.assert_close(objective(network, images, target, 0.05), supervised)
    assert objective(network, images, target, 0.1) > supervised


def test_colours_are_those_of_the_image(network, model_settings, batch, monkeypatch):
    images, target = batch
    inputs = []
    monkeypatch.setitem(LOSSES, "ce", lambda x: inputs.append(x) or x.logits.sum())
    WeightedLosses(SegmenterTrainingParams(), model_settings)(network, images, target, 0.0)
    std, mean = (torch.tensor(v)[:, None, None] for v in (model_settings.std, model_settings.mean))
    monkeypatch.undo()
    torch.testing.assert_close((inputs[0].colours - mean) / std, images)
    assert inputs[0].features.shape[0] == 2
    assert not network.segmentation_head._forward_pre_hooks
