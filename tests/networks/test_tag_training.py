import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from sklearn.metrics import average_precision_score
from torch import nn

from wsseg.data.annotation import Tags
from wsseg.data.model import Classes, Sample
from wsseg.errors import InputError
from wsseg.networks import tag_training as module
from wsseg.networks.batches import GRAY, normalize
from wsseg.networks.params import ClassifierNetworkParams, ClassifierTrainingParams
from wsseg.networks.tag_training import (
    UNSURE,
    TagBatches,
    average_precision,
    check_targets,
    soft_margin,
    tag_targets,
)

CLASSES = Classes(("background", "cat", "dog", "cow"))
TARGETS = st.tuples(st.integers(1, 6), st.integers(1, 4)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([0, 1, UNSURE]))
)

NETWORK = ClassifierNetworkParams(weights=None)


def sample_of(present=(), unsure=(), path=Path("a.png")):
    return Sample("a", path, (40, 56), (Tags(tuple(present), tuple(unsure)),), "train")


def random_like(targets, seed=0):
    return torch.randn(*targets.shape, generator=torch.Generator().manual_seed(seed)) * 3


def test_targets_say_present_absent_and_unsure():
    samples = [sample_of((3, 1)), sample_of((), (2,)), sample_of((2,), (1, 3))]
    targets = tag_targets(samples, CLASSES)
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[1, 0, 1], [0, UNSURE, 0], [UNSURE, 1, UNSURE]]
    assert tag_targets([], CLASSES).shape == (0, 3)


def test_an_image_without_tags_has_no_targets():
    with pytest.raises(TypeError, match="a has no tags"):
        tag_targets([Sample("a", Path("a.png"), (4, 4), (), "train")], CLASSES)


@given(targets=arrays(np.float32, (5, 3), elements=st.sampled_from([0, 1])))
def test_without_unsure_tags_the_loss_is_torch_s_soft_margin(targets):
    targets = torch.from_numpy(targets)
    logits = random_like(targets)
    expected = nn.MultiLabelSoftMarginLoss()(logits, targets)
    torch.testing.assert_close(soft_margin(logits, targets), expected)


@given(targets=TARGETS, value=st.sampled_from([-1e4, -3.0, 0.0, 50.0]))
def test_unsure_tags_change_neither_loss_nor_gradient(targets, value):
    targets = torch.from_numpy(targets)
    unsure, logits = targets == UNSURE, random_like(targets).requires_grad_()
    other = torch.where(unsure, value, logits.detach()).requires_grad_()
    losses = [soft_margin(each, targets) for each in (logits, other)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    assert torch.equal(logits.grad, other.grad)
    assert (logits.grad[unsure] == 0).all()
    assert (logits.grad[~unsure] != 0).all()
    known = [
        (x, t) for x, t in zip(logits.flatten().tolist(), targets.flatten(), strict=True) if t >= 0
    ]
    each = [math.log1p(math.exp(-x if t else x)) for x, t in known]
    assert losses[0].item() == pytest.approx(sum(each) / max(1, len(each)), rel=1e-4)


def test_a_batch_of_unsure_tags_only_has_no_loss_and_finite_gradients():
    logits = torch.tensor([[90.0, -90.0, 0.0]], requires_grad=True)
    loss = soft_margin(logits, torch.full((1, 3), float(UNSURE)))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_the_loss_of_sure_logits_is_finite():
    loss = soft_margin(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]]))
    assert loss.item() == pytest.approx(1e4)


def test_the_loss_does_not_change_its_targets():
    targets = torch.tensor([[1.0, 0.0, UNSURE]])
    soft_margin(torch.zeros(1, 3), targets)
    assert targets.tolist() == [[1, 0, UNSURE]]


@pytest.mark.parametrize(
    ("targets", "missing"),
    [
        ([[1, 0, 0], [0, 1, 1]], []),
        ([[1, 0, 0], [0, 0, 0]], ["dog", "cow"]),
        ([[1, UNSURE, 0], [0, UNSURE, 1]], ["dog"]),
        ([[1, UNSURE, 1], [0, 0, 0], [1, 1, UNSURE]], []),
    ],
)
def test_tags_that_no_image_has_are_reported(targets, missing):
    assert check_targets(torch.tensor(targets), CLASSES) == missing


@pytest.mark.parametrize("targets", [[[0, 0, 0]], [[0, UNSURE, 0], [0, 0, UNSURE]]])
def test_images_without_any_tag_are_refused(targets):
    with pytest.raises(InputError, match=r"of at least one class, got none; tag the images"):
        check_targets(torch.tensor(targets), CLASSES)


@pytest.mark.parametrize("last", [1, UNSURE])
def test_a_tag_in_every_image_is_refused(last):
    targets = torch.tensor([[0, 1, 0], [1, 1, 0], [1, last, 0]])
    count = 2 + (last == 1)
    with pytest.raises(InputError, match=f"tag 'dog' must be absent .*in all {count}; add images"):
        check_targets(targets, CLASSES)


