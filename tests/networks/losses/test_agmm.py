import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from wsseg.labelmaps import IGNORE
from wsseg.networks.losses.agmm import agmm


def example(size=(5, 6), n_classes=4, share=0.3):
    """Logits, features of 3 channels, target and possible classes."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, n_classes, *size, generator=generator, dtype=torch.float64)
    features = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    target = torch.randint(n_classes - 1, (2, *size), generator=generator)  # one has no label
    target[torch.rand(2, *size, generator=generator) >= share] = IGNORE
    possible = torch.tensor([True] * (n_classes - 1) + [False]).repeat(2, 1)
    return 2 * logits, features, target, possible


def entropy(guess, goal):
    """BCE(guess; goal)."""
    return -goal * torch.log(guess) - (1 - goal) * torch.log(1 - guess)


def written_out(
    logits,
    features,
    target,
    possible,
    inside,
    sigma=0.5,
):
    """The four terms, one pixel and class at a time; features of the logits' size."""
    guesses: list[Tensor] = []
    labelled: list[Tensor] = []
    near: list[Tensor] = []
    forbidden: list[Tensor] = []
    n, n_classes, height, width = logits.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    for b in range(n):
        unit = features[b] / features[b].norm(dim=0)
        p, means = logits[b].softmax(dim=0), {}
        for k in range(n_classes):
            mine = [unit[:, y, x] for y, x in places if target[b, y, x] == k and inside[b, y, x]]
            if mine:
                means[k] = torch.stack(mine).mean(dim=0)
        near += [
            torch.exp(-(means[i] - means[j]).square().sum()) for i in means for j in means if i < j
        ]
        for y, x in places:
            if not inside[b, y, x]:
                continue
            costs = [-torch.log(1 - p[k, y, x]) for k in range(n_classes) if not possible[b, k]]
            forbidden.append(torch.stack([p.new_zeros(()), *costs]).sum())
            for k, mean in means.items():
                g = torch.exp(-(unit[:, y, x] - mean).square().sum() / (2 * sigma**2))
                guesses.append(entropy(p[k, y, x], g.detach()))
                if target[b, y, x] != IGNORE:
                    labelled.append(-torch.log(g if target[b, y, x] == k else 1 - g))

    def mean(values):
        return torch.stack(values).mean() if values else logits.new_zeros(())

    return [mean(guesses) / 2, mean(labelled) / 2, mean(near), mean(forbidden)]


def gradients(loss, *inputs):
    return torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)


@pytest.mark.parametrize("size", [(5, 6), (1, 4), (3, 1)])
def test_agrees_with_every_pixel_and_class_written_out(size):
    logits, features, target, possible = example(size, share=0.6)
    logits.requires_grad_(), features.requires_grad_()
    everywhere = torch.ones_like(target).bool()
    inside = torch.rand(2, *size, generator=torch.Generator().manual_seed(1)) < 0.7
    for mask in (None, inside):
        for sigma in (0.5, 0.8):
            found = agmm(logits, features, target, possible, inside=mask, sigma=sigma)
            within = everywhere if mask is None else mask
            terms = written_out(logits, features, target, possible, within, sigma)
            if size == (5, 6):
                assert min(terms) > 0
            torch.testing.assert_close(found, sum(terms))
            torch.testing.assert_close(
                gradients(found, logits, features), gradients(sum(terms), logits, features)
            )


def test_images_without_labels_have_the_tag_term_only():
    logits, features, target, possible = example()
    target[1] = IGNORE
    both = agmm(logits, features, target, possible)
    first = agmm(*(each[:1] for each in (logits, features, target, possible)))
    p = logits.softmax(dim=1)[:, 3]
    tags = -torch.log(1 - p).mean(dim=(1, 2))
    torch.testing.assert_close(both, first - tags[0] + tags.mean())


def test_nothing_labelled_and_everything_possible_is_zero_with_zero_gradient():
    logits, features, target, possible = example()
    logits.requires_grad_(), features.requires_grad_()
    nothing, everything = torch.full_like(target, IGNORE), torch.ones_like(possible)
    outside = torch.zeros_like(target).bool()
    for value in (
        agmm(logits, features, nothing, everything),
        agmm(logits, features, target, possible, inside=outside),
    ):
        slopes = gradients(value, logits, features)
        assert value.item() == 0 and all(slope.abs().sum() == 0 for slope in slopes)


def test_tag_term():
    """Two impossible classes of three: -2 log(2/3), whatever the features."""
    logits, features = torch.zeros(1, 3, 2, 2), torch.randn(1, 5, 2, 2)
    nothing, possible = torch.full((1, 2, 2), IGNORE), torch.tensor([[True, False, False]])
    value = agmm(logits, features, nothing, possible)
    assert value.item() == pytest.approx(-2 * math.log(2 / 3), rel=1e-6)


def test_gradient_of_the_tag_term():
    logits, features, target, possible = example()
    nothing = torch.full_like(target, IGNORE)
    possible[1] = torch.tensor([False, True, False, True])

    def loss(x):
        return agmm(x, features, nothing, possible)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())


