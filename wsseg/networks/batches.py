"""Training batches that depend on nothing but the seed and the step."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import IterableDataset, default_collate, get_worker_info

from wsseg.errors import InputError
from wsseg.networks.params import NetworkParams, TrainingParams

GRAY = 127
"""What images are padded with, 0..255."""


class Steps(IterableDataset[tuple[Any, Any]], ABC):
    """One batch a step, which depends on nothing but the step and what it is made from.

    It does not depend on the number of worker processes or devices, nor on whether training was
    interrupted.

    Args:
        settings: Batch size and steps.
        first_step: Step to begin with.

    Yields:
        What ``batch`` returns for each step; from a loading process, which cannot raise it, the
        ``InputError`` that ended it.
    """

    def __init__(self, settings: TrainingParams, *, first_step: int = 0) -> None:
        self.settings, self.first_step = settings, first_step

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        steps = range(self.first_step + offset, self.settings.steps, stride)
        batches = (self.batch(step, *_place_among_devices()) for step in steps)
        return _handed_over(batches) if worker else batches

    @abstractmethod
    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Any, Any]:
        """Return one device's share of a step's batch.

        Args:
            step: From 0.
            rank: The device's number.
            world_size: Number of devices that share each batch.

        Returns:
            What the training takes.
        """


class StepBatches(Steps):
    """Batches of augmented examples, one a step.

    A batch depends on the seed, the step and the examples only.

    Args:
        length: Number of examples; each epoch is a new permutation of them.
        settings: Batch size and steps.
        seed: Of order and augmentation.
        first_step: Step to begin with.

    Yields:
        Images (B, 3, h, w) float32, normalised, and targets, stacked as the examples' are.
    """

    def __init__(
        self, length: int, settings: TrainingParams, *, seed: int, first_step: int = 0
    ) -> None:
        if not length:
            raise InputError("training set", "at least one image", "none", "check the data")
        super().__init__(settings, first_step=first_step)
        self.length, self.seed = length, seed

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Tensor, Any]:
        """Return one device's share of a step's batch.

        Args:
            step: From 0.
            rank: The device's number.
            world_size: Number of devices that share each batch.

        Returns:
            Images (B, 3, h, w) float32 and targets, stacked as the examples' are.
        """
        first = step * self.settings.batch_size
        positions = range(first + rank, first + self.settings.batch_size, world_size)
        examples = [self._at(position) for position in positions]
        images, targets = default_collate(examples)
        return images, targets

    @abstractmethod
    def example(self, index: int) -> tuple[Tensor, Any]:
        """Return an augmented example; torch's random state is that of the step and the place.

        Args:
            index: From 0 to ``length`` - 1.

        Returns:
            Image (3, h, w) float32, normalised, and its target: a tensor or a tuple of them.
        """

    def _at(self, position: int) -> tuple[Tensor, Any]:
        epoch, place = divmod(position, self.length)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_mixed(self.seed, position))
            return self.example(_permutation(self.length, self.seed, epoch)[place])


def zoomed_size(size: tuple[int, int], scale: float, zoom: tuple[float, float]) -> list[int]:
    """Return the size of an image after a random zoom, all factors of a range as likely.

    Args:
        size: (H, W) of the image.
        scale: Of every image.
        zoom: Range of the random factor.

    Returns:
        Height and width, at least 1.
    """
    low, high = (math.log(bound) for bound in zoom)
    factor = scale * math.exp(low + (high - low) * torch.rand(()).item())
    return [max(1, round(side * factor)) for side in size]


def normalised(image: Tensor, network: NetworkParams) -> Tensor:
    """Return an image as the network wants it.

    Args:
        image: (..., 3, H, W) uint8 RGB.
        network: Its mean and std.

    Returns:
        (..., 3, H, W) float32.
    """
    mean, std = (torch.tensor(values)[:, None, None] for values in (network.mean, network.std))
    return (image.float() / 255 - mean.to(image.device)) / std.to(image.device)


def _handed_over(batches: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from batches
    except InputError as error:
        yield error


def _place_among_devices() -> tuple[int, int]:
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


@lru_cache(maxsize=4)
def _permutation(length: int, seed: int, epoch: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(length)]


def _mixed(seed: int, position: int) -> int:
    return int(np.random.SeedSequence([seed, position]).generate_state(1, np.uint64)[0] >> 1)
