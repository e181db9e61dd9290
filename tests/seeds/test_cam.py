import importlib

import numpy as np
import pytest
import torch
from helpers.examples import example_from
from helpers.plugged import plug_in
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.classifier import TagClassifier, TrainedClassifier, build_classifier
from wsseg.networks.params import ClassifierNetworkParams
from wsseg.seeds import cam
from wsseg.seeds.cam import (
    WEIGHTINGS,
    activation_maps,
    activation_maps_by_plugin,
    class_activation,
    find_activation,
)
from wsseg.seeds.params import CAMParams

CLASSES = Classes(("background", "cat", "dog", "cow"))
METHODS = ("cam", *WEIGHTINGS)
PACKAGE = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
}
ENCODERS = ("mobilenetv3_small_050", "resnet10t")
LABELS = ((2,), (3, 1, 2), ())


def classifier_of(encoder="mobilenetv3_small_050", **changes):
    torch.manual_seed(3)
    chosen = ClassifierNetworkParams(encoder=encoder, weights=None, **changes)
    network = build_classifier(chosen, len(CLASSES) - 1)
    nn.init.normal_(network.head.weight)
    return TrainedClassifier(network.eval(), CLASSES, chosen)


@pytest.fixture(scope="module")
def classifier():
    return classifier_of()


def image_of(height, width, seed=0):
    """Smooth, so that places differ; read-only, so that nobody changes it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    image = coarse[np.arange(height) * 5 // height][:, np.arange(width) * 6 // width]
    image.setflags(write=False)
    return image


def batch_of(count=3, size=(64, 96)):
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(1))


def assert_close(found, expected, tolerance=1e-5):
    """Compare two maps, with a tolerance relative to the largest value."""
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def test_cam_is_the_head_s_weights_times_the_features(classifier):
    images, network = batch_of(), classifier.network
    found = class_activation(network, images, LABELS, CAMParams())
    with torch.no_grad():
        features = network.encoder(images)
    for of_image, feature, labels in zip(found, features, LABELS, strict=True):
        weights = network.head.weight[[label - 1 for label in labels], :, 0, 0]
        torch.testing.assert_close(of_image, torch.einsum("td,dhw->thw", weights, feature))
        assert of_image.shape == (len(labels), 2, 3)


def test_grad_cam_is_cam_over_its_places(classifier):
    network, images, labels = classifier.network, batch_of(2), ((1, 3), (2,))
    by_gradient = class_activation(network, images, labels, CAMParams(method="gradcam"))
    closed = class_activation(network, images, labels, CAMParams())
    for found, expected in zip(by_gradient, closed, strict=True):
        assert_close(found, expected / (2 * 3))


def of_package(method, network, images, labels):
    """The package's maps before it cuts off, scales and enlarges them, one for each label."""
    package = pytest.importorskip("pytorch_grad_cam")
    target_of = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    chosen = [index for index, wanted in enumerate(labels) for _ in wanted]
    targets = [target_of.ClassifierOutputTarget(label - 1) for wanted in labels for label in wanted]
    with getattr(package, PACKAGE[method])(network, [network.encoder]) as peer:
        peer(images[chosen], targets)
        (activations,), (gradients,) = (
            [each.numpy() for each in found]
            for found in (
                peer.activations_and_grads.activations,
                peer.activations_and_grads.gradients,
            )
        )
        arguments = (network.encoder, targets, activations, gradients, False)
        raw = peer.get_cam_image(images[chosen], *arguments)
    return torch.from_numpy(raw).split([len(wanted) for wanted in labels])


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("method", PACKAGE)
def test_gradient_maps_are_those_of_the_grad_cam_package(method, encoder):
    network, images = classifier_of(encoder).network, batch_of()
    found = class_activation(network, images, LABELS, CAMParams(method=method))
    expected = of_package(method, network, images, LABELS)
    assert [len(each) for each in found] == [1, 3, 0]
    assert found[2].shape[1:] == found[0].shape[1:] == expected[0].shape[1:]
    for of_image, reference in zip(found[:2], expected, strict=False):
        assert_close(of_image, reference, 1e-4)
    different = (found[1][0] - found[1][1]).abs().max()
    assert different > 0.01 * found[1].abs().max()


def test_a_batch_of_images_without_tags_has_no_maps(classifier):
    for method in METHODS:
        chosen = CAMParams(method=method)
        found = class_activation(classifier.network, batch_of(2), ((), ()), chosen)
        assert [tuple(each.shape) for each in found] == [(0, 2, 3)] * 2
        (whole,) = activation_maps(classifier, [image_of(30, 41)], [()], chosen)
        assert whole.shape == (0, 8, 11) and whole.dtype == np.float32
    assert activation_maps(classifier, [], [], CAMParams()) == []


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())

    def forward(self, images):
        self.stem(images)
        raise RuntimeError("out of memory")


