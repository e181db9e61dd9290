"""Class activation maps: where in an image a classifier sees each tag."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.annotations.model import Classes
from wsseg.errors import InputError
from wsseg.run.settings import CAMSettings
from wsseg.seeds.classifier import TagClassifier, TrainedClassifier, image_tensor

Activation = Callable[
    [NDArray[np.uint8], tuple[int, ...], Classes, CAMSettings], NDArray[np.float32]
]
"""(image (H, W, 3) RGB, T labels, classes, settings) -> (T, h, w) maps of at least 0."""

ENTRY_POINTS = "wsseg.activations"
"""The entry point group of activation maps from other packages, such as CLIP's."""

Weighting = Callable[[Tensor, Tensor], Tensor]
"""Activations (N, D, h, w) and the gradient of a score by them -> one map (N, h, w)."""


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, each weighted by the mean of its gradient.

    On the feature map before global-average pooling and a linear head this is CAM, divided by
    the number of places.

    Args:
        activations: (N, D, h, w).
        gradients: (N, D, h, w) of the score by them.

    Returns:
        (N, h, w), negative values included.

    References:
        Selvaraju et al., Grad-CAM, ICCV 2017, arXiv:1610.02391.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, weighted by their positive gradients where these count most.

    The weight of a channel is the sum over its places of a relu(g) with
    a = g^2 / (2 g^2 + g^3 sum A), taken as 0 where g is 0; powers of one first derivative stand
    for the higher ones, as in the paper's closed form for exp(score).

    Args:
        activations: (N, D, h, w).
        gradients: (N, D, h, w) of the score by them.

    Returns:
        (N, h, w), negative values included.

    References:
        Chattopadhyay et al., Grad-CAM++, WACV 2018, arXiv:1710.11063.
    """
    square, total = gradients**2, activations.sum(dim=(2, 3), keepdim=True)
    divisor = 2 * square + gradients**3 * total + _TINY
    share = torch.where(gradients != 0, square / divisor, 0)
    weights = (share * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, weighted place by place by their positive gradients.

    Args:
        activations: (N, D, h, w).
        gradients: (N, D, h, w) of the score by them.

    Returns:
        (N, h, w).

    References:
        Jiang et al., LayerCAM, IEEE TIP 2021, doi:10.1109/TIP.2021.3089943.
    """
    return (gradients.relu() * activations).sum(dim=1)


WEIGHTINGS: dict[str, Weighting] = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
}
"""The gradient methods by name."""

_TINY = 1e-6


