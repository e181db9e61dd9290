"""Parts of segmentation networks on models of timm: a DPT decoder or a linear head."""

from collections.abc import Sequence
from inspect import signature
from typing import Any, Literal

from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead
from torch import Tensor, nn

from wsseg.errors import InputError
from wsseg.networks.encoder import TimmEncoder

Parts = tuple[nn.Module, nn.Module, nn.Module, int]
"""Encoder, decoder, head, and the number of which the sides of the input must be multiples."""

_STRIDES = (4, 8, 16, 32)  # of the maps that DPT makes of a transformer's levels
_PATCH = 16  # the side of a patch for which DPT is made


class TransformerLevels(nn.Module):
    """Feature maps and prefix tokens of some blocks of a vision transformer.

    Args:
        body: A timm model without head.
        indices: Blocks whose outputs are returned; later blocks are removed.
    """

    def __init__(self, body: Any, indices: Sequence[int]) -> None:
        super().__init__()
        self.model, self.indices = body, list(indices)
        self.channels = [int(body.feature_info[i]["num_chs"]) for i in indices]
        options = signature(body.forward_intermediates).parameters
        has_tokens = getattr(body, "num_prefix_tokens", 0) > 0
        self.has_tokens = has_tokens and "return_prefix_tokens" in options
        # Parameters that no output depends on would stop a training on several devices. SAM's
        # norm belongs to its neck, which gives maps of another depth.
        self.norm = self.channels[-1] == body.num_features
        body.prune_intermediate_layers(self.indices, prune_norm=not self.norm)

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor | None]]:
        """Return maps (N, D, h, w) and tokens (N, T, D) of each block; None without tokens."""
        options = {"return_prefix_tokens": True} if self.has_tokens else {}
        levels = self.model.forward_intermediates(
            images, indices=self.indices, norm=self.norm, intermediates_only=True, **options
        )
        if not self.has_tokens:
            return list(levels), [None] * len(levels)
        return [level[0] for level in levels], [level[1] for level in levels]


def build_dpt(
    body: nn.Module,
    n_classes: int,
    *,
    decoder_readout: Literal["cat", "add", "ignore"] = "cat",
    decoder_intermediate_channels: Sequence[int] = (256, 512, 1024, 1024),
    decoder_fusion_channels: int = 256,
) -> Parts:
    """Return a vision transformer with patches of any size and the decoder and head of DPT.

    The decoder is built for patches of 16 pixels, so the logits of others must be resized to the
    input's size.

    Args:
        body: A timm model without head.
        decoder_readout: Use of the class token: concatenated, added or ignored.
        decoder_intermediate_channels: Numbers of channels of the four levels.
        decoder_fusion_channels: Number of channels of the fused levels.

    Raises:
        InputError: The model is no plain vision transformer with at least four blocks, or takes
            images of one size only.

    References:
        Ranftl et al., Vision Transformers for Dense Prediction, ICCV 2021, arXiv:2103.13413.
    """
    _check_any_size(body)
    patch, blocks = _check_transformer(body)
    levels = len(_STRIDES)
    # The blocks are spread evenly, the last one included.
    encoder = TransformerLevels(body, [blocks * (n + 1) // levels - 1 for n in range(levels)])
    decoder = DPTDecoder(
        encoder_out_channels=encoder.channels,
        encoder_output_strides=[_PATCH] * levels,
        encoder_has_prefix_tokens=encoder.has_tokens,
        readout=decoder_readout if encoder.has_tokens else "ignore",
        intermediate_channels=decoder_intermediate_channels,
        fusion_channels=decoder_fusion_channels,
    )
    head = DPTSegmentationHead(decoder_fusion_channels, n_classes, kernel_size=3, upsampling=2)
    initialize_decoder(decoder)
    initialize_head(head)
    # The coarsest map has half as many cells as the transformer in each direction.
    return encoder, decoder, head, patch * _STRIDES[-1] // _PATCH


def build_linear(body: nn.Module, n_classes: int) -> Parts:
    """Return a model with a linear head on its last feature map.

    The head is a batch normalisation and a 1x1 convolution; its logits must be resized to the
    input's size.

    Args:
        body: A timm model without head.

    Raises:
        InputError: The model takes images of one size only.
    """
    _check_any_size(body)
    encoder = TimmEncoder(body, "model.encoder")
    # Parameters without gradients would stop a training on several devices.
    for unused in (getattr(body, name, None) for name in ("fc_norm", "attn_pool")):
        if isinstance(unused, nn.Module):
            unused.requires_grad_(False)
    norm, head = nn.BatchNorm2d(encoder.channels), nn.Conv2d(encoder.channels, n_classes, 1)
    reductions = [int(level["reduction"]) for level in getattr(body, "feature_info", [])]
    return encoder, norm, head, max(reductions, default=32)


def _check_any_size(body: Any) -> None:
    """Raise an InputError if a model takes images of one size only."""
    if getattr(getattr(body, "patch_embed", None), "strict_img_size", False):
        rule, got = "a model for images of any size", f"{type(body).__name__} for one size"
        remedy = "choose another, such as tu-vit_small_patch14_dinov2"
        raise InputError("model.encoder", rule, got, remedy)


def _check_transformer(body: Any) -> tuple[int, int]:
    """Return the side of a patch in pixels, and the number of blocks.

    Raises:
        InputError: The model is no plain vision transformer with at least four blocks.
    """
    strides = {int(level["reduction"]) for level in getattr(body, "feature_info", [])}
    blocks = len(list(getattr(body, "blocks", [])))
    options = signature(getattr(body, "forward_intermediates", lambda: None)).parameters
    if len(strides) != 1 or "norm" not in options or blocks < len(_STRIDES):
        rule = f"a plain vision transformer with at least {len(_STRIDES)} blocks for DPT"
        got = f"{type(body).__name__} with {blocks} blocks"
        raise InputError("model.encoder", rule, got, "choose another, or architecture Linear")
    return strides.pop(), blocks
