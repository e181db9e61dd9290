import pytest
import torch
from torch.nn.functional import interpolate, one_hot, pad

from wsseg.networks.losses.dense_crf import dense_crf_loss


def example(size=(12, 16), n_classes=3, count=2):
    """Logits and images that change smoothly, with noise, as those of real images."""
    generator = torch.Generator().manual_seed(0)

    def smooth(channels):
        few = torch.rand(count, channels, 3, 4, generator=generator, dtype=torch.float64)
        return interpolate(few, size, mode="bilinear")

    noise = torch.rand(count, 3, *size, generator=generator, dtype=torch.float64)
    return 8 * smooth(n_classes) - 4, 0.95 * smooth(3) + 0.05 * noise


def every_pair(p, images, inside, *, sxy=100, srgb=15):
    """The definition with Gaussians between all pairs of pixels."""
    losses = []
    for probabilities, image, mask in zip(p, images, inside, strict=True):
        places = mask.nonzero() / sxy
        positions = torch.cat([places, image[:, mask].T * 255 / srgb], dim=1)
        kernel = torch.exp(-torch.cdist(positions, positions).square() / 2)
        rows = probabilities[:, mask].T
        losses.append(1 - (rows * (kernel @ rows)).sum() / kernel.sum())
    return torch.stack(losses).mean()


def gradient_of(loss, logits):
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("widths", [{}, {"sxy": 4.0, "srgb": 40.0}], ids=["usual", "near"])
def test_agrees_with_gaussians_between_all_pairs(n_classes, widths):
    logits, images = example(n_classes=n_classes)
    logits.requires_grad_()
    inside = torch.rand(2, 12, 16, generator=torch.Generator().manual_seed(1)) < 0.9
    found = dense_crf_loss(logits, images, inside=inside, scale=1, **widths)
    expected = every_pair(logits.softmax(dim=1), images, inside, **widths)
    slope, expected_slope = gradient_of(found, logits), gradient_of(expected, logits)
    # a lattice is a Gaussian on average only: each pixel's row of W is off by some percent,
    # their mean by less
    assert found.item() == pytest.approx(expected.item(), rel=0.03)
    assert (slope - expected_slope).norm() < 0.2 * expected_slope.norm()


def test_gradient_is_that_of_the_filtered_energy():
    logits, images = example((9, 10))
    inside = torch.rand(2, 9, 10, generator=torch.Generator().manual_seed(1)) < 0.9
    options = {"inside": inside, "scale": 1, "sxy": 5.0, "srgb": 20.0}
    logits.requires_grad_()
    slope = gradient_of(dense_crf_loss(logits, images, **options), logits)
    for seed in range(4):
        way = torch.randn(logits.shape, generator=torch.Generator().manual_seed(seed)).double()

        def rise(step, way=way):
            one, other = (
                dense_crf_loss(logits + sign * step * way, images, **options) for sign in (1, -1)
            )
            return (one - other).item() / (2 * step)

        # the filter has 7 digits: steps so long that these do, their error of second order removed
        expected = (4 * rise(0.02) - rise(0.04)) / 3
        assert (slope * way).sum().item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize(("scale", "side"), [(0.5, 2), (0.25, 4)])
def test_scale_averages_squares_and_shortens_distances(scale, side):
    logits, images = example()
    inside = torch.ones(2, 12, 16, dtype=torch.bool)
    inside[0, 0, 1] = inside[1, 4:] = False

    def coarse(values):
        return values.unflatten(-1, (-1, side)).unflatten(-3, (-1, side)).mean(dim=(-3, -1))

    found = dense_crf_loss(logits, images, inside=inside, scale=scale, sxy=8)
    p = coarse(logits.softmax(dim=1))
    whole = coarse(inside.double()) == 1
    expected = dense_crf_loss(p.log(), coarse(images), inside=whole, scale=1, sxy=8 * scale)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("before", [0, 6])
