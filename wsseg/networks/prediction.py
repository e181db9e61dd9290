"""Label scores of an image from a trained network, at any size."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.networks.batches import normalised
from wsseg.networks.params import PredictionParams, SegmenterParams
from wsseg.networks.segmenter import build_network, output_stride
from wsseg.networks.weights import device_of, read_checkpoint, restoring, write_checkpoint


@dataclass(frozen=True)
class Segmenter:
    """A trained network and what is needed to use it.

    Args:
        network: Maps (N, 3, H, W) to (N, K, H, W) logits, in eval mode.
        classes: The K class names.
        settings: How the network was built.
    """

    network: nn.Module
    classes: Classes
    settings: SegmenterParams

    def predict(
        self, image: NDArray[np.uint8], prediction: PredictionParams
    ) -> NDArray[np.float32]:
        """Return class probabilities, averaged over scales and mirror images.

        Args:
            image: (H, W, 3) uint8 RGB of any size.
            prediction: Scales, flip and tile size.

        Returns:
            (K, H, W) float32; sums to 1 over the classes.
        """
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
        size = _scaled(pixels, self.settings.scale)
        with torch.inference_mode():
            views = self._views(normalised(pixels, self.settings), prediction)
            mean = _mean(functional.interpolate(v, size, mode="bilinear") for v in views)
            full = functional.interpolate(mean, pixels.shape[2:], mode="bilinear")
        scores: NDArray[np.float32] = full[0].cpu().numpy()
        return scores

    def _views(self, image: Tensor, prediction: PredictionParams) -> Iterator[Tensor]:
        for scale in prediction.scales:
            size = _scaled(image, scale * self.settings.scale)
            resized = functional.interpolate(image, size, mode="bilinear", antialias=True)
            yield self._probabilities(resized, prediction.tile)
            if prediction.flip:
                yield self._probabilities(resized.flip(3), prediction.tile).flip(3)

    def _probabilities(self, image: Tensor, tile: int) -> Tensor:
        height, width = image.shape[2:]
        if max(height, width) <= tile:
            return self._forward(image)
        total = image.new_zeros(1, len(self.classes), height, width)
        counts = image.new_zeros(1, 1, height, width)
        for rows in _windows(height, tile):
            for columns in _windows(width, tile):
                total[..., rows, columns] += self._forward(image[..., rows, columns])
                counts[..., rows, columns] += 1
        return total / counts

    def _forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        stride = output_stride(self.network)
        padded = functional.pad(image, (0, -width % stride, 0, -height % stride))
        logits: Tensor = self.network(padded.contiguous(memory_format=torch.channels_last))
        return logits[..., :height, :width].softmax(dim=1)


def save_segmenter(
    path: Path, network: nn.Module, classes: Classes, settings: SegmenterParams
) -> None:
    """Write a trained network to one file, atomically.

    Args:
        path: The file.
        network: The network.
        classes: The class names.
        settings: How the network was built.
    """
    content = {
        "state_dict": network.state_dict(),
        "classes": list(classes),
        "model": settings.model_dump(mode="json"),
    }
    write_checkpoint(path, content)


def load_segmenter(path: Path, device: str = "auto") -> Segmenter:
    """Return a network of ``save_segmenter``, on the GPU where there is one.

    Args:
        path: The file.
        device: "cpu" keeps it off the GPU.

    Returns:
        The segmenter, in eval mode.

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    what, keys = "a trained segmenter", {"state_dict", "classes", "model"}
    content = read_checkpoint(path, what, keys)
    with restoring(path, what):
        settings = SegmenterParams.model_validate(content["model"])
        classes = Classes(tuple(content["classes"]))
        network = build_network(settings.model_copy(update={"weights": None}), len(classes))
        network.load_state_dict(content["state_dict"])
    network = network.to(device_of(device), memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know no device together with a format
    return Segmenter(network.eval(), classes, settings)


@lru_cache(maxsize=4)
def kept_segmenter(path: Path, key: Hashable, device: str = "auto") -> Segmenter:  # noqa: ARG001 - see below
    """Return ``load_segmenter(path)``; the last four that were asked for are kept loaded.

    Args:
        path: The file.
        key: Another value where the file holds another network by now.
        device: "cpu" keeps it off the GPU.

    Returns:
        The segmenter, in eval mode.
    """
    return load_segmenter(path, device)


def check_classes(subject: str, path: Path, classes: Classes) -> None:
    """Refuse a network that knows other classes than a data set.

    Args:
        subject: What named it, such as "run runs/mine".
        path: The file of the network.
        classes: Of the data set.

    Raises:
        InputError: They differ.
    """
    known = load_segmenter(path, "cpu").classes
    if known != classes:
        rule, got = f"trained on the classes {', '.join(classes)}", ", ".join(known)
        raise InputError(subject, rule, got, "name a run on the same data set")


def _mean(views: Iterator[Tensor]) -> Tensor:
    """Mean of tensors, of which only one is held at a time: of a large image each is a GB."""
    total, count = next(views), 1
    for view in views:
        total += view
        count += 1
    return total.div_(count)


def _scaled(image: Tensor, factor: float) -> tuple[int, int]:
    height, width = image.shape[2:]
    return max(1, round(height * factor)), max(1, round(width * factor))


def _windows(length: int, tile: int) -> list[slice]:
    count = -(-max(length - tile // 4, 1) // (tile - tile // 4))
    starts = np.linspace(0, max(length - tile, 0), count).round().astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]
