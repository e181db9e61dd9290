import pytest
import torch

from wsseg.errors import InputError
from wsseg.labelmaps import IGNORE
from wsseg.networks.losses.labelled import (
    cross_entropy,
    dice,
    focal,
    partial_cross_entropy,
)
from wsseg.networks.losses.registry import LOSSES, LossInputs, check_losses

ALL = pytest.mark.parametrize("loss", [cross_entropy, dice, focal, partial_cross_entropy])


def example():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 3, (2, 4, 5), generator=generator)


@ALL
def test_predictions_under_ignore_change_nothing(loss):
    logits, target = example()
    target[:, :2] = IGNORE
    changed = logits.clone()
    changed[:, :, :2] = 100 * torch.rand(2, 3, 2, 5)
    torch.testing.assert_close(loss(logits, target), loss(changed, target))


@ALL
def test_all_ignore_is_zero_with_finite_gradient(loss):
    logits, target = example()
    value = loss(logits.requires_grad_(), torch.full_like(target, IGNORE))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None and logits.grad.abs().sum() == 0


@ALL
def test_gradient(loss):
    logits, target = example()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


def test_focal_weighs_each_pixel_before_the_mean():
    logits, target = example()
    expected = []
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5)):
        p = logits[n, :, y, x].softmax(0)[target[n, y, x]]
        expected.append(-((1 - p) ** 2) * p.log())
    torch.testing.assert_close(focal(logits, target), torch.stack(expected).mean())


def test_focal_without_gamma_is_cross_entropy():
    torch.testing.assert_close(focal(*example(), gamma=0), cross_entropy(*example()))


def test_unknown_losses_and_losses_without_labels_are_refused():
    with pytest.raises(InputError, match=r"ce, partial_ce, focal, dice, gated_crf, .* got l2"):
        check_losses(["ce", "l2"])
    with pytest.raises(InputError, match="at least one of ce, partial_ce, focal, dice, got agmm"):
        check_losses(["agmm"])
    check_losses(LOSSES)


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_finite_without_any_label_and_pulls_at_the_network(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 16, 16, generator=generator, requires_grad=True)
    features, colours = (torch.rand(2, c, s, s, generator=generator) for c, s in ((5, 4), (3, 16)))
    labels = torch.full((2, 16, 16), IGNORE)
    inside, possible = torch.ones(2, 16, 16, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    possible[0, 2] = False
    boxes = torch.zeros(2, 16, 16, dtype=torch.int64)
    boxes[:, 2:9, 4:12] = 1
    for known in (0, 3):
        labels[:, :known] = 1
        inputs = LossInputs(logits, features, colours, labels, inside, possible, *[boxes] * 3)
        value = LOSSES[name](inputs)
        (gradient,) = torch.autograd.grad(value, logits)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


def test_dice_is_the_mean_over_classes_that_occur():
    logits, target = example()
    target[target == 1] = 0
    p = logits.softmax(dim=1).movedim(1, -1).reshape(-1, 3)
    truth = target.reshape(-1)
    overlaps = [
        2 * p[truth == label, label].sum() / (p[:, label].sum() + (truth == label).sum())
        for label in (0, 2)
    ]
    torch.testing.assert_close(dice(logits, target), 1 - torch.stack(overlaps).mean())


def test_partial_cross_entropy_counts_every_class_of_every_image_alike():
    logits, target = example()
    target[0], target[1] = IGNORE, 2
    target[0, 0, 0], target[0, 1:] = 1, 0

    def of(n, label):
        return -logits.log_softmax(1)[n, label][target[n] == label].mean()

    expected = ((of(0, 1) + of(0, 0)) / 2 + of(1, 2)) / 2
    torch.testing.assert_close(partial_cross_entropy(logits, target), expected)
    target[1] = IGNORE
    expected = (of(0, 1) + of(0, 0)) / 2
    torch.testing.assert_close(partial_cross_entropy(logits, target), expected)