def state_of(network):
    modules = list(network.modules())
    return (
        [module.training for module in modules],
        [weight.requires_grad for weight in network.parameters()],
        [(len(each._forward_hooks), len(each._forward_pre_hooks)) for each in modules],
        [weight.grad is None for weight in network.parameters()],
        {name: tensor.clone() for name, tensor in network.state_dict().items()},
    )


def mix_up(network):
    """Modes and flags that no single train() or requires_grad_() call would bring back."""
    network.train()
    for index, module in enumerate(network.encoder.modules()):
        module.training = index % 3 > 0
    for index, weight in enumerate(network.parameters()):
        weight.requires_grad_(index % 2 > 0)
    network.head.register_forward_hook(lambda *_: None)


def assert_same_state(network, before):
    *after, tensors = state_of(network)
    *expected, tensors_before = before
    assert after == expected
    assert all(torch.equal(tensors[name], tensors_before[name]) for name in tensors_before)


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_left_as_it_was(method):
    network = classifier_of().network
    mix_up(network)
    before = state_of(network)
    assert len(set(before[0])) == len(set(before[1])) == 2
    class_activation(network, batch_of(), LABELS, CAMParams(method=method))
    assert_same_state(network, before)


@pytest.mark.parametrize("method", METHODS)
def test_the_network_is_left_as_it_was_when_its_forward_raises(method):
    network = TagClassifier(Failing(), 4, 3)
    mix_up(network)
    before = state_of(network)
    with pytest.raises(RuntimeError, match="out of memory"):
        class_activation(network, batch_of(), LABELS, CAMParams(method=method))
    assert_same_state(network, before)


def test_nothing_below_the_last_map_is_differentiated(classifier, monkeypatch):
    asked = []
    original = torch.autograd.grad

    def spied(score, inputs, **kwargs):
        asked.append(inputs)
        return original(score, inputs, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", spied)
    chosen = CAMParams(method="gradcam")
    class_activation(classifier.network, batch_of(), LABELS, chosen)
    assert len(asked) == 3  # as many as the most tags of an image, not as all tags
    assert all(each.is_leaf and each.grad_fn is None for each in asked)


@pytest.mark.parametrize("method", METHODS)
def test_a_mirrored_image_has_mirrored_maps(classifier, method):
    image, chosen = image_of(64, 96), CAMParams(method=method, scales=(0.5, 1.0, 2.0))
    one, other = activation_maps(classifier, [image, image[:, ::-1]], [(1, 3)] * 2, chosen)
    np.testing.assert_allclose(one, other[:, :, ::-1], atol=1e-5)


def test_maps_of_scales_and_mirror_images_are_summed_and_divided_by_their_maximum(
    classifier, monkeypatch
):
    monkeypatch.setattr(cam, "STRIDE", 8)
    image, chosen = image_of(48, 70), CAMParams(scales=(0.5, 1.5))
    mean, std = (
        torch.tensor(each)[:, None, None]
        for each in (classifier.params.mean, classifier.params.std)
    )
    pixels = ((torch.tensor(image).permute(2, 0, 1) / 255 - mean) / std)[None]
    weights = classifier.network.head.weight[[1, 0], :, 0, 0]
    total = torch.zeros(1, 2, 6, 9)
    for size in ((24, 35), (72, 105)):
        scaled = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        for mirrored in (False, True):
            view = scaled.flip(3) if mirrored else scaled
            with torch.no_grad():
                found = torch.einsum("td,ndhw->nthw", weights, classifier.network.encoder(view))
            found = functional.interpolate(found.clamp(min=0), (6, 9), mode="bilinear")
            total += found.flip(3) if mirrored else found
    expected = total[0] / total[0].amax(dim=(1, 2), keepdim=True)
    (maps,) = activation_maps(classifier, [image], [(2, 1)], chosen)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (90, 41), (33, 65)])
