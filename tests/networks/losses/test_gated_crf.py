import math

import pytest
import torch
from torch.nn.functional import one_hot

from wsseg.networks.losses.gated_crf import gated_crf

SIZES = pytest.mark.parametrize("size", [(7, 9), (1, 6), (13, 2), (1, 1)])


def example(size=(7, 9), n_classes=3):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, n_classes, *size, generator=generator, dtype=torch.float64)
    return logits, torch.rand(2, 3, *size, generator=generator, dtype=torch.float64)


def random_gate(size=(7, 9), seed=1, share=0.6):
    return torch.rand(2, *size, generator=torch.Generator().manual_seed(seed)) < share


def every_pair(
    p,
    images,
    receives,
    gives,
    *,
    radius=5,
    sxy=6,
    srgb=0.1,
):
    """The definition over all pairs of pixels, one at a time."""
    n, height, width = receives.shape
    total = 0.0
    places = [(y, x) for y in range(height) for x in range(width)]
    for b in range(n):
        for y, x in places:
            for v, u in places:
                if (y, x) == (v, u) or max(abs(y - v), abs(x - u)) > radius:
                    continue
                near = math.exp(-((y - v) ** 2 + (x - u) ** 2) / (2 * sxy**2))
                apart = (images[b, :, y, x] - images[b, :, v, u]).square().sum().item()
                kernel = near * math.exp(-apart / (2 * srgb**2))
                agreement = (p[b, :, y, x] @ p[b, :, v, u]).item()
                total += receives[b, y, x].item() * gives[b, v, u].item() * kernel * (1 - agreement)
    return total / max(1, receives.sum().item())


@SIZES
def test_agrees_with_every_pair_written_out(size):
    logits, images = example(size)
    gate, sources = random_gate(size), random_gate(size, seed=2, share=0.8)
    everywhere = torch.ones_like(gate)
    p = logits.softmax(dim=1)
    options = {"srgb": 0.4, "radius": 3, "sxy": 2.0}
    for given in ({}, options):
        for receives, gives in ((None, None), (gate, None), (None, sources), (gate, sources)):
            found = gated_crf(logits, images, receives, sources=gives, scale=1, **given)
            masks = (everywhere if mask is None else mask for mask in (receives, gives))
            expected = every_pair(p, images, *masks, **given)
            assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scale", [2, 3, 4, 16])
def test_scale_averages_squares_and_shrinks_gates(scale):
    logits, images = example((7, 9))
    gate = random_gate(share=0.9)
    rows, columns = (range(0, length, scale) for length in (7, 9))

    def coarse(values):
        squares = [
            values[..., y : y + scale, x : x + scale].mean(dim=(-2, -1))
            for y in rows
            for x in columns
        ]
        return torch.stack(squares, dim=-1).unflatten(-1, (len(rows), len(columns)))

    whole = coarse(gate.double()) == 1
    expected = every_pair(
        coarse(logits.softmax(dim=1)), coarse(images), whole, torch.ones_like(whole), srgb=0.5
    )
    found = gated_crf(logits, images, gate, scale=scale, srgb=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scale", [1, 2])
def test_gradient(scale):
    logits, images = example((4, 5))
    gate, sources = random_gate((4, 5)), random_gate((4, 5), seed=2)

    def loss(x):
        return gated_crf(x, images, gate, sources=sources, scale=scale, srgb=0.5, radius=2)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())


def test_constant_and_certain_predictions_cost_nothing():
    logits, images = example()
    certain = torch.zeros_like(logits)
    certain[:, 1] = 1000
    assert gated_crf(certain, images).item() == 0
    assert gated_crf(torch.zeros_like(logits), images, scale=1).item() > 0


def halves(shape, *, across):
    """(1, H, W) of 0 on the left and 1 on the right, or 0 above and 1 below."""
    labels = torch.zeros(1, *shape, dtype=torch.int64)
    labels[(slice(None), slice(shape[0] // 2, None)) if across else (..., slice(16, None))] = 1
    return labels


@pytest.mark.parametrize("scale", [1, 4])
def test_predictions_that_follow_image_edges_cost_less(scale):
    labels = halves((32, 32), across=False)
    image = 0.2 + 0.6 * labels[:, None].expand(-1, 3, -1, -1).double()
    losses = [
        gated_crf(20 * one_hot(cut, 2).movedim(3, 1).double(), image, scale=scale).item()
        for cut in (labels, halves((32, 32), across=True), torch.roll(labels, 8, dims=2))
    ]
    assert losses[0] < 1e-3 and min(losses[1:]) > 0.1


def test_only_pixels_in_the_gate_receive_and_only_sources_give():
    logits, images = torch.zeros(1, 2, 1, 3), torch.zeros(1, 3, 1, 3)
    logits[0, 0, 0, 0] = logits[0, 1, 0, 1:] = 100
    near, far = math.exp(-1 / 72), math.exp(-4 / 72)
    first, last = (torch.tensor([[[place == at for at in range(3)]]]) for place in (0, 2))
    cases = [
        (None, None, 2 * (near + far) / 3),
        (first, None, near + far),
        (last, None, far),
        (None, first, (near + far) / 3),
        (first, last, far),
        (last, first, far),
        (first, first, 0),
        (last, ~first, 0),
    ]
    for gate, sources, expected in cases:
        found = gated_crf(logits, images, gate, sources=sources, scale=1)
        assert found.item() == pytest.approx(expected, rel=1e-6)


def test_predictions_outside_gate_and_sources_change_nothing():
    logits, images = example()
    inside = random_gate()
    changed, other = logits.clone(), images.clone()
    changed.movedim(1, -1)[~inside], other.movedim(1, -1)[~inside] = 7, 0.5
    before = gated_crf(logits, images, inside, sources=inside, scale=1)
    torch.testing.assert_close(gated_crf(changed, other, inside, sources=inside, scale=1), before)


def test_order_of_classes_does_not_matter():
    logits, images = example()
    turned = gated_crf(logits[:, [2, 0, 1]], images, scale=1)
    torch.testing.assert_close(turned, gated_crf(logits, images, scale=1))


@pytest.mark.parametrize("side", [2, 3])
def test_flips_with_the_image(side):
    logits, images = example()
    gate = random_gate()
    flipped = gated_crf(logits.flip(side), images.flip(side), gate.flip(side - 1), scale=1)
    torch.testing.assert_close(flipped, gated_crf(logits, images, gate, scale=1))


@pytest.mark.parametrize("scale", [1, 4])
def test_empty_gate_is_zero_with_zero_gradient(scale):
    logits, images = example()
    nothing = torch.zeros(2, 7, 9, dtype=torch.bool)
    for gates in ({"gate": nothing}, {"sources": nothing}):
        value = gated_crf(logits.requires_grad_(), images, scale=scale, **gates)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.item() == 0 and gradient.abs().sum() == 0


def test_half_precision_computes_in_float32():
    logits, images = example()
    half = logits.bfloat16()
    expected = gated_crf(half.float(), images.float(), scale=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = gated_crf(half.requires_grad_(), images.float(), scale=2)
    found.backward()
    assert found.dtype == torch.float32 and half.grad is not None and half.grad.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_inputs_stay_as_they_were():
    given = (*example(), random_gate())
    before = [tensor.clone() for tensor in given]
    gated_crf(*given)
    for tensor, copy in zip(given, before, strict=True):
        assert torch.equal(tensor, copy)
