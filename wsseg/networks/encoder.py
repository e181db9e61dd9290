"""Models of timm as encoders that return feature maps."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import timm
import torch
from timm.layers import PatchEmbed  # type: ignore[attr-defined]  # not in its __all__
from torch import Tensor, nn
from torch.nn import functional

from wsseg.errors import InputError
from wsseg.networks.params import ClassifierNetworkParams


class TimmEncoder(nn.Module):
    """A timm model whose output is its last feature map, channels first.

    The tokens of a vision transformer are arranged as a map, without class and register tokens.
    Images whose sides are no multiples of its patches are resized to the nearest multiples, so that
    the map covers exactly the image.

    Args:
        body: A timm model without head (``num_classes=0``).
        setting: Names the encoder in errors.
    """

    def __init__(self, body: nn.Module, setting: str = "classifier.encoder") -> None:
        super().__init__()
        self.model: Any = body
        self.setting = setting

    @property
    def channels(self) -> int:
        """Number D of channels of the last feature map."""
        return int(self.model.num_features)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last feature map (N, D, h, w) of normalised images (N, 3, H, W).

        Raises:
            InputError: The model returns no feature map, or does not accept images of this size.
        """
        images = self._whole_patches(images)
        try:
            features = self.model.forward_features(images)
        except AssertionError as error:  # timm's error for another image size
            rule = "a model for images of any size"
            remedy = "choose another encoder, or encoder_kwargs such as {strict_img_size: false}"
            raise InputError(self.setting, rule, str(error), remedy) from error
        return self._channels_first(features, images.shape[2:])

    @property
    def level_channels(self) -> list[int]:
        """Number of channels of each level, the finest first."""
        return [int(level["num_chs"]) for level in self._levels]

    def levels(self, images: Tensor) -> list[Tensor]:
        """Return the feature map (N, D, h, w) of each level, the finest first.

        Args:
            images: (N, 3, H, W), normalised.

        Returns:
            One tensor per level; its D, h and w differ from level to level, see
            ``level_channels``.
        """
        images = self._whole_patches(images)
        maps: list[Tensor] = self.model.forward_intermediates(images, intermediates_only=True)
        return maps

    @property
    def _levels(self) -> list[dict[str, Any]]:
        info = getattr(self.model, "feature_info", None)
        if info is None or not hasattr(self.model, "forward_intermediates"):
            remedy = "choose another encoder, or cam.affinity=colour"
            rule = "a model with feature maps of several levels"
            raise InputError(self.setting, rule, type(self.model).__name__, remedy)
        return list(info.info) if hasattr(info, "info") else list(info)

    def _whole_patches(self, images: Tensor) -> Tensor:
        patches = getattr(self.model, "patch_embed", None)
        if not isinstance(patches, PatchEmbed) or patches.dynamic_img_pad:
            return images
        sides = zip(images.shape[2:], patches.patch_size, strict=True)
        size = [max(1, round(side / patch)) * patch for side, patch in sides]
        if size == list(images.shape[2:]):
            return images
        return functional.interpolate(images, size, mode="bilinear", antialias=True)

    def _channels_first(self, features: Any, size: Sequence[int]) -> Tensor:
        shape = tuple(features.shape) if isinstance(features, Tensor) else ()
        if len(shape) == 4 and self.channels in (shape[1], shape[3]):
            last = shape[1] != self.channels
            first: Tensor = features.permute(0, 3, 1, 2).contiguous() if last else features
            return first
        patches = getattr(self.model, "patch_embed", None)
        if len(shape) == 3 and hasattr(patches, "dynamic_feat_size"):
            return self._from_tokens(features, size)
        got, remedy = shape or type(features).__name__, "choose another encoder"
        raise InputError(self.setting, "a model with a feature map", got, remedy)

    def _from_tokens(self, tokens: Tensor, size: Sequence[int]) -> Tensor:
        height, width = self.model.patch_embed.dynamic_feat_size(tuple(size))
        tokens = tokens[:, int(getattr(self.model, "num_prefix_tokens", 0)) :]
        return tokens.transpose(1, 2).reshape(len(tokens), self.channels, height, width)


def build_encoder(params: ClassifierNetworkParams, pretrained: bool) -> TimmEncoder:
    """Return a timm model without its head, as a feature extractor in training mode.

    Args:
        params: ``encoder`` is the name of the model; ``output_stride`` (if set) and
            ``encoder_kwargs`` are passed to ``timm.create_model``.
        pretrained: If True, timm loads its pretrained weights, which it downloads once; if False,
            the weights are random.

    Raises:
        InputError: timm has no such model, the model does not accept an argument, or its weights
            cannot be loaded.
    """
    stride = {} if params.output_stride is None else {"output_stride": params.output_stride}
    arguments = {**stride, **params.encoder_kwargs}
    return TimmEncoder(create_model("classifier.encoder", params.encoder, pretrained, arguments))


def create_model(
    setting: str, name: str, pretrained: bool, arguments: Mapping[str, Any]
) -> nn.Module:
    """Return a timm model without its head, for images of any size if it can be.

    Args:
        setting: Names the encoder in errors.
        name: Name of the model in timm, or "hf-hub:...".
        arguments: Further arguments of ``timm.create_model``.

    Raises:
        InputError: timm has no such model, the model does not accept an argument, or its weights
            cannot be loaded.
    """
    if not (name.startswith(("hf-hub:", "hf_hub:")) or timm.is_model(name)):
        nearest = difflib.get_close_matches(name, timm.list_models(), 1, 0)[0]
        raise InputError(setting, "a model of timm", name, f"did you mean {nearest!r}?")
    try:
        sizes = {"dynamic_img_size": True} if _can_take_any_size(name) else {}
        return timm.create_model(name, pretrained, num_classes=0, **{**sizes, **arguments})
    except (TypeError, ValueError, KeyError, RuntimeError, OSError, NotImplementedError) as error:
        reason = " ".join(str(error).split())
        hint = "check encoder, weights, output_stride and encoder_kwargs"
        raise InputError(f"the {setting} cannot be built: {reason}", hint=hint) from error


def _can_take_any_size(name: str) -> bool:
    """Return whether timm interpolates the position embedding of a model on request."""
    with torch.device("meta"):
        return hasattr(timm.create_model(name, num_classes=0), "dynamic_img_size")