def test_any_size_in_cells_of_the_stride(classifier, size):
    for method in METHODS:
        chosen = CAMParams(method=method, scales=(0.5, 1.0))
        (maps,) = activation_maps(classifier, [image_of(*size)], [(1, 2)], chosen)
        assert maps.shape == (2, -(-size[0] // 4), -(-size[1] // 4))
        assert maps.dtype == np.float32


@pytest.mark.parametrize("encoder", ["vit_tiny_patch16_224", "vit_small_patch14_dinov2"])
@pytest.mark.parametrize("options", [{}, {"dynamic_img_pad": True}])
def test_any_size_of_a_transformer(monkeypatch, encoder, options):
    monkeypatch.setattr(cam, "STRIDE", 8)
    transformer = classifier_of(encoder, encoder_kwargs={**options, "depth": 1})
    for size in ((1, 1), (33, 50)):
        (maps,) = activation_maps(transformer, [image_of(*size)], [(1, 2)], CAMParams())
        assert maps.shape == (2, -(-size[0] // 8), -(-size[1] // 8))


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.sampled_from([(20, 33), (33, 20), (40, 40)]), min_size=1, max_size=4),
    method=st.sampled_from(METHODS),
    data=st.data(),
)
def test_a_batch_is_the_same_as_one_by_one(classifier, sizes, method, data):
    some = st.lists(st.integers(1, 3), max_size=3, unique=True).map(tuple)
    labels = [data.draw(some) for _ in sizes]
    images = [image_of(*size, seed=index) for index, size in enumerate(sizes)]
    chosen = CAMParams(method=method, scales=(1.0, 1.5))
    together = activation_maps(classifier, images, labels, chosen)
    for image, wanted, maps in zip(images, labels, together, strict=True):
        (alone,) = activation_maps(classifier, [image], [wanted], chosen)
        np.testing.assert_allclose(maps, alone, atol=1e-4)
        most = maps.max(axis=(1, 2))
        assert (maps >= 0).all() and np.isin(most, (0, 1)).all()


def test_the_order_of_the_labels_is_that_of_the_maps(classifier):
    for method in METHODS:
        chosen = CAMParams(method=method, scales=(1.0,))
        (one,) = activation_maps(classifier, [image_of(40, 50)], [(1, 2, 3)], chosen)
        (other,) = activation_maps(classifier, [image_of(40, 50)], [(3, 1, 2)], chosen)
        np.testing.assert_allclose(one[[2, 0, 1]], other, atol=1e-5)


def test_a_class_that_is_nowhere_has_an_empty_map():
    after_relu = classifier_of("resnet10t")
    with torch.no_grad():
        after_relu.network.head.weight[1] = -1
        after_relu.network.head.weight[0] = 1
    (maps,) = activation_maps(after_relu, [image_of(40, 50)], [(1, 2)], CAMParams())
    assert maps[0].max() == 1
    assert (maps[1] == 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_that_are_not_finite_are_refused(value):
    broken = classifier_of()
    with torch.no_grad():
        broken.network.head.weight[0] = value
    with pytest.raises(InputError, match="activation maps must be finite"):
        activation_maps(broken, [image_of(40, 50)], [(1,)], CAMParams())


@pytest.mark.parametrize("label", [0, 4, 255])
def test_a_label_that_the_classifier_does_not_know_is_refused(classifier, label):
    with pytest.raises(InputError, match=f"labels must be from 1 to 3, got {label}"):
        activation_maps(classifier, [image_of(9, 9)], [(1, label)], CAMParams())


def test_another_package_s_activation_is_found_by_name(monkeypatch):
    activation = object()
    plug_in(monkeypatch, "wsseg.activations", activation)
    assert find_activation("mine") is activation
    assert [find_activation(method) for method in METHODS] == [None] * 4


def test_an_unknown_method_lists_the_choices(monkeypatch, classifier):
    plug_in(monkeypatch, "wsseg.activations", None)
    with pytest.raises(InputError, match=r"'camm'; .*cam, .*, layercam, clip, sam3, mine"):
        find_activation("camm")
    with pytest.raises(InputError, match=r"'mine'; .*cam, gradcam, gradcam\+\+, layercam"):
        activation_maps(classifier, [image_of(9, 9)], [(1,)], CAMParams(method="mine"))


def maps_of(activation, labels=(3, 1)):
    return activation_maps_by_plugin(activation, example_from(image_of(8, 12)), labels, CLASSES)


def test_a_plug_in_receives_the_example_and_its_maps_are_divided_by_their_maximum():
    given = []
    maps = np.zeros((2, 4, 6))
    maps[0, 1, 2:4] = 5, 20

    def activation(example, labels):
        given.append((example, labels))
        return maps

    example = example_from(image_of(8, 12))
    found = activation_maps_by_plugin(activation, example, (3, 1), CLASSES)
    assert given == [(example, (3, 1))]
    assert found.dtype == np.float32
    assert found[0, 1, 2:4].tolist() == [0.25, 1]
    assert found.sum() == 1.25
    assert maps.max() == 20
    assert maps_of(lambda *_: np.zeros((0, 4, 6), np.float32), ()).shape == (0, 4, 6)


def test_a_plug_in_that_names_the_classes_receives_them():
    given = []

    def activation(example, labels, classes):
        given.append(classes)
        return np.ones((len(labels), *example.sample.size))

    maps_of(activation)
    assert given == [CLASSES]


@pytest.mark.parametrize(
    "maps",
    [
        np.ones((1, 4, 6)),
        np.ones((2, 4)),
        np.ones((2, 4, 6), int),
        np.full((2, 4, 6), -0.1),
        np.full((2, 4, 6), np.nan),
        np.full((2, 4, 6), np.inf),
    ],
)
def test_a_plug_in_with_wrong_maps_is_refused(maps):
    with pytest.raises(InputError, match=r"must be \(2, h, w\), finite and at least"):
        maps_of(lambda *_: maps)
