"""Class activation maps: where in an image a classifier sees each tag."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.classifier import TagClassifier, TrainedClassifier, image_tensor
from wsseg.plugins import find_plugin, load_plugin, unknown_name
from wsseg.seeds.capture import captured_at, evaluating, only
from wsseg.seeds.params import CAMParams
from wsseg.seeds.spreading import divided
from wsseg.seeds.weightings import WEIGHTINGS, find_weighting

Activation = Callable[[NDArray[np.uint8], tuple[int, ...], Classes, CAMParams], NDArray[np.float32]]
"""(image (H, W, 3) RGB, T labels, classes, settings) -> (T, h, w) maps of at least 0."""

ENTRY_POINTS = "wsseg.activations"
"""The entry point group of activation maps from other packages, such as CLIP's."""


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
    plugin = find_plugin(method, ENTRY_POINTS)
    if plugin is None:
        raise unknown_name("cam.method", method, own, ENTRY_POINTS)
    activation: Activation = load_plugin(plugin)
    return activation


def maps_of_plugin(
    image: NDArray[np.uint8], labels: tuple[int, ...], classes: Classes, settings: CAMParams
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
    return divided(maps.astype(np.float32))


def activation_maps(
    classifier: TrainedClassifier,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[tuple[int, ...]],
    settings: CAMParams,
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
    network: TagClassifier, images: Tensor, labels: Sequence[Sequence[int]], settings: CAMParams
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
    with evaluating(network):
        if settings.method == "cam":
            with torch.no_grad():
                maps = network.class_maps(images)
            return [
                of_image[[label - 1 for label in wanted]]
                for of_image, wanted in zip(maps, labels, strict=True)
            ]
        return _by_gradient(network, images, labels, settings)


def _by_gradient(
    network: TagClassifier, images: Tensor, labels: Sequence[Sequence[int]], settings: CAMParams
) -> list[Tensor]:
    weighting = find_weighting(settings.method)
    with torch.enable_grad(), captured_at(network, settings.layer) as captured:
        logits = network(images)
        activations = only(captured, settings.layer)
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


def _summed(
    classifier: TrainedClassifier,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[tuple[int, ...]],
    settings: CAMParams,
) -> list[NDArray[np.float32]]:
    device = next(classifier.network.parameters()).device
    pixels = torch.cat([image_tensor(image, classifier.params, device) for image in images])
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
    return [divided(total.cpu().numpy()) for total in totals]


def _resized(pixels: Tensor, scale: float) -> Tensor:
    size = [max(1, round(side * scale)) for side in pixels.shape[2:]]
    resized = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def _enlarged(maps: Tensor, size: Sequence[int]) -> Tensor:
    if not len(maps):
        return maps.new_zeros(0, *size)
    return functional.interpolate(maps[None], list(size), mode="bilinear")[0]


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
