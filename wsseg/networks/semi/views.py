"""Weak and strong views of images that no mask labels, and what their annotations allow."""

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
from wsseg.networks.batches import GRAY, StepBatches, normalised
from wsseg.networks.params import SegmenterParams, SegmenterTrainingParams
from wsseg.networks.semi.params import ViewParams
from wsseg.networks.training_data import zoomed

_OUTSIDE = -1  # what the numbers of allowed sets are padded with
_CUT_AREA = (0.02, 0.4)  # of the crop, as published
_CUT_RATIO = (0.3, 1 / 0.3)
_JITTERED = 0.8  # share of the strong views whose colours change
_BLUR_SIGMA = (0.1, 2.0)


class Views(NamedTuple):
    """What is seen and known of a crop.

    Attributes:
        strong: (V, 3, h, w) float32, normalised: the weak view with other colours.
        cut: (V, h, w) bool: pixels that come from the next image of the batch instead.
        allowed: (K, h, w) bool: classes that the annotations allow.
        inside: (h, w) bool, False on padding.
    """

    strong: Tensor
    cut: Tensor
    allowed: Tensor
    inside: Tensor


class ViewBatches(StepBatches):
    """Batches of weak views (B, 3, h, w) with their ``Views``, one a step.

    Args:
        samples: Images, with or without annotations.
        n_classes: Of the data set, background included.
        model: Scale and normalisation of the input.
        trainer: Crop, zoom, batch size and steps.
        views: The strong views.
        seed: Of order and augmentation.
        gate: Whether annotations limit the classes.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        n_classes: int,
        model: SegmenterParams,
        trainer: SegmenterTrainingParams,
        views: ViewParams,
        *,
        seed: int,
        gate: bool = True,
    ) -> None:
        super().__init__(len(samples), trainer, seed=seed)
        self.samples, self.n_classes, self.gate = tuple(samples), n_classes, gate
        self.model, self.trainer, self.views = model, trainer, views
        fill = {tv_tensors.Image: GRAY, tv_tensors.Mask: _OUTSIDE}
        crop = v2.RandomCrop(trainer.crop, pad_if_needed=True, fill=fill)
        self.weak = v2.Compose([crop, v2.RandomHorizontalFlip()])
        self.strong = strong_view(views)

    def example(self, index: int) -> tuple[Tensor, Views]:
        """Return a weak view and what is seen and known of it.

        Args:
            index: Of the image.

        Returns:
            (3, h, w) float32, normalised, and its ``Views``.
        """
        sample = self.samples[index]
        numbers, sets = self._allowed(sample)
        pixels = read_image(sample.image)
        weak, placed = self.weak(*zoomed(pixels, numbers, self.model, self.trainer))
        where = placed.as_subclass(Tensor)[0].long()
        inside = where != _OUTSIDE
        allowed = torch.from_numpy(sets)[where.clamp(min=0)].permute(2, 0, 1)
        views = [normalised(self.strong(weak), self.model) for _ in range(self.views.strong)]
        cuts = [cut_out(where.shape, self.views.cutmix) for _ in views]
        shape = tuple(where.shape)
        strong = torch.stack(views) if views else torch.zeros(0, 3, *shape)
        cut = torch.stack(cuts) if cuts else torch.zeros(0, *shape, dtype=torch.bool)
        return normalised(weak, self.model), Views(strong, cut, allowed, inside)

    def _allowed(self, sample: Sample) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
        """Numbers (H, W) of sets of classes, and the sets (S, K); arrays of bools are large."""
        if not (self.gate and sample.annotations):
            every = np.ones((1, self.n_classes), bool)
            return np.zeros(sample.size, np.int16), every
        constraints = constraints_of(sample, self.n_classes)
        packed = np.packbits(constraints.allowed, axis=0).reshape(-1, constraints.allowed[0].size)
        _, first, numbers = np.unique(packed, axis=1, return_index=True, return_inverse=True)
        sets = np.zeros((len(first), self.n_classes), bool)
        flat = constraints.allowed.reshape(len(constraints.classes), -1)
        sets[:, constraints.classes] = flat[:, first].T
        return numbers.reshape(sample.size).astype(np.int16), sets


def strong_view(views: ViewParams) -> v2.Compose:
    """Return the augmentation that leaves every pixel in its place.

    Args:
        views: Strengths and shares.

    Returns:
        A function of (3, h, w) uint8 images.
    """
    jitter = v2.ColorJitter(views.jitter, views.jitter, views.jitter, views.jitter / 2)
    return v2.Compose(
        [
            v2.RandomApply([jitter], _JITTERED),
            v2.RandomGrayscale(views.gray),
            v2.RandomApply([v2.GaussianBlur(5, _BLUR_SIGMA)], views.blur),
        ]
    )


def cut_out(size: Sequence[int], share: float) -> Tensor:
    """Return a random rectangle, or with the rest of the probability none.

    Args:
        size: (h, w).
        share: Probability of a rectangle, 0..1.

    Returns:
        (h, w) bool.

    References:
        Yun et al., CutMix, arXiv:1905.04899; sizes as in UniMatch, arXiv:2208.09910.
    """
    height, width = size
    mask = torch.zeros(height, width, dtype=torch.bool)
    if torch.rand(()).item() >= share:
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


def mixed(values: Tensor, cut: Tensor) -> Tensor:
    """Return values of a batch with rectangles of the next image's.

    Args:
        values: (N, ..., h, w).
        cut: (N, h, w) bool: pixels to take from the next image, the first after the last.

    Returns:
        (N, ..., h, w).
    """
    between = cut.reshape(len(cut), *[1] * (values.dim() - 3), *cut.shape[1:])
    return torch.where(between, values.roll(-1, dims=0), values)
