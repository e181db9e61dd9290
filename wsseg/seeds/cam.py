"""Class activation maps: the image regions on which a classifier bases each tag."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.data.example import Example
from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.classifier import TagClassifier, TrainedClassifier, image_tensor
from wsseg.plugins import find_named, takes
from wsseg.refine.params import WalkParams
from wsseg.seeds.clip import clip_maps
from wsseg.seeds.params import CAMParams
from wsseg.seeds.spreading import max_normalise
from wsseg.seeds.text_masks import sam3_maps

Activation = Callable[..., NDArray[np.float32]]
"""``f(example, labels)``, with the keyword argument ``classes`` if it has a parameter of this
name -> (T, h, w) maps of at least 0."""

ENTRY_POINTS = "wsseg.activations"
"""Entry point group of activation maps from other packages."""

BY_NAME: dict[str, Activation] = {"clip": clip_maps, "sam3": sam3_maps}
"""Methods of foundation models that know classes by their names. They also have the keyword
arguments ``params``, ``weights`` and ``device``."""

STRIDE = WalkParams().stride
"""Side in pixels of the cells of stored maps; a random walk and the learned affinity have the same
cells."""

_TINY = 1e-6


def grad_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, each weighted by the mean of its gradient; see ``WEIGHTINGS``.

    For the feature map before global average pooling and a linear head this is CAM, divided by
    the number of positions.

    References:
        Selvaraju et al., Grad-CAM, ICCV 2017, arXiv:1610.02391.
    """
    return (gradients.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1)


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, weighted by sums of their positive gradients.

    The weight of a channel is the sum over its positions of a relu(g) with
    a = g^2 / (2 g^2 + g^3 sum A), taken as 0 where g is 0. Powers of the first derivative replace
    the higher derivatives, as in the paper's closed form for exp(score).

    References:
        Chattopadhyay et al., Grad-CAM++, WACV 2018, arXiv:1710.11063.
    """
    square, total = gradients**2, activations.sum(dim=(2, 3), keepdim=True)
    divisor = 2 * square + gradients**3 * total + _TINY
    share = torch.where(gradients != 0, square / divisor, 0)
    weights = (share * gradients.relu()).sum(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1)


def layer_cam(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return the sum of channels, weighted position by position by their positive gradients.

    References:
        Jiang et al., LayerCAM, IEEE TIP 2021, doi:10.1109/TIP.2021.3089943.
    """
    return (gradients.relu() * activations).sum(dim=1)


WEIGHTINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "gradcam": grad_cam,
    "gradcam++": grad_cam_plus_plus,
    "layercam": layer_cam,
}
"""Gradient methods: (activations (N, D, h, w), gradients of the score with respect to them) ->
maps (N, h, w), negative values included."""


def find_activation(method: str) -> Activation | None:
    """Return the function of a method that needs no classifier; None if it needs one.

    Raises:
        InputError: The name is unknown; the message lists the choices.
    """
    own: dict[str, Activation | None] = dict.fromkeys(("cam", *WEIGHTINGS))
    return find_named("cam.method", method, own | BY_NAME, ENTRY_POINTS)


def activation_maps_by_plugin(
    activation: Activation, example: Example, labels: tuple[int, ...], classes: Classes
) -> NDArray[np.float32]:
    """Return the (T, h, w) maps of a function for T labels, each divided by its maximum.

    Args:
        activation: Of ``find_activation``.

    Raises:
        InputError: The function returns anything but T finite maps of at least 0.
    """
    names = {"classes": classes} if takes(activation, "classes") else {}
    maps = activation(example, labels, **names)
    fits = maps.ndim == 3 and len(maps) == len(labels) and maps.dtype.kind == "f"
    if not fits or not np.isfinite(maps).all() or (maps < 0).any():
        got, remedy = f"{maps.dtype} of shape {maps.shape}", "correct the plug-in"
        rule = f"({len(labels)}, h, w), finite and at least 0"
        raise InputError("activation maps of a plug-in", rule, got, remedy)
    return max_normalise(maps.astype(np.float32))