def test_padding_changes_nothing(before):
    logits, images = example()
    margins = (before, 4, before, 2)
    inside = pad(torch.ones(2, 12, 16), margins).bool()
    more = pad(logits, margins, value=5).requires_grad_()
    expected = dense_crf_loss(logits.requires_grad_(), images)
    found = dense_crf_loss(more, pad(images, margins, value=0.3), inside=inside)
    slope = gradient_of(found, more)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(
        slope.movedim(1, 3)[inside].view(2, 12, 16, 3).movedim(3, 1), gradient_of(expected, logits)
    )
    assert slope.movedim(1, 3)[~inside].abs().sum() == 0


def test_images_that_are_all_padding_do_not_count():
    logits, images = example()
    inside = torch.ones(2, 12, 16, dtype=torch.bool)
    inside[1] = False
    expected = dense_crf_loss(logits[:1], images[:1])
    torch.testing.assert_close(dense_crf_loss(logits, images, inside=inside), expected)


def test_nothing_inside_is_zero_with_zero_gradient():
    logits, images = example()
    nothing = torch.zeros(2, 12, 16, dtype=torch.bool)
    value = dense_crf_loss(logits.requires_grad_(), images, inside=nothing)
    assert value.item() == 0 and gradient_of(value, logits).abs().sum() == 0


def test_one_colour():
    """Uniform predictions are stationary, sure ones that agree cost nothing."""
    images, uniform = torch.full((1, 3, 8, 8), 0.4), torch.zeros(1, 4, 8, 8, requires_grad=True)
    value = dense_crf_loss(uniform, images)
    assert value.item() == pytest.approx(1 - 1 / 4, rel=1e-5)
    assert gradient_of(value, uniform).abs().max() < 1e-7
    sure = torch.zeros(1, 4, 8, 8)
    sure[:, 2] = 1000
    assert dense_crf_loss(sure, images).item() == 0


def test_predictions_that_follow_image_edges_cost_less():
    labels = torch.zeros(1, 16, 16, dtype=torch.int64)
    labels[..., 8:] = 1
    images = 0.2 + 0.6 * labels[:, None].expand(-1, 3, -1, -1).double()
    cuts = (labels, labels.mT, labels.roll(4, dims=2))
    aligned, across, moved = (
        dense_crf_loss(20 * one_hot(cut, 2).movedim(3, 1).double(), images).item() for cut in cuts
    )
    assert 0 <= aligned < 1e-3 and moved > 0.2 and across == pytest.approx(0.5, abs=0.1)


def test_does_not_grow_with_the_image():
    """Twice the image, and the reach of the kernel with it."""
    logits, images = example()
    large = [values.repeat_interleave(2, 2).repeat_interleave(2, 3) for values in (logits, images)]
    small = dense_crf_loss(logits, images, scale=1, sxy=10)
    assert dense_crf_loss(*large, scale=1, sxy=20).item() == pytest.approx(small.item(), rel=0.02)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1)])
def test_small_images(size):
    logits, images = example(size)
    logits.requires_grad_()
    for scale in (0.01, 0.5, 1):
        value = dense_crf_loss(logits, images, scale=scale)
        assert 0 < value.item() < 1 and gradient_of(value, logits).isfinite().all()
    if size == (1, 1):
        expected = 1 - logits.softmax(dim=1).square().sum(dim=1).mean()
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_order_of_classes_does_not_matter():
    logits, images = example(n_classes=6)
    turned = dense_crf_loss(logits[:, [5, 2, 0, 1, 4, 3]], images)
    torch.testing.assert_close(turned, dense_crf_loss(logits, images), rtol=1e-5, atol=0)


def test_half_precision_computes_in_float32():
    logits, images = example()
    half = logits.bfloat16()
    expected = dense_crf_loss(half.float(), images.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = dense_crf_loss(half.requires_grad_(), images.float())
    found.backward()
    assert found.dtype == torch.float32 and half.grad is not None and half.grad.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_inputs_stay_as_they_were():
    given = (*example(), torch.rand(2, 12, 16) < 0.9)
    before = [tensor.clone() for tensor in given]
    dense_crf_loss(*given[:2], inside=given[2])
    for tensor, copy in zip(given, before, strict=True):
        assert torch.equal(tensor, copy)