def find_activation(method: str) -> Activation | None:
    """Return the plug-in that makes activation maps without a tag classifier.

    Args:
        method: ``cam.method``.

    Returns:
        The plug-in, None where the method is one of this package and needs a classifier.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    own = ("cam", *WEIGHTINGS)
    if method in own:
        return None
    plugins = entry_points(group=ENTRY_POINTS)
    for plugin in plugins:
        if plugin.name == method:
            activation: Activation = plugin.load()
            return activation
    choices = ", ".join([*own, *sorted(plugin.name for plugin in plugins)])
    raise InputError("cam.method", "a known method", repr(method), f"choose one of {choices}")


def maps_of_plugin(
    image: NDArray[np.uint8], labels: tuple[int, ...], classes: Classes, settings: CAMSettings
) -> NDArray[np.float32]:
    """Return the activation maps of a plug-in, each divided by its maximum.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: T classes to look for.
        classes: The class names.
        settings: Its ``method`` names the plug-in.

    Returns:
        (T, h, w) float32, 0..1.

    Raises:
        InputError: The plug-in returns anything else than T finite maps of at least 0.
    """
    activation = find_activation(settings.method)
    if activation is None:
        raise TypeError(f"{settings.method} needs a classifier")
    maps = activation(image, labels, classes, settings)
    fits = maps.ndim == 3 and len(maps) == len(labels) and maps.dtype.kind == "f"
    if not fits or not np.isfinite(maps).all() or (maps < 0).any():
        got, remedy = f"{maps.dtype} of shape {maps.shape}", "correct the plug-in"
        rule = f"({len(labels)}, h, w), finite and at least 0"
        raise InputError(f"activation maps of {settings.method!r}", rule, got, remedy)
    return _divided(torch.from_numpy(maps.astype(np.float32))).numpy()


def activation_maps(
    classifier: TrainedClassifier,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[tuple[int, ...]],
    settings: CAMSettings,
) -> list[NDArray[np.float32]]:
    """Return the activation maps of some images for some of their classes.

    All classes of an image, and all images of one size, share each forward pass; the gradient
    methods go back from the score to the layer only, not through the encoder below it. Maps of
    all scales and mirror images, negative values cut off, are summed and divided by their maximum.

    Args:
        classifier: A trained classifier.
        images: (H, W, 3) uint8 RGB of any sizes.
        labels: The classes to look for in each image, 1 to K.
        settings: Method, layer, scales, flip, stride.

    Returns:
        (T, h, w) float32, 0..1, for each image, in the order of its labels; one cell covers
        ``settings.stride`` pixels. A map that is nowhere positive is 0 everywhere.

    Raises:
        InputError: An unknown method or layer, or a label that the classifier does not know.
    """
    found: dict[int, NDArray[np.float32]] = {}
    _check_labels(classifier, labels)
    for members in _of_one_size(images):
        batch = [images[i] for i in members]
        maps = _summed(classifier, batch, [labels[i] for i in members], settings)
        found |= dict(zip(members, maps, strict=True))
    return [found[i] for i in range(len(images))]


def class_activation(
    network: TagClassifier, images: Tensor, labels: Sequence[Sequence[int]], settings: CAMSettings
) -> list[Tensor]:
    """Return the maps of one scale, without sum, division or enlargement.

    Whatever happens, the network's modes, hooks and gradient flags are as before.

    Args:
        network: The classifier.
        images: (N, 3, H, W) float32, normalised.
        labels: Classes to look for in each image, 1 to K.
        settings: Method and layer.

    Returns:
        (T, h, w) for each image, negative values included.

    Raises:
        InputError: An unknown method or layer.
    """
    with _evaluating(network):
        if settings.method == "cam":
            with torch.no_grad():
                maps = network.class_maps(images)
            return [
                of_image[[label - 1 for label in wanted]]
                for of_image, wanted in zip(maps, labels, strict=True)
            ]
        return _by_gradient(network, images, labels, settings)


def _by_gradient(
    network: TagClassifier, images: Tensor, labels: Sequence[Sequence[int]], settings: CAMSettings
) -> list[Tensor]:
    weighting = _weighting(settings.method)
    with torch.enable_grad(), _captured(network, settings.layer) as captured:
        logits = network(images)
        activations = _only(captured, settings.layer)
        rounds: list[Tensor] = []
        for turn in range(max(map(len, labels), default=0)):
            wanted = [(i, ls[turn] - 1) for i, ls in enumerate(labels) if turn < len(ls)]
            score = torch.stack([logits[i, tag] for i, tag in wanted]).sum()
            (gradients,) = torch.autograd.grad(score, activations, retain_graph=True)
            rounds.append(weighting(activations.detach(), gradients))
    return [
        torch.stack([rounds[turn][i] for turn in range(len(ls))])
        if ls
        else activations.new_zeros(0, *activations.shape[2:])
        for i, ls in enumerate(labels)
    ]


def _weighting(method: str) -> Weighting:
    if method not in WEIGHTINGS:
        remedy = f"choose one of {', '.join(['cam', *WEIGHTINGS])}"
        raise InputError("cam.method", "a method of tag classifiers", repr(method), remedy)
    return WEIGHTINGS[method]


def _only(captured: list[Tensor], layer: str | None) -> Tensor:
    if len(captured) != 1 or captured[0].ndim != 4:
        shapes = ", ".join(f"{tuple(each.shape)}" for each in captured) or "no result"
        rule = "a submodule that makes one feature map (N, D, h, w) of the images"
        raise InputError("cam.layer", rule, f"{layer!r} with {shapes}", "choose another or null")
    return captured[0]


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients of weights; every module's and weight's own state comes back."""
    training = [(module, module.training) for module in network.modules()]
    learning = [(weight, weight.requires_grad) for weight in network.parameters()]
    try:
        network.eval()
        network.requires_grad_(False)
        yield
    finally:
        for module, mode in training:
            module.training = mode
        for weight, flag in learning:
            weight.requires_grad_(flag)


