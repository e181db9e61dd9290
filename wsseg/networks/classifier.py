"""Classifier of image tags, built for class activation maps."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.batches import normalize
from wsseg.networks.checkpoints import load_network
from wsseg.networks.encoder import build_encoder
from wsseg.networks.params import ClassifierNetworkParams
from wsseg.networks.weights import freeze_encoder, load_encoder_weights, local_file


class TagClassifier(nn.Module):
    """Feature map -> a map for each tag (1x1 convolution) -> a score for each tag (the mean).

    Args:
        encoder: Any module that maps (N, 3, H, W) images to (N, D, h, w) features.
        tags: K, the number of tags.

    References:
        Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
        arXiv:1512.04150.
    """

    def __init__(self, encoder: nn.Module, channels: int, tags: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Conv2d(channels, tags, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of normalised images (N, 3, H, W)."""
        return self.class_maps(images).flatten(2).mean(dim=2)

    def class_maps(self, images: Tensor) -> Tensor:
        """Return the class maps (N, K, h, w) of normalised images (N, 3, H, W)."""
        maps: Tensor = self.head(self.encoder(images))
        return maps


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained tag classifier.

    Attributes:
        network: In eval mode.
        classes: The class names, background first; tag k is class k + 1.
        params: The parameters that the network was built with.
    """

    network: TagClassifier
    classes: Classes
    params: ClassifierNetworkParams

    def scores(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probability of each tag, the mean over the image and its mirror image.

        Returns:
            (K,) float32, 0..1.
        """
        pixels = image_tensor(image, self.params, next(self.network.parameters()).device)
        with torch.inference_mode():
            logits = self.network(torch.cat([pixels, pixels.flip(3)]))
        return np.asarray(logits.sigmoid().mean(dim=0).cpu())


def build_classifier(params: ClassifierNetworkParams, tags: int) -> TagClassifier:
    """Return a classifier of K tags on an encoder of timm.

    The encoder has its pre-trained weights; the head is initialised from torch's random state.

    Raises:
        InputError: The encoder or an argument is unknown, or weights do not fit.
    """
    local = _local_weights(params)
    encoder = build_encoder(params, pretrained=params.weights is not None and local is None)
    network = TagClassifier(encoder, encoder.channels, tags)
    freeze_encoder(network, params.frozen_blocks)
    if local:
        load_encoder_weights(encoder, local)
    return network


def check_classifier(params: ClassifierNetworkParams) -> None:
    """Raise if no classifier can be built, without allocating or loading weights.

    Raises:
        InputError: The encoder or an argument is unknown, or a file is missing.
    """
    _local_weights(params)
    with torch.device("meta"):
        encoder = build_encoder(params, pretrained=False)
        freeze_encoder(TagClassifier(encoder, encoder.channels, 1), params.frozen_blocks)


def load_classifier(path: Path, device: str = "auto") -> TrainedClassifier:
    """Return a saved classifier, on the GPU if ``device`` is "auto" and there is one.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    network, params, classes, _ = load_network(
        path,
        "tag classifier",
        ClassifierNetworkParams,
        lambda params, n_classes: build_classifier(params, n_classes - 1),
        device,
    )
    return TrainedClassifier(network.to(memory_format=torch.channels_last), classes, params)


def image_tensor(
    image: NDArray[np.uint8], params: ClassifierNetworkParams, device: torch.device
) -> Tensor:
    """Return an image (H, W, 3) uint8 RGB as the input (1, 3, h, w) float32 of a classifier."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
    whole = normalize(pixels, params)
    size = [max(1, round(side * params.scale)) for side in image.shape[:2]]
    resized = functional.interpolate(whole, size, mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def _local_weights(params: ClassifierNetworkParams) -> Path | None:
    local = local_file(params.weights)
    if local is None and params.weights not in (None, "imagenet"):
        rule, remedy = "a file, imagenet or null for a tag classifier", "correct it"
        raise InputError("model.weights", rule, repr(params.weights), remedy)
    return local