@pytest.mark.parametrize("sure", [20.0, 50.0])
def test_sure_predictions_of_impossible_classes_are_still_corrected(sure):
    """1 - p is 0 in float32 already at 17."""
    logits = torch.tensor([sure, 0, 0])[None, :, None, None].requires_grad_()
    nothing, possible = torch.full((1, 1, 1), IGNORE), torch.tensor([[False, True, True]])
    value = agmm(logits, torch.ones(1, 2, 1, 1), nothing, possible)
    (slope,) = gradients(value, logits)
    assert value.item() == pytest.approx(sure - math.log(2), rel=1e-6)
    torch.testing.assert_close(slope.flatten(), torch.tensor([1, -0.5, -0.5]))


def test_gaussians_and_pairs_of_two_right_angles():
    """Two labelled pixels, one of each class, with features at a right angle."""
    logits = torch.zeros(1, 2, 1, 2)
    features = torch.tensor([[3.0, 0.0], [0.0, 5.0]])[None, :, None]
    target, possible = torch.tensor([[[0, 1]]]), torch.ones(1, 2, dtype=torch.bool)
    g = math.exp(-2 / (2 * 0.5**2))
    mine, other = (entropy(torch.tensor(0.5), torch.tensor(each)).item() for each in (1.0, g))
    expected = (mine + other) / 4 + (0 - math.log(1 - g)) / 4 + math.exp(-2)
    value = agmm(logits, features, target, possible)
    assert value.item() == pytest.approx(expected, rel=1e-5)


def test_clusters_that_match_predictions_cost_less():
    target = torch.full((1, 4, 4), IGNORE)
    target[0, 0, 0], target[0, 0, 3] = 0, 1
    possible = torch.ones(1, 2, dtype=torch.bool)
    right = torch.zeros(1, 1, 4, 4)
    right[..., 2:] = 1
    separate = torch.cat([1 - right, right], dim=1)
    alike = torch.ones_like(separate)
    sure = 20 * (separate - 0.5)
    matched, merged, opposite = (
        agmm(logits, features, target, possible).item()
        for logits, features in ((sure, separate), (sure, alike), (-sure, separate))
    )
    assert matched < merged and matched < opposite


def test_features_of_any_scale_count_alike():
    logits, features, target, possible = example()
    expected = agmm(logits, features, target, possible)
    torch.testing.assert_close(agmm(logits, 1000 * features, target, possible), expected)


def test_coarser_features_are_enlarged_as_squared_distances():
    """A cell weighs in a prototype by the labelled pixels that it covers."""
    logits, _, _, _ = example((2, 4), n_classes=2)
    logits = logits[:1]
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)[None, :, None]
    target, possible = torch.full((1, 2, 4), IGNORE), torch.ones(1, 2, dtype=torch.bool)
    target[0, 0, :3] = 0
    # two labelled pixels in the left cell, one in the right
    mean = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    cells = (features - mean[:, None, None]).square().sum(dim=1, keepdim=True) / 0.5
    squares = interpolate(cells, (2, 4), mode="bilinear")
    p = logits.softmax(dim=1)[:, :1]
    expected = entropy(p, torch.exp(-squares)).mean() / 2 + squares[..., 0, :3].mean() / 2
    torch.testing.assert_close(agmm(logits, features, target, possible), expected)


def test_features_alike_everywhere_stay_finite():
    """At distance 0 log(1 - G) has no value: it is bounded."""
    logits, features, target, possible = example()
    for constant in (torch.zeros_like(features), torch.ones_like(features)):
        given = constant.float().requires_grad_()
        value = agmm(logits.float(), given, target, possible)
        assert value.isfinite() and gradients(value, given)[0].isfinite().all()


def test_padding_changes_nothing():
    logits, features, target, possible = example()
    margins = (0, 2, 3, 0)
    inside = pad(torch.ones(2, 5, 6), margins).bool()
    more = pad(logits, margins, value=3), pad(features, margins, value=1), pad(target, margins)
    torch.testing.assert_close(
        agmm(*more, possible, inside=inside), agmm(logits, features, target, possible)
    )


def test_order_of_classes_does_not_matter():
    logits, features, target, possible = example()
    order = torch.tensor([2, 0, 3, 1])
    turned = target.clone()
    for new, old in enumerate(order):
        turned[target == old] = new
    found = agmm(logits[:, order], features, turned, possible[:, order])
    torch.testing.assert_close(found, agmm(logits, features, target, possible))


def test_half_precision_computes_in_float32():
    logits, features, target, possible = example()
    half, given = logits.bfloat16(), features.bfloat16()
    expected = agmm(half.float(), given.float(), target, possible)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = agmm(half.requires_grad_(), given.requires_grad_(), target, possible)
    found.backward()
    assert found.dtype == torch.float32
    for tensor in (half, given):
        assert tensor.grad is not None and tensor.grad.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_inputs_stay_as_they_were():
    given = example()
    before = [tensor.clone() for tensor in given]
    agmm(*given, inside=given[2] != 0)
    for tensor, copy in zip(given, before, strict=True):
        assert torch.equal(tensor, copy)