def test_average_precision_of_a_ranking_by_hand():
    scores = torch.tensor([[0.9], [0.8], [0.7], [0.6], [0.5]])
    targets = torch.tensor([[1], [0], [1], [UNSURE], [1]])
    found = average_precision(scores, targets, Classes(("background", "cat")))
    assert found == {"cat": pytest.approx((1 / 1 + 2 / 3 + 3 / 4) / 3)}


def test_tags_that_are_not_distinguished_have_no_precision():
    classes = Classes(("background", "all", "none", "unsure", "one", "worst"))
    targets = torch.tensor([[1, 0, UNSURE, 1, 1], [1, 0, UNSURE, 0, 0], [UNSURE, 0, 1, 0, 0]])
    scores = torch.tensor([[0.9, 0.1, 0.2, 0.8, 0.1], [0.8, 0.3, 0.1, 0.5, 0.2], [0.1] * 4 + [0.3]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = average_precision(scores, targets, classes)
    assert found == {"one": pytest.approx(1), "worst": pytest.approx(1 / 3)}
    assert average_precision(scores[:0], targets[:0], classes) == {}


@given(targets=TARGETS, seed=st.integers(0, 9), ties=st.booleans())
def test_average_precision_is_that_of_scikit_learn(targets, seed, ties):
    count = targets.shape[1]
    scores = np.random.default_rng(seed).random(targets.shape, np.float32)
    scores = scores.round(1) if ties else scores
    classes = Classes(("background", *(f"tag {index}" for index in range(count))))
    found = average_precision(torch.from_numpy(scores), torch.from_numpy(targets), classes)
    for index, name in enumerate(classes.names[1:]):
        known = targets[:, index] != UNSURE
        tagged, ranked = targets[known, index], scores[known, index]
        assert (name in found) == (len(set(tagged)) == 2)
        if name in found:
            assert found[name] == pytest.approx(average_precision_score(tagged, ranked), rel=1e-5)


def settings_of(**changes):
    trainer = {"steps": 4, "batch_size": 3, "crop": (32, 48), "zoom": (1, 1)}
    return ClassifierTrainingParams(**{**trainer, **changes})


@pytest.fixture(autouse=True)
def without_jitter(monkeypatch):
    monkeypatch.setattr(module, "JITTER", 0.0)


@pytest.fixture
def samples(tmp_path):
    """Five images, each of one colour of its own with grain, none of it GRAY."""
    found = []
    for number in range(5):
        grain = np.random.default_rng(number).integers(0, 9, (40, 56, 3))
        path = tmp_path / f"{number}.png"
        Image.fromarray((45 * number + grain).astype(np.uint8)).save(path)
        found.append(sample_of((1 + number % 3,), path=path))
    return found


def batches_of(samples, settings, seed=0):
    return TagBatches(samples, CLASSES, NETWORK, settings, seed=seed)


def test_batches_depend_on_seed_and_step_only(samples, monkeypatch):
    monkeypatch.undo()
    settings = settings_of(zoom=(0.7, 1.5))
    batches = batches_of(samples, settings)
    torch.manual_seed(1)
    one = list(batches)
    torch.manual_seed(2)
    alone = [batches_of(samples, settings).batch(step) for step in reversed(range(4))][::-1]
    assert len(one) == 4
    for (images, targets), (again, targets_again) in zip(one, alone, strict=True):
        assert images.shape == (3, 3, 32, 48) and images.dtype == torch.float32
        assert targets.shape == (3, 3)
        assert torch.equal(images, again) and torch.equal(targets, targets_again)
    other = batches_of(samples, settings, seed=1).batch(0)[0]
    assert not torch.equal(other, one[0][0])
    assert not torch.equal(one[1][0], one[0][0])


def test_batches_leave_the_random_state(samples):
    before = torch.get_rng_state()
    batches_of(samples, settings_of()).batch(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_crops_carry_the_tags_of_their_image(samples):
    settings = settings_of()
    colours = normalize(torch.arange(5)[:, None, None, None].expand(5, 3, 1, 1) * 45 + 4, NETWORK)
    seen = set()
    for images, targets in batches_of(samples, settings):
        for image, target in zip(images, targets, strict=True):
            apart = (image.mean(dim=(1, 2)) - colours[..., 0, 0]).abs().sum(dim=1)
            number = int(apart.argmin())
            assert target.tolist() == [float(number % 3 == tag) for tag in range(3)]
            seen.add(number)
    assert seen == set(range(5))


def shares_of_gray(samples, settings):
    gray = normalize(torch.full((3, 1, 1), GRAY, dtype=torch.uint8), NETWORK)
    images = torch.cat([images for images, _ in batches_of(samples, settings)])
    return (images == gray).all(dim=1)


def test_small_images_are_padded_with_gray(samples):
    settings = settings_of(crop=(64, 64))
    gray = shares_of_gray(samples, settings)
    assert (gray.flatten(1).sum(dim=1) >= 64 * 64 - 40 * 56).all()


def test_a_training_set_of_no_image_is_refused():
    with pytest.raises(InputError, match="at least one image"):
        batches_of([], settings_of())
