"""Segmentation networks: those of segmentation-models-pytorch, and linear heads."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.networks.encoder import create_model
from wsseg.networks.params import SegmenterParams
from wsseg.networks.vit import Parts, build_dpt, build_linear
from wsseg.networks.weights import TIMM_PREFIX, freeze_encoder, load_encoder_weights, local_file

_ON_TIMM: dict[str, Callable[..., Parts]] = {"DPT": build_dpt, "Linear": build_linear}
"""Architectures that are built here, on any model of timm."""


class SegmentationNetwork(nn.Module):
    """Encoder -> decoder -> head, for images of any size.

    Images are padded with the mean colour on the right and below, and logits are cropped.

    Args:
        encoder: Maps images (N, 3, H, W) to the input of the decoder: a feature map, a list of
            them, or a tuple of feature maps and prefix tokens, of which each is an argument.
        decoder: Returns the input (N, F, h, w) of the head.
        head: Returns logits of any resolution, which are resized to the padded image.
        multiple: The sides of the padded image are multiples of this number.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, multiple: int
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.segmentation_head = encoder, decoder, head
        self.multiple = multiple

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K, H, W) of normalised images (N, 3, H, W)."""
        height, width = images.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        features = self.encoder(functional.pad(images, (0, right, 0, below)))
        maps = self.decoder(*features) if isinstance(features, tuple) else self.decoder(features)
        return fit_to_image(self, self.segmentation_head(maps), (height, width))


def build_network(params: SegmenterParams, n_classes: int) -> SegmentationNetwork:
    """Return a network that maps (N, 3, H, W) images to (N, K, H, W) logits.

    The encoder has its pre-trained weights; the rest is initialised from torch's random state.

    Args:
        n_classes: K, including the background.

    Raises:
        InputError: The architecture, encoder or an argument is unknown, or weights do not fit.
    """
    local = local_file(params.weights)
    network = _construct(params, n_classes, None if local else params.weights)
    freeze_encoder(network, params.frozen_blocks)
    if local:
        load_encoder_weights(network.get_submodule("encoder"), local)
    return network


def check_network(params: SegmenterParams) -> None:
    """Raise if no network can be built, without allocating or loading weights.

    Raises:
        InputError: The architecture, encoder or an argument is unknown, or a file is missing.
    """
    local_file(params.weights)
    with torch.device("meta"):
        freeze_encoder(_construct(params, 2, None), params.frozen_blocks)


def output_stride(network: nn.Module) -> int:
    """Return the number of which the sides of the encoder's input must be multiples."""
    return int(getattr(network, "multiple", 1))


def fit_to_image(network: nn.Module, logits: Tensor, size: Sequence[int]) -> Tensor:
    """Return logits of a padded image, of any resolution, as logits (N, K, *size) of the image."""
    padded = _padded(network, size)
    if tuple(logits.shape[2:]) != padded:
        logits = functional.interpolate(logits, padded, mode="bilinear")
    return logits[..., : size[0], : size[1]]


def crop_features(network: nn.Module, features: Tensor, size: Sequence[int]) -> Tensor:
    """Return the cells of a padded image's features (N, F, h, w) that show an image of a size."""
    sides = zip(features.shape[2:], size, _padded(network, size), strict=True)
    height, width = (-(-cells * side // padded) for cells, side, padded in sides)
    return features[..., :height, :width]


def _padded(network: nn.Module, size: Sequence[int]) -> tuple[int, int]:
    multiple = output_stride(network)
    height, width = (side + -side % multiple for side in size)
    return height, width


@contextmanager
def capture_head_inputs(network: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the input of the network's last layer.

    Yields:
        A list that gets one tensor (N, F, h, w) per forward pass, of the padded images.
    """
    features: list[Tensor] = []
    head = network.get_submodule("segmentation_head")
    hook = head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    try:
        yield features
    finally:
        hook.remove()


def _construct(
    params: SegmenterParams, n_classes: int, hub_weights: str | None
) -> SegmentationNetwork:
    architectures = {model.__name__: model for model in smp.MODEL_ARCHITECTURES_MAPPING.values()}
    names = {*architectures, *_ON_TIMM}
    if params.architecture not in names:
        nearest = difflib.get_close_matches(params.architecture, names, 1, 0)[0]
        rule, remedy = f"one of {', '.join(sorted(names))}", f"did you mean {nearest!r}?"
        raise InputError("model.architecture", rule, params.architecture, remedy)
    try:
        if params.architecture in _ON_TIMM:
            return _construct_on_timm(params, n_classes, hub_weights is not None)
        model: Any = architectures[params.architecture](
            params.encoder,
            encoder_weights=hub_weights,
            classes=n_classes,
            **params.encoder_kwargs,
            **params.decoder_kwargs,
        )
    except InputError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())
        hint = "check encoder, weights, encoder_kwargs and decoder_kwargs of model"
        raise InputError(f"the network of model cannot be built: {reason}", hint=hint) from error
    stride = model.encoder.output_stride
    return SegmentationNetwork(model.encoder, model.decoder, model.segmentation_head, stride)


def _construct_on_timm(
    params: SegmenterParams, n_classes: int, pretrained: bool
) -> SegmentationNetwork:
    name = params.encoder.removeprefix(TIMM_PREFIX)
    if name == params.encoder:
        rule = f"a model of timm for {params.architecture}"
        raise InputError("model.encoder", rule, name, f"set it to {TIMM_PREFIX}{name}")
    body = create_model("model.encoder", name, pretrained, params.encoder_kwargs)
    return SegmentationNetwork(
        *_ON_TIMM[params.architecture](body, n_classes, **params.decoder_kwargs)
    )
