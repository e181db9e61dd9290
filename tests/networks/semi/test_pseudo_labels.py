"""Every term against its definition, pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from wsseg.networks.semi.params import SemiParams
from wsseg.networks.semi.pseudo_labels import (
    consistency_loss,
    dynamic_threshold,
    find_boundaries,
    make_pseudo_labels,
    remaining_classes,
    shrinking_loss,
)

N, K, H, W = 2, 4, 5, 6


@pytest.fixture
def logits():
    return torch.randn(N, K, H, W, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def target():
    random = torch.Generator().manual_seed(1)
    probabilities = (2 * torch.randn(N, K, H, W, generator=random)).softmax(dim=1)
    inside = torch.rand(N, H, W, generator=random) < 0.8
    allowed = torch.ones(N, K, H, W, dtype=torch.bool)
    return make_pseudo_labels(probabilities, allowed, inside, torch.tensor(0.7))


def pixels():
    return [(n, y, x) for n in range(N) for y in range(H) for x in range(W)]


def test_labels_keep_to_what_is_allowed_and_probabilities_are_shared_anew():
    probabilities = torch.tensor([0.6, 0.3, 0.1])[None, :, None, None].expand(1, 3, 1, 4)
    allowed = torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1]]).bool().T[None, :, None]
    inside = torch.tensor([[[True, True, True, False]]])
    found = make_pseudo_labels(probabilities, allowed, inside, torch.tensor(0.7))
    assert found.labels.tolist() == [[[0, 1, 2, 1]]]
    torch.testing.assert_close(found.confidence, torch.tensor([[[0.6, 0.75, 1.0, 0.75]]]))
    assert found.kept.tolist() == [[[False, True, True, False]]]


def test_a_pixel_of_one_class_teaches_it_whatever_the_threshold():
    probabilities = torch.tensor([0.99, 0.01])[None, :, None, None]
    allowed = torch.tensor([False, True])[None, :, None, None]
    inside = torch.ones(1, 1, 1, dtype=torch.bool)
    found = make_pseudo_labels(probabilities, allowed, inside, torch.tensor([0.5, math.inf]))
    assert found.labels.item() == 1
    assert found.kept.item()


def test_no_probability_on_any_allowed_class_leaves_them_alike():
    probabilities = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    allowed = torch.tensor([False, True, True])[None, :, None, None]
    inside = torch.ones(1, 1, 1, dtype=torch.bool)
    found = make_pseudo_labels(probabilities, allowed, inside, torch.tensor(0.9))
    assert found.confidence.item() == 0.5
    assert not found.kept.item()


def test_thresholds_of_classes():
    probabilities = torch.tensor([[0.8, 0.2], [0.2, 0.8]]).T[None, :, None]
    allowed = torch.ones(1, 2, 1, 2, dtype=torch.bool)
    inside = torch.ones(1, 1, 2, dtype=torch.bool)
    found = make_pseudo_labels(probabilities, allowed, inside, torch.tensor([0.9, 0.5]))
    assert found.kept.tolist() == [[[False, True]]]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"focal": 2.0},
        {"confidence_power": 1.5},
        {"boundary": 0.5},
        {"focal": 1.5, "confidence_power": 1.0, "boundary": 0.5},
    ],
    ids=str,
)
def test_consistency_is_its_definition(logits, target, settings):
    chosen = SemiParams(**settings)
    log_p = logits.log_softmax(dim=1)
    edges = find_boundaries(target.labels, K)
    total, at_edges, n_edges = 0.0, 0.0, 0
    for n, y, x in pixels():
        if not target.kept[n, y, x]:
            continue
        p = math.exp(log_p[n, target.labels[n, y, x], y, x])
        weight = (
            target.confidence[n, y, x].item() ** chosen.confidence_power * (1 - p) ** chosen.focal
        )
        total += weight * -math.log(p)
        if edges[n, y, x]:
            at_edges, n_edges = at_edges - math.log(p), n_edges + 1
    expected = total / target.inside.sum().item() + chosen.boundary * at_edges / max(n_edges, 1)
    assert 0 < target.kept.sum() < target.inside.sum()
    assert consistency_loss(logits, target, chosen).item() == pytest.approx(expected, rel=1e-5)


def test_nothing_kept_is_no_loss_and_no_gradient(logits, target):
    nothing = target._replace(kept=torch.zeros_like(target.kept))
    logits.requires_grad_()
    loss = consistency_loss(logits, nothing, SemiParams(boundary=1.0))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_boundaries_are_where_sobel_of_a_mask_is_not_zero():
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, 3, (2, 7, 9)) // 2)
    found = find_boundaries(labels, 3).numpy()
    for one, edges in zip(labels.numpy(), found, strict=True):
        masks = [(one == k).astype(float) for k in range(3)]
        steps = [ndimage.sobel(m, axis=a, mode="nearest") for m in masks for a in (0, 1)]
        np.testing.assert_array_equal(edges, np.any(np.array(steps) != 0, axis=0))


def test_dynamic_threshold():
    sure = torch.tensor([[[0.9, 0.7, 0.1]]])
    inside = torch.tensor([[[True, True, False]]])
    expected = 0.6 / (1 + math.exp(-0.5 * (0.8 - 0.5)))
    assert dynamic_threshold(sure, inside).item() == pytest.approx(expected)
    assert dynamic_threshold(0 * sure, inside).item() == pytest.approx(0.3)


def remaining(probabilities, least):
    """The classes left, by the definition: drop ranks 2, 3, ... until the first is sure."""
    ranked = sorted(range(len(probabilities)), key=lambda k: -probabilities[k])
    top, rest = ranked[0], ranked[1:]
    while rest:
        among = probabilities[top] + sum(probabilities[k] for k in rest)
        if probabilities[top] >= least * among:
            break
        rest = rest[1:]
    return {top, *rest}


@pytest.mark.parametrize("least", [0.3, 0.6, 0.9, 0.999])
def test_class_space_shrinks_by_its_definition(target, least):
    needed = torch.full((N, H, W), least)
    found = remaining_classes(target.probabilities, needed)
    for n, y, x in pixels():
        expected = remaining(target.probabilities[n, :, y, x].tolist(), least)
        assert set(found[n, :, y, x].nonzero().flatten().tolist()) == expected


def test_shrunk_loss_is_its_definition(logits, target):
    total = 0.0
    for n, y, x in pixels():
        if target.kept[n, y, x] or not target.inside[n, y, x]:
            continue
        classes = sorted(remaining(target.probabilities[n, :, y, x].tolist(), 0.7))
        among = logits[n, classes, y, x].log_softmax(dim=0)
        label = classes.index(int(target.labels[n, y, x]))
        total -= target.confidence[n, y, x].item() * among[label].item()
    expected = total / target.inside.sum().item()
    found = shrinking_loss(logits, target, torch.tensor(0.7))
    assert found.item() == pytest.approx(expected, rel=1e-5)
    by_class = shrinking_loss(logits, target, torch.full((K,), 0.7))
    assert by_class.item() == pytest.approx(expected, rel=1e-5)


def test_a_class_that_is_never_believed_shrinks_to_itself(logits, target):
    nobody = target._replace(kept=torch.zeros_like(target.kept))
    logits.requires_grad_()
    loss = shrinking_loss(logits, nobody, torch.full((K,), math.inf))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
