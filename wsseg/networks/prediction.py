"""Prediction of images of any size with a trained segmenter."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from wsseg.bands import ImageParams
from wsseg.data.model import Classes
from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labelmaps import overlay, write_label_map
from wsseg.networks.batches import normalize
from wsseg.networks.checkpoints import load_network, saved_classes
from wsseg.networks.params import PredictionParams, SegmenterParams
from wsseg.networks.segmenter import build_network

# Larger images are predicted in tiles of this side, in pixels of the network's input, that overlap
# by a quarter: memory does not grow with the image.
_TILE = 1024


@dataclass(frozen=True, eq=False)
class Prediction:
    """The predicted classes of an image.

    Attributes:
        scores: (K, H, W) float32 class probabilities; they sum to 1 over the classes.
        classes: The K class names.
        image: (H, W, 3) uint8 RGB.
    """

    scores: NDArray[np.float32]
    classes: Classes
    image: NDArray[np.uint8] = field(repr=False)

    @cached_property
    def label_map(self) -> NDArray[np.uint8]:
        """(H, W) uint8: the most probable class of each pixel."""
        return np.asarray(self.scores.argmax(axis=0), np.uint8)

    @cached_property
    def confidence(self) -> NDArray[np.float32]:
        """(H, W) float32 in 0..1: the probability of the most probable class."""
        return np.asarray(self.scores.max(axis=0))

    def overlay(self) -> NDArray[np.uint8]:
        """Return the image with the label map drawn over it, (H, W, 3) uint8."""
        return overlay(self.image, self.label_map)

    def save(self, path: Path | str) -> None:
        """Write the label map as a palette PNG."""
        write_label_map(Path(path), self.label_map)


@dataclass(frozen=True)
class Segmenter:
    """A trained segmentation network, which predicts images of any size when it is called.

    Args:
        network: Maps normalised images (N, 3, H, W) of any size to logits (N, K, H, W); in eval
            mode.
        classes: The K class names, the background first.
        params: The parameters that the network was built with.
        prediction: Scales, mirroring and tiles of calls that pass none.
        reading: Range and bands that image files are read with, those of the training.

    Example:
        >>> params = SegmenterParams(preset="demo")
        >>> network = build_network(params, 2).eval()
        >>> segmenter = Segmenter(network, Classes(("background", "cow")), params)
        >>> prediction = segmenter(np.zeros((40, 60, 3), np.uint8))
        >>> prediction.label_map.shape, prediction.scores.shape
        ((40, 60), (2, 40, 60))
        >>> bool(np.allclose(prediction.scores.sum(axis=0), 1, atol=1e-5))
        True
    """

    network: nn.Module
    classes: Classes
    params: SegmenterParams
    prediction: PredictionParams = field(default_factory=PredictionParams)
    reading: ImageParams = field(default_factory=ImageParams)

    def __call__(
        self, image: NDArray[np.uint8] | Path | str, params: PredictionParams | None = None
    ) -> Prediction:
        """Return the predicted classes of an image.

        Args:
            image: (H, W, 3) uint8 RGB of any size, 0..255, or an image file.
            params: Scales and mirroring; None is ``prediction``.

        Returns:
            Its ``label_map`` (H, W) uint8, ``scores`` (K, H, W) float32 and ``confidence``.

        Raises:
            InputError: The file is missing, damaged or too large.
        """
        if isinstance(image, Path | str):
            image = read_image(Path(image), self.reading)
        return Prediction(self.predict(image, params), self.classes, image)

    def predict(
        self, image: NDArray[np.uint8], params: PredictionParams | None = None
    ) -> NDArray[np.float32]:
        """Return class probabilities, averaged over scales and mirrored images.

        Args:
            image: (H, W, 3) uint8 RGB of any size.

        Returns:
            (K, H, W) float32; sums to 1 over the classes.
        """
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device)
        size = _scaled_size(pixels, self.params.scale)
        with torch.inference_mode():
            views = self._views(normalize(pixels, self.params), params or self.prediction)
            mean = _mean(functional.interpolate(v, size, mode="bilinear") for v in views)
            full = functional.interpolate(mean, pixels.shape[2:], mode="bilinear")
        return np.asarray(full[0].cpu())

    def _views(self, image: Tensor, params: PredictionParams) -> Iterator[Tensor]:
        for scale in params.scales:
            size = _scaled_size(image, scale * self.params.scale)
            resized = functional.interpolate(image, size, mode="bilinear", antialias=True)
            yield self._probabilities(resized)
            if params.flip:
                yield self._probabilities(resized.flip(3)).flip(3)

    def _probabilities(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        if max(height, width) <= _TILE:
            return self._forward(image)
        total = image.new_zeros(1, len(self.classes), height, width)
        counts = image.new_zeros(1, 1, height, width)
        for rows in _windows(height):
            for columns in _windows(width):
                total[..., rows, columns] += self._forward(image[..., rows, columns])
                counts[..., rows, columns] += 1
        return total / counts

    def _forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.network(image.contiguous(memory_format=torch.channels_last))
        return logits.softmax(dim=1)


def load_segmenter(path: Path | str, device: str = "auto") -> Segmenter:
    """Return a trained segmenter.

    Args:
        path: A file ``model.ckpt``, or the folder that contains it.
        device: "auto" is the GPU if there is one; or "cpu" or "cuda".

    Raises:
        InputError: The file is missing, damaged or of another kind.
    """
    file = Path(path) / "model.ckpt" if Path(path).is_dir() else Path(path)
    network, params, classes, reading = load_network(
        file, "segmenter", SegmenterParams, build_network, device
    )
    network = network.to(memory_format=torch.channels_last)
    return Segmenter(network, classes, params, reading=reading)


@lru_cache(maxsize=4)
def load_segmenter_cached(path: Path, key: Hashable, device: str = "auto") -> Segmenter:  # noqa: ARG001 - part of the cache's key
    """Return ``load_segmenter(path)``; the last four segmenters stay in memory.

    Args:
        key: Changes whenever the file gets another network.
    """
    return load_segmenter(path, device)


def check_classes(subject: str, path: Path, classes: Classes) -> None:
    """Raise an InputError if the network of a file was trained on other classes.

    Args:
        subject: Names the network in the error, such as "run runs/mine".
    """
    trained_on = saved_classes(path)
    if trained_on != classes:
        rule, got = f"trained on the classes {', '.join(classes)}", ", ".join(trained_on)
        raise InputError(subject, rule, got, "name a run on the same data set")


def _mean(views: Iterator[Tensor]) -> Tensor:
    """Return the mean of tensors with one in memory at a time: of a large image each has a GB."""
    total, count = next(views), 1
    for view in views:
        total += view
        count += 1
    return total.div_(count)


def _scaled_size(image: Tensor, factor: float) -> tuple[int, int]:
    height, width = image.shape[2:]
    return max(1, round(height * factor)), max(1, round(width * factor))


def _windows(length: int) -> list[slice]:
    overlap = _TILE // 4
    count = -(-max(length - overlap, 1) // (_TILE - overlap))
    starts = np.linspace(0, max(length - _TILE, 0), count).round().astype(int)
    return [slice(int(start), int(start) + _TILE) for start in starts]