def activation_maps(
    classifier: TrainedClassifier,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[tuple[int, ...]],
    params: CAMParams,
) -> list[NDArray[np.float32]]:
    """Return the activation maps of images for some of their classes.

    All classes of an image, and all images of one size, share each forward pass; gradient methods
    propagate from the score to the last feature map only. Maps of all scales and mirrored images
    are clipped at 0, summed and divided by their maximum.

    Args:
        images: (H, W, 3) uint8 RGB of any sizes.
        labels: The classes of interest of each image, 1 to K.

    Returns:
        (T, h, w) float32, 0..1, for each image, in the order of its labels; one cell covers
        ``STRIDE`` pixels. A map that is nowhere positive is 0 everywhere.

    Raises:
        InputError: An unknown method, or a label that the classifier does not know.
    """
    highest = len(classifier.classes) - 1
    for label in {label for labels_of_image in labels for label in labels_of_image}:
        if not 1 <= label <= highest:
            raise InputError("labels", f"from 1 to {highest}", label, "train a classifier for it")
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    maps: dict[int, NDArray[np.float32]] = {}
    for group in groups.values():
        batch = [images[i] for i in group]
        summed = _sum_over_views(classifier, batch, [labels[i] for i in group], params)
        maps |= dict(zip(group, summed, strict=True))
    return [maps[i] for i in range(len(images))]


def class_activation(
    network: TagClassifier, images: Tensor, labels: Sequence[Sequence[int]], params: CAMParams
) -> list[Tensor]:
    """Return the maps of one scale, neither summed nor normalised nor resized.

    Afterwards the network's modes, hooks and gradient flags are as before, also after an error.

    Args:
        images: (N, 3, H, W) float32, normalised.
        labels: The classes of interest of each image, 1 to K.

    Returns:
        (T, h, w) for each image, negative values included.
    """
    with _evaluation_mode(network):
        if params.method != "cam":
            return _by_gradient(network, images, labels, params)
        with torch.no_grad():
            maps = network.class_maps(images)
        return [
            maps_of_image[[label - 1 for label in labels_of_image]]
            for maps_of_image, labels_of_image in zip(maps, labels, strict=True)
        ]


def _by_gradient(
    network: TagClassifier, images: Tensor, labels: Sequence[Sequence[int]], params: CAMParams
) -> list[Tensor]:
    if params.method not in WEIGHTINGS:
        remedy = f"choose one of {', '.join(['cam', *WEIGHTINGS])}"
        raise InputError("cam.method", "a method of tag classifiers", repr(params.method), remedy)
    with torch.enable_grad(), _capture(network) as captured:
        logits = network(images)
        (activations,) = captured
        # The k-th pass back explains the k-th label of every image at once.
        passes: list[Tensor] = []
        for k in range(max(map(len, labels), default=0)):
            wanted = [(i, ls[k] - 1) for i, ls in enumerate(labels) if k < len(ls)]
            score = torch.stack([logits[i, tag] for i, tag in wanted]).sum()
            (gradients,) = torch.autograd.grad(score, activations, retain_graph=True)
            passes.append(WEIGHTINGS[params.method](activations.detach(), gradients))
    return [
        torch.stack([passes[k][i] for k in range(len(ls))])
        if ls
        else activations.new_zeros(0, *activations.shape[2:])
        for i, ls in enumerate(labels)
    ]


def _sum_over_views(
    classifier: TrainedClassifier,
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[tuple[int, ...]],
    params: CAMParams,
) -> list[NDArray[np.float32]]:
    """Return the maps of images of one size, summed over scales and mirrored images."""
    device = next(classifier.network.parameters()).device
    pixels = torch.cat([image_tensor(image, classifier.params, device) for image in images])
    size = [-(-side // STRIDE) for side in images[0].shape[:2]]
    totals = [pixels.new_zeros(len(labels_of_image), *size) for labels_of_image in labels]
    for scale in params.scales:
        scaled = [max(1, round(side * scale)) for side in pixels.shape[2:]]
        resized = functional.interpolate(pixels, scaled, mode="bilinear", antialias=True)
        resized = resized.contiguous(memory_format=torch.channels_last)
        views = torch.cat([resized, resized.flip(3)])
        maps = class_activation(classifier.network, views, [*labels, *labels], params)
        for index, of_view in enumerate(maps):
            upright = of_view.flip(2) if index >= len(images) else of_view
            if len(upright):
                upright = functional.interpolate(upright.relu()[None], size, mode="bilinear")[0]
                totals[index % len(images)] += upright
    return [max_normalise(total.cpu().numpy()) for total in totals]


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Set evaluation mode without gradients of weights; restore the state of each module after."""
    modes = [(module, module.training) for module in network.modules()]
    flags = [(weight, weight.requires_grad) for weight in network.parameters()]
    try:
        network.eval()
        network.requires_grad_(False)
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, flag in flags:
            weight.requires_grad_(flag)


@contextmanager
def _capture(network: TagClassifier) -> Iterator[list[Tensor]]:
    """Yield a list to which the forward pass adds the input of the head, a leaf for gradients."""
    captured: list[Tensor] = []

    def keep(_: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        captured.append(args[0].detach().requires_grad_())
        return (captured[-1],)

    handle = network.head.register_forward_pre_hook(keep)
    try:
        yield captured
    finally:
        handle.remove()
