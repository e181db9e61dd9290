from itertools import product

import numpy as np
import pytest
import torch

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.networks.affinity_net import (
    AffinityNet,
    TrainedAffinity,
    affinity_loss,
    load_affinity,
)
from wsseg.networks.checkpoints import save_network, write_checkpoint
from wsseg.networks.encoder import construct_encoder
from wsseg.networks.params import ClassifierNetworkParams

SMALL = ClassifierNetworkParams(encoder="mobilenetv3_small_050", weights=None)


def network(encoder=SMALL.encoder, seed=0, width=8):
    torch.manual_seed(seed)
    settings = SMALL.model_copy(update={"encoder": encoder})
    return AffinityNet(construct_encoder(settings, pretrained=False), width).eval()


def slow_loss(vectors, cells, radius):
    """The definition, pair by pair in float64."""
    sums, counts = [0.0, 0.0, 0.0], [0, 0, 0]
    n, _, height, width = vectors.shape
    places = list(product(range(height), range(width)))
    for image, (index, (y, x)) in product(range(n), enumerate(places)):
        for v, u in places[index + 1 :]:
            one, other = int(cells[image, y, x]), int(cells[image, v, u])
            if (v - y) ** 2 + (u - x) ** 2 >= radius**2 or IGNORE in (one, other):
                continue
            apart = (vectors[image, :, y, x] - vectors[image, :, v, u]).double().abs().sum().item()
            kind = 2 if one != other else int(one == 0)
            sums[kind] += apart if kind < 2 else -np.log(1 - np.exp(-apart) + 1e-5)
            counts[kind] += 1
    means = [s / max(c, 1) for s, c in zip(sums, counts, strict=True)]
    return means[0] / 4 + means[1] / 4 + means[2] / 2


@pytest.mark.parametrize("radius", [2, 3, 9])
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3), (6, 7)])
def test_loss_equals_its_definition(size, radius):
    torch.manual_seed(1)
    vectors = torch.randn(2, 3, *size)
    labels = torch.tensor([0, 1, 2, IGNORE])[torch.randint(0, 4, (2, *size))]
    expected = slow_loss(vectors, labels, radius)
    assert affinity_loss(vectors, labels, radius).item() == pytest.approx(expected, rel=1e-5)


def test_unknown_labels_have_no_part_and_none_at_all_is_no_loss():
    vectors = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = affinity_loss(vectors, torch.full((1, 4, 4), IGNORE), 5)
    loss.backward()
    assert loss.item() == 0 and vectors.grad is not None and not vectors.grad.any()


def test_labels_are_taken_at_the_cells_centres():
    labels = torch.zeros(1, 12, 12, dtype=torch.long)
    labels[:, :, 5:] = 1
    cells = torch.tensor([[[0, 0, 1]] * 3])  # of 4 pixels; the centre of the second is column 6
    cells[:, :, 1] = 1
    vectors = torch.randn(1, 2, 3, 3)
    expected = slow_loss(vectors, cells, 3)
    assert affinity_loss(vectors, labels, 3).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_050", "resnet10t", "convnext_atto"])
@pytest.mark.parametrize("size", [(64, 96), (33, 70)])
def test_a_vector_for_each_cell(encoder, size):
    vectors = network(encoder)(torch.randn(2, 3, *size))
    assert vectors.shape == (2, 8, *(-(-side // 4) for side in size))


def test_the_encoder_does_not_learn():
    net = network().train()
    assert not any(module.training for module in net.encoder.modules())
    assert not any(weight.requires_grad for weight in net.encoder.parameters())
    before = {name: value.clone() for name, value in net.encoder.state_dict().items()}
    net(torch.randn(2, 3, 64, 64)).sum().backward()
    torch.testing.assert_close(dict(net.encoder.state_dict()), before, rtol=0, atol=0)
    assert net.head.weight.grad is not None and net.head.weight.grad.any()


def test_it_learns_to_tell_two_halves_apart():
    torch.manual_seed(0)
    net = network()
    images, labels = torch.zeros(2, 3, 32, 32), torch.zeros(2, 32, 32, dtype=torch.long)
    images[..., 16:], labels[..., 16:] = 1, 1
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        loss = affinity_loss(net(images), labels, 5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_saved_and_loaded_it_gives_the_same_vectors(tmp_path):
    net, image = (
        network(width=32),
        np.random.default_rng(0).integers(0, 255, (40, 52, 3)).astype(np.uint8),
    )
    classes = Classes(("background", "cow"))
    save_network(tmp_path / "model.ckpt", "affinity network", net, SMALL, classes)
    loaded = load_affinity(tmp_path / "model.ckpt", "cpu")
    expected = TrainedAffinity(net, SMALL).vectors(image)
    assert expected.shape == (32, 10, 13) and expected.dtype == np.float32
    np.testing.assert_array_equal(loaded.vectors(image), expected)


@pytest.mark.parametrize("content", [None, b"", b"cut off", {"state_dict": {}}])
def test_damaged_or_other_files_are_refused(tmp_path, content):
    path = tmp_path / "model.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        write_checkpoint(path, content)
    with pytest.raises(
        InputError, match=r"model\.ckpt (does not exist|is damaged|holds no affinity network)"
    ):
        load_affinity(path)


def test_an_encoder_without_levels_is_refused(monkeypatch):
    encoder = construct_encoder(SMALL, pretrained=False)
    monkeypatch.setattr(encoder.model, "feature_info", None)
    with pytest.raises(InputError, match=r"several levels, got .*; choose another encoder"):
        AffinityNet(encoder)
