"""Network that predicts whether two places of an image show the same class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.labelmaps import IGNORE
from wsseg.networks.checkpoints import load_network
from wsseg.networks.classifier import image_tensor
from wsseg.networks.encoder import TimmEncoder, build_encoder
from wsseg.networks.params import ClassifierNetworkParams
from wsseg.refine.affinity import overlap, steps_within

_GROUPS = 4
_SMALL = 1e-5


class AffinityNet(nn.Module):
    """A vector for each cell of an image, from all levels of a frozen encoder and the pixels.

    The affinity of two cells i and j is exp(-|E_i - E_j|_1).

    Args:
        encoder: Trained before; it is not trained here.
        width: Length of the vectors, a multiple of 4.
        stride: Side of a cell in pixels of the input.

    References:
        Ahn and Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision for
        Weakly Supervised Semantic Segmentation, CVPR 2018, arXiv:1803.10464.
    """

    def __init__(self, encoder: TimmEncoder, width: int = 32, stride: int = 4) -> None:
        super().__init__()
        self.encoder, self.stride = encoder.requires_grad_(False), stride
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(depth, width, 1, bias=False), nn.GroupNorm(_GROUPS, width))
            for depth in (3, *encoder.level_channels)
        )
        self.head = nn.Conv2d(width * len(self.branches), width, 1, bias=False)
        nn.init.kaiming_normal_(self.head.weight)
        self.head.weight.data *= 0.1  # initially all affinities are high

    def train(self, mode: bool = True) -> "AffinityNet":
        """Set the mode of all but the encoder, which stays in eval mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return vectors (N, width, h, w) of normalised images, one cell per ``stride`` pixels."""
        height, width = (-(-side // self.stride) for side in images.shape[2:])
        size = (height, width)
        with torch.no_grad():
            levels = [functional.adaptive_avg_pool2d(images, size), *self.encoder.levels(images)]
        parts = [
            functional.interpolate(branch(level), size, mode="bilinear")
            for branch, level in zip(self.branches, levels, strict=True)
        ]
        vectors: Tensor = self.head(torch.cat(parts, dim=1).relu())
        return vectors


def affinity_loss(vectors: Tensor, labels: Tensor, radius: int) -> Tensor:
    """Return the loss of affinities between cells with known labels.

    With a the affinity of a pair closer than the radius: the mean of -log a over the pairs of one
    object class has weight 1/4, that over the pairs of background 1/4, and the mean of -log(1 - a)
    over the pairs of two classes 1/2.

    Args:
        vectors: (N, D, h, w).
        labels: (N, H, W) int64 over the same images; IGNORE is unknown.

    Returns:
        Scalar; 0 if both labels are known for no pair.

    References:
        Ahn and Kwak, CVPR 2018, arXiv:1803.10464, equations 4 to 7.
    """
    cells = functional.interpolate(labels[:, None].float(), vectors.shape[2:], mode="nearest-exact")
    cells = cells[:, 0].long()
    totals, counts = vectors.new_zeros(3), vectors.new_zeros(3)
    for step in steps_within(radius):
        here, there = overlap(vectors.shape[2:], step)
        apart = (vectors[:, :, *here] - vectors[:, :, *there]).abs().sum(dim=1)
        one, other = cells[:, *here], cells[:, *there]
        known, same = (one != IGNORE) & (other != IGNORE), one == other
        chosen = (known & same & (one > 0), known & same & (one == 0), known & ~same)
        unlike = -torch.log(1 - torch.exp(-apart) + _SMALL)
        losses = (apart, apart, unlike)
        totals = totals + torch.stack([(a * m).sum() for a, m in zip(losses, chosen, strict=True)])
        counts = counts + torch.stack([m.sum() for m in chosen])
    share = vectors.new_tensor([0.25, 0.25, 0.5])
    return (share * totals / counts.clamp(min=1)).sum()


@dataclass(frozen=True)
class TrainedAffinity:
    """A trained affinity network in eval mode, and the parameters of its encoder."""

    network: AffinityNet
    params: ClassifierNetworkParams

    def vectors(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return vectors (D, h, w) float32 of the cells of an image (H, W, 3) uint8 RGB."""
        pixels = image_tensor(image, self.params, next(self.network.parameters()).device)
        with torch.inference_mode():
            return np.asarray(self.network(pixels)[0].cpu())


def load_affinity(path: Path, device: str = "auto") -> TrainedAffinity:
    """Return a saved affinity network, on the GPU if ``device`` is "auto" and there is one.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    network, params, *_ = load_network(
        path,
        "affinity network",
        ClassifierNetworkParams,
        lambda params, _: AffinityNet(build_encoder(params, pretrained=False)),
        device,
    )
    return TrainedAffinity(network, params)
