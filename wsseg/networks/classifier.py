"""Which classes does an image show? A classifier learnt from tags, built for activation maps."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.batches import normalised
from wsseg.networks.encoder import construct_encoder
from wsseg.networks.params import ClassifierParams
from wsseg.networks.weights import (
    device_of,
    freeze_encoder,
    load_encoder_weights,
    local_file,
    read_checkpoint,
    restoring,
    write_checkpoint,
)


class TagClassifier(nn.Module):
    """Feature map -> a map for each tag (1x1 convolution) -> a score for each tag (pooling).

    Args:
        encoder: Any module that maps (N, 3, H, W) images to (N, D, h, w) features.
        channels: D.
        tags: K, the number of tags.
        pooling: "gap" is the mean over the map; "lse" is log-mean-exp.
        sharpness: r of lse, (1/r) log mean exp(r x).

    References:
        Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
        arXiv:1512.04150 (gap); Pinheiro and Collobert, From Image-level to Pixel-level Labeling
        with Convolutional Networks, CVPR 2015, arXiv:1411.6228 (lse).
    """

    def __init__(
        self,
        encoder: nn.Module,
        channels: int,
        tags: int,
        pooling: str = "gap",
        sharpness: float = 4.0,
    ) -> None:
        super().__init__()
        self.encoder, self.pooling, self.sharpness = encoder, pooling, sharpness
        self.head = nn.Conv2d(channels, tags, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return a score for each tag.

        Args:
            images: (N, 3, H, W) float32, normalised.

        Returns:
            (N, K) logits.
        """
        return self.pooled(self.class_maps(images))

    def class_maps(self, images: Tensor) -> Tensor:
        """Return what each place of an image adds to the score of each tag.

        Args:
            images: (N, 3, H, W) float32, normalised.

        Returns:
            (N, K, h, w).
        """
        maps: Tensor = self.head(self.encoder(images))
        return maps

    def pooled(self, maps: Tensor) -> Tensor:
        """Return the scores of class maps.

        Args:
            maps: (N, K, h, w).

        Returns:
            (N, K) logits.
        """
        flat = maps.flatten(2)
        if self.pooling == "gap":
            return flat.mean(dim=2)
        total = torch.logsumexp(self.sharpness * flat, dim=2) - math.log(flat.shape[2])
        return total / self.sharpness


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier and what is needed to use it.

    Args:
        network: In eval mode.
        classes: The class names, background first; tag k is class k + 1.
        settings: How the network was built.
    """

    network: TagClassifier
    classes: Classes
    settings: ClassifierParams

    def scores(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return how probable each tag is.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (K,) float32, 0..1; the mean of the image and its mirror image.
        """
        pixels = image_tensor(image, self.settings, next(self.network.parameters()).device)
        with torch.inference_mode():
            logits = self.network(torch.cat([pixels, pixels.flip(3)]))
        mean: NDArray[np.float32] = logits.sigmoid().mean(dim=0).cpu().numpy()
        return mean


def build_classifier(settings: ClassifierParams, tags: int) -> TagClassifier:
    """Return a classifier on an encoder of timm.

    Args:
        settings: Encoder, weights, pooling.
        tags: K, the number of tags.

    Returns:
        The network; encoder weights loaded, the head initialised from torch's random state.

    Raises:
        InputError: An unknown encoder or argument, or weights that do not fit.
    """
    local = _local_weights(settings)
    encoder = construct_encoder(settings, pretrained=settings.weights is not None and local is None)
    network = TagClassifier(encoder, encoder.channels, tags, settings.pooling, settings.sharpness)
    freeze_encoder(network, settings.frozen_blocks)
    if local:
        load_encoder_weights(encoder, local)
    return network


def check_classifier(settings: ClassifierParams) -> None:
    """Refuse settings that no classifier can be built from, without making weights.

    Args:
        settings: Encoder and weights.

    Raises:
        InputError: An unknown encoder or argument, or a missing weight file.
    """
    _local_weights(settings)
    classifier_outline(settings)


def classifier_outline(settings: ClassifierParams) -> TagClassifier:
    """Return a classifier of one tag that knows the shapes of its tensors, without their memory.

    Args:
        settings: Encoder and weights.

    Returns:
        The network, on torch's device "meta".

    Raises:
        InputError: An unknown encoder or argument.
    """
    with torch.device("meta"):
        encoder = construct_encoder(settings, pretrained=False)
        network = TagClassifier(encoder, encoder.channels, 1)
        freeze_encoder(network, settings.frozen_blocks)
    return network


def save_classifier(
    path: Path, network: TagClassifier, classes: Classes, settings: ClassifierParams
) -> None:
    """Write a trained classifier to one file, atomically.

    Args:
        path: The file.
        network: The classifier.
        classes: The class names.
        settings: How it was built.
    """
    content = {
        "state_dict": network.state_dict(),
        "classes": list(classes),
        "classifier": settings.model_dump(mode="json"),
    }
    write_checkpoint(path, content)


def load_classifier(path: Path, device: str = "auto") -> TrainedClassifier:
    """Return a classifier of ``save_classifier``, on the GPU where there is one.

    Args:
        path: The file.
        device: "cpu" keeps it off the GPU.

    Returns:
        The classifier, in eval mode.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    what, keys = "a trained tag classifier", {"state_dict", "classes", "classifier"}
    content = read_checkpoint(path, what, keys)
    with restoring(path, what):
        settings = ClassifierParams.model_validate(content["classifier"])
        classes = Classes(tuple(content["classes"]))
        network = build_classifier(settings.model_copy(update={"weights": None}), len(classes) - 1)
        network.load_state_dict(content["state_dict"])
    network = network.to(device_of(device), memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know no device together with a format
    return TrainedClassifier(network.eval(), classes, settings)


def image_tensor(
    image: NDArray[np.uint8], settings: ClassifierParams, device: torch.device
) -> Tensor:
    """Return an image as the classifier wants it.

    Args:
        image: (H, W, 3) uint8 RGB.
        settings: Scale, mean and std.
        device: Where to.

    Returns:
        (1, 3, h, w) float32.
    """
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
    whole = normalised(pixels, settings)
    size = [max(1, round(side * settings.scale)) for side in image.shape[:2]]
    resized = functional.interpolate(whole, size, mode="bilinear", antialias=True)
    return resized.contiguous(memory_format=torch.channels_last)


def _local_weights(settings: ClassifierParams) -> Path | None:
    local = local_file(settings.weights)
    if local is None and settings.weights not in (None, "imagenet"):
        rule, remedy = "a file, imagenet (timm's own for the encoder) or null", "correct it"
        raise InputError("classifier.weights", rule, repr(settings.weights), remedy)
    return local
