"""Training batches that depend on the seed and the step only."""

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
"""Value of padded pixels, 0..255."""

JITTER = 0.3
"""Strength of the colour jitter, 0..1."""


class Steps(IterableDataset[tuple[Any, Any]], ABC):
    """One batch per step, a function of the step alone.

    It does not depend on the number of worker processes or devices, nor on whether the training was
    interrupted.

    Yields:
        The batch of each step. A worker process, which cannot raise an ``InputError`` in the
        process that trains, yields it instead.
    """

    first_step = 0
    """The step to begin with."""

    def __init__(self, trainer: TrainingParams) -> None:
        self.trainer = trainer

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        rank, world_size = 0, 1
        if distributed.is_available() and distributed.is_initialized():
            rank, world_size = distributed.get_rank(), distributed.get_world_size()
        steps = range(self.first_step + offset, self.trainer.steps, stride)
        batches = (self.batch(step, rank, world_size) for step in steps)
        return _yield_error(batches) if worker else batches

    @abstractmethod
    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Any, Any]:
        """Return the share of one device in the batch of a step.

        Args:
            rank: Number of the device.
            world_size: Number of devices that share each batch.
        """


class StepBatches(Steps):
    """Batches of augmented examples, a function of the seed and the step.

    Args:
        length: Number of examples; each epoch is a new permutation of them.
        seed: Seed of order and augmentation.

    Yields:
        Images (B, 3, h, w) float32, normalised, and stacked targets.
    """

    def __init__(self, length: int, trainer: TrainingParams, *, seed: int) -> None:
        if not length:
            raise InputError("training set", "at least one image", "none", "check the data")
        super().__init__(trainer)
        self.length, self.seed = length, seed

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> tuple[Tensor, Any]:
        """Return images (B, 3, h, w) float32 and targets, the share of one device."""
        first = step * self.trainer.batch_size
        positions = range(first + rank, first + self.trainer.batch_size, world_size)
        images, targets = default_collate([self._example_at(position) for position in positions])
        return images, targets

    @abstractmethod
    def example(self, index: int) -> tuple[Tensor, Any]:
        """Return an augmented example; torch's random state is set by its place in the training.

        Returns:
            Image (3, h, w) float32, normalised, and its target: a tensor or a tuple of them.
        """

    def _example_at(self, position: int) -> tuple[Tensor, Any]:
        epoch, place = divmod(position, self.length)
        state = np.random.SeedSequence([self.seed, position]).generate_state(1, np.uint64)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(state >> 1))
            return self.example(_permutation(self.length, self.seed, epoch)[place])


def random_size(size: tuple[int, int], scale: float, zoom: tuple[float, float]) -> list[int]:
    """Return a size (H, W) times a fixed factor and a log-uniform one in ``zoom``, at least 1."""
    low, high = (math.log(bound) for bound in zoom)
    factor = scale * math.exp(low + (high - low) * torch.rand(()).item())
    return [max(1, round(side * factor)) for side in size]


def normalize(image: Tensor, network: NetworkParams) -> Tensor:
    """Return images (..., 3, H, W) uint8 RGB as float32 with the mean and std of a network."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (network.mean, network.std))
    return (image.float() / 255 - mean.to(image.device)) / std.to(image.device)


def _yield_error(batches: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from batches
    except InputError as error:
        yield error


@lru_cache(maxsize=4)  # one for each of the trainings in progress; a new one for each epoch
def _permutation(length: int, seed: int, epoch: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(length)]
