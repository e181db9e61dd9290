import pytest
import torch
from torch import Tensor

from wsseg.errors import InputError
from wsseg.labels import IGNORE
from wsseg.segmenter.losses import LOSSES, Loss, cross_entropy, dice, find_loss, focal

ALL = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def example() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    return logits, torch.randint(0, 3, (2, 4, 5), generator=generator)


@ALL
def test_predictions_under_ignore_change_nothing(loss: Loss) -> None:
    logits, target = example()
    target[:, :2] = IGNORE
    changed = logits.clone()
    changed[:, :, :2] = 100 * torch.rand(2, 3, 2, 5)
    torch.testing.assert_close(loss(logits, target), loss(changed, target))


@ALL
def test_all_ignore_is_zero_with_finite_gradient(loss: Loss) -> None:
    logits, target = example()
    value = loss(logits.requires_grad_(), torch.full_like(target, IGNORE))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None and logits.grad.abs().sum() == 0


@ALL
def test_gradient(loss: Loss) -> None:
    logits, target = example()
    assert torch.autograd.gradcheck(lambda x: loss(x, target), logits.requires_grad_())


def test_focal_weighs_each_pixel_before_the_mean() -> None:
    logits, target = example()
    expected = []
    for n, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(5)):
        p = logits[n, :, y, x].softmax(0)[target[n, y, x]]
        expected.append(-((1 - p) ** 2) * p.log())
    torch.testing.assert_close(focal(logits, target), torch.stack(expected).mean())


def test_focal_without_gamma_is_cross_entropy() -> None:
    torch.testing.assert_close(focal(*example(), gamma=0), cross_entropy(*example()))


def test_unknown_loss_lists_the_choices() -> None:
    with pytest.raises(InputError, match=r"ce, focal, dice, ce\+dice, got l2"):
        find_loss("l2")


def test_dice_is_the_mean_over_classes_that_occur() -> None:
    logits, target = example()
    target[target == 1] = 0
    p = logits.softmax(dim=1).movedim(1, -1).reshape(-1, 3)
    truth = target.reshape(-1)
    overlaps = [
        2 * p[truth == label, label].sum() / (p[:, label].sum() + (truth == label).sum())
        for label in (0, 2)
    ]
    torch.testing.assert_close(dice(logits, target), 1 - torch.stack(overlaps).mean())