@contextmanager
def _captured(network: TagClassifier, layer: str | None) -> Iterator[list[Tensor]]:
    """Yield a list that the forward pass adds the layer's output to, from which gradients flow."""
    captured: list[Tensor] = []

    def capture(found: Any) -> Any:
        if not isinstance(found, Tensor):
            return found
        captured.append(found.detach().requires_grad_())
        return captured[-1].clone()  # what follows may work in place

    with ExitStack() as hooks:
        if layer is None:
            handle = network.head.register_forward_pre_hook(lambda _, args: (capture(*args),))
        else:
            part = _submodule(network.encoder, layer)
            handle = part.register_forward_hook(lambda _, __, found: capture(found))
        hooks.callback(handle.remove)
        yield captured


def _submodule(encoder: nn.Module, name: str) -> nn.Module:
    body = getattr(encoder, "model", encoder)
    if getattr(body, "output_fmt", "NCHW") != "NCHW":
        rule = "null for an encoder whose parts put channels last"
        raise InputError("cam.layer", rule, repr(name), "remove it")
    try:
        found: nn.Module = body.get_submodule(name)
    except AttributeError as error:
        known = ", ".join(name for name, _ in body.named_children())
        remedy = f"choose a part of {known}"
        raise InputError("cam.layer", "a submodule of the encoder", repr(name), remedy) from error
    return found


def _summed(
    classifier: TrainedClassifier,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[tuple[int, ...]],
    settings: CAMSettings,
) -> list[NDArray[np.float32]]:
    device = next(classifier.network.parameters()).device
    pixels = torch.cat([image_tensor(image, classifier.settings, device) for image in images])
    size = [-(-side // settings.stride) for side in images[0].shape[:2]]
    totals = [pixels.new_zeros(len(wanted), *size) for wanted in labels]
    for scale in settings.scales:
        resized = _resized(pixels, scale)
        views = [resized, resized.flip(3)] if settings.flip else [resized]
        maps = class_activation(
            classifier.network, torch.cat(views), [*labels] * len(views), settings
        )
        for index, each in enumerate(maps):
            turned = each.flip(2) if index >= len(images) else each
            totals[index % len(images)] += _enlarged(turned.relu(), size)
    return [_divided(total).cpu().numpy() for total in totals]


def _resized(pixels: Tensor, scale: float) -> Tensor:
    size = [max(1, round(side * scale)) for side in pixels.shape[2:]]
    resized = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def _enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    if not len(maps):
        return maps.new_zeros(0, *size)
    return functional.interpolate(maps[None], list(size), mode="bilinear")[0]


def _divided(maps: Tensor) -> Tensor:
    most = maps.amax(dim=(1, 2), keepdim=True)
    if not most.isfinite().all():
        remedy = "train the classifier again, or correct its weights"
        raise InputError("activation maps", "finite", "NaN or infinite values", remedy)
    return torch.where(most > 0, maps / most, 0)


def _of_one_size(images: Sequence[NDArray[np.uint8]]) -> list[list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    return list(groups.values())


def _check_labels(classifier: TrainedClassifier, labels: Sequence[tuple[int, ...]]) -> None:
    most = len(classifier.classes) - 1
    for label in {label for of_image in labels for label in of_image}:
        if not 1 <= label <= most:
            raise InputError("labels", f"from 1 to {most}", label, "train a classifier for it")
