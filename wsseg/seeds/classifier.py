"""Which classes does an image show? A classifier learnt from tags, built for activation maps."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.annotations.model import Classes
from wsseg.errors import InputError
from wsseg.learning.batches import normalised
from wsseg.learning.weights import (
    freeze_encoder,
    load_encoder_weights,
    local_file,
    read_checkpoint,
    write_checkpoint,
)
from wsseg.run.settings import ClassifierSettings


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


class FeatureMap(nn.Module):
    """The last feature map of a timm model, channels first, of convolutions or of tokens.

    Args:
        body: A timm model without head.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.model = body

    @property
    def body(self) -> Any:
        """The timm model."""
        return self.model

    @property
    def channels(self) -> int:
        """D of the feature map."""
        return int(self.body.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """Return features.

        Args:
            images: (N, 3, H, W) float32, normalised.

        Returns:
            (N, D, h, w) float32.

        Raises:
            InputError: The model gives neither a map nor the tokens of one, or does not take
                images of this size.
        """
        try:
            found = self.body.forward_features(images)
        except AssertionError as error:  # timm's word for a size that the model was not built for
            rule = "a model that takes images of any size"
            remedy = "set encoder_kwargs such as {dynamic_img_size: true, dynamic_img_pad: true}"
            raise InputError("classifier.encoder", rule, str(error), remedy) from error
        return self._channels_first(found, images.shape[2:])

    def _channels_first(self, found: Any, size: Sequence[int]) -> Tensor:
        shape = tuple(found.shape) if isinstance(found, Tensor) else ()
        if len(shape) == 4 and self.channels in (shape[1], shape[3]):
            last = shape[1] != self.channels
            first: Tensor = found.permute(0, 3, 1, 2).contiguous() if last else found
            return first
        patches = getattr(self.body, "patch_embed", None)
        if len(shape) == 3 and hasattr(patches, "dynamic_feat_size"):
            return self._from_tokens(found, size)
        got, remedy = shape or type(found).__name__, "choose another encoder"
        raise InputError("classifier.encoder", "a model with a feature map", got, remedy)

    def _from_tokens(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        height, width = self.body.patch_embed.dynamic_feat_size(tuple(size))
        tokens = tokens[:, int(getattr(self.body, "num_prefix_tokens", 0)) :]
        return tokens.transpose(1, 2).reshape(len(tokens), self.channels, height, width)


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
    settings: ClassifierSettings

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


def build_classifier(settings: ClassifierSettings, tags: int) -> TagClassifier:
    """Return a classifier on an encoder of timm.

    Args:
        settings: Encoder, weights, pooling.
        tags: K, the number of tags.

    Returns:
        The network; encoder weights loaded, the head initialised from torch's random state.

    Raises:
        InputError: An unknown encoder or argument, or weights that do not fit.
    """
    local = local_file(settings.weights)
    encoder = _construct(settings, pretrained=settings.weights is not None and local is None)
    network = TagClassifier(encoder, encoder.channels, tags, settings.pooling, settings.sharpness)
    freeze_encoder(network, settings.frozen_blocks)
    if local:
        load_encoder_weights(encoder, local)
    return network


def check_classifier(settings: ClassifierSettings) -> None:
    """Refuse settings that no classifier can be built from, without making weights.

    Args:
        settings: Encoder and weights.

    Raises:
        InputError: An unknown encoder or argument, or a missing weight file.
    """
    local_file(settings.weights)
    with torch.device("meta"):
        encoder = _construct(settings, pretrained=False)
        freeze_encoder(TagClassifier(encoder, encoder.channels, 1), settings.frozen_blocks)


def save_classifier(
    path: Path, network: TagClassifier, classes: Classes, settings: ClassifierSettings
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


def load_classifier(path: Path, accelerator: str = "auto") -> TrainedClassifier:
    """Return a classifier of ``save_classifier``, on the GPU where there is one.

    Args:
        path: The file.
        accelerator: "cpu" keeps it off the GPU.

    Returns:
        The classifier, in eval mode.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    keys = {"state_dict", "classes", "classifier"}
    content = read_checkpoint(path, "a trained tag classifier", keys)
    settings = ClassifierSettings.model_validate(content["classifier"])
    classes = Classes(tuple(content["classes"]))
    network = build_classifier(settings.model_copy(update={"weights": None}), len(classes) - 1)
    network.load_state_dict(content["state_dict"])
    device = "cuda" if torch.cuda.is_available() and accelerator != "cpu" else "cpu"
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know no device together with a format
    return TrainedClassifier(network.eval(), classes, settings)


def image_tensor(
    image: NDArray[np.uint8], settings: ClassifierSettings, device: torch.device
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


def _construct(settings: ClassifierSettings, pretrained: bool) -> FeatureMap:
    known = timm.is_model(settings.encoder) or settings.encoder.startswith(("hf-hub:", "hf_hub:"))
    if not known:
        nearest = difflib.get_close_matches(settings.encoder, timm.list_models(), 1, 0)[0]
        remedy = f"did you mean {nearest!r}?"
        raise InputError("classifier.encoder", "a model of timm", settings.encoder, remedy)
    stride: dict[str, Any] = {}
    if settings.output_stride is not None:
        stride = {"output_stride": settings.output_stride}
    arguments = {**stride, **settings.encoder_kwargs}
    try:
        body = timm.create_model(settings.encoder, pretrained, num_classes=0, **arguments)
    except (TypeError, ValueError, KeyError, RuntimeError, OSError, NotImplementedError) as error:
        got = " ".join(str(error).split())
        remedy = "check encoder, weights, output_stride and encoder_kwargs"
        rule = "settings of a network that can be built"
        raise InputError("classifier", rule, got, remedy) from error
    return FeatureMap(body)
