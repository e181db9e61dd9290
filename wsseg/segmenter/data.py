"""Training batches that depend on nothing but the seed and the step."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import IterableDataset, get_worker_info
from torchvision import tv_tensors
from torchvision.transforms import v2

from wsseg.errors import InputError
from wsseg.images import read_image
from wsseg.labels import IGNORE, read_label_map
from wsseg.run.settings import ModelSettings, TrainerSettings

_GRAY = 127


@dataclass(frozen=True)
class TrainingPair:
    """An image and the label map to train on.

    Args:
        image: The image file.
        label_map: A palette PNG of the image's size.
    """

    image: Path
    label_map: Path


class TrainingBatches(IterableDataset[tuple[Tensor, Tensor]]):
    """Batches of augmented crops, one a step.

    A batch depends on the seed, the step and the pairs only: not on the number of worker
    processes or devices, nor on whether training was interrupted.

    Args:
        pairs: What to train on; each epoch is a new permutation of it.
        model: Scale and normalisation of the input.
        trainer: Crop, zoom, jitter, batch size and steps.
        seed: Of order and augmentation.
        first_step: Step to begin with.

    Yields:
        Images (B, 3, h, w) float32, normalised, and labels (B, h, w) int64, padded with IGNORE.
    """

    def __init__(
        self,
        pairs: Sequence[TrainingPair],
        model: ModelSettings,
        trainer: TrainerSettings,
        *,
        seed: int,
        first_step: int = 0,
    ) -> None:
        if not pairs:
            raise InputError("training set", "at least one image", "none", "check the data")
        self.pairs, self.model, self.trainer, self.seed = tuple(pairs), model, trainer, seed
        self.first_step = first_step
        self.augment = _augmentation(trainer)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in range(self.first_step + offset, self.trainer.steps, stride):
            yield self.batch(step, *_place_among_devices())

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Tensor, Tensor]:
        """Return one device's share of a step's batch.

        Args:
            step: From 0.
            rank: The device's number.
            world_size: Number of devices that share each batch.

        Returns:
            Images (B, 3, h, w) float32 and labels (B, h, w) int64.
        """
        first = step * self.trainer.batch_size
        positions = range(first + rank, first + self.trainer.batch_size, world_size)
        crops = [self._crop(position) for position in positions]
        images = torch.stack([image for image, _ in crops])
        return images, torch.stack([labels for _, labels in crops])

    def _crop(self, position: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(position, len(self.pairs))
        pair = self.pairs[_permutation(len(self.pairs), self.seed, epoch)[place]]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mixed(self.seed, position))
            image, labels = self.augment(*self._zoomed(pair))
        return normalised(image, self.model), labels[0].long()

    def _zoomed(self, pair: TrainingPair) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        low, high = (math.log(bound) for bound in self.trainer.zoom)
        factor = self.model.scale * math.exp(low + (high - low) * torch.rand(()).item())
        image = tv_tensors.Image(torch.from_numpy(read_image(pair.image).copy()).permute(2, 0, 1))
        labels = tv_tensors.Mask(torch.from_numpy(read_label_map(pair.label_map).copy())[None])
        size = [max(1, round(side * factor)) for side in image.shape[1:]]
        # The older NEAREST is not centred: labels would lie up to half a pixel off their image.
        exact = v2.InterpolationMode.NEAREST_EXACT
        return v2.functional.resize(image, size), v2.functional.resize(labels, size, exact)


def normalised(image: Tensor, model: ModelSettings) -> Tensor:
    """Return an image as the network wants it.

    Args:
        image: (..., 3, H, W) uint8 RGB.
        model: Its mean and std.

    Returns:
        (..., 3, H, W) float32.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (model.mean, model.std))
    return (image.float() / 255 - mean.to(image.device)) / std.to(image.device)


def _place_among_devices() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def _augmentation(trainer: TrainerSettings) -> v2.Compose:
    fill = {tv_tensors.Image: _GRAY, tv_tensors.Mask: IGNORE}
    jitter = trainer.jitter
    return v2.Compose(
        [
            v2.RandomCrop(trainer.crop, pad_if_needed=True, fill=fill),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(jitter, jitter, jitter, jitter / 6),
        ]
    )


@lru_cache(maxsize=4)
def _permutation(length: int, seed: int, epoch: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(length)]


def _mixed(seed: int, position: int) -> int:
    return int(np.random.SeedSequence([seed, position]).generate_state(1, np.uint64)[0] >> 1)
