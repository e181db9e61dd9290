"""Do two places show the same class? A network that learns it from confident labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.labelmaps import IGNORE
from wsseg.networks.classifier import image_tensor
from wsseg.networks.encoder import FeatureMap, construct_encoder
from wsseg.networks.params import AffinityParams, ClassifierParams
from wsseg.networks.weights import device_of, read_checkpoint, restoring, write_checkpoint
from wsseg.refine.affinity import overlap, steps_within

_GROUPS = 4
_SMALL = 1e-5


class AffinityNet(nn.Module):
    """A vector for each cell of an image, from all levels of a frozen encoder and the pixels.

    Two cells i and j are alike by exp(-|E_i - E_j|_1).

    Args:
        encoder: Trained before; does not learn here.
        width: Length of the vectors, a multiple of 4.
        stride: Side of a cell in pixels of the input.

    References:
        Ahn and Kwak, Learning Pixel-level Semantic Affinity with Image-level Supervision for
        Weakly Supervised Semantic Segmentation, CVPR 2018, arXiv:1803.10464.
    """

    def __init__(self, encoder: FeatureMap, width: int = 32, stride: int = 4) -> None:
        super().__init__()
        self.encoder, self.stride = encoder.requires_grad_(False), stride
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(depth, width, 1, bias=False), nn.GroupNorm(_GROUPS, width))
            for depth in (3, *encoder.level_channels)
        )
        self.head = nn.Conv2d(width * len(self.branches), width, 1, bias=False)
        nn.init.kaiming_normal_(self.head.weight)
        self.head.weight.data *= 0.1  # at first all is alike

    def train(self, mode: bool = True) -> "AffinityNet":
        """Set the mode of all but the encoder, which stays in eval mode.

        Args:
            mode: Whether to train.

        Returns:
            The network.
        """
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return the vectors.

        Args:
            images: (N, 3, H, W) float32, normalised.

        Returns:
            (N, width, h, w), one cell for ``stride`` pixels.
        """
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
    """Return how badly vectors tell cells of one class from cells of two.

    Pairs closer than the radius of which both labels are known, and their affinity a: the mean of
    -log a over pairs of one object class and over pairs of background count a quarter each, the
    mean of -log(1 - a) over pairs of two classes counts a half.

    Args:
        vectors: (N, D, h, w).
        labels: (N, H, W) int64 over the same images; IGNORE is unknown.
        radius: Cells.

    Returns:
        Scalar; 0 where no pair is known.

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
    """An affinity network and what is needed to use it.

    Args:
        network: In eval mode.
        settings: How its encoder was built.
    """

    network: AffinityNet
    settings: ClassifierParams

    def vectors(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a vector for each cell of an image.

        Args:
            image: (H, W, 3) uint8 RGB.

        Returns:
            (D, h, w) float32.
        """
        pixels = image_tensor(image, self.settings, next(self.network.parameters()).device)
        with torch.inference_mode():
            found: NDArray[np.float32] = self.network(pixels)[0].cpu().numpy()
        return found


def save_affinity(
    path: Path, network: AffinityNet, encoder: ClassifierParams, settings: AffinityParams
) -> None:
    """Write a trained affinity network to one file, atomically.

    Args:
        path: The file.
        network: The network.
        encoder: How its encoder was built.
        settings: How the rest was.
    """
    content = {
        "state_dict": network.state_dict(),
        "classifier": encoder.model_dump(mode="json"),
        "affinity": settings.model_dump(mode="json"),
    }
    write_checkpoint(path, content)


def load_affinity(path: Path, device: str = "auto") -> TrainedAffinity:
    """Return a network of ``save_affinity``, on the GPU where there is one.

    Args:
        path: The file.
        device: "cpu" keeps it off the GPU.

    Returns:
        The network, in eval mode.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    what, keys = "a trained affinity network", {"state_dict", "classifier", "affinity"}
    content = read_checkpoint(path, what, keys)
    with restoring(path, what):
        encoder = ClassifierParams.model_validate(content["classifier"])
        settings = AffinityParams.model_validate(content["affinity"])
        network = AffinityNet(construct_encoder(encoder, pretrained=False), settings.width)
        network.load_state_dict(content["state_dict"])
    return TrainedAffinity(network.to(device_of(device)).eval(), encoder)
