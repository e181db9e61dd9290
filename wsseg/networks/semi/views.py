"""Weak and strong views of images without masks, and the classes that annotations allow."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from wsseg.data.constraints import constraints_of
from wsseg.data.model import Sample
from wsseg.images import read_image
from wsseg.networks.batches import GRAY, StepBatches, normalize
from wsseg.networks.params import SegmenterParams, SegmenterTrainingParams
from wsseg.networks.semi.params import SemiParams
from wsseg.networks.training_data import zoom_randomly

CUTMIX = 0.5
"""Share of the strong views that get a rectangle of another image."""
JITTER, JITTERED = 0.5, 0.8
"""Strength of the colour jitter of strong views, and the share of them that gets it."""
GRAYED = 0.2
"""Share of the strong views without colour."""
BLURRED = 0.5
"""Share of the strong views that are blurred."""

_OUTSIDE = -1  # the number of the set of allowed classes on padding
_CUT_AREA = (0.02, 0.4)  # of the crop, as published
_CUT_RATIO = (0.3, 1 / 0.3)
_BLUR_SIGMA = (0.1, 2.0)


class Views(NamedTuple):
    """The strong views of a crop and its allowed classes.

    Attributes:
        strong: (V, 3, h, w) float32, normalised: the weak view with other colours.
        cut: (V, h, w) bool: pixels that come from the next image of the batch.
        allowed: (K, h, w) bool: classes that the annotations allow.
        inside: (h, w) bool, False on padding.
    """

    strong: Tensor
    cut: Tensor
    allowed: Tensor
    inside: Tensor


class ViewBatches(StepBatches):
    """Batches of weak views (B, 3, h, w) with their ``Views``, one per step.

    Args:
        samples: Images, with or without annotations.
        n_classes: K, including the background.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        n_classes: int,
        model: SegmenterParams,
        trainer: SegmenterTrainingParams,
        semi: SemiParams,
        *,
        seed: int,
    ) -> None:
        super().__init__(len(samples), trainer, seed=seed)
        self.samples, self.n_classes = tuple(samples), n_classes
        self.model, self.semi = model, semi
        fill = {tv_tensors.Image: GRAY, tv_tensors.Mask: _OUTSIDE}
        crop = v2.RandomCrop(trainer.crop, pad_if_needed=True, fill=fill)
        self.weak = v2.Compose([crop, v2.RandomHorizontalFlip()])
        jitter = v2.ColorJitter(JITTER, JITTER, JITTER, JITTER / 2)
        self.strong = v2.Compose(  # leaves every pixel in its place
            [
                v2.RandomApply([jitter], JITTERED),
                v2.RandomGrayscale(GRAYED),
                v2.RandomApply([v2.GaussianBlur(5, _BLUR_SIGMA)], BLURRED),
            ]
        )

    def example(self, index: int) -> tuple[Tensor, Views]:
        """Return a weak view (3, h, w) float32, normalised, and its ``Views``."""
        sample = self.samples[index]
        numbers, sets = self._allowed_sets(sample)
        pixels = read_image(sample.image, sample.reading)
        scale, zoom = self.model.scale, self.trainer.zoom
        weak, placed = self.weak(*zoom_randomly(pixels, numbers[None], scale, zoom))
        places = placed.as_subclass(Tensor)[0].long()
        inside = places != _OUTSIDE
        allowed = torch.from_numpy(sets)[places.clamp(min=0)].permute(2, 0, 1)
        views = [normalize(self.strong(weak), self.model) for _ in range(self.semi.strong_views)]
        cuts = [draw_rectangle(places.shape, CUTMIX) for _ in views]
        shape = tuple(places.shape)
        strong = torch.stack(views) if views else torch.zeros(0, 3, *shape)
        cut = torch.stack(cuts) if cuts else torch.zeros(0, *shape, dtype=torch.bool)
        return normalize(weak, self.model), Views(strong, cut, allowed, inside)

    def _allowed_sets(self, sample: Sample) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Return the sets of allowed classes (S, K) bool, and the number of each pixel's (H, W).

        A map of numbers takes less memory than K maps of bools, and resizes like a label map.
        """
        if not sample.annotations:
            return np.zeros(sample.size, np.int16), np.ones((1, self.n_classes), bool)
        constraints = constraints_of(sample, self.n_classes)
        packed = np.packbits(constraints.allowed, axis=0).reshape(-1, constraints.allowed[0].size)
        _, first, numbers = np.unique(packed, axis=1, return_index=True, return_inverse=True)
        sets = np.zeros((len(first), self.n_classes), bool)
        flat = constraints.allowed.reshape(len(constraints.classes), -1)
        sets[:, constraints.classes] = flat[:, first].T
        return numbers.reshape(sample.size).astype(np.int16), sets


def draw_rectangle(size: Sequence[int], probability: float) -> Tensor:
    """Return a random rectangle (h, w) bool, or none with the rest of the probability.

    References:
        Yun et al., CutMix, arXiv:1905.04899; sizes as in UniMatch, arXiv:2208.09910.
    """
    height, width = size
    mask = torch.zeros(height, width, dtype=torch.bool)
    if torch.rand(()).item() >= probability:
        return mask
    low, high = _CUT_AREA
    area = (low + (high - low) * torch.rand(()).item()) * height * width
    low, high = (np.log(bound) for bound in _CUT_RATIO)
    ratio = float(np.exp(low + (high - low) * torch.rand(()).item()))
    down, right = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
    down, right = min(max(down, 1), height), min(max(right, 1), width)
    top = int(torch.randint(height - down + 1, ()))
    left = int(torch.randint(width - right + 1, ()))
    mask[top : top + down, left : left + right] = True
    return mask


def cutmix(values: Tensor, cut: Tensor) -> Tensor:
    """Return the values (N, ..., h, w) of a batch with rectangles of the next image.

    Args:
        cut: (N, h, w) bool: pixels to take from the next image, the first after the last.
    """
    between = cut.reshape(len(cut), *[1] * (values.dim() - 3), *cut.shape[1:])
    return torch.where(between, values.roll(-1, dims=0), values)
